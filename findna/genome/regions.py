"""Input rows become the regions that are read, or get the reason why they cannot be.

The row contract: every row of the input is read, kept with a status, left out, or stops the run,
as the user chose; none is lost otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from findna.console import counted
from findna.genome.bed import NARROW_PEAK, BedBlock, BedRow, problem
from findna.genome.fasta import Genome
from findna.genome.intervals import Interval
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
    "no_summit",
    "too_long",
    NO_SEQUENCE,
)
"""Statuses of rows without a result."""

KEPT_OR_SKIPPED = "--on-error null keeps such rows with missing values, skip leaves them out"
"""Remedy for rows that cannot be read."""


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
    anchor : {"center", "start", "end", "summit"}, optional
        See there; a summit is that of a narrowPeak row. None is the center, unless a task is read:
        it has windows of its own.
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

    @property
    def idle(self) -> str:
        """Why the anchor changes nothing without a task's windows; empty if it is not so."""
        if self.resizes or self.anchor in (None, "center"):
            return ""
        return (
            f"--anchor {self.anchor} changes nothing alone: give --window, or --upstream and "
            "--downstream"
        )

    def resized(self, interval: Interval, summit: int | None = None) -> tuple[int, int]:
        """Return the start and end of what is read of an interval; may overhang its contig.

        Where the anchor is a summit that is not known, it is the interval itself.
        """
        if not self.resizes:
            return interval.start, interval.end
        anchor = self.anchor or "center"
        if anchor == "summit":
            if summit is None:
                return interval.start, interval.end
            interval, anchor = replace(interval, start=summit, end=summit + 1), "center"
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
        if refused := without_summit(row, options):
            return refused
        start, end = options.resized(interval, row.summit)
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


def without_summit(row: BedRow, options: RegionOptions) -> Placed | None:
    """Return why a row cannot be read about its summit; None if it can, or need not."""
    if options.anchor != "summit" or row.summit is not None:
        return None
    n = len(row.columns)
    reason = f"{counted(n, 'column')}; its summit would be the last of narrowPeak's {NARROW_PEAK}"
    if n == NARROW_PEAK:
        summit, length = row.columns[9][:40], len(row.interval)
        reason = (
            f"its summit (column 10) is {summit!r}, and it has {length} bp; --anchor center takes "
            "the middle"
        )
    return Placed(row, None, "no_summit", reason)


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
