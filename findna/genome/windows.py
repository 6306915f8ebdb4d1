"""Windows of a region that are encoded: pure integer arithmetic.

A region longer than the model's training length is cut into tiles. Their number is the smallest
that keeps each within that length and whose lengths can read the same from both ends, so that a
region and its reverse complement are cut at the same bases.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

from findna.genome.intervals import Interval

ANCHORS = ("center", "start", "end", "summit")


@dataclass(frozen=True, slots=True)
class Region:
    """Sequence of an input row.

    Parameters
    ----------
    chrom : str
        Contig, by its name in the FASTA.
    parts : tuple of (start, end)
        Pieces of the contig, ascending, joined into one sequence; usually one.
    reverse : bool
        Read as the reverse complement.
    """

    chrom: str
    parts: tuple[tuple[int, int], ...]
    reverse: bool = False

    def __len__(self) -> int:
        length = 0
        for start, end in self.parts:
            length += end - start
        return length

    def slice(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the pieces of the contig under bases [start, end) of the region, ascending.

        Bases are counted in reading direction: from the right end where ``reverse`` is set.
        """
        length = len(self)
        if start == 0 and end == length:
            return list(self.parts)
        if self.reverse:
            start, end = length - end, length - start
        pieces, passed = [], 0
        for first, last in self.parts:
            low, high = max(start - passed, 0), min(end - passed, last - first)
            if low < high:
                pieces.append((first + low, first + high))
            passed += last - first
        return pieces


@dataclass(frozen=True, slots=True)
class Window:
    """Bases [start, end) of a region, in reading direction."""

    region: Region
    start: int
    end: int


def resize(
    interval: Interval,
    flank: int = 0,
    window: int | None = None,
    anchor: str = "center",
    stranded: bool = False,
    reach: tuple[int, int] | None = None,
) -> tuple[int, int]:
    """Return the start and end of what is encoded for an interval; may overhang the contig.

    Parameters
    ----------
    flank : int
        bp added on both sides, before ``window`` is applied.
    window : int, optional
        Length of the result, bp. It is centred on ``anchor``; where it cannot lie exactly in the
        middle, it lies half a base further left.
    anchor : {"center", "start", "end"}
        The middle of the interval, its first base, or its last base. (A summit is not the
        interval's own: `findna.genome.regions.RegionOptions.resized` knows it.)
    stranded : bool
        First and last follow the strand. An even window then has one base more before the anchor
        than after it, in reading direction.
    reach : tuple of int, optional
        bp before and after the base of ``anchor``, which lies between them, in the direction of
        the interval's strand, in place of ``flank`` and ``window``. Of two bases in the middle
        of the interval it is the first in that direction.
    """
    if reach is not None:
        reverse = interval.strand == "-"
        first, last = interval.start, interval.end - 1
        if reverse:
            first, last = last, first
        middle = (first + last + reverse) // 2
        base = {"start": first, "center": middle, "end": last}[anchor]
        before, after = reversed(reach) if reverse else reach
        return base - before, base + after + 1
    start, end = interval.start - flank, interval.end + flank
    if window is None:
        return start, end
    if anchor == "center":
        left = (start + end - window) // 2
        return left, left + window
    reverse = stranded and interval.strand == "-"
    base = start if (anchor == "start") != reverse else end - 1
    left = base - ((window - 1) // 2 if reverse else window // 2)
    return left, left + window


def tile(length: int, longest: int | None) -> list[tuple[int, int]]:
    """Cut ``length`` bases into tiles of at most ``longest``; the cuts are symmetric.

    Returns
    -------
    list of (start, end)
        End to end; lengths differ by at most one and are the same read backwards.
    """
    if longest is None or length <= longest:
        return [(0, length)]
    n = -(-length // longest)
    if n % 2 == 0 and length % 2 == 1:
        n += 1  # an even number of tiles cannot halve an odd length
    short, extra = divmod(length, n)
    half = [short + (i < extra // 2) for i in range(n // 2)]
    middle = [short + extra % 2] * (n % 2)
    edges = list(accumulate([0, *half, *middle, *reversed(half)]))
    return list(pairwise(edges))
