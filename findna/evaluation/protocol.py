"""A model and its baselines on the labelled sets of a suite, under one protocol.

Choices (features, k, regularisation, epoch) are made on validation sequences; the test split is
only measured. A seed decides which three quarters of the training sequences are used and what is
drawn at random: initial weights, minibatches, the order of the search.

Scores of variants need no training: `evaluate_variants` measures them as they are.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from findna import __version__
from findna.console import progress
from findna.errors import ConfigError, FindnaError, LabelError, OutputError
from findna.evaluation.baselines import KmerTable, kmer_regression, knn, train_cnn
from findna.evaluation.report import BASELINES, MODEL
from findna.evaluation.suites import SuiteSet, find_sets
from findna.evaluation.variant_sets import (
    VARIANTS,
    LabelledVariants,
    VariantSet,
    find_variant_sets,
    read_starts,
    read_variants,
)
from findna.evaluation.variants import measure_variants
from findna.genome.fasta import Genome
from findna.labelled.lengths import length_score
from findna.labelled.metrics import PRIMARY, bootstrap, measure
from findna.labelled.sets import CLASSES, LabelledSet, check_trainable, read_labelled
from findna.labelled.splits import overlap
from findna.model.checkpoint import Checkpoint, Model, load_checkpoint, training_length
from findna.model.config import EncoderConfig
from findna.model.devices import Compute, describe
from findna.outputs.files import replaced
from findna.tasks.features import Features, FeatureTable, Matrix
from findna.tasks.full import fine_tune
from findna.tasks.probe import Labels, Rows, fit_probe, search_space
from findna.tasks.recipe import FineTuneConfig
from findna.tasks.task import load_tasks, to_probabilities
from findna.variants.alleles import WINDOW

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
        """Training and validation rows of a seed."""
        order = np.random.default_rng(seed).permutation(self.train)
        n = int(len(order) * _TRAIN_SHARE)
        return np.sort(order[:n]), self.dev if self.dev is not None else np.sort(order[n:])


def _read(chosen: SuiteSet, genome: Genome | None, options: EvaluateOptions) -> tuple[_Data, Any]:
    """Sequences of a set, and what is reported of them beside the figures."""
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


def _encoded(data: _Data, model: Model, options: EvaluateOptions, compute: Compute) -> FeatureTable:
    return FeatureTable(model.encoder, data.sequences, compute)


def _judged(
    data: _Data,
    model: Model,
    table: FeatureTable,
    seed: int,
    options: EvaluateOptions,
    compute: Compute,
) -> Prediction:
    """Predictions of an encoder in the mode that was asked for."""
    train, valid = data.split(seed)
    n_outputs = len(data.classes)
    if options.mode == "knn":
        vectors = table.matrix(Features(), np.arange(len(table)))
        found = knn(
            vectors[train], data.labels[train], vectors[valid], data.labels[valid],
            data.kind, n_outputs,
        )  # fmt: skip
        return np.asarray(found.predict(vectors[data.test]), np.float32), found.choice
    probe = fit_probe(
        table, data.labels, train, valid,
        kind=data.kind, n_outputs=n_outputs, seed=seed,
        **search_space(options.mode, options.kmers),
    )  # fmt: skip
    choice: dict[str, Any] = {"features": str(probe.features), "C": probe.strength}
    if options.mode == "probe":
        logits = probe.logits(table, data.test)
    else:
        tuned = fine_tune(
            model, probe, data.sequences, data.labels, train, valid,
            kind=data.kind, n_outputs=n_outputs, config=options.config, compute=compute, seed=seed,
        )  # fmt: skip
        choice["epoch"] = tuned.epoch
        tested = FeatureTable(
            tuned.model.encoder, [data.sequences[row] for row in data.test],
            compute, strands=2 if probe.features.both_strands else 1,
        )  # fmt: skip
        logits = replace(probe, head=tuned.head).logits(tested, np.arange(len(data.test)))
    return to_probabilities(logits, data.kind, 1.0), choice


def _findna(
    data: _Data, checkpoint: Checkpoint, options: EvaluateOptions, compute: Compute
) -> Iterator[Prediction]:
    """The model, seed by seed; encoded once."""
    table = _encoded(data, checkpoint.model, options, compute)
    for seed in range(options.seeds):
        yield _judged(data, checkpoint.model, table, seed, options, compute)


def _random(
    data: _Data, checkpoint: Checkpoint, options: EvaluateOptions, compute: Compute
) -> Iterator[Prediction]:
    """The same encoder with random weights, drawn anew for each seed or for a few in turn."""
    tables: dict[int, tuple[Model, FeatureTable]] = {}
    for seed in range(options.seeds):
        draw = seed % options.draws
        if draw not in tables:
            model = random_model(checkpoint.config, draw)
            tables[draw] = model, _encoded(data, model, options, compute)
        yield _judged(data, *tables[draw], seed, options, compute)
        if seed + options.draws >= options.seeds:
            del tables[draw]


def _kmers(
    data: _Data, checkpoint: Checkpoint, options: EvaluateOptions, compute: Compute
) -> Iterator[Prediction]:
    """Regression on k-mer frequencies."""
    table = KmerTable(data.sequences)
    for seed in range(options.seeds):
        train, valid = data.split(seed)
        found = kmer_regression(
            table.take(train), data.labels[train], table.take(valid), data.labels[valid],
            data.kind, len(data.classes), seed=seed,
        )  # fmt: skip
        yield np.asarray(found.predict(table.take(data.test)), np.float32), found.choice


def _cnn(
    data: _Data, checkpoint: Checkpoint, options: EvaluateOptions, compute: Compute
) -> Iterator[Prediction]:
    """The convolutional network of GenomicBenchmarks, trained from scratch; classes only."""
    for seed in range(options.seeds if data.kind == CLASSES else 0):
        train, valid = data.split(seed)
        parts = [[data.sequences[row] for row in rows] for rows in (train, valid, data.test)]
        found = train_cnn(
            parts[0], data.labels[train], parts[1], data.labels[valid], len(data.classes),
            seed=seed, device=str(compute.device),
        )  # fmt: skip
        yield np.asarray(found.predict(parts[2]), np.float32), found.choice


_METHODS = {MODEL: _findna, "random": _random, "k-mers": _kmers, "cnn": _cnn}


def random_model(config: EncoderConfig, seed: int) -> Model:
    """A model of the same sizes with weights as before any training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Model(config).requires_grad_(False).eval()


def evaluate_set(
    chosen: SuiteSet,
    checkpoint: Checkpoint,
    options: EvaluateOptions,
    *,
    genome: Genome | None = None,
    compute: Compute,
) -> dict[str, Any]:
    """Every figure of one set: per method and seed the metrics, their intervals, the choices."""
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
                chosen.name, name, seed, main, found[main], choice, seconds,
            )  # fmt: skip
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
    suite: str,
    data: Path,
    folder: Path | None,
    *,
    model: str = "tiny",
    options: EvaluateOptions = EvaluateOptions(),
    only: tuple[str, ...] = (),
    genome: Genome | None = None,
    compute: Compute,
    resume: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Evaluate a model on the sets of a suite.

    Parameters
    ----------
    folder : Path, optional
        Where the result of each set is kept as soon as there is one; with ``resume`` those that
        are there are not measured again.
    only : tuple of str
        Names of the sets to take; all if empty.
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
    found, missing = find_sets(suite, data)
    sets, missing = _chosen(
        suite, data, found, missing, only,
        "a set is a folder that holds test and train (or dev) files",
    )  # fmt: skip
    checkpoint = load_checkpoint(model)
    settings = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(options).items()
    } | {"precision": compute.precision}

    def measured(chosen: SuiteSet) -> dict[str, Any]:
        return evaluate_set(chosen, checkpoint, options, genome=genome, compute=compute)

    return _report(
        suite, data, folder, sets, missing, measured, checkpoint, settings, compute, resume, force
    )


def evaluate_variants(
    genome: Genome,
    data: Path,
    folder: Path | None,
    *,
    model: str = "tiny",
    tasks: Sequence[str] = (),
    tss: Path | None = None,
    window: int | None = None,
    label: str = "LABEL",
    draws: int = 5,
    only: tuple[str, ...] = (),
    compute: Compute,
    resume: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Evaluate the scores of variants on the labelled VCF files of a folder.

    Parameters
    ----------
    folder, only, resume
        As in `evaluate`.
    tss : Path, optional
        BED file of starts of transcription.
    window : int, optional
        Length of the windows that the model reads, bp; by default that of `findna variants`. A
        task reads what it was trained on, or this where its lengths differed.
    label : str
        INFO field, 0 or 1.
    draws : int
        Number of different random encoders.

    Returns
    -------
    dict
        ``about``, ``sets`` and ``missing``: what `findna.evaluation.variant_report` writes.

    Raises
    ------
    FindnaError
        There is no set, a set or the BED file cannot be read, a window is longer than what the
        model was trained on, or the folder holds results of other settings.
    """
    found, missing = find_variant_sets(data, label)
    sets, missing = _chosen(
        VARIANTS, data, found, missing, only,
        f"a set is a VCF or BCF file whose header defines INFO/{label}",
    )  # fmt: skip
    longest = training_length(model)
    size = window or min(WINDOW, longest)
    if size > longest:
        raise ConfigError(f"--window {size}: {model} was trained on at most {longest} bp")
    loaded = [
        (task, task.config.window or min(size, training_length(task.encoder)))
        for task in load_tasks(tasks)
    ]
    starts = None if tss is None else read_starts(tss, genome)
    tables: dict[str, LabelledVariants] = {}
    for chosen in sets:
        try:
            shortest = min([size, *(length for _, length in loaded)])
            tables[chosen.name] = read_variants(chosen.path, genome, label, shortest)
        except FindnaError as error:
            _leave_out(chosen.name, error, missing)
    if not tables:
        raise LabelError(f"{data}: no set could be measured: {missing[-1]}")
    checkpoint = load_checkpoint(model)
    settings = {
        "tasks": {task.name: {"digest": task.digest, "window": n} for task, n in loaded},
        "tss": None if tss is None else hashlib.sha256(tss.read_bytes()).hexdigest(),
        "window": size,
        "label": label,
        "draws": draws,
        "precision": compute.precision,
    }

    def measured(chosen: VariantSet) -> dict[str, Any]:
        random = (
            replace(checkpoint, model=random_model(checkpoint.config, draw))
            for draw in range(draws)
        )
        return measure_variants(
            chosen.name, tables[chosen.name], genome, checkpoint, random, loaded,
            window=size, starts=starts, compute=compute,
        )  # fmt: skip

    usable = [chosen for chosen in sets if chosen.name in tables]
    return _report(
        VARIANTS, data, folder, usable, missing, measured, checkpoint, settings, compute, resume,
        force,
    )  # fmt: skip


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Chosen = TypeVar("Chosen", bound=_Named)


def _chosen(
    suite: str,
    data: Path,
    sets: list[Chosen],
    missing: list[str],
    only: tuple[str, ...],
    what: str,
) -> tuple[list[Chosen], list[str]]:
    """The sets to measure, and what is missing of those that were asked for."""
    if not sets:
        hint = f"; unusable: {', '.join(missing[:3])}" if missing else ""
        raise ConfigError(f"{data}: no set of the suite {suite} in it{hint}; {what}")
    if not only:
        return sets, missing
    names = {chosen.name for chosen in sets}
    wanted = {name if name in names else f"{suite}/{name}": name for name in only}
    for name, given in wanted.items():
        if name not in names:
            raise ConfigError(
                f"--set {given}: not among the sets found: "
                f"{', '.join(sorted(names)[:5])}{', ...' * (len(names) > 5)}"
            )
    return [chosen for chosen in sets if chosen.name in wanted], []


def _leave_out(name: str, error: FindnaError, missing: list[str]) -> None:
    logger.warning("%s left out: %s", name, error)
    missing.append(f"{name} ({error})")


def _report(
    suite: str,
    data: Path,
    folder: Path | None,
    sets: list[Chosen],
    missing: list[str],
    measured: Callable[[Chosen], dict[str, Any]],
    checkpoint: Checkpoint,
    options: dict[str, Any],
    compute: Compute,
    resume: bool,
    force: bool,
) -> dict[str, Any]:
    """Measure one set after the other, and keep what is found in the folder."""
    about = {
        "findna_version": __version__,
        "model": checkpoint.name,
        "digest": checkpoint.digest,
        **options,
    }
    settings = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    kept = {} if folder is None else _check_folder(folder, settings, resume, force)
    started = time.monotonic()
    results = []
    with progress(len(sets), "sets", suite) as bar:
        for chosen in sets:
            path = folder / f"{chosen.name.replace('/', '.')}.json" if folder else None
            if chosen.name in kept:
                results.append(kept[chosen.name])
                bar.update()
                continue
            try:
                result = measured(chosen)
            except FindnaError as error:
                _leave_out(chosen.name, error, missing)
                continue
            results.append(result)
            if path is not None:
                with replaced(path) as temporary:
                    temporary.write_text(
                        json.dumps({"settings": settings, "result": result}, indent=1) + "\n"
                    )
            bar.update()
    # what --set leaves aside now was measured before under the same settings
    others = kept.keys() - {result["name"] for result in results}
    results += [kept[name] for name in sorted(others)]
    if not results:
        raise LabelError(f"{data}: no set could be measured: {missing[-1]}")
    about |= {
        "suite": suite,
        "hardware": describe(compute.device),
        "seconds": round(time.monotonic() - started),
    }
    return {"about": about, "sets": results, "missing": missing}


def _check_folder(folder: Path, settings: str, resume: bool, force: bool) -> dict[str, Any]:
    """Make the folder; results in it by set, to go on from, or refuse it because of them."""
    kept = {}
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: exists and is not a folder")
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.json")):
        try:
            before = json.loads(path.read_text())
        except (ValueError, OSError, RecursionError):
            before = {}
        if not isinstance(before, dict) or not {"settings", "result"} <= before.keys():
            continue  # a report, or a file of someone else's
        result = before["result"]
        if not isinstance(result, dict) or not isinstance(result.get("name"), str):
            raise OutputError(f"{path}: not a result of this findna; remove it")
        if not resume and not force:
            raise OutputError(
                f"{folder}: holds results already; --resume keeps them and goes on, --force "
                "replaces them"
            )
        if resume and before["settings"] != settings:
            raise OutputError(
                f"{path}: measured with another model or other options; name another folder, or "
                "--force to begin anew"
            )
        if resume:
            kept[result["name"]] = result
        else:
            path.unlink()
    return kept
