"""The rows as tasks would read them: `findna predict` and `findna scan`, without weights."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np

from findna.commands.scan import ScanOptions, n_windows
from findna.commands.validate.report import Scanned, TaskUse
from findna.errors import ConfigError
from findna.genome.bed import BedRow
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions, is_point, place
from findna.genome.windows import tile
from findna.model.checkpoint import training_length
from findna.tasks.placement import TaskWindows
from findna.tasks.sites import SiteOutline, n_tiles
from findna.tasks.task import TaskOutline


class Spans:
    """Intervals of contigs, which are joined in the end where they overlap or touch."""

    def __init__(self) -> None:
        self._edges: dict[str, tuple[array[int], array[int]]] = {}

    def add(self, chrom: str, start: int, end: int) -> None:
        """Note an interval; 16 bytes."""
        starts, ends = self._edges.setdefault(chrom, (array("q"), array("q")))
        starts.append(start)
        ends.append(end)

    def joined(self) -> Iterator[tuple[int, int]]:
        """Yield the starts and ends of the joined intervals."""
        for edges in self._edges.values():
            starts, ends = (np.frombuffer(values, np.int64) for values in edges)
            order = np.argsort(starts, kind="stable")
            starts, reach = starts[order], np.maximum.accumulate(ends[order])
            first = np.flatnonzero(np.append(True, starts[1:] > reach[:-1]))
            last = np.append(first[1:], len(starts)) - 1
            yield from zip(starts[first].tolist(), reach[last].tolist(), strict=True)


class TaskRows:
    """Rows on their way into the report on tasks.

    Parameters
    ----------
    options : RegionOptions
        As they were given.

    Attributes
    ----------
    options : RegionOptions
        With what follows from the tasks, as for `findna predict`.

    Raises
    ------
    FindnaError
        An encoder is missing, or the tasks cannot be read together.
    """

    def __init__(self, tasks: Sequence[TaskOutline | SiteOutline], options: RegionOptions) -> None:
        self._tasks, self._given = tasks, options
        self._windows = TaskWindows([t for t in tasks if isinstance(t, TaskOutline)], options)
        self._longest = [training_length(task.encoder) for task in tasks]
        self._uses = [
            TaskUse(task.name, task.config.window)
            if isinstance(task, TaskOutline)
            else TaskUse(task.name, 0, points=0)
            for task in tasks
        ]
        self._spans = Spans()
        self._n_points = self._n_rows = self._n_without_strand = 0
        self.options = self._windows.options

    def note(self, row: BedRow, genome: Genome) -> None:
        """Note a row, readable or not, as `findna scan --regions` would read it."""
        self._n_points += is_point(row.interval)
        region = place(row, genome, RegionOptions()).region
        if region is not None:
            self._spans.add(region.chrom, *region.parts[0])

    def add(self, placed: Placed) -> None:
        """Count a row that can be read as `findna predict` would read it."""
        assert placed.region is not None
        length = len(placed.region)
        self._n_rows += 1
        stranded = self.options.of(placed.interval).stranded
        if stranded and placed.interval.strand == ".":
            self._n_without_strand += 1
        for use, task, longest in zip(self._uses, self._tasks, self._longest, strict=True):
            if isinstance(task, SiteOutline):
                size = task.config.tile, task.config.margin
                pieces = sum(n_tiles(*part, *size) for part in placed.region.parts)
                pieces *= 1 if stranded else 2
            else:
                pieces = len(tile(length, longest))
            use.tiles += pieces
            use.most_tiles = max(use.most_tiles, pieces)
            if use.points is not None:
                use.points += length == 1
            use.shorter += length < use.window
            use.longer += 0 < use.window < length
        with suppress(ConfigError):  # finish() says why
            self._windows.count(placed)

    def finish(self) -> tuple[list[TaskUse], str]:
        """Return what each task would read, and why `findna predict` would stop, if it would."""
        stops = ""
        try:
            self._windows.check_points(self._n_points)
        except ConfigError as error:
            stops = str(error)
        spans = list(self._spans.joined())
        by_strand = any(o.stranded for o in (self.options, self.options.points) if o is not None)
        explicit = self._given.resizes or self._given.split
        geometry = str(self._windows) or ("as the options say" if explicit else "as they are")
        for use, task in zip(self._uses, self._tasks, strict=True):
            use.without_strand = self._n_without_strand if by_strand else None
            if isinstance(task, SiteOutline):
                strand = "its own strand" if self.options.stranded else "either strand"
                use.geometry = f"the most probable site of each, on {strand}"
                use.as_given = self._n_rows
                _scan_sites(use, task, spans)
                continue
            use.geometry = geometry
            use.windows = self._windows.n_taken
            use.as_given = self._n_rows - use.windows
            self._scan(use, task, [end - start for start, end in spans])
        return self._uses, stops

    def _scan(self, use: TaskUse, task: TaskOutline, lengths: Sequence[int]) -> None:
        reach = self._given.reach
        window = 1 + sum(reach) if reach else self._given.window or 0
        try:
            options = ScanOptions(window=window).for_task(task)
        except ConfigError as error:
            use.scan_message = str(error)
            return
        each = [n_windows(length, options.window, options.step) for length in lengths]
        shorter = sum(length < options.window for length in lengths)
        use.scan = Scanned(
            sum(each), options.window, options.step, len(lengths), sum(lengths), shorter
        )
        _need_class(use, task)


def _scan_sites(use: TaskUse, task: SiteOutline, spans: Sequence[tuple[int, int]]) -> None:
    tile, margin = task.config.tile, task.config.margin
    total = sum(n_tiles(start, end, tile, margin) for start, end in spans)
    bases = sum(end - start for start, end in spans)
    use.scan = Scanned(total, tile, tile - 2 * margin, len(spans), bases, 0)
    _need_class(use, task)


def _need_class(use: TaskUse, task: TaskOutline | SiteOutline) -> None:
    """Say that a track needs the name of a class, if it does."""
    try:
        task.config.output()
    except ConfigError as error:
        use.scan_message = str(error)
