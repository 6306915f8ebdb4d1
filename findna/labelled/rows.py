"""Rows of labelled sets as they are written, and what the readers of all forms share.

Labels are text here; `findna.labelled.sets` gives them their meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from findna.errors import FindnaError, LabelError
from findna.genome.bed import BedRow
from findna.genome.encoding import Tokens, encode
from findna.genome.regions import RegionOptions

Lines = Iterator[tuple[int, str]]

OnProblem = Callable[[str, FindnaError], object]
"""Gets a status word and the reason of each row that cannot be read, which is then left out."""

TABLE = (".csv", ".tsv")
BED = (".bed", ".narrowpeak", ".broadpeak")
FASTA = (".fa", ".fasta", ".fna", ".ffn")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
IUPAC = b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv"
_LONGEST_SHOWN = 40  # letters of a value in a message
_MOST_SHOWN = 8  # names in a message
_BY_STRAND = RegionOptions(stranded=True)


@dataclass(slots=True)
class RawRow:
    """A row as it was read: its place (file:line) for messages, and one text per label column.

    The sequence and contig of an interval come from the genome, once all rows are read.
    """

    place: str
    values: tuple[str, ...]
    sequence: Tokens = field(default_factory=lambda: np.empty(0, np.uint8))
    interval: BedRow | None = None
    contig: str | None = None


@dataclass
class RawRows:
    """Rows of a set, and the names of its label columns."""

    columns: tuple[str, ...]
    rows: list[RawRow]


def stop(status: str, error: FindnaError) -> None:
    """Raise the error: the usual `OnProblem`, which leaves no row out."""
    raise error


@dataclass(frozen=True)
class RowOptions:
    """Options of reading a set, as in `findna.labelled.sets.read_labelled`.

    ``region`` decides what is read of intervals, and its window what of sequences; its ``upstream``
    says where the point lies that a sequence is about. ``on_problem`` gets each row that cannot be
    read; by default the first one is raised.
    """

    label_column: str | None = None
    region: RegionOptions = _BY_STRAND
    on_problem: OnProblem = stop


def natural(text: str) -> tuple[bool, float, str]:
    """Return a key that sorts numbers by value, then words alphabetically."""
    number = NUMBER.fullmatch(text)
    return number is None, float(text) if number else 0.0, text


def _uncompressed(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() in (".gz", ".bgz") else path


def suffix(path: Path) -> str:
    """Return the extension in lower case, without that of the compression."""
    return _uncompressed(path).suffix.lower()


def class_of(path: Path) -> str:
    """Return the file name without its extensions: ``positive`` of positive.csv.gz."""
    return _uncompressed(path).stem


def show(text: str) -> str:
    """Return a value for a message: quoted, on one line, not too long."""
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "...")


def listing(names: Sequence[str]) -> str:
    """Return the first few names for a message."""
    n_hidden = len(names) - _MOST_SHOWN
    shown = ", ".join(show(name)[1:-1] for name in names[:_MOST_SHOWN])
    return shown + (f" and {n_hidden} more" if n_hidden > 0 else "")


def parse_sequence(text: str, place: str) -> Tokens:
    """Return token ids of a sequence; raise LabelError unless all its letters are nucleotides."""
    text = text.strip()
    if not text:
        raise LabelError(f"{place}: the sequence is empty; correct or remove the row")
    letters = text.encode("utf-8", "surrogateescape")
    if letters.translate(None, IUPAC):
        letter = next(letter for letter in text if letter.encode("utf-8", "replace") not in IUPAC)
        raise LabelError(
            f"{place}: {show(letter)} in sequence {show(text)} is not a nucleotide; write A, C, "
            "G, T, U, N or another IUPAC code, without gaps or spaces"
        )
    return encode(letters)


def parse_sequences(
    records: Iterable[tuple[str, str, str]], on_problem: OnProblem
) -> Iterator[tuple[str, str, Tokens]]:
    """Yield place, header and token ids of records, without those that are no sequence."""
    for place, header, letters in records:
        try:
            tokens = parse_sequence(letters, place)
        except LabelError as error:
            on_problem("malformed", error)
            continue
        yield place, header, tokens
