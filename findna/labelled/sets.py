"""Labelled sequence sets: the one reader of sequences with classes, labels or targets.

Rows keep their order; none is left out or altered: a row that cannot be read stops the reader
with its file and line. docs/formats.md describes the forms, `findna.labelled.rows` parses them.
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

from findna.errors import LabelError
from findna.genome.encoding import Tokens
from findna.genome.fasta import Genome
from findna.genome.text import display_name
from findna.labelled.rows import (
    BED,
    FASTA,
    NUMBER,
    TABLE,
    OnProblem,
    RawRows,
    RowOptions,
    class_of,
    listing,
    natural,
    read_file,
    read_folder,
    show,
    stop,
    suffix,
    visible,
)

CLASSES, MULTILABEL, REGRESSION = "classes", "multilabel", "regression"

KINDS = (CLASSES, MULTILABEL, REGRESSION)

Rows = npt.NDArray[np.int64]

_SPLITS = {
    "train": "train",
    "dev": "dev",
    "valid": "dev",
    "val": "dev",
    "validation": "dev",
    "test": "test",
}

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Sequences and what is known about each.

    Parameters
    ----------
    name : str
        What messages call it: the file or folder as given.
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
        """Number of rows of each class; for classes only."""
        counts = np.bincount(self.labels, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, counts, strict=True))

    def take(self, rows: Rows) -> LabelledSet:
        """These rows, in this order."""
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
    options = RowOptions(label_column, stranded, window)
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
            these = ", ".join(split.name for split in splits.values())
            raise LabelError(f"{name}: a folder of splits; give one of them: {these}")
        if options.label_column is not None or kind not in ("auto", CLASSES):
            raise LabelError(
                f"{name}: a folder names its classes by files or folders; leave out --label-column "
                "and --kind, or give one file"
            )
        return _middles(read_folder(path, genome, options), name, options), CLASSES
    targets = tuple(classes or ()) if kind in (MULTILABEL, REGRESSION) else ()
    raw = read_file(path, genome, options, targets=targets, cut_names=kind != MULTILABEL)
    return _middles(raw, name, options), kind


def _middles(raw: RawRows, name: str, options: RowOptions) -> RawRows:
    """Return the rows with sequences cut to one length, without those that are shorter."""
    window = options.window
    if window is None:
        return raw
    short = [row for row, sequence in enumerate(raw.sequences) if len(sequence) < window]
    if short and options.on_problem is stop:  # then said of all at once
        raise LabelError(
            f"{name}: {len(short)} of {len(raw.sequences)} sequences are shorter than --window "
            f"{window}, the first at {raw.places[short[0]]}: {len(raw.sequences[short[0]])} bp; "
            "remove them or give a smaller window"
        )
    for row in short:
        reason = f"{len(raw.sequences[row])} bp, shorter than --window {window}"
        options.on_problem("too_short", LabelError(f"{raw.places[row]}: {reason}"))
    raw.keep(sorted(set(range(len(raw.sequences))) - set(short)))
    starts = [(len(sequence) - window) // 2 for sequence in raw.sequences]
    raw.sequences = [
        sequence[start : start + window]
        for sequence, start in zip(raw.sequences, starts, strict=True)
    ]
    return raw


def labelled_set(
    raw: RawRows,
    name: str,
    kind: str = "auto",
    classes: Sequence[str] | None = None,
    on_problem: OnProblem = stop,
) -> LabelledSet:
    """What rows mean, by the rules of `read_labelled`.

    Parameters
    ----------
    on_problem : callable
        Gets each row whose label is empty or not printable, which ``raw`` then loses.
    """
    known = None if classes is None else tuple(classes)
    if not raw.values:
        raise LabelError(f"{name}: holds no rows; give a set with sequences and labels")
    found, names, labels = _labels(raw, name, kind, known, on_problem)
    return LabelledSet(name, found, names, raw.sequences, labels, raw.contigs)


def _labels(
    raw: RawRows, name: str, kind: str, known: tuple[str, ...] | None, on_problem: OnProblem
) -> tuple[str, tuple[str, ...], npt.NDArray[Any]]:
    """Kind, names and values of the labels."""
    listed = kind == MULTILABEL and len(raw.columns) == 1 and not _is_binary(raw, known)
    _check_printable(raw.columns, f"{name}:1")
    kept = []
    for row, (values, where) in enumerate(zip(raw.values, raw.places, strict=True)):
        try:
            _check_printable(values, where)
            if not listed and not all(values):
                raise LabelError(
                    f"{where}: {raw.columns[values.index('')]} is empty; write a label, or remove "
                    "the row (only a list of labels, --kind multilabel, may be empty)"
                )
        except LabelError as error:
            on_problem("no_label", error)
            continue
        kept.append(row)
    if len(kept) < len(raw.values):
        raw.keep(kept)
        if not kept:
            raise LabelError(f"{name}: no row has a label; check the label column")
    if kind == "auto":
        kind = _kind(raw, known)
    if kind == CLASSES:
        if len(raw.columns) > 1:
            raise LabelError(
                f"{name}: {len(raw.columns)} label columns, but classes have one; "
                "name one column, or say --kind multilabel or regression"
            )
        return kind, *_class_indices(raw, known)
    if listed:
        return kind, *_listed(raw, known)
    order, names = _order(raw, name, known)
    rows = [[row[i] for i in order] for row in raw.values]
    allowed = (0.0, 1.0) if kind == MULTILABEL else None
    return kind, names, _numbers(rows, names, raw.places, allowed)


def _is_binary(raw: RawRows, known: tuple[str, ...] | None) -> bool:
    """Whether one column is a label of its own: 0 and 1, and not a list of label names."""
    texts = {value for (value,) in raw.values}
    return texts <= {"0", "1"} and (known is None or len(known) == 1)


def _check_printable(values: Sequence[str], where: str) -> None:
    if not "".join(values).isprintable():  # nor are bytes that are not UTF-8
        raise LabelError(
            f"{where}: label {show(','.join(values))} holds bytes that are not UTF-8 or not "
            "printable; convert the file (iconv -t UTF-8) or correct it"
        )


def _kind(raw: RawRows, known: tuple[str, ...] | None) -> str:
    if len(raw.columns) > 1:
        binary = all(value in ("0", "1") for row in raw.values for value in row)
        return MULTILABEL if binary else REGRESSION
    if known is not None:
        return CLASSES
    texts = {value for (value,) in raw.values}
    words = {text for text in texts if not NUMBER.fullmatch(text)}
    fraction = next((t for t in texts - words if not float(t).is_integer()), None)
    if fraction is None:
        return CLASSES
    if words:
        where = next(w for w, row in zip(raw.places, raw.values, strict=True) if row[0] in words)
        word = next(row[0] for row in raw.values if row[0] in words)
        raise LabelError(
            f"{where}: label {show(word)} is no number, but others are ({fraction}); correct "
            "it, or say --kind classes"
        )
    return REGRESSION


def _class_indices(
    raw: RawRows, known: tuple[str, ...] | None
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    texts = [value for (value,) in raw.values]
    names = tuple(sorted(set(texts), key=natural)) if known is None else known
    index = {label: i for i, label in enumerate(names)}
    for text, where in zip(texts, raw.places, strict=True):
        if text not in index:
            raise _unknown(text, where, names)
    return names, np.array([index[text] for text in texts], np.int64)


def _unknown(label: str, where: str, names: Sequence[str]) -> LabelError:
    return LabelError(
        f"{where}: label {show(label)} is not one of the known ones ({listing(names)}); "
        "correct it, or remove the row"
    )


def _listed(
    raw: RawRows, known: tuple[str, ...] | None
) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """One column of lists such as ``a;b`` or ``a|b``."""
    rows = [
        [part.strip() for part in re.split(r"[;|]", value) if part.strip()]
        for (value,) in raw.values
    ]
    names = known or tuple(sorted({label for row in rows for label in row}, key=natural))
    index = {label: i for i, label in enumerate(names)}
    labels = np.zeros((len(rows), len(names)), np.float32)
    for i, row in enumerate(rows):
        for label in row:
            if label not in index:
                raise _unknown(label, raw.places[i], names)
            labels[i, index[label]] = 1
    return names, labels


def _order(
    raw: RawRows, name: str, known: tuple[str, ...] | None
) -> tuple[list[int], tuple[str, ...]]:
    """Which column holds each known target; their names."""
    if known is None:
        return list(range(len(raw.columns))), raw.columns
    if len(known) == len(raw.columns) == 1:
        return [0], known  # the only target may be called otherwise here
    if sorted(known) != sorted(raw.columns):
        raise LabelError(
            f"{name}: label columns {listing(raw.columns)}, but {listing(known)} were expected; "
            "name those columns (--label-column)"
        )
    return [raw.columns.index(label) for label in known], known


def _numbers(
    rows: Sequence[Sequence[str]],
    names: Sequence[str],
    places: Sequence[str],
    allowed: tuple[float, ...] | None,
) -> npt.NDArray[np.float32]:
    """Numeric labels; finite, or one of those allowed."""
    expected = "a finite number" if allowed is None else "0 or 1"
    values = np.empty((len(rows), len(names)), np.float32)
    for i, row in enumerate(rows):
        for j, text in enumerate(row):
            number = float(text) if NUMBER.fullmatch(text) else np.inf
            if abs(number) > _LARGEST or (allowed is not None and number not in allowed):
                raise LabelError(
                    f"{places[i]}: {names[j]} is {show(text)}; write {expected}, or remove the row"
                )
            values[i, j] = number
    return values


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
                f"{data.name}: class {show(data.classes[rare])} has {counts[rare]} rows, but "
                "training needs at least 2; add rows, remove the class, or say --kind regression "
                "if labels are measurements"
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


def find_splits(path: Path) -> dict[str, Path]:
    """Files or sub-folders of a folder that are its train, dev and test split.

    Files are called train, dev (valid, val, validation) or test, with the extension of a table,
    BED or FASTA file.

    Returns
    -------
    dict
        Those of train, dev and test that exist, in this order; empty if there is none.

    Raises
    ------
    LabelError
        Two stand for the same split.
    """
    found: dict[str, Path] = {}
    for entry in visible(path) if path.is_dir() else []:
        if entry.is_dir():
            split = _SPLITS.get(entry.name.lower())
        elif suffix(entry) in (*TABLE, *BED, *FASTA):
            split = _SPLITS.get(class_of(entry).lower())
        else:
            continue
        if split is None:
            continue
        if split in found:
            raise LabelError(
                f"{path}: both {found[split].name} and {entry.name} are its {split} split; keep one"
            )
        found[split] = entry
    return {split: found[split] for split in ("train", "dev", "test") if split in found}
