"""Several tasks, one pass: tasks that read an encoder in the same way share its work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic

from findna.genome.batching import Contigs, Item, SequenceSource, read_window
from findna.genome.windows import Region, Window
from findna.model.devices import Compute
from findna.model.inference import region_vectors
from findna.model.pooling import Pooling
from findna.outputs.results import Call, RegionVectors
from findna.tasks.features import POOLS
from findna.tasks.sites import AnyTask, SiteTask
from findna.tasks.task import Task

Pass = tuple[str, int, int, bool]
"""Encoder, readout, bins and strands, which tasks must have in common to share a pass."""


@dataclass(eq=False)
class _Row(Generic[Item]):
    """A row on its way through the passes, with the vectors and sites read so far."""

    item: Item
    region: Region | None
    vectors: dict[Pass, RegionVectors] = field(default_factory=dict)
    sites: dict[str, Call] = field(default_factory=dict)


def _pass_of(task: Task) -> Pass:
    features = task.config.features
    return task.config.encoder_digest, features.readout, features.bins, features.both_strands


class TaskReader:
    """Predictions of several tasks for regions; the encoders are loaded here."""

    def __init__(self, tasks: Sequence[AnyTask], compute: Compute) -> None:
        self.tasks, self._compute = tasks, compute
        self._passes: dict[Pass, tuple[Task, Pooling]] = {}
        for task in tasks:
            _ = task.checkpoint  # a wrong one is refused before any work
            if isinstance(task, SiteTask):
                continue
            features, key = task.config.features, _pass_of(task)
            before = self._passes[key][1].kinds if key in self._passes else ()
            kinds = tuple(pool for pool in POOLS if pool in {*before, *features.pools})
            pooling = Pooling(kinds, features.bins, both_strands=features.both_strands)
            self._passes[key] = task, pooling

    def calls(
        self,
        rows: Iterable[tuple[Item, Region | None]],
        genome: Contigs,
        by_strand: Callable[[Item], bool] = lambda item: False,
    ) -> Iterator[tuple[Item, list[Call] | None]]:
        """Yield each row with the call of every task, in their order; None without a region.

        A region holds another base than N. Sites of a row that is ``by_strand`` are those of the
        strand on which its region is read; of another row those of both.
        """
        passing: Iterable[_Row[Item]] = (_Row(item, region) for item, region in rows)
        for key in self._passes:
            passing = self._read(key, passing, genome)
        for task in self.tasks:
            if isinstance(task, SiteTask):
                passing = self._look(task, passing, genome, by_strand)
        for row in passing:
            if row.region is None:
                yield row.item, None
                continue
            yield row.item, [self._call(task, row, row.region, genome) for task in self.tasks]

    def _read(
        self, key: Pass, rows: Iterable[_Row[Item]], genome: SequenceSource
    ) -> Iterator[_Row[Item]]:
        """Add the vectors of one pass to each row."""
        task, pooling = self._passes[key]
        pairs = ((row, row.region) for row in rows)
        for row, vectors in region_vectors(pairs, genome, task.reader, pooling, self._compute):
            if vectors is not None:
                row.vectors[key] = vectors
            yield row

    def _look(
        self,
        task: SiteTask,
        rows: Iterable[_Row[Item]],
        genome: Contigs,
        by_strand: Callable[[Item], bool],
    ) -> Iterator[_Row[Item]]:
        """Add the call of a task of sites to each row."""
        asked = ((row, row.region, by_strand(row.item)) for row in rows)
        for row, call in task.best_sites(asked, genome, self._compute):
            if call is not None:
                row.sites[task.name] = call
            yield row

    def _call(self, task: AnyTask, row: _Row[Item], region: Region, genome: SequenceSource) -> Call:
        if isinstance(task, SiteTask):
            return row.sites[task.name]
        features, vectors = task.config.features, row.vectors[_pass_of(task)]
        letters = read_window(genome, Window(region, 0, len(region))) if features.k else None
        return task.call(task.probabilities(features.of(vectors, letters)[None])[0])
