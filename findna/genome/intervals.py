"""Intervals of a genome, and their arithmetic by bedtools. The only user of pybedtools."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from findna.errors import MissingProgramError, RegionError


@dataclass(frozen=True, slots=True)
class Interval:
    """A region of interest; 0-based, half-open, bp.

    ``strand`` is ``+``, ``-`` or ``.``; ``name`` is empty where the region has none.
    """

    chrom: str
    start: int
    end: int
    name: str = ""
    strand: str = "."

    def __len__(self) -> int:
        return self.end - self.start

    def label(self, stranded: bool = False) -> str:
        """Return the name, or ``chrom:start-end``, with ``(strand)`` if asked, as in bedtools."""
        if self.name:
            return self.name
        return f"{self.chrom}:{self.start}-{self.end}" + (f"({self.strand})" if stranded else "")


_REGION = re.compile(r"(?P<chrom>.+):(?P<start>[0-9,]*)(?:-(?P<end>[0-9,]*))?")
_MOST_DIGITS = 12  # beyond any contig


def parse_region(text: str, contigs: Mapping[str, int]) -> Interval:
    """Read an interval written as in samtools: ``chrom``, ``chrom:start``, ``chrom:start-end``.

    Coordinates are 1-based and inclusive; commas are allowed; either may be left out. A contig
    whose own name looks like a region is taken as that contig.

    Raises
    ------
    RegionError
        The text is not a region.
    """
    match = _REGION.fullmatch(text)
    if text in contigs or match is None:
        return Interval(text, 0, contigs.get(text, 0))
    digits = [(match[key] or "").replace(",", "") for key in ("start", "end")]
    if max(map(len, digits)) > _MOST_DIGITS:
        raise RegionError(f"region {text[:80]}: a coordinate is larger than any contig")
    start = int(digits[0] or 1)
    if start < 1:
        raise RegionError(f"region {text[:80]}: coordinates are 1-based; the first base is 1")
    last = int(digits[1]) if digits[1] else max(contigs.get(match["chrom"], 0), start)
    if last < start:
        raise RegionError(f"region {text[:80]}: ends before it starts; write chrom:start-end")
    return Interval(match["chrom"], start - 1, last)


def select(
    contigs: Mapping[str, int],
    include: Iterable[Interval] | None,
    exclude: Iterable[Interval] | None,
) -> list[tuple[str, int, int]]:
    """Return what ``include`` (default: everything) covers and ``exclude`` does not.

    Returns
    -------
    list of (chrom, start, end)
        Sorted, not overlapping.

    Raises
    ------
    MissingProgramError
        bedtools is not installed.
    """
    if shutil.which("bedtools") is None:
        raise MissingProgramError(
            "--regions and --exclude need bedtools; install it: apt-get install bedtools, "
            "or conda install -c bioconda bedtools"
        )
    from pybedtools import BedTool

    def bed(rows: Iterable[tuple[str, int, int]]) -> BedTool:
        return BedTool([row for row in rows if row[1] < row[2]])

    everything = [(chrom, 0, length) for chrom, length in contigs.items()]
    kept = bed(everything if include is None else [(i.chrom, i.start, i.end) for i in include])
    kept = kept.sort().merge()
    removed = [(i.chrom, i.start, i.end) for i in exclude or ()]
    if removed:
        kept = kept.subtract(bed(removed))
    return [(row.chrom, row.start, row.end) for row in kept.sort()]
