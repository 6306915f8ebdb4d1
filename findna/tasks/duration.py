"""Guess how long training takes, from rates that are measured on this device in about two seconds.

What takes long is counted: bases that are encoded, or that the encoder is trained on, and the
arithmetic of the regressions of `findna.tasks.probe`.
"""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from findna.console import counted, tell
from findna.genome.batching import Sequences
from findna.genome.encoding import Tokens
from findna.labelled.sets import REGRESSION
from findna.model.checkpoint import Model
from findna.model.devices import Compute
from findna.model.inference import region_vectors
from findna.model.pooling import Pooling
from findna.tasks.features import MOST_BINS, POOLS, Features
from findna.tasks.full import minibatches, train_features
from findna.tasks.probe import SEARCH_PENALTIES, SEARCH_ROWS, SearchSpace
from findna.tasks.recipe import FineTuneConfig
from findna.tasks.regression import Regression, Solver

_BATCHES = 4  # that are encoded to measure the rate
_STEPS = 4  # of training
_SHAPE = 8_000, 1_000  # of the matrix that regressions are measured on
_ITERATIONS = 20

_FEATURES = 1_500  # that are chosen, more or less
_OF_HEAD = 130  # iterations of all logistic regressions of a head, more or less

FEW_BASES = 1_000_000
"""Bases to read, every epoch and seed, below which a run takes seconds."""

LEAST_SECONDS = 60.0
"""Duration that is worth a word."""


@dataclass(frozen=True)
class Size:
    """Numbers of sequences by their use, and their mean length in bp."""

    train: int
    valid: int
    test: int
    length: float

    @property
    def rows(self) -> int:
        """Number of all sequences."""
        return self.train + self.valid + self.test


class Rates:
    """Rates of this device, each measured when it is first asked for.

    Parameters
    ----------
    sequences : sequence of Tokens
        Some of those of the run; not empty.
    """

    def __init__(self, model: Model, sequences: Sequence[Tokens], compute: Compute) -> None:
        self._model, self._compute = model, compute
        ends = np.cumsum([len(sequence) for sequence in sequences])
        n = int(np.searchsorted(ends, _BATCHES * compute.budget)) + 1
        self._sample = list(sequences[:n])
        self._encoding: dict[int, float] = {}

    def encoding(self, readout: int = 0, strands: int = 2) -> float:
        """Return the seconds to encode a base."""
        if readout not in self._encoding:
            source, pooling = Sequences(self._sample), Pooling(POOLS, MOST_BINS)
            encoder = self._model.encoder.read_after(readout)
            for _ in range(2):  # the first warms up
                started = time.perf_counter()
                deque(region_vectors(source.rows(), source, encoder, pooling, self._compute), 0)
                seconds = time.perf_counter() - started
            self._encoding[readout] = seconds / sum(map(len, self._sample))
        return strands * self._encoding[readout]

    def training(self, config: FineTuneConfig) -> float:
        """Return the seconds to train the encoder on a base once."""
        encoder = copy.deepcopy(self._model.encoder).to(self._compute.device).requires_grad_(True)
        rng, n_bases = np.random.default_rng(0), 0
        groups = minibatches(self._sample, np.arange(len(self._sample)), config.batch_tokens, rng)
        started = time.perf_counter()
        for step, rows in enumerate([groups[0], *groups[:_STEPS]]):
            chosen = [self._sample[row] for row in rows]
            loss = train_features(encoder, chosen, Features(), rng, self._compute).sum()
            loss.backward()  # type: ignore[no-untyped-call]  # torch
            loss.item()  # a GPU is waited for
            if step == 0:  # it warms up
                started = time.perf_counter()
            else:
                n_bases += sum(map(len, chosen))
        return (time.perf_counter() - started) / n_bases

    @cached_property
    def _regressions(self) -> tuple[float, float]:
        """Seconds of a ridge regression per multiplication, and of a logistic one per value."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal(_SHAPE, dtype=np.float32)
        n, size = _SHAPE
        ridge = Regression(x, x[:, :2], REGRESSION, Solver(ridge="cholesky"))
        logistic = Regression(x, np.arange(n) % 2, "classes", Solver(_ITERATIONS, 1e-12))
        times = []
        for regression in (ridge, logistic):
            started = time.perf_counter()
            regression.fit(1.0)
            times.append(time.perf_counter() - started)
        return times[0] / (n * size * size), times[1] / (n * size * _ITERATIONS)

    def searching(self, size: Size, space: SearchSpace) -> float:
        """Return the seconds to choose features and to fit a head, without encoding."""
        dim = self._model.encoder.config.dim
        per_product, _ = self._regressions
        few = min(size.train, SEARCH_ROWS)
        candidates = [Features((), 4)] * 2
        candidates += [Features(pools, bins) for pools, bins in space.poolings]
        candidates += [Features((), 4, k) for k in space.ks]
        widths = [features.size(dim) for features in candidates]
        products = sum(few * width * min(few, width) for width in widths)
        n_fits = len(space.readouts) * len(SEARCH_PENALTIES)
        return n_fits * products * per_product + self.head(size)

    def head(self, size: Size) -> float:
        """Return the seconds to fit a head on all training sequences."""
        return size.train * _FEATURES * _OF_HEAD * self._regressions[1]

    def full(self, sizes: Sequence[Size], config: FineTuneConfig) -> float:
        """Return the seconds of all epochs of training the encoder, and of their validation."""
        train = sum(size.train * size.length for size in sizes) * self.training(config)
        valid = sum(size.valid * size.length for size in sizes) * self.encoding()
        return config.epochs * (train + valid)


def tell_duration(size: str, seconds: float, epochs: int | None = None) -> None:
    """Say how long a run over data of a size will take, unless that is below a minute.

    With ``epochs`` the time is that of so many epochs of training, which may end before.
    """
    if seconds < LEAST_SECONDS:
        return
    end = "" if epochs is None else f", if training goes on for {counted(epochs, 'epoch')}"
    tell(f"{size}: about {in_words(seconds)} on this machine{end}")


def in_total(sets: Sequence[Size]) -> str:
    """Return the size of sets as ``2 sets, 4,000 sequences of 150 bp``."""
    n = sum(size.rows for size in sets)
    length = sum(size.rows * size.length for size in sets) / n
    of = f"{len(sets)} sets, " if len(sets) > 1 else ""
    return f"{of}{counted(n, 'sequence', ',')} of {length:.0f} bp"


def in_words(seconds: float) -> str:
    """Return a duration as ``25 minutes`` or ``3.1 hours``."""
    minutes = round(seconds / 60)
    return counted(minutes, "minute") if minutes < 100 else f"{seconds / 3600:.1f} hours"
