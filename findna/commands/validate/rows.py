"""The rows of one input as they are read: problems, order, duplicates, and a sample."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Generic, TypeVar

import numpy as np

from findna.commands.validate.report import (
    MOST_COMPARED,
    MOST_EXAMPLES,
    REGIONS,
    Duplicates,
    Report,
)
from findna.errors import FindnaError
from findna.genome.batching import SequenceSource
from findna.genome.fasta import Genome
from findna.genome.order import Order
from findna.genome.windows import Region
from findna.variants.haplotypes import Strands

MOST_SAMPLED = 200
"""Rows that an estimate is made with."""

Item = TypeVar("Item")


class Digests:
    """64-bit digests of rows, which find those that are the same; 16 bytes per row."""

    def __init__(self) -> None:
        self._digests, self._lines = array("Q"), array("Q")

    def add(self, keys: Iterable[bytes], first: int) -> None:
        """Note the rows of neighbouring lines, as far as there is room."""
        room = MOST_COMPARED - len(self._digests)
        digests = [hashlib.blake2b(key, digest_size=8).digest() for key in islice(keys, room)]
        self._digests.frombytes(b"".join(digests))
        self._lines.extend(range(first, first + len(digests)))

    def duplicates(
        self, location: Callable[[int], str], labels: Sequence[Sequence[str]] = ()
    ) -> Duplicates:
        """Return the groups of equal rows; given the labels, also the groups that disagree.

        Parameters
        ----------
        location : callable
            Place of a line, for the examples.
        """
        digests = np.frombuffer(self._digests, np.uint64)
        order = digests.argsort(kind="stable")
        in_order = digests[order]
        again = np.flatnonzero(in_order[1:] == in_order[:-1]) + 1
        rows = np.sort(order[again])
        examples = []
        for row in rows[:MOST_EXAMPLES]:
            first = int(order[np.searchsorted(in_order, digests[row])])
            lines = self._lines[row], self._lines[first]
            examples.append(" is the same as ".join(map(location, lines)))
        conflicts: dict[int, str] = {}
        for i in again.tolist() if labels else ():
            a, b = int(order[i - 1]), int(order[i])
            if labels[a] != labels[b]:
                sides = (
                    f"{location(self._lines[row])} is {','.join(labels[row])}" for row in (a, b)
                )
                conflicts.setdefault(int(in_order[i]), ", ".join(sides))
        shown = list(conflicts.values())[:MOST_EXAMPLES]
        return Duplicates(len(rows), len(conflicts), len(digests), examples, shown)


class Sample(Generic[Item]):
    """A few of many items, each as likely as any other, in order; the same at every run."""

    def __init__(self) -> None:
        self._rng = Random(0)
        self._n = 0
        self._kept: list[tuple[int, Item]] = []

    def add(self, item: Item) -> None:
        """Keep an item, perhaps in place of another."""
        self._n += 1
        if len(self._kept) < MOST_SAMPLED:
            self._kept.append((self._n, item))
        elif (i := self._rng.randrange(self._n)) < MOST_SAMPLED:
            self._kept[i] = (self._n, item)

    @property
    def items(self) -> list[Item]:
        """Return those that were kept."""
        return [item for _, item in sorted(self._kept, key=lambda pair: pair[0])]


class Input:
    """An input as it is read, and the report on it.

    Parameters
    ----------
    path : Path
        The file, or a copy of what a pipe held.
    name : str
        Name in messages.
    measured : tuple of str, optional
        Model that is measured to estimate what a run would take, and the device.
    """

    def __init__(
        self, genome: Genome | None, path: Path, name: str, measured: tuple[str, str] | None = None
    ) -> None:
        self.genome, self.path, self.name = genome, path, name
        self.measured = measured
        self.digests, self.order = Digests(), Order()
        self.report = Report(REGIONS, name, "" if genome is None else str(genome.path))

    def problem(self, status: str, error: FindnaError) -> None:
        """Count a row that cannot be read."""
        self.report.problem(status, self.message(error))

    def message(self, error: FindnaError) -> str:
        """Return the message of an error, with the name of the input in place of its path."""
        return str(error).replace(str(self.path), self.name)

    def readable(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items up to where the reader cannot go on."""
        try:
            yield from items
        except FindnaError as error:
            self.report.incomplete = self.message(error)

    def location(self, line: int) -> str:
        """Return the place of a line, as messages name it."""
        return f"{self.name}:{line}"

    def estimate_embed(self, regions: Sequence[Region], source: SequenceSource) -> None:
        """Estimate what embedding takes, from some regions."""
        if self.measured is None or not regions:
            return
        from findna.commands.estimate import estimate_embed
        from findna.model.precision import compute_on

        model, device = self.measured
        total, compute = self.report.lengths.total, compute_on(device)
        self.report.estimate = estimate_embed(regions, source, total, model, compute)

    def estimate_variants(self, windows: Sequence[list[Strands]]) -> None:
        """Estimate what scoring takes, from the windows of some alleles."""
        if self.measured is None or not windows:
            return
        from findna.commands.estimate import estimate_variants
        from findna.model.precision import compute_on

        model, device = self.measured
        total, compute = self.report.lengths.rows, compute_on(device)
        self.report.estimate = estimate_variants(windows, total, model, compute)

    def finish(self) -> Report:
        """Return the report, once all intervals or records were read."""
        report = self.report
        if self.genome is not None:
            self.genome.tell_aliases(self.name)
        report.in_order = self.order.kept
        report.duplicates = self.digests.duplicates(self.location)
        if report.unknown and self.genome is not None:
            report.unknown_reason = self.genome.unknown(*report.unknown)
        return report

    def add_digest(self, line: int, *facts: object) -> None:
        """Note what makes a row the same as another."""
        key = "\t".join(map(str, facts))
        self.digests.add([key.encode("utf-8", "surrogateescape")], line)
