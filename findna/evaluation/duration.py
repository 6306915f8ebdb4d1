"""Guess how long an evaluation takes: the work of every method, at rates measured on this device.

Rates of the model and of training are those of `findna.tasks.duration`. Baselines are tried on some
sequences.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from findna.evaluation.baselines import (
    EPOCHS,
    MOST_FOR_CHOICE,
    PATIENCE,
    KmerTable,
    Prediction,
    kmer_regression,
    train_cnn,
)
from findna.genome.encoding import Tokens
from findna.labelled.sets import CLASSES
from findna.model.devices import Compute
from findna.tasks.duration import Rates, Size
from findna.tasks.probe import Problem, search_space

if TYPE_CHECKING:
    from findna.evaluation.protocol import EvaluateOptions

_TRIED = 500  # sequences that baselines are tried on
_EPOCHS_OF_CNN = 13  # that it takes, more or less, until none is better


@dataclass
class Work:
    """Sets to measure, and the bases to encode of them: what no earlier run has kept.

    Parameters
    ----------
    encoded : dict of int to float
        Bases by the layers after which they are read, once per encoder.
    """

    sizes: list[Size] = field(default_factory=list)
    encoded: dict[int, float] = field(default_factory=dict)

    @property
    def bases(self) -> float:
        """Bases of all sequences."""
        return sum(size.rows * size.length for size in self.sizes)

    def seconds(self, options: EvaluateOptions, rates: Rates, baselines: dict[str, float]) -> float:
        """Return the seconds that it takes; ``baselines`` are those of one seed."""
        strands = 1 + (options.both_strands or not options.of_geneb)
        total = sum(n * rates.encoding(after, strands) for after, n in self.encoded.items())
        random = "random" in options.baselines
        if options.of_geneb:  # the solver draws nothing
            n_heads = 1 + random * options.n_draws + ("k-mers" in options.baselines)
            return total + n_heads * sum(map(rates.head, self.sizes))
        one_seed = 0.0
        if options.mode != "knn":
            space = search_space(options.mode, options.kmers)
            one_seed = sum(rates.searching(size, space) for size in self.sizes)
        if options.mode == "full":
            one_seed += rates.full(self.sizes, options.config)
            one_seed += sum(size.test * size.length for size in self.sizes) * rates.encoding()
        one_seed *= 1 + random
        return total + options.seeds * (one_seed + sum(baselines.values()))


def baseline_seconds(
    names: Collection[str],
    sequences: list[Tokens],
    problem: Problem,
    sizes: Sequence[Size],
    compute: Compute,
) -> dict[str, float]:
    """Return the seconds of one seed of k-mer regression and CNN on sets of these sizes.

    Those among ``names`` are tried on some sequences of a problem, which is one of the sets.
    """
    rng = np.random.default_rng(0)
    train, valid = (
        np.sort(rng.permutation(rows)[:_TRIED]) for rows in (problem.train, problem.valid)
    )
    tried = replace(problem, train=train, valid=valid)
    seconds = {}
    if "k-mers" in names:
        trial, _ = _timed(lambda: kmer_regression(KmerTable(sequences), tried, valid, seed=0))
        n = sum(min(size.train, MOST_FOR_CHOICE) for size in sizes)
        seconds["k-mers"] = trial * n / len(train)
    if "cnn" in names and problem.kind == CLASSES:
        trial, (_, choice) = _timed(
            lambda: train_cnn(sequences, tried, valid, seed=0, device=compute.device)
        )
        n_epochs = min(choice["epoch"] + PATIENCE, EPOCHS)
        bases = n_epochs * sum(len(sequences[row]) for row in train)
        all_bases = _EPOCHS_OF_CNN * sum(size.train * size.length for size in sizes)
        seconds["cnn"] = trial * all_bases / bases
    return seconds


def _timed(predict: Callable[[], Prediction]) -> tuple[float, Prediction]:
    """Return the seconds that predictions take, and these."""
    predict()  # warms up
    started = time.perf_counter()
    predictions = predict()
    return time.perf_counter() - started, predictions
