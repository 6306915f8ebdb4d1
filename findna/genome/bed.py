"""BED in: BED3 to BED12 and extra columns, plain, gzip or BGZF, headers, CRLF."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from findna.errors import RegionError
from findna.genome.formats import check_format
from findna.genome.intervals import Interval
from findna.genome.text import display_name, is_header, is_text, line_blocks, open_input

if TYPE_CHECKING:
    from findna.genome.fasta import Genome

COLUMNS = (
    "chrom",
    "start",
    "end",
    "name",
    "score",
    "strand",
    "thickStart",
    "thickEnd",
    "itemRgb",
    "blockCount",
    "blockSizes",
    "blockStarts",
)
"""Names of the standard columns; extra ones are called ``col13`` and so on."""

NARROW_PEAK = 10
"""Columns of narrowPeak. BED has three to nine columns, or twelve: ten are always those."""

_OF_PEAKS = ("signalValue", "pValue", "qValue", "peak")  # after the first six

_DIGITS = re.compile("[0-9]{1,13}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MOST_DIGITS = 13
_LARGEST = 2**40  # bp; beyond any contig, so a position is refused before arithmetic meets it
_MOST_PADDING = 2_000_000_000  # bp; more than --flank and --window can ask for


@dataclass(frozen=True, slots=True)
class BedRow:
    """A line of a BED file: the interval, and the columns as they were.

    ``given`` is what stands for a row that is no line: a region string, or a FASTA record.
    """

    number: int
    interval: Interval
    columns: tuple[str, ...]
    given: str = ""

    @property
    def place(self) -> str:
        """Name of the row in a message: ``line 3``, or as it was given."""
        return self.given or f"line {self.number}"

    @property
    def summit(self) -> int | None:
        """Base of a narrowPeak line's summit, which column 10 counts from the start.

        It is None where that column is -1, or where a line has not narrowPeak's ten columns.
        """
        text = self.columns[9].strip() if len(self.columns) == NARROW_PEAK else ""
        if not _DIGITS.fullmatch(text) or int(text) >= len(self.interval):
            return None
        return self.interval.start + int(text)

    def blocks(self) -> list[tuple[int, int]] | None:
        """Return the blocks of a BED12 line as (start, end); None if they do not fit the span."""
        interval = self.interval
        if len(self.columns) < 12:
            return [(interval.start, interval.end)]
        listed = [column.strip(",").split(",") for column in self.columns[9:12]]
        if not all(_DIGITS.fullmatch(text) for texts in listed for text in texts):
            return None
        (count, *_), sizes, starts = ([int(text) for text in texts] for texts in listed)
        if not 0 < count == len(sizes) == len(starts):
            return None
        blocks = [
            (interval.start + start, interval.start + start + size)
            for start, size in zip(starts, sizes, strict=True)
        ]
        edges = [interval.start, *(edge for block in blocks for edge in block), interval.end]
        return blocks if edges == sorted(edges) and all(s > 0 for s in sizes) else None


def score_value(text: str) -> float | None:
    """Return the number in a score column; NaN for a dot, None for any other text."""
    if text == ".":
        return math.nan
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def score_values(texts: Sequence[str]) -> npt.NDArray[np.float64] | None:
    """Return the numbers of a column, NaN for a dot; None if a text is none, or all are dots."""
    values = [score_value(text) for text in texts]
    numbers = np.array([math.nan if value is None else value for value in values])
    return None if None in values or np.isnan(numbers).all() else numbers


@lru_cache
def column_names(n: int) -> tuple[str, ...]:
    """Return the names of ``n`` columns: of BED, or where there are ten of narrowPeak."""
    if n == NARROW_PEAK:
        return COLUMNS[:6] + _OF_PEAKS
    return COLUMNS[:n] + tuple(f"col{i}" for i in range(len(COLUMNS) + 1, n + 1))


def _position(text: str, column: str, location: str, columns: list[str]) -> int:
    digits = text[1:] if text.startswith("-") else text
    if not (digits.isascii() and digits.isdigit()):
        spaced = next((i for i, text in enumerate(columns[:3], 1) if len(text.split()) > 1), 0)
        if spaced:
            raise RegionError(
                f"{location}: column {spaced} holds {columns[spaced - 1][:40]!r}; separate "
                "columns by tabs"
            )
        hint = "is this a header? begin it with #" if columns[1].isalpha() else "expected a number"
        raise RegionError(f"{location}: {column} is {text[:40]!r}; {hint}")
    if len(digits) > _MOST_DIGITS or int(digits) > _LARGEST:
        raise RegionError(f"{location}: {column} {text[:40]} is larger than any contig")
    return int(text)


def parse_row(line: str, number: int, name: str) -> BedRow:
    """Return the row of one data line.

    Raises
    ------
    RegionError
        It has fewer than three tab-separated columns or a position is not a number.
    """
    columns = line.split("\t")
    location = f"{name}:{number}"
    if len(columns) < 3 or not columns[0]:
        hint = "; columns must be separated by tabs" if len(line.split()) >= 3 else ""
        raise RegionError(
            f"{location}: expected at least 3 columns (chrom, start, end), "
            f"found {len(columns)}{hint}"
        )
    start = _position(columns[1], "start", location, columns)
    return _row(number, tuple(columns), start, _position(columns[2], "end", location, columns))


def _row(number: int, columns: tuple[str, ...], start: int, end: int) -> BedRow:
    name = columns[3] if len(columns) > 3 and columns[3] != "." else ""
    return BedRow(number, Interval(columns[0], start, end, name, _strand(columns)), columns)


def _strand(columns: Sequence[str]) -> str:
    strand = columns[5].strip() if len(columns) > 5 else "."
    return strand if strand in ("+", "-") else "."


@dataclass(frozen=True)
class BedBlock:
    """Neighbouring rows of a BED file, by columns; all have as many, and are UTF-8 text.

    Parameters
    ----------
    first : int
        Line of the first row; the others follow.
    columns : list of tuple of str
        Each row as it was.
    chroms : tuple of str
    starts, ends : ndarray of int64
        Not negative; an end may lie before its start.
    """

    first: int
    columns: list[tuple[str, ...]]
    chroms: tuple[str, ...]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @property
    def strands(self) -> list[str]:
        """Strand of each row, as `Interval` has it."""
        return [_strand(columns) for columns in self.columns]

    def names(self, genome: Genome) -> dict[str, str]:
        """Return the FASTA's names of contigs, in the order of the rows; empty for unknown ones."""
        return {chrom: genome.resolve(chrom) or "" for chrom in dict.fromkeys(self.chroms)}

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[BedRow]:
        numbers = range(self.first, self.first + len(self))
        return map(_row, numbers, self.columns, self.starts.tolist(), self.ends.tolist())


def parse_block(lines: list[str], first: int) -> BedBlock | None:
    """Return the rows of lines that are all alike and plain; None where `parse_row` has to look.

    Plain is a line of UTF-8 text that is no header and has positions of digits alone, in as many
    columns as the others.
    """
    rows = [tuple(line.split("\t")) for line in lines]
    if len(rows[0]) < 3 or len(set(map(len, rows))) > 1 or not all(map(is_text, lines)):
        return None
    chroms, *positions = list(zip(*rows, strict=True))[:3]
    if any(not chrom or is_header(f"{chrom}\t") for chrom in set(chroms)):
        return None
    columns = []
    for texts in positions:
        joined = "".join(texts)
        if not joined.isascii() or not joined.isdigit() or "" in texts:
            return None
        if max(map(len, texts)) > _MOST_DIGITS:
            return None
        columns.append(np.array(list(map(int, texts)), np.int64))
    starts, ends = columns
    if max(starts.max(), ends.max()) > _LARGEST:
        return None
    return BedBlock(first, rows, chroms, starts, ends)


def read_bed(
    source: str | Path,
    name: str | None = None,
    on_header: Callable[[str], object] = lambda line: None,
    on_malformed: Callable[[RegionError], object] | None = None,
) -> Iterator[BedRow]:
    """Yield the data lines of a BED file in their order, as `bed_blocks` reads them."""
    return chain.from_iterable(bed_blocks(source, name, on_header, on_malformed))


def bed_blocks(
    source: str | Path,
    name: str | None = None,
    on_header: Callable[[str], object] = lambda line: None,
    on_malformed: Callable[[RegionError], object] | None = None,
) -> Iterator[BedBlock | list[BedRow]]:
    """Yield the data lines of a BED file in their order, many at a time; ``-`` is standard input.

    ``name`` is what messages call the file; ``on_header`` gets each header line before the first
    data line; ``on_malformed`` gets what is wrong with each line that is not BED, which is then
    left out.

    Raises
    ------
    RegionError
        A line is not BED, and there is no ``on_malformed``; the message names file, line and
        reason. Or the file is of another format, or cannot be read further.
    """
    name = name or display_name(source)
    begun = False
    with open_input(source) as file:
        check_format(file, "BED", name, RegionError)
        for first, lines in line_blocks(file, name):
            block = parse_block(lines, first)
            if block is not None:
                begun = True
                yield block
                continue
            for number, line in enumerate(lines, first):
                if not is_header(line):
                    begun = True
                    try:
                        row = parse_row(line, number, name)
                    except RegionError as error:
                        if on_malformed is None:
                            raise
                        on_malformed(error)
                        continue
                    yield [row]
                elif not begun and line.strip():
                    on_header(line)


def problem(interval: Interval, genome: Genome, pad: bool = False) -> tuple[str, str] | None:
    """Return why an interval has no sequence, as status and reason; None if it has.

    Parameters
    ----------
    pad : bool
        Allow an overhang past the ends of the contig; some part must still lie inside.
    """
    chrom = genome.resolve(interval.chrom)
    if chrom is None:
        return "unknown_contig", genome.unknown(interval.chrom)
    length = genome.contigs[chrom]
    if interval.start > interval.end:
        return "reversed", f"start {interval.start} is greater than end {interval.end}"
    if interval.start == interval.end:
        return "empty", f"length 0 at {interval.chrom}:{interval.start}"
    inside = interval.start < length and interval.end > 0
    if inside and pad and len(interval) <= length + _MOST_PADDING:
        return None
    if interval.start < 0:
        return "out_of_bounds", f"start {interval.start} is negative"
    if interval.end > length:
        bound = "end" if interval.start < length else "start"
        return (
            "out_of_bounds",
            f"{bound} {getattr(interval, bound)} is past the end of {interval.chrom} ({length} bp)"
            "; check that the regions and the FASTA are the same assembly",
        )
    return None


def read_intervals(source: str | Path, genome: Genome) -> Iterator[Interval]:
    """Yield the intervals of a BED file, as far as they lie in the genome.

    A list of regions to take or to leave out usually covers more than one FASTA: what lies on
    other contigs or past the end of one is passed over.

    Raises
    ------
    RegionError
        A line is not BED, or no line names a contig of the genome.
    """
    known = 0
    unknown: dict[str, None] = {}
    for row in read_bed(source):
        chrom = genome.resolve(row.interval.chrom)
        if chrom is None:
            if len(unknown) < 1_000:
                unknown[row.interval.chrom] = None
            continue
        known += 1
        start, end = max(row.interval.start, 0), min(row.interval.end, genome.contigs[chrom])
        if start < end:
            yield Interval(chrom, start, end)
    if unknown and not known:
        raise RegionError(f"{display_name(source)}: {genome.unknown(*unknown)}")
