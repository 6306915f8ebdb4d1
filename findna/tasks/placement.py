"""The windows of tasks, laid about points, or about an anchor of every row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from findna.errors import ConfigError
from findna.genome.regions import Placed, RegionOptions, is_point
from findna.tasks.task import TaskOutline


class TaskWindows:
    """Lay the windows of tasks about rows.

    Points get the windows that the tasks were trained on; so does every row if an anchor is given
    alone. They are read by strand if a task was trained so. Options that say what is read
    (``window``, ``flank``, ``split``; ``upstream`` and ``downstream``) go before.

    Parameters
    ----------
    options : RegionOptions
        As they were given.

    Attributes
    ----------
    options : RegionOptions
        The same, with what follows from the tasks.
    n_taken : int
        Rows so far that got the windows of the tasks.

    Raises
    ------
    ConfigError
        Every row is to get the window of the tasks, which differ, or of which there is none.
    """

    def __init__(self, tasks: Sequence[TaskOutline], options: RegionOptions) -> None:
        explicit = options.resizes or options.split
        own = {(t.config.window, t.config.upstream): t for t in tasks if t.config.window}
        self._own = [] if explicit else list(own.values())
        if options.idle and not self._own:
            why = "" if explicit else " (no windows of a task are laid here)"
            raise ConfigError(options.idle + why)
        stranded = any(task.config.stranded for task in tasks)
        self._about = {None: "point", "center": "middle"}.get(options.anchor, options.anchor)
        self._every_row = options.reach is not None if explicit else options.anchor is not None
        self.n_taken = 0
        if self._every_row:
            self._check(f"--anchor {options.anchor}")
        read = replace(options, stranded=options.stranded or stranded)
        if self._own:
            window, upstream = next(iter(own))
            if upstream is None:
                read = replace(read, window=window)
            else:
                read = replace(read, upstream=upstream, downstream=window - upstream - 1)
        elif not options.resizes:
            read = options
        self._changes = read != options
        points_only = self._changes and not self._every_row
        self.options = replace(options, points=read) if points_only else read

    def _check(self, what: str) -> None:
        if len(self._own) > 1:
            each = ", ".join(f"{t.name}: {t.config.windows} a point" for t in self._own)
            raise ConfigError(
                f"{what}: the tasks read different windows ({each}); predict one task at a time, "
                "or give one window for all (--upstream and --downstream, or --window)"
            )

    def check_points(self, n_points: int) -> None:
        """Raise ConfigError if there are points, which the tasks read in different windows."""
        if n_points:
            self._check(f"{n_points} of the regions have 1 bp")

    def watch(self, rows: Iterator[Placed]) -> Iterator[Placed]:
        """Yield the rows; count those that get the windows of the tasks."""
        for row in rows:
            self.count(row)
            yield row

    def count(self, row: Placed) -> None:
        """Count a row if it gets the windows of the tasks."""
        if self._changes and (self._every_row or is_point(row.interval)):
            self._check(f"{row.row.place} has 1 bp")
            self.n_taken += row.region is not None and bool(self._own)

    def __str__(self) -> str:
        """Return the windows of the tasks, in words; empty if no row got one so far."""
        if not self.n_taken:
            return ""
        return f"{self._own[0].config.windows} each {self._about}"
