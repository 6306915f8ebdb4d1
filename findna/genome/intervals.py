"""Intervals of a genome, and their arithmetic by bedtools. The only user of pybedtools."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

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


COORDINATE = r"(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)[kKmMgG]?"
"""Pattern of a position in a region string: ``1,001``, ``12k``, ``1.5M``."""

_REGION = re.compile(rf"(?P<chrom>.+):(?P<start>{COORDINATE})?(-(?P<end>{COORDINATE})?)?")
_FACTORS = {"k": 10**3, "m": 10**6, "g": 10**9}
_LARGEST = 10**12  # beyond any contig
_MOST_LETTERS = 30  # of a position


def parse_region(text: str, contigs: Mapping[str, int]) -> Interval:
    """Read an interval written as in samtools: ``chrom``, ``chrom:start``, ``chrom:start-end``.

    Coordinates are 1-based and inclusive; commas are allowed, and k, M and G for thousands and so
    on; either may be left out. Braces hold a name that looks like a region: ``{HLA:01-02}:3-4``.

    Raises
    ------
    RegionError
        The text is not a region, or can be meant in two ways.
    """
    shown = text[:80]
    match = _REGION.fullmatch(text)
    chrom, _, rest = text.rpartition(":")
    if text in contigs:
        if match is not None and chrom in contigs:
            raise RegionError(
                f"region {shown}: a contig, or a part of {chrom}? write {{{text}}} or "
                f"{{{chrom}}}:{rest}"
            )
        return Interval(text, 0, contigs[text])
    if match is None:
        if chrom in contigs:
            raise RegionError(
                f"region {shown}: {rest} are no coordinates; write {chrom}:1,001-2,000 or "
                f"{chrom}:1.5k-2k"
            )
        name = _without_braces(text, contigs)
        return Interval(name, 0, contigs.get(name, 0))
    chrom = _without_braces(chrom, contigs)
    start = _position(match["start"] or "1", shown)
    if start < 1:
        raise RegionError(f"region {shown}: coordinates are 1-based; the first base is 1")
    end = match["end"]
    last = _position(end, shown) if end else max(contigs.get(chrom, 0), start)
    if last < start:
        raise RegionError(f"region {shown}: ends before it starts; write chrom:start-end")
    return Interval(chrom, start - 1, last)


def is_open(text: str, contigs: Mapping[str, int]) -> bool:
    """Return whether a region string has a start alone: ``chrom:start``."""
    match = _REGION.fullmatch(text)
    return (
        match is not None
        and match["start"] is not None
        and match[3] is None
        and (text not in contigs)
    )


def _without_braces(name: str, contigs: Mapping[str, int]) -> str:
    in_braces = name[1:-1] if name.startswith("{") and name.endswith("}") else ""
    return name if name in contigs or not in_braces else in_braces


def _position(text: str, region: str) -> int:
    digits = text.rstrip("kKmMgG").replace(",", "")
    if len(digits) <= _MOST_LETTERS:
        position = Fraction(digits) * _FACTORS.get(text[-1].lower(), 1)
        if position.denominator > 1:
            raise RegionError(f"region {region}: {text} is not a whole number of bases")
        if position < _LARGEST:
            return int(position)
    raise RegionError(f"region {region}: a coordinate is larger than any contig")


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
            "-r, --regions and --exclude need the program bedtools; install it: apt-get install "
            "bedtools, or conda install -c bioconda bedtools"
        )
    from pybedtools import BedTool

    names = sorted(contigs)
    # bedtools takes some names for headers (track1, #1), and warns of others (chr1 beside 1)
    numbers = {name: f"c{number:012}" for number, name in enumerate(names)}

    def bed(intervals: Iterable[Interval]) -> BedTool:
        return BedTool([(numbers[i.chrom], i.start, i.end) for i in intervals if i.start < i.end])

    if include is None:
        include = [Interval(name, 0, length) for name, length in contigs.items()]
    kept = bed(include).sort().merge()
    removed = list(exclude or ())
    if removed:
        kept = kept.subtract(bed(removed))
    return [(names[int(row.chrom[1:])], row.start, row.end) for row in kept.sort()]
