"""Several tasks, one pass: tasks that read an encoder in the same way share its work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic

from findna.genome.batching import Item, SequenceSource, read_window
from findna.genome.windows import Region, Window
from findna.model.devices import Compute
from findna.model.inference import region_vectors
from findna.model.pooling import Pooling
from findna.outputs.results import Call, RegionVectors
from findna.tasks.features import POOLS, Matrix
from findna.tasks.task import Task

Pass = tuple[str, int, int, bool]
"""Encoder, readout, bins and strands, which tasks must have in common to share a pass."""


@dataclass(eq=False)
class _Row(Generic[Item]):
    """A row on its way through the passes, with the vectors read so far."""

    item: Item
    region: Region | None
    vectors: dict[Pass, RegionVectors] = field(default_factory=dict)


def _pass_of(task: Task) -> Pass:
    features = task.config.features
    return task.config.encoder_digest, features.readout, features.bins, features.both_strands


class TaskReader:
    """Predictions of several tasks for regions; the encoders are loaded here."""

    def __init__(self, tasks: Sequence[Task], compute: Compute) -> None:
        self.tasks, self._compute = tasks, compute
        self._passes: dict[Pass, tuple[Task, Pooling]] = {}
        for task in tasks:
            _ = task.checkpoint  # a wrong one is refused before any work
            features, key = task.config.features, _pass_of(task)
            before = self._passes[key][1].kinds if key in self._passes else ()
            kinds = tuple(pool for pool in POOLS if pool in {*before, *features.pools})
            pooling = Pooling(kinds, features.bins, both_strands=features.both_strands)
            self._passes[key] = task, pooling

    def outputs(
        self, rows: Iterable[tuple[Item, Region | None]], genome: SequenceSource
    ) -> Iterator[tuple[Item, list[Matrix] | None]]:
        """Yield each row with the outputs (n_outputs,) of every task; None without a region."""
        passing: Iterable[_Row[Item]] = (_Row(item, region) for item, region in rows)
        for key in self._passes:
            passing = self._read(key, passing, genome)
        for row in passing:
            if row.region is None:
                yield row.item, None
                continue
            yield row.item, [self._output(task, row, row.region, genome) for task in self.tasks]

    def calls(
        self, rows: Iterable[tuple[Item, Region | None]], genome: SequenceSource
    ) -> Iterator[tuple[Item, list[Call] | None]]:
        """Yield each row with the label and probability of every task."""
        for item, outputs in self.outputs(rows, genome):
            if outputs is None:
                yield item, None
                continue
            pairs = zip(self.tasks, outputs, strict=True)
            yield item, [task.call(values) for task, values in pairs]

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

    def _output(
        self, task: Task, row: _Row[Item], region: Region, genome: SequenceSource
    ) -> Matrix:
        features, vectors = task.config.features, row.vectors[_pass_of(task)]
        letters = read_window(genome, Window(region, 0, len(region))) if features.k else None
        output: Matrix = task.probabilities(features.of(vectors, letters)[None])[0]
        return output
