"""Backgrounds of alleles: the other variants that a sample carries around each.

Records come in order, and each waits until all that lies within its reach has been read; what has
fallen behind is forgotten. docs/variants.md has the rules.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from findna.genome.encoding import encode
from findna.variants.alleles import SCORED, Examined, Examiner, class_of_allele, fit
from findna.variants.haplotypes import Change, core
from findna.variants.vcf import Genotype, VcfReader, VcfRecord, genotypes

APPLIED = "applied"

_BOTH = (0, 1)


@dataclass(frozen=True)
class _Item:
    """A record on its way, and what is wrong with it if anything is."""

    record: VcfRecord
    genotype: Genotype
    problem: str | None


@dataclass(eq=False)
class Neighbour:
    """An allele that the sample carries.

    Parameters
    ----------
    record, allele : int
        Numbers of its record and among its alternate alleles.
    phase_set : str, optional
        None where it is on both haplotypes.
    obstacle : str
        Why it is applied to nothing; empty where it may be.
    counted : set of str
        What has been counted of it.
    """

    record: int
    allele: int
    change: Change
    haplotypes: tuple[int, ...]
    phase_set: str | None
    obstacle: str
    counted: set[str] = field(default_factory=set)

    @property
    def deleted(self) -> int:
        """How many bases fewer a haplotype with it has, if any."""
        if self.obstacle:
            return 0
        return max(len(self.change.ref) - len(self.change.alt), 0)


def _carriers(genotype: Genotype, allele: int) -> tuple[int, ...] | None:
    """Haplotypes that carry an allele, numbered as in the record; None if that is not known.

    One call, and several that are equal, stand for both haplotypes.
    """
    alleles = genotype.alleles
    if allele not in alleles:
        return ()
    if set(alleles) == {allele}:
        return _BOTH
    if len(alleles) != len(_BOTH) or genotype.phase_set is None:
        return None
    return tuple(i for i in _BOTH if alleles[i] == allele)


def _gap(a: Change, b: Change) -> int:
    return max(a.start - b.end, b.start - a.end, 0)


def compatible(neighbours: Sequence[Neighbour], change: Change) -> list[Neighbour]:
    """Those that overlap neither each other nor a change, in order; of equal ones the first."""
    distinct: dict[tuple[int, int, bytes], Neighbour] = {}
    for n in neighbours:
        distinct.setdefault((n.change.start, n.change.end, n.change.alt.tobytes()), n)
    ordered = [distinct[key] for key in sorted(distinct)]
    kept = []
    furthest: Change | None = None  # of those before
    for i, n in enumerate(ordered):
        others = [change, *(x.change for x in ordered[i + 1 : i + 2])]
        if furthest is not None:
            others.append(furthest)
        if not any(n.change.overlaps(other) for other in others):
            kept.append(n)
        if furthest is None or n.change.end >= furthest.end:
            furthest = n.change
    return kept


class Haplotypes:
    """The haplotypes of one sample, as far as the records at hand need them.

    Parameters
    ----------
    sample : str
    window : int
        Length of the windows, bp.

    Attributes
    ----------
    backgrounds : Counter
        Scored alleles by where the sample has them: ``one``, ``both``, ``unphased``, ``none``.
    neighbours : Counter
        Alleles of the sample that lie within reach of another one: ``applied``, or why not.
    """

    def __init__(self, sample: str, window: int) -> None:
        self.backgrounds = Counter[str]()
        self.neighbours = Counter[str]()
        self._sample, self._window = sample, window
        self._near: deque[Neighbour] = deque()  # in the order of their records
        self._deleted = 0  # bases, by those

    def examine_all(
        self, reader: VcfReader, examiner: Examiner, ref_mismatch: str
    ) -> Iterator[Examined]:
        """Every record with the classes and windows of its alleles, on their backgrounds.

        Raises
        ------
        VariantError
            A record is malformed or out of order; or does not fit the genome, and
            ``ref_mismatch`` is stop.
        ConfigError
            There is no such sample.
        """
        items = (
            _Item(record, genotype, fit(record, examiner, ref_mismatch, reader.name))
            for record, genotype in genotypes(reader, self._sample)
        )
        for item in self._in_sight(items):
            backgrounds = partial(self._backgrounds, item.genotype)
            yield examiner.examine(item.record, item.problem, backgrounds)

    @property
    def _reach(self) -> int:
        """How far from a variant others may lie in its windows, bp of the contig.

        A window is filled with what lies behind deletions.
        """
        return self._window + self._deleted

    def _in_sight(self, items: Iterator[_Item]) -> Iterator[_Item]:
        """The same items, each once all that lies within its reach is known."""
        waiting: deque[_Item] = deque()
        chrom = ""
        for item in items:
            record = item.record
            while waiting and (record.chrom != chrom or self._beyond(record, waiting[0].record)):
                yield self._at(waiting.popleft())
            if record.chrom != chrom:
                self._near.clear()
                self._deleted, chrom = 0, record.chrom
            waiting.append(item)
            self._add(item)
        while waiting:
            yield self._at(waiting.popleft())

    def _beyond(self, record: VcfRecord, before: VcfRecord) -> bool:
        return record.start > before.start + len(before.ref) + self._reach

    def _at(self, item: _Item) -> _Item:
        """An item, after what it has left behind is forgotten."""
        while self._near and self._near[0].change.end < item.record.start - self._reach:
            self._deleted -= self._near.popleft().deleted
        return item

    def _add(self, item: _Item) -> None:
        record = item.record
        for i, alt in enumerate(record.alts):
            carriers = _carriers(item.genotype, i + 1)
            kind = class_of_allele(record.ref, alt)
            if carriers == () or kind == "same":
                continue
            obstacle = kind if kind not in SCORED else item.problem or ""
            if carriers is None:
                carriers, obstacle = _BOTH, obstacle or "unphased"
            neighbour = Neighbour(
                record.number,
                i,
                core(Change(record.start, encode(record.ref), encode(alt))),
                carriers,
                None if carriers == _BOTH else item.genotype.phase_set,
                obstacle,
            )
            self._near.append(neighbour)
            self._deleted += neighbour.deleted

    def _backgrounds(
        self, genotype: Genotype, record: VcfRecord, allele: int
    ) -> list[list[Change]]:
        """What the haplotypes of an allele have otherwise changed."""
        carriers = _carriers(genotype, allele + 1)
        where = "unphased" if carriers is None else ("none", "one", "both")[len(carriers)]
        self.backgrounds[where] += 1
        change = core(Change(record.start, encode(record.ref), encode(record.alts[allele])))
        near = [
            n
            for n in self._near
            if (n.record, n.allele) != (record.number, allele)
            and _gap(n.change, change) <= self._reach
        ]
        phase_set = genotype.phase_set
        if where != "one":  # in phase with every set, of which there can be but one
            sets = [(_gap(n.change, change), n.phase_set) for n in near if n.phase_set is not None]
            phase_set = min(sets)[1] if sets else None
        fitting = []
        for n in near:
            if n.obstacle:
                self._count(n, n.obstacle)
            elif n.phase_set not in (None, phase_set):
                self._count(n, "other_phase_set")
            else:
                fitting.append(n)
        found = []
        for haplotype in carriers or _BOTH:
            carried = [n for n in fitting if haplotype in n.haplotypes]
            kept = compatible(carried, change)
            for n in carried:
                self._count(n, APPLIED if n in kept else "overlapping")
            found.append([n.change for n in kept])
        return found

    def _count(self, neighbour: Neighbour, what: str) -> None:
        if what not in neighbour.counted:
            neighbour.counted.add(what)
            self.neighbours[what] += 1
