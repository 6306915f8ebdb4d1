"""Tables with a header, separated by commas or tabs: of sequences, or of a class's intervals."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from findna.errors import LabelError, RegionError
from findna.genome.bed import BedRow, parse_row
from findna.genome.sources import ragged
from findna.labelled.rows import (
    IUPAC,
    Lines,
    OnProblem,
    RawRow,
    RawRows,
    RowOptions,
    listing,
    parse_sequence,
    show,
)

_SEQUENCE_NAMES = ("sequence", "seq")
_LABEL_NAMES = ("label", "labels", "target", "class")
_INTERVAL_NAMES = ("region", "start", "end")
_LONGEST_FIELD = 1 << 24  # letters; as the longest line


def has_sequences(names: Sequence[str]) -> bool:
    """Return whether a header names a column of sequences."""
    return bool(_usual(names, _SEQUENCE_NAMES))


def _records(lines: Lines, name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each record and its place; tabs separate if the first line has one."""
    first = next(lines, (1, ""))
    reader = csv.reader(
        (f"{line}\n" for _, line in itertools.chain([first], lines)),
        delimiter="\t" if "\t" in first[1] else ",",
        strict=True,
    )
    limit = csv.field_size_limit(_LONGEST_FIELD)  # one for the whole process
    place = f"{name}:1"
    try:
        for record in reader:
            if record:  # not a blank line
                yield place, record
            place = f"{name}:{reader.line_num + 1}"
    except csv.Error as error:
        raise LabelError(f"{place}: {error}; close every quote and save the table again") from error
    finally:
        csv.field_size_limit(limit)


def _matches(names: Sequence[str], wanted: str) -> list[int]:
    """Return indices of a name; if it is not there, of the same name in another case."""
    exact = [i for i, name in enumerate(names) if name == wanted]
    return exact or [i for i, name in enumerate(names) if name.lower() == wanted.lower()]


def _usual(names: Sequence[str], synonyms: Sequence[str]) -> list[int]:
    """Return indices of a column by its usual name, else by those it also goes by."""
    return _matches(names, synonyms[0]) or [
        i for i, name in enumerate(names) if name.lower() in synonyms[1:]
    ]


def _column(names: Sequence[str], wanted: str, place: str) -> int:
    indices = _matches(names, wanted)
    if len(indices) == 1:
        return indices[0]
    reason = f"{len(indices)} columns are called" if indices else "no column"
    raise LabelError(
        f"{place}: {reason} {show(wanted)}; the header is {listing(names)}; "
        "name one of these columns, or rename"
    )


def label_columns(names: Sequence[str], wanted: str, place: str) -> list[int]:
    """Return indices of the columns in a comma-separated list; a name may hold a comma itself."""
    parts = [wanted] if _matches(names, wanted) else [part.strip() for part in wanted.split(",")]
    indices = [_column(names, part, place) for part in parts]
    if len(set(indices)) < len(indices):
        raise LabelError(f"{place}: {show(wanted)} names a label column twice; name it once")
    return indices


def _header_columns(
    names: Sequence[str], place: str, label_column: str | None, targets: Sequence[str]
) -> tuple[int, list[int]]:
    """Return indices of the sequence and of the labels."""
    sequence = _usual(names, _SEQUENCE_NAMES)
    if len(sequence) != 1:
        count = "no column" if not sequence else f"{len(sequence)} columns"
        if any(
            len(n) >= 10 and not n.encode("utf-8", "replace").translate(None, IUPAC) for n in names
        ):
            remedy = "the first line looks like data: put the line sequence,label above it"
        elif all(_matches(names, name) for name in _INTERVAL_NAMES):
            remedy = "for intervals give the folder with one file per class, and GENOME"
        else:
            remedy = "expected one column sequence (or seq), separated by commas or tabs"
        raise LabelError(f"{place}: {count} sequence; the header is {listing(names)}; {remedy}")
    if label_column is not None:
        return sequence[0], label_columns(names, label_column, place)
    if targets and set(targets) <= set(names):
        return sequence[0], [_column(names, target, place) for target in targets]
    labels = _usual(names, _LABEL_NAMES)
    if len(labels) == 1:
        return sequence[0], labels
    reason = "several columns could be the label" if labels else "no column label"
    raise LabelError(
        f"{place}: {reason}; the header is {listing(names)}; "
        "name the label column (--label-column) or call it label"
    )


def read_table(lines: Lines, name: str, options: RowOptions, targets: Sequence[str]) -> RawRows:
    """Read a table of sequences and labels; see `findna.labelled.files.read_file`."""
    records = _records(lines, name)
    place, header = next(records, (f"{name}:1", []))
    if not header:
        raise LabelError(f"{name}: is empty; expected a table with columns sequence and label")
    names = [column.strip() for column in header]
    sequence, labels = _header_columns(names, place, options.label_column, targets)
    raw = RawRows(tuple(names[i] for i in labels), [])
    for place, record in records:
        try:
            if len(record) != len(names):
                raise LabelError(ragged(place, len(record), len(names), "the header"))
            tokens = parse_sequence(record[sequence], place)
        except LabelError as error:
            options.on_problem("malformed", error)
            continue
        raw.rows.append(RawRow(place, tuple(record[i].strip() for i in labels), tokens))
    return raw


def interval_rows(lines: Lines, name: str, on_problem: OnProblem) -> Iterator[tuple[str, BedRow]]:
    """Yield place and row of a GenomicBenchmarks table: id, region, start, end, strand.

    Positions count as in BED.
    """
    records = _records(lines, name)
    place, header = next(records, (f"{name}:1", []))
    names = [column.strip() for column in header]
    missing = [column for column in _INTERVAL_NAMES if not _matches(names, column)]
    if missing:
        raise LabelError(
            f"{place}: no column {missing[0]}; the header is {listing(names)}; expected "
            "id,region,start,end,strand; a table of sequences is given as a file"
        )
    indices = [_column(names, column, place) for column in _INTERVAL_NAMES]
    strand = _column(names, "strand", place) if _matches(names, "strand") else None
    for place, record in records:
        try:
            if len(record) != len(names):
                raise LabelError(ragged(place, len(record), len(names), "the header"))
            sign = record[strand].strip() if strand is not None else "."
            yield place, _interval([record[i] for i in indices], sign, place)
        except (LabelError, RegionError) as error:
            on_problem("malformed", error)


def _interval(columns: Sequence[str], sign: str, place: str) -> BedRow:
    if any("\t" in column for column in columns):
        raise LabelError(f"{place}: a tab within a column; remove it")
    if sign not in ("+", "-", ".", ""):
        raise LabelError(f"{place}: strand is {show(sign)}; write +, - or .")
    name, _, number = place.rpartition(":")
    row = parse_row("\t".join(column.strip() for column in columns), int(number), name)
    return replace(row, interval=replace(row.interval, strand=sign or "."))
