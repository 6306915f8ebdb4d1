"""Reference and alternate windows of a variant: pure integer and array arithmetic.

Everything is counted in the reading direction of one strand, so that what holds for the forward
strand holds for the other: a variant is read at the first of the places where it can be written
down, and windows lie around it. docs/variants.md has the rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from findna.batching import SequenceSource
from findna.encoding import BLANK, Tokens, reverse_complement

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

    def on(self, strand: Strand) -> Change:
        """A change of the forward strand as ``strand`` reads it."""
        if not strand.reverse:
            return self
        end = self.start + len(self.ref)
        return Change(
            strand.length - end, reverse_complement(self.ref), reverse_complement(self.alt)
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
        right_start = change.start + len(change.ref)
        right = strand.fetch(right_start, right_start + n_right)
        start = len(left)
        return Haplotype(np.concatenate((left, allele, right)), start, start + len(allele))

    return window(change.ref), window(change.alt)


def strand_windows(
    change: Change, source: SequenceSource, chrom: str, length: int, size: int
) -> tuple[Pair, Pair]:
    """Windows of a change of the forward strand, as each strand reads it.

    Parameters
    ----------
    change : Change
        As it was written down; neither allele longer than ``size`` once trimmed.
    length : int
        Of the contig, bp.

    Returns
    -------
    tuple of Pair, length 2
        Of the forward strand and of the other one, each in its own reading direction.
    """
    pairs = []
    for reverse in (False, True):
        strand = Strand(source, chrom, length, reverse)
        placed = left_aligned(trim(change.on(strand)), strand)
        pairs.append(windows(placed, strand, size))
    return pairs[0], pairs[1]
