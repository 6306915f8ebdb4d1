"""Backgrounds of alleles: the other variants that a sample carries around each.

Records come in order. Each waits until every record within its reach has been read; records that
are out of reach are forgotten. docs/variants.md has the rules.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter

from findna.variants.alleles import SCORED, Examined, Examiner, change_of, class_of_allele
from findna.variants.haplotypes import Change, core, overlap
from findna.variants.vcf import Genotype, VcfReader, VcfRecord, genotypes

_BOTH = (0, 1)


@dataclass(frozen=True)
class _Item:
    """A record with the sample's call, and the class of what is wrong with it if anything is."""

    record: VcfRecord
    genotype: Genotype
    problem: str | None


@dataclass(eq=False)
class Neighbour:
    """An allele that the sample carries.

    Parameters
    ----------
    record, allele : int
        Number of its record, and its own among the alternate alleles.
    change : Change
        As it is written down, without what both strands agree to remove.
    placed : Change
        Left-aligned: equal for two ways of writing one change.
    haplotypes : tuple of int
        Those that carry it: 0, 1 or both.
    phase_set : str, optional
        None if it is on both haplotypes.
    obstacle : str
        Why it cannot be applied; empty if it can.
    counted : set of str
        Outcomes that were counted for it.
    """

    record: int
    allele: int
    change: Change
    placed: Change
    haplotypes: tuple[int, ...]
    phase_set: str | None
    obstacle: str
    counted: set[str] = field(default_factory=set)

    @property
    def deleted(self) -> int:
        """Number of bases by which it shortens a haplotype."""
        return 0 if self.obstacle else max(len(self.change.ref) - len(self.change.alt), 0)


def _carriers(genotype: Genotype, allele: int) -> tuple[int, ...] | None:
    """Return the haplotypes that carry an allele, numbered as in the record; None if unknown.

    A genotype of one allele, and one of equal alleles, stand for both haplotypes.
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


def compatible(neighbours: Sequence[Neighbour], change: Change, placed: Change) -> list[Neighbour]:
    """Return the neighbours that overlap neither each other nor a change, in order.

    Of equal ones the first is applied, and what lies between the places where they are written
    down overlaps them. Those that are equal to the change overlap it, wherever they are written
    down; ``placed`` is the change left-aligned.
    """
    equal: dict[object, list[Neighbour]] = {}
    for n in neighbours:
        if n.placed.key != placed.key:
            equal.setdefault(n.placed.key, []).append(n)
    spans = [
        (min(n.change.start for n in ns), max(n.change.end for n in ns)) for ns in equal.values()
    ]
    ordered = sorted(zip(spans, (ns[0] for ns in equal.values()), strict=True), key=itemgetter(0))
    kept = []
    furthest: list[tuple[int, int]] = []  # the one before that reaches furthest to the right
    for i, (span, n) in enumerate(ordered):
        others = [(change.start, change.end), *furthest, *(x[0] for x in ordered[i + 1 : i + 2])]
        if not any(overlap(span, other) for other in others):
            kept.append(n)
        furthest = [max([span, *furthest], key=itemgetter(1))]
    return kept


class Haplotypes:
    """The haplotypes of one sample, as far as the records at hand need them.

    Parameters
    ----------
    window : int
        Length of the windows, bp.

    Attributes
    ----------
    backgrounds : Counter
        Scored alleles by the haplotypes that carry them: ``one``, ``both``, ``unphased``, ``none``.
    neighbours : Counter
        Alleles of the sample within reach of another one: ``applied``, or why not.
    """

    def __init__(self, sample: str, window: int) -> None:
        self.backgrounds = Counter[str]()
        self.neighbours = Counter[str]()
        self._sample, self._window = sample, window
        self._near: deque[Neighbour] = deque()  # in the order of their records
        # bp from a variant to the others in its windows, which span the deletions among them
        self._reach = window

    def examine_all(self, reader: VcfReader, examiner: Examiner) -> Iterator[Examined]:
        """Yield every record with the classes and windows of its alleles, on their backgrounds.

        Raises
        ------
        VariantError
            A record is malformed or out of order; or does not fit the genome, and
            ``ref_mismatch`` is stop.
        ConfigError
            The file has no such sample.
        """
        waiting: deque[_Item] = deque()
        chrom = ""
        for record, genotype in genotypes(reader, self._sample):
            item = _Item(record, genotype, examiner.misfit(record, reader.name))
            while waiting and (record.chrom != chrom or self._beyond(record, waiting[0].record)):
                yield self._examined(waiting.popleft(), examiner)
            if record.chrom != chrom:
                self._near.clear()
                self._reach, chrom = self._window, record.chrom
            waiting.append(item)
            self._add(item, examiner)
        while waiting:
            yield self._examined(waiting.popleft(), examiner)

    def _beyond(self, record: VcfRecord, before: VcfRecord) -> bool:
        return record.start > before.start + len(before.ref) + self._reach

    def _add(self, item: _Item, examiner: Examiner) -> None:
        record = item.record
        for i, alt in enumerate(record.alts):
            carriers = _carriers(item.genotype, i + 1)
            kind = class_of_allele(record.ref, alt)
            if carriers == () or kind == "same":
                continue
            obstacle = kind if kind not in SCORED else item.problem or ""
            if carriers is None:
                carriers, obstacle = _BOTH, obstacle or "unphased"
            phase_set = None if carriers == _BOTH else item.genotype.phase_set
            change = core(change_of(record, alt))
            placed = change if obstacle else examiner.placed(record, alt)
            neighbour = Neighbour(record.number, i, change, placed, carriers, phase_set, obstacle)
            self._near.append(neighbour)
            self._reach += neighbour.deleted

    def _examined(self, item: _Item, examiner: Examiner) -> Examined:
        """Forget what lies behind a record, and return its alleles and windows."""
        while self._near and self._near[0].change.end < item.record.start - self._reach:
            self._reach -= self._near.popleft().deleted
        backgrounds = partial(self._backgrounds, item, examiner)
        return examiner.examine(item.record, item.problem, backgrounds)

    def _backgrounds(self, item: _Item, examiner: Examiner, allele: int) -> list[list[Change]]:
        """Return the other changes on each haplotype that carries an allele."""
        record, phase_set = item.record, item.genotype.phase_set
        carriers = _carriers(item.genotype, allele + 1)
        kind = "unphased" if carriers is None else ("none", "one", "both")[len(carriers)]
        self.backgrounds[kind] += 1
        change = core(change_of(record, record.alts[allele]))
        placed = examiner.placed(record, record.alts[allele])
        near = [
            (gap, n)
            for n in self._near
            if (n.record, n.allele) != (record.number, allele)
            and (gap := _gap(n.change, change)) <= self._reach
        ]
        if kind != "one":  # in phase with every set, of which only one can be applied
            sets = [(gap, n.phase_set) for gap, n in near if n.phase_set is not None]
            phase_set = min(sets)[1] if sets else None
        applicable = []
        for _, n in near:
            if n.obstacle:
                self._count(n, n.obstacle)
            elif n.phase_set not in (None, phase_set):
                self._count(n, "other_phase_set")
            else:
                applicable.append(n)
        backgrounds = []
        for haplotype in carriers or _BOTH:
            carried = [n for n in applicable if haplotype in n.haplotypes]
            kept = compatible(carried, change, placed)
            for n in carried:
                self._count(n, "applied" if n in kept else "overlapping")
            backgrounds.append([n.change for n in kept])
        return backgrounds

    def _count(self, neighbour: Neighbour, outcome: str) -> None:
        if outcome not in neighbour.counted:
            neighbour.counted.add(outcome)
            self.neighbours[outcome] += 1
