"""A model and its baselines on the labelled sets of a suite, under one protocol.

Choices (features, k, regularisation, epoch) are made on validation sequences; the test split is
only measured. A seed decides what is drawn at random: initial weights, minibatches, the order of
the search, and where there is no dev split which quarter of the training sequences validates.
Under the protocol of `findna.evaluation.geneb` nothing is chosen.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from findna.console import counted
from findna.errors import FindnaError, LabelError
from findna.evaluation import geneb
from findna.evaluation.baselines import (
    KmerTable,
    Prediction,
    kmer_regression,
    knn,
    random_model,
    train_cnn,
)
from findna.evaluation.duration import Work, baseline_seconds
from findna.evaluation.report import BASELINES, MODEL
from findna.evaluation.runs import Run, Suite, choose_sets, measure_sets
from findna.evaluation.suites import SuiteSet, find_sets
from findna.genome.encoding import Tokens
from findna.genome.fasta import Genome
from findna.labelled.lengths import length_score
from findna.labelled.metrics import PRIMARY, bootstrap, measure
from findna.labelled.sets import CLASSES, check_trainable, read_labelled
from findna.labelled.splits import overlap
from findna.model.checkpoint import Checkpoint, Model, load_checkpoint
from findna.model.devices import Compute
from findna.tasks.duration import FEW_BASES, Rates, Size, in_total, tell_duration
from findna.tasks.feature_cache import FeatureCache
from findna.tasks.features import Features, FeatureTable, Matrix
from findna.tasks.full import fine_tune
from findna.tasks.probe import READOUTS, Labels, Problem, Rows, fit_probe, search_space
from findna.tasks.recipe import FineTuneConfig
from findna.tasks.task import to_probabilities

logger = logging.getLogger(__name__)

_TRAIN_SHARE = 0.75


@dataclass(frozen=True)
class EvaluateOptions:
    """Options that decide the figures."""

    protocol: str = "findna"  # or geneb, which decides mode, seeds and kmers
    mode: str = "probe"  # use of the encoder: probe, full or knn
    baselines: tuple[str, ...] = tuple(BASELINES)  # random weights are used in the same mode
    seeds: int = 5  # repetitions
    draws: int = 5  # different random encoders; with fewer than seeds they are used in turn
    most: int = 0  # sequences of a split that are used at most, drawn once; 0 is all
    kmers: bool = True  # let the probe append k-mer frequencies
    both_strands: bool = False  # of geneb: average with the reverse complement
    remove_leaks: bool = False  # leave out training sequences of the test split, on either strand
    config: FineTuneConfig = field(default_factory=FineTuneConfig)

    @property
    def of_geneb(self) -> bool:
        """True if `findna.evaluation.geneb` says what is measured."""
        return self.protocol == "geneb"

    @property
    def n_draws(self) -> int:
        """Number of random encoders."""
        return min(self.draws, len(self.seed_numbers))

    @property
    def seed_numbers(self) -> tuple[int, ...]:
        """The seed of each repetition."""
        return geneb.SEEDS if self.of_geneb else tuple(range(self.seeds))


@dataclass(frozen=True)
class _Data:
    """A set as it is used: all sequences in one list, and the rows of each split."""

    kind: str
    n_outputs: int
    sequences: list[Tokens]
    labels: Labels
    train: Rows
    dev: Rows | None
    test: Rows

    def problem(self, seed: int) -> Problem:
        """Return the training and validation rows of a seed."""
        train, valid = self.train, self.dev
        if valid is None:
            order = np.random.default_rng(seed).permutation(train)
            n = int(len(order) * _TRAIN_SHARE)
            train, valid = np.sort(order[:n]), np.sort(order[n:])
        return Problem(self.kind, self.n_outputs, self.labels, train, valid)

    @property
    def size(self) -> Size:
        """How many sequences are used for what, and how long they are."""
        first = self.problem(0)
        n_bases = sum(map(len, self.sequences))
        length = n_bases / len(self.sequences)
        return Size(len(first.train), len(first.valid), len(self.test), length)

    @property
    def whole(self) -> Problem:
        """All training rows, and none that validate."""
        return Problem(self.kind, self.n_outputs, self.labels, self.train, self.train[:0])


def _read(
    chosen: SuiteSet, genome: Genome | None, options: EvaluateOptions
) -> tuple[_Data, dict[str, Any]]:
    """Return the sequences of a set, and what is reported of them beside the figures."""
    if options.of_geneb and chosen.starred:
        raise LabelError("no train split, on which --protocol geneb learns")
    learned = "train" if "train" in chosen.splits else "dev"
    first = read_labelled(chosen.splits[learned], genome)
    if options.of_geneb and first.kind != CLASSES:
        raise LabelError(f"labels of {first.kind}; --protocol geneb measures classes")
    check_trainable(first)
    sets = {learned: first}
    for name in ("test",) if options.of_geneb else ("dev", "test"):
        if name in chosen.splits and name != learned:
            sets[name] = read_labelled(
                chosen.splits[name], genome, kind=first.kind, classes=first.classes
            )
    rng = np.random.default_rng(0)
    for name, data in sets.items():
        if options.most and len(data) > options.most:
            sets[name] = data.take(np.sort(rng.choice(len(data), options.most, replace=False)))
    identical, reverse = overlap(sets[learned], sets["test"])
    leaks = {"identical": len(identical), "reverse_complement": len(reverse), "removed": 0}
    if options.remove_leaks:
        lost = np.concatenate(overlap(sets["test"], sets[learned]))
        sets[learned] = sets[learned].take(np.setdiff1d(np.arange(len(sets[learned])), lost))
        leaks["removed"] = len(lost)
        name = f"{first.name} without {counted(len(lost), 'row')} (--remove-leaks)"
        check_trainable(replace(sets[learned], name=name))
    length = length_score(sets[learned], sets["test"])
    edges = np.cumsum([0, *map(len, sets.values())])
    rows = {name: np.arange(edges[i], edges[i + 1]) for i, name in enumerate(sets)}
    about = {
        "kind": first.kind,
        "classes": list(first.classes),
        "splits": {
            name: {"rows": len(data), "sha256": data.digest, "file": chosen.splits[name].name}
            for name, data in sets.items()
        },
        "leaks": leaks,
        "length": None if length is None else round(length, 5),
    }
    used = _Data(
        first.kind,
        len(first.classes),
        [sequence for data in sets.values() for sequence in data.sequences],
        np.concatenate([data.labels for data in sets.values()]),
        rows[learned],
        rows.get("dev") if learned == "train" else None,
        rows["test"],
    )
    return used, about


def _table(
    model: Model,
    data: _Data,
    options: EvaluateOptions,
    compute: Compute,
    cache: FeatureCache | None,
) -> FeatureTable:
    """Return the vectors of all sequences, of which none is encoded yet."""
    reading: dict[str, Any] = {}
    if options.of_geneb:
        reading = {"strands": 1 + options.both_strands, "pools": ("mean",), "bins": 0}
    return FeatureTable(model.encoder, data.sequences, compute, cache=cache, **reading)


def _of_encoder(
    data: _Data,
    model: Model,
    table: FeatureTable,
    seed: int,
    options: EvaluateOptions,
    compute: Compute,
) -> Prediction:
    """Return predictions of an encoder in the mode that was asked for."""
    problem = data.problem(seed)
    if options.mode == "knn":
        return knn(table.matrix(Features(), np.arange(len(table))), problem, data.test)
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


def _predictions(
    method: str,
    data: _Data,
    checkpoint: Checkpoint,
    options: EvaluateOptions,
    compute: Compute,
    cache: FeatureCache | None,
) -> Iterator[Prediction]:
    """Yield predictions of the test rows by a method, seed by seed; sequences are read once."""
    if method == "cnn" and data.kind != CLASSES:
        return
    counts = KmerTable(data.sequences)
    encoders: dict[int, tuple[Model, FeatureTable]] = {}
    for seed in range(options.seeds):
        if method == "k-mers":
            yield kmer_regression(counts, data.problem(seed), data.test, seed=seed)
        elif method == "cnn":
            problem, device = data.problem(seed), compute.device
            yield train_cnn(data.sequences, problem, data.test, seed=seed, device=device)
        else:
            random = method == "random"
            draw = seed % options.draws if random else 0
            if draw not in encoders:
                model = random_model(checkpoint.config, draw) if random else checkpoint.model
                table = _table(model, data, options, compute, cache)
                encoders[draw] = model, table
            yield _of_encoder(data, *encoders[draw], seed, options, compute)
            if random and seed + options.draws >= options.seeds:
                del encoders[draw]  # vectors of every sequence, which no later seed reads


def _geneb_predictions(
    method: str,
    data: _Data,
    checkpoint: Checkpoint,
    options: EvaluateOptions,
    compute: Compute,
    cache: FeatureCache | None,
) -> Iterator[Prediction]:
    """Yield predictions of the test rows under the protocol of GENEB, seed by seed.

    The solver draws nothing, so that a seed changes the random encoder alone: each is fitted once.
    """
    features = geneb.features_of(method, options.both_strands)
    random = method == "random"
    found: dict[int, Prediction] = {}
    for i, seed in enumerate(geneb.SEEDS):
        draw = i % options.draws if random else 0
        if draw not in found:
            model = random_model(checkpoint.config, seed) if random else checkpoint.model
            table = _table(model, data, options, compute, cache)
            found[draw] = geneb.frozen_probe(table, features, data.whole, data.test, seed=seed)
        yield found[draw]


def evaluate_set(
    chosen: SuiteSet,
    checkpoint: Checkpoint,
    options: EvaluateOptions,
    *,
    genome: Genome | None = None,
    compute: Compute,
    cache: FeatureCache | None = None,
) -> dict[str, Any]:
    """Return every figure of a set: metrics, intervals and choices by method and seed."""
    data, about = _read(chosen, genome, options)
    labels = data.labels[data.test]
    main = geneb.PRIMARY if options.of_geneb else PRIMARY[data.kind]
    predict = _geneb_predictions if options.of_geneb else _predictions
    methods: dict[str, list[dict[str, Any]]] = {}
    for method in (MODEL, *options.baselines):
        started = time.monotonic()
        predictions = predict(method, data, checkpoint, options, compute, cache)
        for seed, (predicted, choice) in zip(options.seed_numbers, predictions, strict=False):
            predicted = np.asarray(predicted, np.float32)
            values = measure(labels, predicted, data.kind)
            defined = [metric for metric, value in values.items() if np.isfinite(value)]
            intervals = bootstrap(labels, predicted, data.kind, defined)
            seconds = time.monotonic() - started
            run = {
                "seed": seed,
                "metrics": {k: round(v, 5) if k in defined else None for k, v in values.items()},
                "intervals": {k: [round(b, 5) for b in v] for k, v in intervals.items()},
                "choice": choice,
                "one_class": _one_class(predicted, about),
                "seconds": round(seconds, 1),
            }
            methods.setdefault(method, []).append(run)
            figure = f"{main} {values[main]:.4f} ({choice}), {seconds:.0f} s"
            logger.info("%s, %s, seed %d: %s", chosen.name, method, seed, figure)
            started = time.monotonic()
    first = data.whole if options.of_geneb else data.problem(0)
    used = {"train": len(first.train), "valid": len(first.valid), "test": len(data.test)}
    head = {"name": chosen.name, "starred": chosen.starred, "primary": main}
    return {**head, **about, "used": used, "methods": methods}


def _one_class(predicted: Matrix, about: dict[str, Any]) -> str | None:
    """Return the class that is the most probable of every row; None if there is none."""
    chosen = set(predicted.argmax(1).tolist()) if about["kind"] == CLASSES else set()
    return str(about["classes"][chosen.pop()]) if len(chosen) == 1 else None


def _tell_duration(
    sets: Sequence[SuiteSet],
    checkpoint: Checkpoint,
    options: EvaluateOptions,
    genome: Genome | None,
    run: Run,
) -> None:
    """Say how long measuring sets will take, unless they are small."""
    seeds = geneb.SEEDS if options.of_geneb else range(options.n_draws)
    draws = seeds[: options.n_draws] if "random" in options.baselines else ()
    encoders = []  # whose vectors an earlier run may have kept
    if run.cache is not None:
        encoders = [checkpoint.model, *(random_model(checkpoint.config, seed) for seed in draws)]
    probes = options.mode == "probe" and not options.of_geneb
    work, tried = Work(), None
    for chosen in sets:
        try:
            data, _ = _read(chosen, genome, options)
        except FindnaError:
            continue  # it is told where it is measured
        size = data.size
        work.sizes.append(size)
        tried = tried or data
        tables = [_table(model, data, options, run.compute, run.cache) for model in encoders]
        for readout in READOUTS if probes else READOUTS[:1]:
            n_tables = 1 + len(draws) - sum(table.is_kept(readout) for table in tables)
            bases = n_tables * size.rows * size.length
            work.encoded[readout] = work.encoded.get(readout, 0) + bases
    epochs = options.config.epochs if options.mode == "full" else None
    read = work.bases * len(options.seed_numbers) * (epochs or 1)
    if tried is None or read < FEW_BASES:
        return
    rates = Rates(checkpoint.model, tried.sequences, run.compute)
    names = () if options.of_geneb else options.baselines
    problem = tried.problem(0)
    baselines = baseline_seconds(names, tried.sequences, problem, work.sizes, run.compute)
    tell_duration(in_total(work.sizes), work.seconds(options, rates, baselines), epochs)


def evaluate(
    suite: str, run: Run, options: EvaluateOptions = EvaluateOptions(), genome: Genome | None = None
) -> dict[str, Any]:
    """Evaluate a model on the sets of a suite.

    ``genome`` holds the sequence of sets that are intervals.

    Returns
    -------
    dict
        ``about``, ``sets`` and ``missing``: what `findna.evaluation.report` writes.

    Raises
    ------
    FindnaError
        There is no set, a set cannot be read, or the folder holds results of other settings.
    """
    found, unusable = find_sets(suite, run.data)
    sets, missing = choose_sets(
        run, suite, found, unusable, "a set is a folder that holds test and train (or dev) files"
    )
    checkpoint = load_checkpoint(run.model)
    settings = dataclasses.asdict(options)
    settings |= {"baselines": list(options.baselines), "precision": run.compute.precision}

    def measured(chosen: SuiteSet) -> dict[str, Any]:
        return evaluate_set(
            chosen, checkpoint, options, genome=genome, compute=run.compute, cache=run.cache
        )

    def announce(chosen: list[SuiteSet]) -> None:
        _tell_duration(chosen, checkpoint, options, genome, run)

    named = Suite(suite, {each.name: list(each.splits.values()) for each in found}, genome)
    return measure_sets(run, named, sets, missing, measured, checkpoint, settings, announce)
