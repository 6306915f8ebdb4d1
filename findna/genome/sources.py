"""Sources of rows: BED, standard input, region strings, tables in memory, records of a FASTA."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from findna.console import counted
from findna.errors import RegionError
from findna.genome.bed import COLUMNS, BedBlock, BedRow, bed_blocks, parse_row
from findna.genome.fasta import Genome
from findna.genome.intervals import Interval, is_open, parse_region
from findna.genome.text import display_name, is_pipe, open_raw

_MOST_LETTERS = 100  # of a region string or record in a message

logger = logging.getLogger(__name__)


class RegionSource:
    """Rows of a BED file, of standard input, of region strings, or one per FASTA record.

    Can be read more than once, unless it is a stream: `bed` copies a pipe to a temporary file
    first, `stream` reads it as it comes.

    Attributes
    ----------
    name : str
        Name of the source in messages.
    path : Path, optional
        File that the rows come from, if any.
    is_stream : bool
        The rows can be read once only.
    headers : list of str
        Header lines of a BED file that were read so far and came before its first row.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Iterator[BedBlock | list[BedRow]]],
        path: Path | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self.is_stream = False
        self.headers: list[str] = []
        self._read = read
        self._spool: tempfile._TemporaryFileWrapper[bytes] | None = None

    def rows(self) -> Iterator[BedRow]:
        """Yield the rows from the first on, see `blocks`."""
        return chain.from_iterable(self.blocks())

    def blocks(self) -> Iterator[BedBlock | list[BedRow]]:
        """Yield the rows from the first on, many at a time; of a stream as many as are there.

        Raises
        ------
        RegionError
            A row is not BED, or has another number of columns than the first.
        """
        expected = 0
        for block in self._read():
            row = next(iter(block))  # the rows of a block have the same columns
            expected = expected or len(row.columns)
            if len(row.columns) != expected:
                location = f"{self.name}:{row.number}"
                raise RegionError(ragged(location, len(row.columns), expected))
            yield block

    @classmethod
    def bed(cls, path: str | Path) -> RegionSource:
        """Rows of a BED file; ``-`` is standard input."""
        if not is_pipe(path):
            return cls.stream(path)
        spool = tempfile.NamedTemporaryFile(prefix="findna-")  # noqa: SIM115  closed by close()
        with open_raw(path) as pipe:  # compressed or not: read_bed finds out
            shutil.copyfileobj(pipe, spool)
        spool.flush()
        name = display_name(path)
        source = cls(name, lambda: bed_blocks(spool.name, name))
        source._spool = spool
        return source

    @classmethod
    def stream(cls, path: str | Path) -> RegionSource:
        """Rows of a BED file, or of a pipe as they come; ``-`` is standard input."""

        def read() -> Iterator[BedBlock | list[BedRow]]:
            source.headers.clear()
            return bed_blocks(path, on_header=source.headers.append)

        is_stream = is_pipe(path)
        source = cls(display_name(path), read, None if is_stream else Path(path))
        source.is_stream = is_stream
        return source

    @classmethod
    def strings(cls, regions: tuple[str, ...], genome: Genome) -> RegionSource:
        """Regions written as in samtools: ``chr1:1,001-2,000``, 1-based and inclusive.

        ``chr1:1,001`` goes to the end of the contig, which is said.
        """
        lengths = genome.lengths
        intervals = [parse_region(text, lengths) for text in regions]
        for text, interval in zip(regions, intervals, strict=True):
            if is_open(text, lengths) and interval.start < lengths.get(interval.chrom, 0):
                logger.warning(
                    "region %s goes to the end of %s: %s bp",
                    *(text, interval.chrom, f"{len(interval):,}"),
                )
        return cls("--region", lambda: _rows(intervals, [f"region {text}" for text in regions]))

    @classmethod
    def tuples(cls, regions: Iterable[Sequence[Any]]) -> RegionSource:
        """Regions as (chrom, start, end) or (chrom, start, end, strand); 0-based, half-open.

        Raises
        ------
        RegionError
            A region has another form, or a position is not a whole number.
        """
        listed = list(regions)
        for number, region in enumerate(listed, 1):
            if isinstance(region, str) or not hasattr(region, "__len__"):
                raise RegionError(
                    f"regions:{number}: {region!r} is no (chrom, start, end); give a list of such "
                    "tuples, or of region strings"
                )
        stranded = any(len(region) == 4 for region in listed)
        rows = []
        for number, region in enumerate(listed, 1):
            if len(region) not in (3, 4):
                raise RegionError(
                    f"regions:{number}: {counted(len(region), 'value')}; give "
                    "(chrom, start, end) or (chrom, start, end, strand)"
                )
            optional = [".", 0, *region[3:], "."][:3] if stranded else []  # name, score, strand
            rows.append(_memory_row(number, [*region[:3], *optional]))
        return cls("regions", lambda: ([row] for row in rows))

    @classmethod
    def frame(cls, frame: Any) -> RegionSource:
        """Rows of a DataFrame with columns chrom, start and end, as in BED.

        Columns name, score and strand are used where there are some; others are left out.

        Raises
        ------
        RegionError
            A column is missing, or a position is not a whole number.
        """
        names = [str(name) for name in frame.columns]
        missing = [name for name in COLUMNS[:3] if name not in names]
        if missing:
            raise RegionError(
                f"regions: no column {missing[0]}, which a DataFrame of regions needs; it has "
                f"{', '.join(names)}"
            )
        optional = {"name": ".", "score": 0, "strand": "."}
        used = COLUMNS[:6] if set(optional) & set(names) else COLUMNS[:3]
        columns = [
            frame[name].tolist() if name in names else [optional[name]] * len(frame)
            for name in used
        ]
        rows = [_memory_row(n, values) for n, values in enumerate(zip(*columns, strict=True), 1)]
        return cls("regions", lambda: ([row] for row in rows))

    @classmethod
    def of(cls, regions: Any, genome: Genome) -> RegionSource:
        """Return the regions that a value of Python stands for.

        Parameters
        ----------
        regions : str, path, list, DataFrame, RegionSource or None
            A file (``-`` is standard input); a region string that is not a file's name; a list of
            region strings, or of tuples as for `tuples`; a DataFrame as for `frame`; regions as
            they are; or every record of the FASTA.

        Raises
        ------
        RegionError
            It stands for no regions.
        """
        if regions is None:
            return cls.records(genome)
        if isinstance(regions, RegionSource):
            return regions
        if isinstance(regions, Path):
            return cls.bed(regions)
        if isinstance(regions, str):
            named = regions.startswith("{") or ":" in regions or genome.resolve(regions)
            known = named and not Path(regions).exists()
            return cls.strings((regions,), genome) if known else cls.bed(regions)
        if hasattr(regions, "columns"):
            return cls.frame(regions)
        listed = list(regions)
        if listed and all(isinstance(region, str) for region in listed):
            return cls.strings(tuple(listed), genome)
        return cls.tuples(listed)

    @classmethod
    def records(cls, genome: Genome) -> RegionSource:
        """Whole records of the FASTA, every one."""
        whole = [Interval(name, 0, length) for name, length in genome.contigs.items()]
        return cls(
            str(genome.path), lambda: _rows(whole, (f"record {name}" for name in genome.contigs))
        )

    def close(self) -> None:
        """Remove the temporary copy of standard input."""
        if self._spool is not None:
            self._spool.close()

    def __enter__(self) -> RegionSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


Regions = RegionSource
"""The name of `RegionSource` for users of the package."""


def _rows(intervals: Iterable[Interval], given: Iterable[str]) -> Iterator[list[BedRow]]:
    for number, (i, text) in enumerate(zip(intervals, given, strict=True), 1):
        yield [BedRow(number, i, (i.chrom, str(i.start), str(i.end)), text[:_MOST_LETTERS])]


def _memory_row(number: int, values: Sequence[Any]) -> BedRow:
    """Return the row of values, as if they had been read from a BED file."""
    columns = [_memory_column(value) for value in values]
    if any(not column.isprintable() for column in columns):
        raise RegionError(f"regions:{number}: a value is not printable text")
    return parse_row("\t".join(columns), number, "regions")


def _memory_column(value: Any) -> str:
    """Return a value as a column of BED: whole numbers stay so, missing values become a dot."""
    if value is None or str(value) in ("nan", "<NA>"):
        return "."
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def tell_empty(source: RegionSource) -> None:
    """Warn of a source that holds no row."""
    logger.warning("no rows in %s", source.name)


def ragged(location: str, n_columns: int, expected: int, of: str = "the first row") -> str:
    """Return the message about a row with another number of columns than the first or a header."""
    return (
        f"{location}: {counted(n_columns, 'column')}, but {of} has {expected}; "
        "every row must have the same number"
    )
