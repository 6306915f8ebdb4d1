"""Input rows become the regions that are read, or get the reason why they cannot be.

The row contract: every row of the input is read, kept with a status, left out, or stops the run,
as the user chose; none is lost otherwise.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from findna.console import counted
from findna.errors import RegionError
from findna.genome.bed import COLUMNS, BedBlock, BedRow, bed_blocks, parse_row, problem, score_value
from findna.genome.fasta import Genome
from findna.genome.intervals import Interval, is_open, parse_region
from findna.genome.order import Order
from findna.genome.text import display_name, is_pipe, is_text, open_raw
from findna.genome.windows import Region, resize

ON_ERROR = ("stop", "skip", "null")

OK = "ok"

NO_SEQUENCE = "no_sequence"
"""Status of a row whose region holds too many N; it never stops a run."""

WITHOUT_RESULT = (
    "unknown_contig",
    "out_of_bounds",
    "empty",
    "reversed",
    "bad_blocks",
    "too_long",
    NO_SEQUENCE,
)
"""Statuses of rows without a result."""

KEPT_OR_SKIPPED = "--on-error null keeps such rows with missing values, skip leaves them out"
"""Remedy for rows that cannot be read."""

_MOST_EXAMPLES = 3
_MOST_NAMES = 1_000  # of unknown contigs that are looked at for a likely fix
_MOST_LETTERS = 100  # of a region string or record in a message

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegionOptions:
    """Options that turn rows into regions.

    Parameters
    ----------
    stranded : bool
        Read rows on the minus strand as their reverse complement.
    split : bool
        Join the blocks of BED12 rows.
    flank, window
        See `findna.genome.windows.resize`.
    anchor : {"center", "start", "end"}, optional
        See there; None is the center, unless a task is read: it has windows of its own.
    upstream, downstream : int, optional
        bp before and after the anchor's base; where one is given, the other is 0 by default.
    pad : bool
        Fill what lies past the end of a contig with N instead of refusing it.
    on_error : {"stop", "skip", "null"}
        What to do with rows that cannot be read.
    longest : int, optional
        Regions longer than this (bp) cannot be read.
    whole : bool
        Encode regions longer than the model's training length in one piece, not in tiles.
    points : RegionOptions, optional
        Options of rows of 1 bp, where they are others.
    max_n : float
        Largest share of N of a region that is read; one of nothing but N never is.
    """

    stranded: bool = False
    split: bool = False
    flank: int = 0
    window: int | None = None
    anchor: str | None = None
    upstream: int | None = None
    downstream: int | None = None
    pad: bool = False
    on_error: str = "stop"
    longest: int | None = None
    whole: bool = False
    points: RegionOptions | None = None
    max_n: float = 1.0

    @property
    def reach(self) -> tuple[int, int] | None:
        """Lengths before and after the anchor's base, bp, if they were given."""
        if self.upstream is None and self.downstream is None:
            return None
        return self.upstream or 0, self.downstream or 0

    @property
    def resizes(self) -> bool:
        """True if something else than the row itself is read."""
        return bool(self.flank) or self.window is not None or self.reach is not None

    @property
    def conflict(self) -> str:
        """Why the options exclude each other; empty if they do not."""
        if self.reach is not None and (self.flank or self.window is not None):
            return "--upstream and --downstream cannot be combined with --flank or --window"
        if self.flank and self.window is not None:
            return "--flank cannot be combined with --window, which sets the length"
        if self.split and self.resizes:
            return "--split cannot be combined with --flank, --window, --upstream or --downstream"
        return ""

    def resized(self, interval: Interval) -> tuple[int, int]:
        """Return the start and end of what is read of an interval; may overhang its contig."""
        anchor = self.anchor or "center"
        return resize(interval, self.flank, self.window, anchor, self.stranded, self.reach)

    def of(self, interval: Interval) -> RegionOptions:
        """Return the options of a row."""
        return self.points or self if is_point(interval) else self

    def facts(self) -> dict[str, Any]:
        """Return what decides which sequence is read, as outputs record it."""
        facts: dict[str, Any] = {
            "stranded": self.stranded,
            "split": self.split,
            "flank": self.flank,
            "window": self.window,
            "anchor": self.anchor or "center",
            "whole": self.whole,
            "max_n": self.max_n,
            "out_of_bounds": "pad" if self.pad else "error",
        }
        if self.reach is not None:
            facts["upstream"], facts["downstream"] = self.reach
        if self.points is not None:
            facts["points"] = self.points.facts()
        return facts


def is_point(interval: Interval) -> bool:
    """Return whether an interval is one base."""
    return interval.end - interval.start == 1


@dataclass(frozen=True, slots=True)
class Placed:
    """A row and its region, or a status word and the reason why it has none."""

    row: BedRow
    region: Region | None
    status: str = OK
    reason: str = ""

    @property
    def interval(self) -> Interval:
        """The row's own interval, before any window or flank."""
        return self.row.interval

    @property
    def columns(self) -> tuple[str, ...]:
        """The row's columns as they were."""
        return self.row.columns


def place(row: BedRow, genome: Genome, options: RegionOptions) -> Placed:
    """Find the sequence of a row."""
    interval = row.interval
    options = options.of(interval)
    chrom = genome.resolve(interval.chrom) or ""
    refusal = problem(interval, genome, options.pad)
    if refusal is None and options.resizes:
        start, end = options.resized(interval)
        interval = Interval(interval.chrom, start, end, strand=interval.strand)
        refusal = problem(interval, genome, options.pad)
        if refusal and not options.pad:
            reason = (
                f"its window {start}-{end} leaves {interval.chrom} ({genome.contigs[chrom]} bp); "
                "--out-of-bounds pad fills with N"
            )
            refusal = refusal[0], reason
    if refusal is not None:
        return Placed(row, None, *refusal)
    parts = row.blocks() if options.split else [(interval.start, interval.end)]
    if parts is None:
        reason = "blocks overlap, leave the region or are malformed"
        return Placed(row, None, "bad_blocks", reason)
    region = Region(chrom, tuple(parts), options.stranded and interval.strand == "-")
    if options.longest is not None and len(region) > options.longest:
        reason = (
            f"{len(region)} bp, and at most {options.longest} can be read at once: "
            f"--window {options.longest} reads the middle"
        )
        return Placed(row, None, "too_long", reason)
    return Placed(row, region)


def lies_within(block: BedBlock, genome: Genome, options: RegionOptions) -> bool:
    """Return whether every row of a block is read as it stands: `place` refuses and moves none."""
    lengths = block.ends - block.starts
    shortest = 1 if options.points is None else 2
    if options.resizes or options.split or options.longest is not None or lengths.min() < shortest:
        return False
    names = block.names(genome)
    limits = {chrom: genome.contigs[name] if name else 0 for chrom, name in names.items()}
    return bool((block.ends <= [limits[chrom] for chrom in block.chroms]).all())


def place_rows(
    rows: BedBlock | list[BedRow], genome: Genome, options: RegionOptions
) -> Iterator[Placed]:
    """Find the sequence of each row, as `place` does."""
    if not isinstance(rows, BedBlock) or not lies_within(rows, genome, options):
        yield from (place(row, genome, options) for row in rows)
        return
    names = rows.names(genome)
    for row in rows:
        at = row.interval
        reverse = options.stranded and at.strand == "-"
        yield Placed(row, Region(names[at.chrom], ((at.start, at.end),), reverse))


def has_sequence(n_unknown: int, length: int, max_n: float) -> bool:
    """Return whether at most a share ``max_n`` of bases is N, and not all of them."""
    return n_unknown < length and n_unknown <= max_n * length


def count_n(genome: Genome, region: Region) -> int:
    """Return the number of N in a region, which may be a whole contig."""
    return sum([genome.count_n(region.chrom, start, end) for start, end in region.parts])


def without_n(placed: Placed, genome: Genome, max_n: float) -> Placed:
    """Return a placed row; without its region if that holds too many N."""
    if placed.region is None:
        return placed
    n_unknown, length = count_n(genome, placed.region), len(placed.region)
    if has_sequence(n_unknown, length, max_n):
        return placed
    return Placed(placed.row, None, NO_SEQUENCE, f"{n_unknown} of its {length} bp are N")


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


@dataclass
class Survey:
    """Counts of a first pass over the rows; ``bad`` ones cannot be read.

    Parameters
    ----------
    rows, columns, bases, bad, points : int
        ``points`` are rows of 1 bp.
    contigs : dict
        Names of those that are read, in the order of the rows.
    numeric_score : bool
        Every row's score is a number or a dot.
    unsorted : int
        Line of the first row, of those in the output, that is not sorted; 0 if all are.
    """

    rows: int = 0
    columns: int = 3
    bases: int = 0
    bad: int = 0
    points: int = 0
    contigs: dict[str, None] = field(default_factory=dict)
    numeric_score: bool = True
    unsorted: int = 0

    def add_columns(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Count rows by their columns, of which all have as many."""
        self.rows += len(rows)
        self.columns = len(rows[0])
        if self.numeric_score and self.columns > 4:
            self.numeric_score = all(score_value(row[4]) is not None for row in rows)


class RowRecord:
    """Record of all rows, in their order: their digest, and the bases to read of each."""

    def __init__(self) -> None:
        self.lengths = array("q")
        self._sha256 = hashlib.sha256()

    def add(self, columns: Sequence[str], status: str, length: int) -> None:
        """Note the next row."""
        line = "\t".join([*columns, status]) + "\n"
        self._sha256.update(line.encode("utf-8", "surrogateescape"))
        self.lengths.append(length)

    def digest(self, headers: Sequence[str]) -> str:
        """Return the SHA-256 over rows, their status, and header lines."""
        sha256 = self._sha256.copy()
        sha256.update("\n".join(headers).encode("utf-8", "surrogateescape"))
        return sha256.hexdigest()


def survey(
    source: RegionSource,
    genome: Genome,
    options: RegionOptions,
    utf8: bool = False,
    record: RowRecord | None = None,
) -> Survey:
    """Check every row before anything expensive is done.

    Parameters
    ----------
    utf8 : bool
        Refuse columns that are not UTF-8 text: the output cannot hold them.
    record : RowRecord, optional
        Gets every row.

    Raises
    ------
    RegionError
        A row is not BED, or has another number of columns than the first; or, with ``on_error``
        stop, rows cannot be read: the message counts them and shows the first.
    """
    surveyed, order = Survey(), Order()
    examples: list[str] = []
    unknown: dict[str, None] = {}
    n_unknown, first = 0, ""
    for block in source.blocks():
        if isinstance(block, BedBlock) and lies_within(block, genome, options):
            lengths = block.ends - block.starts
            surveyed.add_columns(block.columns)
            surveyed.points += int((lengths == 1).sum())
            surveyed.bases += int(lengths.sum())
            surveyed.contigs |= dict.fromkeys(block.names(genome).values())
            lost = order.first_lost(block.chroms, block.starts.tolist())
            if lost is not None:
                surveyed.unsorted = surveyed.unsorted or block.first + lost
            for columns, length in zip(block.columns, lengths.tolist(), strict=True):
                if record is not None:
                    record.add(columns, OK, length)
            continue
        for row in block:
            if utf8 and not all(map(is_text, row.columns)):
                raise RegionError(
                    f"{source.name}:{row.number}: not UTF-8 text, which HDF5 needs; convert it "
                    "(iconv -t UTF-8) or write a table (-O tsv)"
                )
            surveyed.add_columns([row.columns])
            placed = place(row, genome, options)
            if record is not None:
                length = len(placed.region) if placed.region else 0
                record.add(row.columns, placed.status, length)
            surveyed.points += is_point(row.interval)
            is_kept = placed.region is not None or options.on_error != "skip"
            if is_kept and not order.add(row.interval.chrom, row.interval.start):
                surveyed.unsorted = surveyed.unsorted or row.number
            if placed.region is not None:
                surveyed.bases += len(placed.region)
                surveyed.contigs[placed.region.chrom] = None
                continue
            surveyed.bad += 1
            if placed.status == "unknown_contig":
                n_unknown += 1
                if len(unknown) > _MOST_NAMES or row.interval.chrom in unknown:
                    continue
                unknown[row.interval.chrom] = None
            if len(examples) < _MOST_EXAMPLES:
                examples.append(f"{row.place}: {placed.reason}")
                first = first or row.place
    genome.tell_aliases(source.name)
    if not surveyed.rows:
        tell_empty(source)
    if surveyed.bad and options.on_error == "stop":
        if n_unknown == surveyed.bad:
            reasons = f"from {first} on: {genome.unknown(*unknown)}"
        else:
            reasons = "; ".join(hint_once(examples))
            reasons += "; ..." if surveyed.bad > len(examples) else ""
        raise RegionError(
            f"{source.name}: {surveyed.bad} of {counted(surveyed.rows, 'region')} cannot be read: "
            f"{reasons}; {KEPT_OR_SKIPPED}"
        )
    return surveyed


def tell_empty(source: RegionSource) -> None:
    """Warn of a source that holds no row."""
    logger.warning("no rows in %s", source.name)


def hint_once(reasons: Sequence[str]) -> list[str]:
    """Return the reasons without a hint, which is what follows "; ", that a later one repeats."""
    hints = [reason.partition("; ")[2] for reason in reasons]
    return [
        reason.removesuffix(f"; {hint}") if hint and hint in hints[i + 1 :] else reason
        for i, (reason, hint) in enumerate(zip(reasons, hints, strict=True))
    ]


def ragged(location: str, n_columns: int, expected: int, of: str = "the first row") -> str:
    """Return the message about a row with another number of columns than the first or a header."""
    return (
        f"{location}: {counted(n_columns, 'column')}, but {of} has {expected}; "
        "every row must have the same number"
    )
