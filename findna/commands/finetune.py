"""Train a task: labelled sequences in, a task folder out."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from findna.console import counted
from findna.errors import ConfigError, LabelError
from findna.genome.fasta import Genome
from findna.genome.regions import RegionOptions
from findna.genome.text import display_name
from findna.labelled.files import find_splits
from findna.labelled.lengths import length_warning
from findna.labelled.rows import RowOptions
from findna.labelled.sets import (
    REGRESSION,
    LabelledSet,
    check_trainable,
    labelled_set,
    read_rows,
    without_contrast,
)
from findna.labelled.splits import hold_out, overlap
from findna.model.checkpoint import Model, digest_of, is_named, load_checkpoint
from findna.model.devices import Compute, describe
from findna.outputs.claims import claimed
from findna.outputs.files import check_folder
from findna.outputs.pages import add_page
from findna.tasks.calibration import fit_temperature
from findna.tasks.card import task_card
from findna.tasks.detail import region_detail
from findna.tasks.duration import FEW_BASES, Rates, Size, in_total, tell_duration
from findna.tasks.features import Features, FeatureTable, Matrix
from findna.tasks.figures import finite, set_calibration, set_figures, set_intervals
from findna.tasks.full import fine_tune
from findna.tasks.probe import READOUTS, SEARCH_ROWS, Labels, Problem, Rows, fit_probe, search_space
from findna.tasks.recipe import FineTuneConfig
from findna.tasks.report import REPORT, read_report
from findna.tasks.resuming import KeptTraining
from findna.tasks.task import TASK, TaskConfig, is_class_name, save_task, to_probabilities

logger = logging.getLogger(__name__)

VALID_FRACTION = 0.2


@dataclass(frozen=True)
class Splits:
    """Labelled sequences of a run.

    Parameters
    ----------
    valid_from : str
        Origin of the validation set.
    upstream : int, optional
        bp of a sequence before the point that it is about; None if that is its middle.
    stranded : bool
        Sequences are in the direction of a strand.
    """

    train: LabelledSet
    valid: LabelledSet
    test: LabelledSet | None
    valid_from: str
    upstream: int | None = None
    stranded: bool = False


@dataclass(frozen=True)
class SplitOptions:
    """Options of reading the sets of a run: those of `read_labelled`, and a few more.

    Parameters
    ----------
    anchor, upstream, downstream
        As of `RegionOptions`, for intervals. Of sequences ``upstream`` says where the point lies
        that each is about.
    on_overlap : {"stop", "drop", "keep"}
        Treatment of training sequences that also occur in another set, on either strand.
    seed : int
        Decides what is held out if there is no validation set.
    """

    kind: str = "auto"
    label_column: str | None = None
    stranded: bool = True
    window: int | None = None
    anchor: str | None = None
    upstream: int | None = None
    downstream: int | None = None
    on_overlap: str = "stop"
    seed: int = 0

    @property
    def region(self) -> RegionOptions:
        """Options that decide the sequence of intervals."""
        return RegionOptions(
            self.stranded,
            window=self.window,
            anchor=self.anchor,
            upstream=self.upstream,
            downstream=self.downstream,
        )

    def point(self, of_intervals: bool) -> tuple[int | None, bool]:
        """Return ``upstream`` and ``stranded`` of `Splits`."""
        region = self.region
        if region.reach is not None:
            return region.reach[0], self.stranded or not of_intervals
        if not of_intervals:
            return None, False
        about_end = self.window is not None and self.anchor in ("start", "end")
        return (self.window or 0) // 2 if about_end and self.stranded else None, self.stranded


@dataclass(frozen=True)
class FineTuneSummary:
    """Summary of a run: the task it made, and the figures of each set."""

    folder: Path
    digest: str
    features: Features
    metrics: dict[str, dict[str, float]]
    seconds: float


def _drop_overlap(name: str, train: LabelledSet, other: LabelledSet, policy: str) -> LabelledSet:
    """Return the training set without what also occurs in another set, or raise LabelError."""
    same, flipped = overlap(other, train)  # rows of train
    n = len(same) + len(flipped)
    if n == 0 or policy == "keep":
        return train
    if policy == "stop":
        raise LabelError(
            f"{train.name}: shares {counted(n, 'sequence')} with {other.name} ({len(same)} "
            f"identical, {len(flipped)} as reverse complement), so that the {name} figures "
            f"would flatter; --on-overlap drop leaves them out of {train.name}"
        )
    if n == len(train):
        raise LabelError(f"{train.name}: every sequence also occurs in {other.name}; give others")
    left_out = counted(n, "sequence")
    logger.warning("%s of %s left out: also in %s", left_out, train.name, other.name)
    return train.take(np.setdiff1d(np.arange(len(train)), np.concatenate((same, flipped))))


def read_splits(
    train: Path,
    valid: Path | None = None,
    test: Path | None = None,
    genome: Genome | None = None,
    options: SplitOptions = SplitOptions(),
) -> Splits:
    """Read what a run trains on, chooses by and is measured on.

    A folder with train, dev and test files gives all three. Without a validation set a fifth of
    the training set is held out: whole contigs where coordinates are known.

    Raises
    ------
    LabelError
        A set cannot be used, or shares sequences with another (``on_overlap`` stop).
    """
    files = find_splits(train) if train.is_dir() else {}
    if files:
        if "train" not in files:
            raise LabelError(f"{train}: holds {', '.join(files)} but no train split; name files")
        train, valid, test = files["train"], valid or files.get("dev"), test or files.get("test")
    how = RowOptions(options.label_column, options.region)

    no_strand: list[str] = []

    def read(path: Path, kind: str, classes: Sequence[str] | None = None) -> LabelledSet:
        raw, kind = read_rows(path, genome, how, kind=kind, classes=classes)
        no_strand.extend(
            row.place for row in raw.rows if row.interval and row.interval.interval.strand == "."
        )
        return labelled_set(raw, display_name(path), kind, classes)

    data = read(train, options.kind)
    check_trainable(data)
    others: dict[str, LabelledSet] = {}
    for name, path in (("test", test), ("valid", valid)):
        if path is not None:
            others[name] = read(path, data.kind, data.classes)
            data = _drop_overlap(name, data, others[name], options.on_overlap)
    if "test" in others and "valid" in others:
        others["valid"] = _drop_overlap("test", others["valid"], others["test"], options.on_overlap)
    check_trainable(data)
    if no_strand and options.stranded:
        logger.warning(
            "%s: strand is not + or -; it and others like it are read forward: give strands, or "
            "leave out -s",
            no_strand[0],
        )
    point = options.point(data.contigs is not None)
    if "valid" in others:
        if same := without_contrast(others["valid"]):
            logger.warning(
                "%s: every row has %s, so that nothing can be chosen by it and probabilities mean "
                "nothing: give a set of several, or leave out --valid",
                *(others["valid"].name, same),
            )
        return Splits(data, others["valid"], others.get("test"), "its own file", *point)
    rows, held = hold_out(data, VALID_FRACTION, options.seed)
    by_contig = data.contigs is not None and not (
        {data.contigs[i] for i in rows} & {data.contigs[i] for i in held}
    )
    drawn = "whole contigs" if by_contig else "drawn at random, by class"
    share = f"{len(held) / len(data):.0%} of the training set, {drawn}"
    valid_set = replace(data.take(held), name=f"{data.name} (held-out part)")
    train_set = data.take(rows)
    if not by_contig:
        train_set = _drop_overlap("validation", train_set, valid_set, "drop")
    check_trainable(train_set)
    return Splits(train_set, valid_set, others.get("test"), share, *point)


def _describe_set(data: LabelledSet) -> dict[str, Any]:
    """Return the facts of a set that the task and its card record."""
    facts: dict[str, Any] = {"file": Path(data.name).name, "sha256": data.digest, "rows": len(data)}
    if data.kind != REGRESSION:
        facts["classes"] = data.class_counts
    return facts


@dataclass(frozen=True)
class FineTuneOptions:
    """Options that decide a task, beside data and model.

    Parameters
    ----------
    mode : {"probe", "full"}
        A linear head on the frozen encoder, or the encoder along with the head.
    class_names : sequence of str, optional
        New names of the classes, in the order of the old ones.
    kmers : bool
        Let validation append k-mer frequencies to the embedding, in mode ``probe``.
    balanced : bool
        Weight classes by the inverse of their frequency in training.
    config : FineTuneConfig
        Training in mode ``full``.
    """

    mode: str = "probe"
    class_names: Sequence[str] | None = None
    kmers: bool = True
    balanced: bool = False
    config: FineTuneConfig = field(default_factory=FineTuneConfig)
    seed: int = 0


def finetune(
    splits: Splits,
    folder: Path,
    options: FineTuneOptions = FineTuneOptions(),
    *,
    model: str = "tiny",
    compute: Compute,
    about: Mapping[str, str] = {},
    force: bool = False,
    resume: bool = False,
) -> FineTuneSummary:
    """Train a task and write its folder.

    Parameters
    ----------
    about : mapping
        For the card: ``note``, a sentence; ``species``; ``licence``, of the weights.
    resume : bool
        Go on after the last epoch of an interrupted run of mode ``full``, if there was one.

    Raises
    ------
    FindnaError
        The data or the model cannot be used, or the folder not written.
    """
    with claimed(folder):
        check_folder(folder, force, TASK)
        return _train(splits, folder, options, model, compute, about, resume)


def _train(
    splits: Splits,
    folder: Path,
    options: FineTuneOptions,
    model: str,
    compute: Compute,
    texts: Mapping[str, str],
    resume: bool,
) -> FineTuneSummary:
    """Train a task in a folder of its own; ``texts`` are kept in the record."""
    started = time.monotonic()
    train, valid, test = splits.train, splits.valid, splits.test
    classes = tuple(options.class_names or train.classes)
    _check_class_names(classes, train.classes)
    if options.balanced and train.kind == REGRESSION:
        raise ConfigError("--balanced weights classes or labels; a regression has neither")
    if warning := length_warning(train, valid):
        logger.warning("%s", warning)
    checkpoint = load_checkpoint(model)
    _tell_duration(splits, checkpoint.model, options, compute)
    measured_sets = {"valid": valid} | ({} if test is None else {"test": test})

    chosen_by = [train, valid] if options.mode == "full" else [train, *measured_sets.values()]
    table, labels, parts = _join(chosen_by, checkpoint.model, compute)
    problem = Problem(train.kind, len(classes), labels, parts[0], parts[1], options.balanced)
    space = search_space(options.mode, options.kmers)
    probe = fit_probe(table, problem, space, seed=options.seed)
    network, head, rows = checkpoint.model, probe.head, parts[1:]
    training: dict[str, Any] = {
        "features": str(probe.features),
        "strength": probe.strength,
        "probe_valid_score": finite(round(probe.valid_score, 4)),
    }
    facts = {name: _describe_set(each) for name, each in [("train", train), *measured_sets.items()]}
    facts["valid"]["source"] = splits.valid_from
    if options.mode == "full":
        decided = {
            **asdict(options.config),
            "balanced": options.balanced,
            "seed": options.seed,
            "precision": compute.precision,
            "model": checkpoint.digest,
            "data": [facts["train"], facts["valid"]],
        }
        tuned = fine_tune(
            network,
            probe,
            table.sequences,
            problem,
            options.config,
            compute,
            seed=options.seed,
            kept=KeptTraining(folder, decided, resume),
        )
        head, network = tuned.head, tuned.model.half().float()  # as it will be stored
        history = [{k: finite(v) for k, v in epoch.items()} for epoch in tuned.history]
        training |= {"best_epoch": tuned.epoch, "history": history}
        # measured with what is stored, by the code that predicts and as precisely
        exact = replace(compute, precision="fp32")
        table, labels, rows = _join([*measured_sets.values()], network, exact)
    logits = [replace(probe, head=head).logits(table, part) for part in rows]
    temperature = fit_temperature(valid.labels, logits[0], train.kind, balanced=options.balanced)
    metrics, calibration = _measure(measured_sets, logits, temperature, options.seed)
    last, data = list(measured_sets.items())[-1]
    probabilities = to_probabilities(logits[-1], train.kind, temperature)
    told = data, classes, probabilities, splits.upstream
    detail = {"measured_on": last, **region_detail(*told)}
    named = options.mode == "full" or is_named(checkpoint)
    lengths = {len(sequence) for sequence in train.sequences}
    settings = TaskConfig(
        mode=options.mode,
        kind=train.kind,
        classes=classes,
        window=lengths.pop() if len(lengths) == 1 else 0,
        encoder=checkpoint.name if named else str(checkpoint.folder.resolve()),
        encoder_digest=digest_of(network.encoder.config, network.state_dict()),
        features=probe.features,
        temperature=temperature,
        upstream=splits.upstream,
        stranded=splits.stranded,
    )
    training |= {
        "seed": options.seed,
        "balanced": options.balanced,
        "hardware": describe(compute.device),
        "seconds": round(time.monotonic() - started, 1),
    }
    record = {
        "data": facts,
        "metrics": metrics,
        "calibration": calibration,
        "detail": detail,
        "training": training,
        **texts,
    }
    card = task_card(folder.resolve().name, settings, record)
    stored = network if options.mode == "full" else None
    digest = save_task(folder, settings, head, record, card, stored)
    add_page(folder / REPORT, lambda: read_report(folder))
    return FineTuneSummary(folder, digest, probe.features, metrics, time.monotonic() - started)


def _tell_duration(
    splits: Splits, model: Model, options: FineTuneOptions, compute: Compute
) -> None:
    """Say how long training will take, unless there is little of it."""
    sets = [splits.train, splits.valid, *([] if splits.test is None else [splits.test])]
    rows = [len(data) for data in sets]
    bases = sum(len(sequence) for data in sets for sequence in data.sequences)
    epochs = options.config.epochs if options.mode == "full" else None
    if bases * (epochs or 1) < FEW_BASES:
        return
    size = Size(rows[0], rows[1], sum(rows[2:]), bases / sum(rows))
    rates = Rates(model, splits.train.sequences, compute)
    space = search_space(options.mode, options.kmers)
    seconds = bases * rates.encoding() + rates.searching(size, space)
    if epochs:
        seconds += rates.full([size], options.config)
    else:
        compared = min(size.train, SEARCH_ROWS) + size.valid
        seconds += compared * size.length * rates.encoding(READOUTS[1])
    tell_duration(in_total([size]), seconds, epochs)


def _check_class_names(names: Sequence[str], classes: Sequence[str]) -> None:
    """Raise ConfigError unless the names can take the place of those in the data."""
    if len(names) != len(classes):
        raise ConfigError(
            f"--class-names: {len(names)} different names wanted for the classes "
            f"{', '.join(classes)}"
        )
    if len(set(names)) != len(names):
        raise ConfigError("--class-names: two classes have the same name")
    for name in names:
        if not is_class_name(name):
            raise ConfigError(
                f"class name {name!r}: must be printable and hold no comma; "
                "--class-names gives others"
            )


def _join(
    sets: list[LabelledSet], model: Model, compute: Compute
) -> tuple[FeatureTable, Labels, list[Rows]]:
    """Return one table of all sets, their labels, and the rows of each."""
    sequences = [sequence for data in sets for sequence in data.sequences]
    labels = np.concatenate([data.labels for data in sets])
    edges = np.cumsum([0, *map(len, sets)])
    parts = [np.arange(a, b) for a, b in pairwise(edges)]
    table = FeatureTable(model.encoder, sequences, compute)
    return table, labels, parts


def _measure(
    sets: Mapping[str, LabelledSet], logits: list[Matrix], temperature: float, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return metrics of validation and test set, and calibration on the last of them."""
    metrics: dict[str, Any] = {}
    for (name, data), values in zip(sets.items(), logits, strict=True):
        probabilities = to_probabilities(values, data.kind, temperature)
        metrics[name] = set_figures(data, probabilities)
    if name == "test":
        metrics["test_interval_95"] = set_intervals(data, probabilities, seed)
    return metrics, set_calibration(data, values, temperature, name)
