"""A model and its baselines on the labelled sets of a suite, under one protocol.

Choices (features, k, regularisation, epoch) are made on validation sequences; the test split is
only measured. A seed decides which three quarters of the training sequences are used and what is
drawn at random: initial weights, minibatches, the order of the search.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from findna.evaluation.baselines import KmerTable, kmer_regression, knn, random_model, train_cnn
from findna.evaluation.report import BASELINES, MODEL
from findna.evaluation.runs import Run, choose_sets, measure_sets
from findna.evaluation.suites import SuiteSet, find_sets
from findna.genome.fasta import Genome
from findna.labelled.lengths import length_score
from findna.labelled.metrics import PRIMARY, bootstrap, measure
from findna.labelled.sets import CLASSES, LabelledSet, check_trainable, read_labelled
from findna.labelled.splits import overlap
from findna.model.checkpoint import Checkpoint, Model, load_checkpoint
from findna.model.devices import Compute
from findna.tasks.features import Features, FeatureTable, Matrix
from findna.tasks.full import fine_tune
from findna.tasks.probe import Labels, Problem, Rows, fit_probe, search_space
from findna.tasks.recipe import FineTuneConfig
from findna.tasks.task import to_probabilities

logger = logging.getLogger(__name__)

MODES = ("probe", "full", "knn")

_TRAIN_SHARE = 0.75


@dataclass(frozen=True)
class EvaluateOptions:
    """What decides the figures.

    Parameters
    ----------
    mode : {"probe", "full", "knn"}
        How the encoder is used.
    baselines : tuple of str
        Some of BASELINES: the same encoder with random weights (and the same mode), k-mer
        regression, the GenomicBenchmarks CNN.
    seeds : int
        Number of repetitions.
    draws : int
        Number of different random encoders; with fewer than seeds they are used in turn.
    most : int
        Sequences of a split that are used at most, drawn once; 0 is all.
    kmers : bool
        Let the probe append k-mer frequencies.
    remove_leaks : bool
        Leave training sequences out that occur in the test split, on either strand.
    """

    mode: str = "probe"
    baselines: tuple[str, ...] = tuple(BASELINES)
    seeds: int = 5
    draws: int = 5
    most: int = 0
    kmers: bool = True
    remove_leaks: bool = False
    config: FineTuneConfig = field(default_factory=FineTuneConfig)


@dataclass(frozen=True)
class _Data:
    """A set as it is used: all sequences in one list, and the rows of each split."""

    kind: str
    classes: tuple[str, ...]
    sequences: list[Any]
    labels: Labels
    train: Rows
    dev: Rows | None
    test: Rows

    def split(self, seed: int) -> tuple[Rows, Rows]:
        """Return training and validation rows of a seed."""
        order = np.random.default_rng(seed).permutation(self.train)
        n = int(len(order) * _TRAIN_SHARE)
        return np.sort(order[:n]), self.dev if self.dev is not None else np.sort(order[n:])


def _read(chosen: SuiteSet, genome: Genome | None, options: EvaluateOptions) -> tuple[_Data, Any]:
    """Return the sequences of a set, and what is reported of them beside the figures."""
    names: list[str] = [name for name in ("train", "dev", "test") if name in chosen.splits]
    first = read_labelled(chosen.splits[names[0]], genome)
    check_trainable(first)
    sets: dict[str, LabelledSet] = {names[0]: first}
    for name in names[1:]:
        sets[name] = read_labelled(
            chosen.splits[name], genome, kind=first.kind, classes=first.classes
        )
    rng = np.random.default_rng(0)
    for name, one in sets.items():
        if options.most and len(one) > options.most:
            sets[name] = one.take(np.sort(rng.choice(len(one), options.most, replace=False)))
    same, flipped = overlap(sets[names[0]], sets["test"])
    leaks = {"identical": len(same), "reverse_complement": len(flipped), "removed": 0}
    if options.remove_leaks:
        hit, hit_flipped = overlap(sets["test"], sets[names[0]])
        lost = np.concatenate((hit, hit_flipped))
        kept = np.setdiff1d(np.arange(len(sets[names[0]])), lost)
        sets[names[0]] = sets[names[0]].take(kept)
        leaks["removed"] = len(lost)
        check_trainable(sets[names[0]])
    length = length_score(sets[names[0]], sets["test"])
    edges = np.cumsum([0, *map(len, sets.values())])
    rows = {name: np.arange(edges[i], edges[i + 1]) for i, name in enumerate(sets)}
    data = _Data(
        first.kind,
        first.classes,
        [sequence for one in sets.values() for sequence in one.sequences],
        np.concatenate([one.labels for one in sets.values()]),
        rows[names[0]],
        rows["dev"] if names[0] == "train" and "dev" in rows else None,
        rows["test"],
    )
    about = {
        "kind": first.kind,
        "classes": list(first.classes),
        "splits": {
            name: {"rows": len(one), "sha256": one.digest, "file": chosen.splits[name].name}
            for name, one in sets.items()
        },
        "leaks": leaks,
        "length": None if length is None else round(length, 5),
    }
    return data, about


Prediction = tuple[Matrix, dict[str, Any]]
"""Predictions of the test rows, and what was chosen on validation rows."""


def _judged(
    data: _Data,
    model: Model,
    table: FeatureTable,
    seed: int,
    options: EvaluateOptions,
    compute: Compute,
) -> Prediction:
    """Return predictions of an encoder in the mode that was asked for."""
    train, valid = data.split(seed)
    labels, n_outputs = data.labels, len(data.classes)
    if options.mode == "knn":
        vectors = table.matrix(Features(), np.arange(len(table)))
        neighbours = knn(
            vectors[train], labels[train], vectors[valid], labels[valid], data.kind, n_outputs
        )
        return np.asarray(neighbours.predict(vectors[data.test]), np.float32), neighbours.choice
    problem = Problem(data.kind, n_outputs, labels, train, valid)
    probe = fit_probe(table, problem, search_space(options.mode, options.kmers), seed=seed)
    choice: dict[str, Any] = {"features": str(probe.features), "C": probe.strength}
    if options.mode == "probe":
        logits = probe.logits(table, data.test)
    else:
        tuned = fine_tune(model, probe, data.sequences, problem, options.config, compute, seed=seed)
        choice["epoch"] = tuned.epoch
        tested = FeatureTable(
            tuned.model.encoder,
            [data.sequences[row] for row in data.test],
            compute,
            strands=2 if probe.features.both_strands else 1,
        )
        logits = replace(probe, head=tuned.head).logits(tested, np.arange(len(data.test)))
    return to_probabilities(logits, data.kind, 1.0), choice


def _findna(
    data: _Data, checkpoint: Checkpoint, options: EvaluateOptions, compute: Compute
) -> Iterator[Prediction]:
    """Yield predictions of the model, seed by seed; sequences are encoded once."""
    table = FeatureTable(checkpoint.model.encoder, data.sequences, compute)
    for seed in range(options.seeds):
        yield _judged(data, checkpoint.model, table, seed, options, compute)


def _random(
    data: _Data, checkpoint: Checkpoint, options: EvaluateOptions, compute: Compute
) -> Iterator[Prediction]:
    """Yield those of the encoder with random weights, a new draw per seed or a few in turn."""
    tables: dict[int, tuple[Model, FeatureTable]] = {}
    for seed in range(options.seeds):
        draw = seed % options.draws
        if draw not in tables:
            model = random_model(checkpoint.config, draw)
            tables[draw] = model, FeatureTable(model.encoder, data.sequences, compute)
        yield _judged(data, *tables[draw], seed, options, compute)
        if seed + options.draws >= options.seeds:
            del tables[draw]


def _kmers(
    data: _Data, checkpoint: Checkpoint, options: EvaluateOptions, compute: Compute
) -> Iterator[Prediction]:
    """Yield those of regression on k-mer frequencies."""
    table = KmerTable(data.sequences)
    for seed in range(options.seeds):
        train, valid = data.split(seed)
        found = kmer_regression(
            table.take(train),
            data.labels[train],
            table.take(valid),
            data.labels[valid],
            data.kind,
            len(data.classes),
            seed=seed,
        )
        yield np.asarray(found.predict(table.take(data.test)), np.float32), found.choice


def _cnn(
    data: _Data, checkpoint: Checkpoint, options: EvaluateOptions, compute: Compute
) -> Iterator[Prediction]:
    """Yield those of the GenomicBenchmarks network, trained from scratch; classes only."""
    for seed in range(options.seeds if data.kind == CLASSES else 0):
        train, valid = data.split(seed)
        parts = [[data.sequences[row] for row in rows] for rows in (train, valid, data.test)]
        found = train_cnn(
            parts[0],
            data.labels[train],
            parts[1],
            data.labels[valid],
            len(data.classes),
            seed=seed,
            device=str(compute.device),
        )
        yield np.asarray(found.predict(parts[2]), np.float32), found.choice


_METHODS = {MODEL: _findna, "random": _random, "k-mers": _kmers, "cnn": _cnn}


def evaluate_set(
    chosen: SuiteSet,
    checkpoint: Checkpoint,
    options: EvaluateOptions,
    *,
    genome: Genome | None = None,
    compute: Compute,
) -> dict[str, Any]:
    """Return every figure of a set: metrics, intervals and choices by method and seed."""
    data, about = _read(chosen, genome, options)
    labels = data.labels[data.test]
    main = PRIMARY[data.kind]
    methods: dict[str, list[dict[str, Any]]] = {}
    for name in (MODEL, *options.baselines):
        started = time.monotonic()
        for seed, (predicted, choice) in enumerate(
            _METHODS[name](data, checkpoint, options, compute)
        ):
            found = measure(labels, predicted, data.kind)
            defined = [metric for metric, value in found.items() if np.isfinite(value)]
            intervals = bootstrap(labels, predicted, data.kind, defined)
            seconds = time.monotonic() - started
            methods.setdefault(name, []).append(
                {
                    "seed": seed,
                    "metrics": {k: round(v, 5) if k in defined else None for k, v in found.items()},
                    "intervals": {k: [round(b, 5) for b in v] for k, v in intervals.items()},
                    "choice": choice,
                    "seconds": round(seconds, 1),
                }
            )
            logger.info(
                "%s, %s, seed %d: %s %.4f (%s), %.0f s",
                chosen.name,
                name,
                seed,
                main,
                found[main],
                choice,
                seconds,
            )
            started = time.monotonic()
    train, valid = data.split(0)
    sizes = {"train": len(train), "valid": len(valid), "test": len(data.test)}
    return {
        "name": chosen.name,
        "starred": chosen.starred,
        **about,
        "used": sizes,
        "methods": methods,
    }


def evaluate(
    suite: str, run: Run, options: EvaluateOptions = EvaluateOptions(), genome: Genome | None = None
) -> dict[str, Any]:
    """Evaluate a model on the sets of a suite.

    Parameters
    ----------
    genome : Genome, optional
        Sequence of sets that are intervals.

    Returns
    -------
    dict
        ``about``, ``sets`` and ``missing``: what `findna.evaluation.report` writes.

    Raises
    ------
    FindnaError
        There is no set, a set cannot be read, or the folder holds results of other settings.
    """
    sets, missing = choose_sets(
        run,
        suite,
        *find_sets(suite, run.data),
        "a set is a folder that holds test and train (or dev) files",
    )
    checkpoint = load_checkpoint(run.model)
    settings = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(options).items()
    } | {"precision": run.compute.precision}

    def measured(chosen: SuiteSet) -> dict[str, Any]:
        return evaluate_set(chosen, checkpoint, options, genome=genome, compute=run.compute)

    return measure_sets(run, suite, sets, missing, measured, checkpoint, settings)
