"""Labelled sequence sets: the one reader of sequences with classes, labels or targets.

Rows keep their order; none is left out or altered: a row that cannot be read stops the reader
with its file and line. docs/formats.md describes the forms, `findna.labelled.files` reads them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from findna.console import counted
from findna.errors import LabelError
from findna.genome.encoding import Tokens
from findna.genome.fasta import Genome
from findna.genome.regions import RegionOptions
from findna.genome.text import display_name
from findna.labelled.files import find_splits, read_file, read_folder
from findna.labelled.rows import (
    NUMBER,
    OnProblem,
    RawRow,
    RawRows,
    RowOptions,
    listing,
    natural,
    show,
    stop,
)

CLASSES, MULTILABEL, REGRESSION = "classes", "multilabel", "regression"
KINDS = (CLASSES, MULTILABEL, REGRESSION)
Rows = npt.NDArray[np.int64]
_LARGEST = 1e15  # of a target: squares of larger ones are beyond a float32, in sums


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Sequences and what is known about each.

    Parameters
    ----------
    name : str
        The file or folder as given, for messages.
    kind : {"classes", "multilabel", "regression"}
    classes : tuple of str
        Names of classes in the order of their indices, of labels, or of targets.
    sequences : list of ndarray, uint8
        Token ids of each row, in reading direction.
    labels : ndarray
        Classes: (n,) int64 indices. Multilabel: (n, n_labels) float32 of 0 and 1. Regression:
        (n, n_targets) float32.
    contigs : list of str, optional
        Contig of each row where coordinates are known.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    sequences: list[Tokens]
    labels: npt.NDArray[Any]
    contigs: list[str] | None = None

    def __len__(self) -> int:
        return len(self.sequences)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over kind, classes, and every sequence and label in order; hexadecimal."""
        sha256 = hashlib.sha256(json.dumps([self.kind, self.classes, len(self)]).encode())
        for sequence in self.sequences:
            sha256.update(len(sequence).to_bytes(8, "little"))
            sha256.update(sequence.tobytes())
        sha256.update(self.labels.astype("<i8" if self.kind == CLASSES else "<f4").tobytes())
        return sha256.hexdigest()

    @property
    def class_counts(self) -> dict[str, int]:
        """Number of rows of each class, or with each label; a regression has neither."""
        if self.kind == CLASSES:
            counts = np.bincount(self.labels, minlength=len(self.classes))
        else:
            counts = self.labels.sum(0, dtype=np.int64)
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def take(self, rows: Rows) -> LabelledSet:
        """Return the set of these rows, in this order."""
        return replace(
            self,
            sequences=[self.sequences[row] for row in rows],
            labels=self.labels[rows],
            contigs=None if self.contigs is None else [self.contigs[row] for row in rows],
        )


def read_labelled(
    path: Path,
    genome: Genome | None = None,
    *,
    kind: str = "auto",
    classes: Sequence[str] | None = None,
    label_column: str | None = None,
    stranded: bool = True,
    window: int | None = None,
) -> LabelledSet:
    """Read a labelled set from a file (plain, gzip, BGZF or standard input) or a folder.

    Parameters
    ----------
    path : Path
        A table or FASTA file with labels, a BED file, or a folder with a file or sub-folder per
        class. The extension decides the form, without a known one the content.
    genome : Genome, optional
        Where the sequence of intervals is read.
    kind : {"auto", "classes", "multilabel", "regression"}
        With auto, one column of numbers of which some are not whole is regression and any other
        one column is classes; several columns are multilabel if they hold only 0 and 1, else
        regression. One column that lists labels (``a;b``, ``a|b``, nothing for none) is
        multilabel only if asked for.
    classes : sequence of str, optional
        The names that are known, as of the training set: labels come in their order, and any
        other label is an error. One column of labels is then classes if ``kind`` is auto.
    label_column : str, optional
        Table: name of the label column. BED: its name or number from 1. FASTA: the key of
        ``key=label``, or the number from 1 of a ``|``-separated field. Several, separated by
        commas, are several targets (tables and BED).
    stranded : bool
        Read intervals on the minus strand as their reverse complement.
    window : int, optional
        Read this many bp about the middle of each interval or sequence.

    Raises
    ------
    LabelError
        The set cannot be read; the message names file, line, reason and remedy.
    RegionError
        A file is not text, or a line is not BED.
    """
    options = RowOptions(label_column, RegionOptions(stranded, window=window))
    raw, kind = read_rows(path, genome, options, kind=kind, classes=classes)
    return labelled_set(raw, display_name(path), kind, classes)


def read_rows(
    path: Path,
    genome: Genome | None = None,
    options: RowOptions = RowOptions(),
    *,
    kind: str = "auto",
    classes: Sequence[str] | None = None,
) -> tuple[RawRows, str]:
    """Return the rows of a labelled set as they are written, and the kind, if it is known already.

    Parameters and errors are those of `read_labelled`.
    """
    if kind not in ("auto", *KINDS):
        raise ValueError(f"kind {kind!r}")
    name = display_name(path)
    if path.is_dir():
        splits = find_splits(path)
        if splits:
            names = ", ".join(split.name for split in splits.values())
            raise LabelError(f"{name}: a folder of splits; give one of them: {names}")
        if options.label_column is not None or kind not in ("auto", CLASSES):
            raise LabelError(
                f"{name}: a folder names its classes by files or folders; leave out --label-column "
                "and --kind, or give one file"
            )
        return _cut(read_folder(path, genome, options), name, options), CLASSES
    targets = tuple(classes or ()) if kind in (MULTILABEL, REGRESSION) else ()
    raw = read_file(path, genome, options, targets=targets, cut_names=kind != MULTILABEL)
    return _cut(raw, name, options), kind


def _cut(raw: RawRows, name: str, options: RowOptions) -> RawRows:
    """Return the rows with sequences cut to one length, without those that are shorter.

    Intervals have been cut. Sequences about a point must have the length that it asks for.
    """
    window = options.region.window
    if raw.rows and raw.rows[0].interval is not None:
        return raw
    if options.region.reach is not None:
        _check_reach(raw, name, options.region)
    if options.region.anchor is not None:
        raise LabelError(f"{name}: holds sequences; --anchor is for intervals: leave it out")
    if window is None:
        return raw
    short = [row for row in raw.rows if len(row.sequence) < window]
    if short and options.on_problem is stop:  # then said of all at once
        raise LabelError(
            f"{name}: {len(short)} of {counted(len(raw.rows), 'sequence')} shorter than "
            f"--window {window}, the first at {short[0].place}: {len(short[0].sequence)} bp; "
            "remove them or give a smaller window"
        )
    for row in short:
        reason = f"{len(row.sequence)} bp, shorter than --window {window}"
        options.on_problem("too_short", LabelError(f"{row.place}: {reason}"))
    raw.rows = [row for row in raw.rows if len(row.sequence) >= window]
    for row in raw.rows:
        start = (len(row.sequence) - window) // 2
        row.sequence = row.sequence[start : start + window]
    return raw


def _check_reach(raw: RawRows, name: str, region: RegionOptions) -> None:
    """Raise LabelError unless all sequences have one length, which the point in them allows."""
    before, after = region.reach or (0, 0)
    lengths = [len(row.sequence) for row in raw.rows] or [0]
    shortest, longest = min(lengths), max(lengths)
    fits, wanted = shortest == longest > before, f"of one length above {before} bp"
    if region.downstream is not None:
        wanted = f"of {before + 1 + after} bp"
        fits = shortest == longest == before + 1 + after
    if not fits:
        raise LabelError(
            f"{name}: sequences of {shortest} to {longest} bp; with --upstream and --downstream, "
            f"which say where the point of each lies, give sequences {wanted}"
        )


def labelled_set(
    raw: RawRows,
    name: str,
    kind: str = "auto",
    classes: Sequence[str] | None = None,
    on_problem: OnProblem = stop,
) -> LabelledSet:
    """Return the set that rows mean, by the rules of `read_labelled`.

    ``on_problem`` gets each row whose label is empty or not printable, which ``raw`` then loses.
    """
    known = None if classes is None else tuple(classes)
    if not raw.rows:
        raise LabelError(f"{name}: holds no rows; give a set with sequences and labels")
    listed = kind == MULTILABEL and len(raw.columns) == 1 and not _is_binary(raw, known)
    _check_printable(raw.columns, f"{name}:1")
    labelled = []
    for row in raw.rows:
        try:
            _check_printable(row.values, row.place)
            if not listed and not all(row.values):
                raise LabelError(
                    f"{row.place}: {raw.columns[row.values.index('')]} is empty; write a label, or "
                    "remove the row (only a list of labels, --kind multilabel, may be empty)"
                )
        except LabelError as error:
            on_problem("no_label", error)
            continue
        labelled.append(row)
    raw.rows = labelled
    if not labelled:
        raise LabelError(f"{name}: no row has a label; check the label column")
    if kind == "auto":
        kind = _kind(raw, known)
    if kind == CLASSES and len(raw.columns) > 1:
        raise LabelError(
            f"{name}: {len(raw.columns)} label columns, but classes have one; "
            "name one column, or say --kind multilabel or regression"
        )
    names: tuple[str, ...]
    labels: npt.NDArray[Any]
    if kind == CLASSES:
        names, indices = _label_indices([[row.values[0]] for row in labelled], raw, known)
        labels = np.array([index for (index,) in indices], np.int64)
    elif listed:
        lists = [re.split(r"[;|]", row.values[0]) for row in labelled]
        words = [[word.strip() for word in texts if word.strip()] for texts in lists]
        names, indices = _label_indices(words, raw, known)
        labels = np.zeros((len(labelled), len(names)), np.float32)
        for i, columns in enumerate(indices):
            labels[i, columns] = 1
    else:
        names, labels = _numbers(raw, name, kind, known)
    contigs = [row.contig for row in labelled if row.contig is not None]
    sequences = [row.sequence for row in labelled]
    return LabelledSet(name, kind, names, sequences, labels, contigs or None)


def _is_binary(raw: RawRows, known: tuple[str, ...] | None) -> bool:
    """Return whether one column is a label of its own, 0 and 1, and not a list of label names."""
    texts = {row.values[0] for row in raw.rows}
    return texts <= {"0", "1"} and (known is None or len(known) == 1)


def _check_printable(values: Sequence[str], place: str) -> None:
    if not "".join(values).isprintable():  # nor are bytes that are not UTF-8
        raise LabelError(
            f"{place}: label {show(','.join(values))} holds bytes that are not UTF-8 or not "
            "printable; convert the file (iconv -t UTF-8) or correct it"
        )


def _kind(raw: RawRows, known: tuple[str, ...] | None) -> str:
    if len(raw.columns) > 1:
        binary = all(value in ("0", "1") for row in raw.rows for value in row.values)
        return MULTILABEL if binary else REGRESSION
    if known is not None:
        return CLASSES
    word: RawRow | None = None
    fraction = ""
    for row in raw.rows:
        text = row.values[0]
        if not NUMBER.fullmatch(text):
            word = word or row
        elif not float(text).is_integer():
            fraction = fraction or text
    if not fraction:
        return CLASSES
    if word is not None:
        raise LabelError(
            f"{word.place}: label {show(word.values[0])} is no number, but others are "
            f"({fraction}); correct it, or say --kind classes"
        )
    return REGRESSION


def _label_indices(
    lists: Sequence[Sequence[str]], raw: RawRows, known: tuple[str, ...] | None
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Return the names of all labels, and the indices of those of each row."""
    names = known or tuple(sorted({label for labels in lists for label in labels}, key=natural))
    index = {label: i for i, label in enumerate(names)}
    for labels, row in zip(lists, raw.rows, strict=True):
        for label in labels:
            if label not in index:
                raise LabelError(
                    f"{row.place}: label {show(label)} is not one of the known ones "
                    f"({listing(names)}); correct it, or remove the row"
                )
    return names, [[index[label] for label in labels] for labels in lists]


def _numbers(
    raw: RawRows, name: str, kind: str, known: tuple[str, ...] | None
) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """Return names and values of numeric labels: finite, or 0 and 1 of several labels."""
    names = known or raw.columns
    if len(names) == len(raw.columns) == 1:
        columns = [0]  # the only target may be called otherwise here
    elif sorted(names) == sorted(raw.columns):
        columns = [raw.columns.index(label) for label in names]
    else:
        raise LabelError(
            f"{name}: label columns {listing(raw.columns)}, but {listing(names)} were expected; "
            "choose them (--label-column), or name them so"
        )
    expected = "0 or 1" if kind == MULTILABEL else f"a finite number up to {_LARGEST:g}"
    values = np.empty((len(raw.rows), len(names)), np.float32)
    for i, row in enumerate(raw.rows):
        for j, column in enumerate(columns):
            text = row.values[column]
            number = float(text) if NUMBER.fullmatch(text) else np.inf
            if abs(number) > _LARGEST or (kind == MULTILABEL and number not in (0, 1)):
                raise LabelError(
                    f"{row.place}: {names[j]} is {show(text)}; write {expected}, or remove the row"
                )
            values[i, j] = number
    return names, values


def without_contrast(data: LabelledSet) -> str:
    """Return what all rows have, in words, if nothing can be told apart by them; else nothing."""
    if len(data) == 0 or (data.labels != data.labels[:1]).any():
        return ""
    return f"class {data.classes[data.labels[0]]}" if data.kind == CLASSES else "the same values"


def check_trainable(data: LabelledSet) -> None:
    """Refuse a set from which nothing can be learned.

    Raises
    ------
    LabelError
        No rows; fewer than two classes, or a class with fewer than two rows; no label that some
        rows have and others do not; a target that is constant or not finite.
    """
    if len(data) == 0:
        raise LabelError(f"{data.name}: holds no rows; give a set to train on")
    if data.kind == CLASSES:
        counts = np.bincount(data.labels, minlength=len(data.classes))
        if len(data.classes) < 2:
            raise LabelError(
                f"{data.name}: every row has label {show(data.classes[0])}; training needs "
                "at least two classes: add rows of another, or check the label column"
            )
        rare = int(counts.argmin())
        if counts[rare] < 2:
            raise LabelError(
                f"{data.name}: class {show(data.classes[rare])} has "
                f"{counted(counts[rare], 'row')}, but training needs at least 2; "
                "add rows, remove the class, or say --kind regression if labels are measurements"
            )
        return
    finite = np.isfinite(data.labels).all(axis=0)
    constant = (data.labels == data.labels[:1]).all(axis=0)
    if data.kind == MULTILABEL and constant.all():
        raise LabelError(
            f"{data.name}: every row has the same labels; add rows with others, "
            "or check the label column"
        )
    if data.kind == REGRESSION and not (finite & ~constant).all():
        target = int((~finite | constant).argmax())
        reason = "is the same in every row" if finite[target] else "is not finite in every row"
        raise LabelError(
            f"{data.name}: target {show(data.classes[target])} {reason}; "
            "correct it, or leave it out"
        )
