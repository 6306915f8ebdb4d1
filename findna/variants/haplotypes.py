"""Reference and alternate windows of a variant: pure integer and array arithmetic.

Positions are counted in the reading direction of a strand, so that both strands obey one rule: a
variant lies at the first of the places where it can be written down, and its windows lie around
it. docs/variants.md has the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from findna.genome.batching import SequenceSource
from findna.genome.encoding import BLANK, Tokens, encode, reverse_complement

_FIRST_LOOK = 64  # bp before an indel that are compared first; doubled until it stops moving

Places = npt.NDArray[np.int64]
"""Positions of bases."""


@dataclass(frozen=True)
class Change:
    """Bases ``ref`` at [start, start + len(ref)) of a strand become ``alt``."""

    start: int
    ref: Tokens
    alt: Tokens

    @property
    def end(self) -> int:
        """End of ``ref``."""
        return self.start + len(self.ref)

    @property
    def key(self) -> tuple[int, int, bytes]:
        """Place and new bases: equal for equal changes, and in the order of places."""
        return self.start, self.end, self.alt.tobytes()

    def turned(self, length: int) -> Change:
        """Return this change as the other strand of a contig of ``length`` bp reads it."""
        start = length - self.end
        return Change(start, reverse_complement(self.ref), reverse_complement(self.alt))

    def places(self) -> Places:
        """Return the old base that each base of ``alt`` stands for; (len(alt),).

        They stand for those of ``ref`` one by one; what is left for the last of these, or for the
        base before if there are none.
        """
        one_by_one = np.minimum(np.arange(len(self.alt)), len(self.ref) - 1)
        places: Places = np.maximum(self.start + one_by_one, 0)
        return places


def overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Return True unless changes of two intervals can both be made, and in one way only.

    Two insertions at one place overlap: their order is not known.
    """
    return a == b or (a[0] < b[1] and b[0] < a[1])


def _n_shared(a: Tokens, b: Tokens) -> int:
    """Return the length of the longest common prefix."""
    n = min(len(a), len(b))
    different = np.flatnonzero(a[:n] != b[:n])
    return int(different[0]) if len(different) else n


def trim(change: Change) -> Change:
    """Return a change without the bases that both alleles end with, then begin with.

    If neither allele becomes empty, no other change describes the same two haplotypes.
    """
    ref, alt = change.ref, change.alt
    last = _n_shared(ref[::-1], alt[::-1])
    ref, alt = ref[: len(ref) - last], alt[: len(alt) - last]
    first = _n_shared(ref, alt)
    return Change(change.start + first, ref[first:], alt[first:])


def core(change: Change) -> Change:
    """Return a change without the shared bases that both strands agree to remove.

    Unlike the result of `trim`, it is the same read from either strand: an indel keeps the repeat
    in which it lies, if REF spells that out.
    """
    ref, alt = change.ref, change.alt
    first, last, n = _n_shared(ref, alt), _n_shared(ref[::-1], alt[::-1]), min(len(ref), len(alt))
    first, last = min(first, n - last), min(last, n - first)
    return Change(change.start + first, ref[first : len(ref) - last], alt[first : len(alt) - last])


def left_aligned(change: Change, strand: Strand) -> Change:
    """Return a trimmed insertion or deletion at its first place in reading direction.

    It moves back over a base that equals its own last one, which then becomes its first. Any
    other change has only one place and is returned as it is.
    """
    if (len(change.ref) == 0) == (len(change.alt) == 0):
        return change
    bases = np.concatenate((change.ref, change.alt))  # one of them is empty
    moved, look = 0, max(_FIRST_LOOK, 2 * len(bases))
    while moved < change.start:
        end = change.start - moved
        before = strand.fetch(max(end - look, 0), end)[::-1]
        turn = np.arange(moved, moved + len(before)) % len(bases)
        same = _n_shared(before, bases[::-1][turn])
        moved += same
        if same < len(before):
            break
        look *= 2
    bases, start = np.roll(bases, moved), change.start - moved
    return Change(start, bases, change.alt) if len(change.ref) else Change(start, change.ref, bases)


@dataclass(frozen=True)
class Edited:
    """A contig after some changes: a sequence source with positions of its own.

    Parameters
    ----------
    source, contig_length : SequenceSource, int
        The contig as it was, and its length, bp.
    changes : sequence of Change
        In order; none overlaps another.
    """

    source: SequenceSource
    contig_length: int
    changes: Sequence[Change]

    @property
    def length(self) -> int:
        """Length of the contig after the changes, bp."""
        return self.contig_length + sum(len(x.alt) - len(x.ref) for x in self.changes)

    def lifted(self, position: int) -> int:
        """Return the new position of a base, or of a place between two, that no change replaces."""
        before = (x for x in self.changes if x.end <= position)
        return position + sum(len(x.alt) - len(x.ref) for x in before)

    def turned(self) -> Edited:
        """Return the other strand of the contig with its changes; it cannot be fetched."""
        changes = [change.turned(self.contig_length) for change in reversed(self.changes)]
        return Edited(self.source, self.contig_length, changes)

    def fetch(self, chrom: str, start: int, end: int) -> Tokens:
        """Return the token ids of [start, end), in positions after the changes."""
        pieces = [
            self.source.fetch(chrom, first, last) if change is None else change.alt[first:last]
            for change, first, last in self._pieces(start, end)
        ]
        return np.concatenate(pieces) if pieces else encode("")

    def places(self, start: int, end: int) -> Places:
        """Return the old base that each base of [start, end) stands for; see `Change.places`."""
        pieces = [
            np.arange(first, last) if change is None else change.places()[first:last]
            for change, first, last in self._pieces(start, end)
        ]
        return np.concatenate([np.empty(0, np.int64), *pieces])

    def _pieces(self, start: int, end: int) -> Iterator[tuple[Change | None, int, int]]:
        """Yield parts of [start, end) in order: [first, last) of the contig, or of a new allele."""
        before = after = 0  # how far both contigs have been read
        for change in [*self.changes, None]:
            stop = self.contig_length if change is None else change.start
            first, last = max(start - after, 0), min(end - after, stop - before)
            if first < last:
                yield None, before + first, before + last
            after += stop - before
            if change is None or after >= end:
                break
            yield change, max(start - after, 0), end - after
            before, after = change.end, after + len(change.alt)


@dataclass(frozen=True)
class Strand:
    """One strand of a contig; position 0 is its first base in reading direction."""

    contig: Edited
    chrom: str
    reverse: bool = False

    @property
    def length(self) -> int:
        """Length of the contig, bp."""
        return self.contig.length

    def fetch(self, start: int, end: int) -> Tokens:
        """Return the token ids of [start, end) as this strand reads them."""
        if not self.reverse:
            return self.contig.fetch(self.chrom, start, end)
        forward = self.contig.fetch(self.chrom, self.length - end, self.length - start)
        return reverse_complement(forward)

    def places(self, start: int, end: int) -> Places:
        """Return the base of the FASTA that each base of [start, end) stands for.

        Positions are those of the forward strand.
        """
        if not self.reverse:
            return self.contig.places(start, end)
        return self.contig.contig_length - 1 - self.contig.turned().places(start, end)


@dataclass(frozen=True)
class Haplotype:
    """A window of one haplotype; its allele is ``tokens[start:end]``.

    Parameters
    ----------
    strand : Strand
        Of the contig that both haplotypes of a change are made from.
    change : Change
        From ``strand`` to the haplotype; the reference allele is a change to itself.
    """

    tokens: Tokens
    start: int
    end: int
    strand: Strand
    change: Change

    @property
    def allele(self) -> Tokens:
        """Bases that only this haplotype has; may be none."""
        return self.tokens[self.start : self.end]

    def blanked(self) -> Tokens:
        """Return the window with its allele masked."""
        tokens: Tokens = self.tokens.copy()
        tokens[self.start : self.end] = BLANK
        return tokens

    def holds(self, flank: int) -> bool:
        """Return whether so many bp, or all that there are, lie on either side of the allele."""
        change, after = self.change, len(self.tokens) - self.end
        there = self.strand.length - change.end
        return self.start >= min(flank, change.start) and after >= min(flank, there)

    def places(self, start: int, end: int) -> Places:
        """Return the base of the FASTA that each base of [start, end) of the window stands for."""
        before = self.change.start - self.start
        contig = Edited(self.strand.contig, self.strand.length, [self.change])
        places = contig.places(before + start, before + end)
        first = int(places.min(initial=self.strand.length))
        return self.strand.places(first, int(places.max(initial=0)) + 1)[places - first]


Pair = tuple[Haplotype, Haplotype]
"""Reference and alternate window of a change."""

Strands = tuple[Pair, Pair]
"""Windows on the forward and on the reverse strand, each in its own reading direction."""


def windows(change: Change, strand: Strand, size: int) -> Pair:
    """Return windows of ``size`` bp around a change, of the strand before and after it.

    Both begin ``(size - longer allele) // 2`` bases before the change; the one with the shorter
    allele reaches further to the right. A window that would leave its haplotype is moved inside,
    and is the whole haplotype if that is shorter than ``size``.

    Parameters
    ----------
    change : Change
        Trimmed and left-aligned on ``strand``; no allele longer than ``size``.
    """
    before = (size - max(len(change.ref), len(change.alt))) // 2

    def window(change: Change) -> Haplotype:
        allele = change.alt
        total = strand.length - len(change.ref) + len(allele)
        n = min(size, total)
        first = min(max(change.start - before, 0), total - n)
        left = strand.fetch(first, change.start)
        n_right = n - len(left) - len(allele)
        right = strand.fetch(change.end, change.end + n_right)
        start = len(left)
        tokens = np.concatenate((left, allele, right))
        return Haplotype(tokens, start, start + len(allele), strand, change)

    return window(replace(change, alt=change.ref)), window(change)


def strand_windows(change: Change, contig: Edited, chrom: str, size: int) -> Strands:
    """Return the windows of a change of the forward strand, as each strand reads it.

    Parameters
    ----------
    change : Change
        As it was written down; neither allele longer than ``size`` once trimmed.
    """
    pairs = []
    for reverse in (False, True):
        strand = Strand(contig, chrom, reverse)
        read = change.turned(contig.length) if reverse else change
        pairs.append(windows(left_aligned(trim(read), strand), strand, size))
    return pairs[0], pairs[1]
