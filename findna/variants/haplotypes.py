"""Reference and alternate windows of a variant: pure integer and array arithmetic.

Everything is counted in the reading direction of one strand, so that what holds for the forward
strand holds for the other: a variant is read at the first of the places where it can be written
down, and windows lie around it. docs/variants.md has the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from findna.genome.batching import SequenceSource
from findna.genome.encoding import BLANK, Tokens, encode, reverse_complement

_FIRST_LOOK = 64  # bp before an indel that are compared first; doubled until it stops moving


@dataclass(frozen=True)
class Strand:
    """One strand of a contig; position 0 is its first base in reading direction."""

    source: SequenceSource
    chrom: str
    length: int
    reverse: bool = False

    def fetch(self, start: int, end: int) -> Tokens:
        """Token ids of [start, end) as this strand reads them."""
        if not self.reverse:
            return self.source.fetch(self.chrom, start, end)
        forward = self.source.fetch(self.chrom, self.length - end, self.length - start)
        return reverse_complement(forward)


@dataclass(frozen=True)
class Change:
    """Bases ``ref`` at [start, start + len(ref)) of a strand become ``alt``."""

    start: int
    ref: Tokens
    alt: Tokens

    @property
    def end(self) -> int:
        """Where ``ref`` ends."""
        return self.start + len(self.ref)

    def overlaps(self, other: Change) -> bool:
        """Whether both cannot be made, or not in one way; two insertions at one place overlap."""
        if (self.start, self.end) == (other.start, other.end):
            return True
        return self.start < other.end and other.start < self.end

    def on(self, strand: Strand) -> Change:
        """A change of the forward strand as ``strand`` reads it."""
        if not strand.reverse:
            return self
        return Change(
            strand.length - self.end, reverse_complement(self.ref), reverse_complement(self.alt)
        )


def n_shared(a: Tokens, b: Tokens) -> int:
    """Length of the longest common prefix."""
    n = min(len(a), len(b))
    different = np.flatnonzero(a[:n] != b[:n])
    return int(different[0]) if len(different) else n


def trim(change: Change) -> Change:
    """Without the bases that both alleles end with, then those that both begin with.

    Where neither allele becomes empty, nothing else describes the same two haplotypes.
    """
    ref, alt = change.ref, change.alt
    last = n_shared(ref[::-1], alt[::-1])
    ref, alt = ref[: len(ref) - last], alt[: len(alt) - last]
    first = n_shared(ref, alt)
    return Change(change.start + first, ref[first:], alt[first:])


def core(change: Change) -> Change:
    """Without the bases that both alleles share, as far as either strand could count them.

    Of an indel in a repeat that REF spells out, the repeat stays: unlike those of `trim`, these
    bases are the same read from either strand.
    """
    ref, alt = change.ref, change.alt
    first, last, n = n_shared(ref, alt), n_shared(ref[::-1], alt[::-1]), min(len(ref), len(alt))
    first, last = min(first, n - last), min(last, n - first)
    return Change(change.start + first, ref[first : len(ref) - last], alt[first : len(alt) - last])


def left_aligned(change: Change, strand: Strand) -> Change:
    """The first place, in reading direction, of a trimmed insertion or deletion.

    It moves back over a base that equals its own last one, which then becomes its first. Any
    other change has one place only and is returned as it is.
    """
    if len(change.ref) > 0 and len(change.alt) > 0:
        return change
    bases = change.ref if len(change.ref) else change.alt
    if len(bases) == 0:
        return change
    moved, look = 0, max(_FIRST_LOOK, 2 * len(bases))
    while moved < change.start:
        end = change.start - moved
        before = strand.fetch(max(end - look, 0), end)[::-1]
        turn = np.arange(moved, moved + len(before)) % len(bases)
        same = n_shared(before, bases[::-1][turn])
        moved += same
        if same < len(before):
            break
        look *= 2
    bases = np.roll(bases, moved % len(bases))
    none = bases[:0]
    ref, alt = (bases, none) if len(change.ref) else (none, bases)
    return Change(change.start - moved, ref, alt)


@dataclass(frozen=True)
class Edited:
    """A contig after some changes: a sequence source with positions of its own.

    Parameters
    ----------
    source : SequenceSource
        Of the contig as it was.
    contig_length : int
        As it was, bp.
    changes : sequence of Change
        In order; none overlaps another.
    """

    source: SequenceSource
    contig_length: int
    changes: Sequence[Change]

    @property
    def length(self) -> int:
        """Of the contig after the changes, bp."""
        return self.contig_length + sum(map(_growth, self.changes))

    def lifted(self, position: int) -> int:
        """Where a base, or a place between two, that no change replaces has come to lie."""
        return position + sum(_growth(x) for x in self.changes if x.end <= position)

    def fetch(self, chrom: str, start: int, end: int) -> Tokens:
        """Token ids of [start, end), in positions after the changes."""
        pieces: list[Tokens] = []
        before = after = 0  # how far both contigs have been passed over
        for change in [*self.changes, None]:
            stop = self.contig_length if change is None else change.start
            first, last = max(start - after, 0), min(end - after, stop - before)
            if first < last:
                pieces.append(self.source.fetch(chrom, before + first, before + last))
            after += stop - before
            if change is None or after >= end:
                break
            pieces.append(change.alt[max(start - after, 0) : end - after])
            before, after = change.end, after + len(change.alt)
        return np.concatenate(pieces) if pieces else encode("")


def _growth(change: Change) -> int:
    return len(change.alt) - len(change.ref)


@dataclass(frozen=True)
class Haplotype:
    """A window of one haplotype; its allele is ``tokens[start:end]``."""

    tokens: Tokens
    start: int
    end: int

    @property
    def allele(self) -> Tokens:
        """The bases that only this haplotype has; may be none."""
        return self.tokens[self.start : self.end]

    def blanked(self) -> Tokens:
        """The window with its allele masked."""
        tokens: Tokens = self.tokens.copy()
        tokens[self.start : self.end] = BLANK
        return tokens


Pair = tuple[Haplotype, Haplotype]
"""Reference and alternate window of a change."""

Strands = tuple[Pair, Pair]
"""Of the forward strand and of the other one, each in its own reading direction."""


def windows(change: Change, strand: Strand, size: int) -> Pair:
    """Windows of ``size`` bp around a change, of the strand before and after it.

    Both begin ``(size - longer allele) // 2`` bases before the change, and the shorter allele is
    made up for on the right. A window that would leave its haplotype is moved inside, and is the
    whole haplotype where that is shorter than ``size``.

    Parameters
    ----------
    change : Change
        Trimmed and left-aligned on ``strand``; no allele longer than ``size``.
    """
    before = (size - max(len(change.ref), len(change.alt))) // 2

    def window(allele: Tokens) -> Haplotype:
        total = strand.length - len(change.ref) + len(allele)
        n = min(size, total)
        first = min(max(change.start - before, 0), total - n)
        left = strand.fetch(first, change.start)
        n_right = n - len(left) - len(allele)
        right = strand.fetch(change.end, change.end + n_right)
        start = len(left)
        return Haplotype(np.concatenate((left, allele, right)), start, start + len(allele))

    return window(change.ref), window(change.alt)


def strand_windows(
    change: Change, source: SequenceSource, chrom: str, length: int, size: int
) -> Strands:
    """Windows of a change of the forward strand, as each strand reads it.

    Parameters
    ----------
    change : Change
        As it was written down; neither allele longer than ``size`` once trimmed.
    length : int
        Of the contig, bp.
    """
    pairs = []
    for reverse in (False, True):
        strand = Strand(source, chrom, length, reverse)
        placed = left_aligned(trim(change.on(strand)), strand)
        pairs.append(windows(placed, strand, size))
    return pairs[0], pairs[1]
