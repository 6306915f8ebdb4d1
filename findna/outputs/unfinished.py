"""An output that is not finished: its complete parts, kept beside it until it is.

Parts are folders; a journal lists the complete ones and what decides their content. Whatever is
being written when a run is killed is in no part, and is made again.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from findna.errors import InterruptedRunError, OutputError
from findna.outputs.destination import Destination
from findna.outputs.files import replaced
from findna.outputs.shards import FORMAT, Facts, difference, read_journal

Item = TypeVar("Item")

Counts = dict[str, int]

JOURNAL, OUTPUT = "journal.json", "output"
"""Names of the journal, and of the main file in a part."""

SUFFIX = ".unfinished"

SECONDS = 20.0
"""Of work that a killed run loses at most."""


class Stretch(Generic[Item]):
    """Rows that go into one part, counted."""

    def __init__(self, first: Item | None, rows: Iterator[Item], over: Callable[[], bool]) -> None:
        self._first, self._rows, self._over = first, rows, over
        self.rows = 0

    def __iter__(self) -> Iterator[Item]:
        end = time.monotonic() + SECONDS
        item = self._first
        while item is not None:
            self.rows += 1
            yield item
            over = self._over() or time.monotonic() > end
            item = None if over else next(self._rows, None)


class Unfinished:
    """Complete parts of an output that is not finished; use as a context manager.

    Parameters
    ----------
    output : Path
        Final name; the folder beside it has ``.unfinished`` added.
    facts : mapping
        What decides the content: plain values. Parts of a run with others are refused.
    force : bool
        Throw such parts away instead.

    Raises
    ------
    OutputError
        The parts belong to another run, or one is at work on them now.
    """

    def __init__(self, output: Path, facts: Facts, force: bool = False) -> None:
        target = output.resolve()
        self.folder = target.with_name(target.name + SUFFIX)
        self._shown = output.with_name(self.folder.name)
        self._facts, self._force = json.loads(json.dumps(facts)), force
        self._parts: list[dict[str, Any]] = []
        self._lock: IO[bytes] | None = None

    @classmethod
    def of(cls, destination: Destination, facts: Facts) -> Unfinished:
        """Return the unfinished parts of an output, or of a shard of it."""
        shard = destination.shard
        where = {} if shard is None else {"shard": f"{shard.number}/{shard.count}"}
        return cls(destination.file, {**facts, **where}, destination.force)

    def __enter__(self) -> Unfinished:
        self.folder.mkdir(exist_ok=True)
        self._lock = (self.folder / "lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise OutputError(f"{self._shown}: another run is at work on it") from error
        try:
            self._begin()
        except BaseException:
            self._lock.close()
            raise
        return self

    def _begin(self) -> None:
        journal = self.folder / JOURNAL
        if journal.exists():
            values = read_journal(journal)
            differing = difference(values.get("facts", {}), self._facts)
            if not differing:
                self._parts = values["parts"]
            elif not self._force:
                raise OutputError(
                    f"{self._shown}: holds parts of another run: {'; '.join(differing[:3])}; "
                    "--force throws them away, or name another output"
                )
        kept = {part["folder"] for part in self._parts}
        # what was being written when a run was killed
        for path in self.folder.iterdir():
            if path.is_dir() and path.name not in kept:
                shutil.rmtree(path)
        name = self.folder.name.removesuffix(SUFFIX)
        for path in self.folder.parent.glob(f".{glob.escape(name)}.*.tmp"):
            path.unlink()
        self._write_journal()

    def __exit__(self, *_: object) -> None:
        assert self._lock is not None
        self._lock.close()

    def _write_journal(self) -> None:
        values = {"format": FORMAT, "facts": self._facts, "parts": self._parts}
        with replaced(self.folder / JOURNAL) as path, path.open("w", encoding="utf-8") as file:
            json.dump(values, file, indent=1)
            file.flush()
            os.fsync(file.fileno())

    @property
    def rows(self) -> int:
        """Rows in complete parts."""
        return sum(part["rows"] for part in self._parts)

    @property
    def counts(self) -> dict[str, int]:
        """Sums of what was counted in complete parts."""
        found: dict[str, int] = {}
        for part in self._parts:
            for name, n in part["counts"].items():
                found[name] = found.get(name, 0) + n
        return found

    def files(self, name: str) -> list[Path]:
        """A file of every part, in the order of the rows."""
        return [self.folder / part["folder"] / name for part in self._parts]

    @contextmanager
    def part(self, stretch: Stretch[Any], counts: Mapping[str, int]) -> Iterator[Path]:
        """A folder for the files of a stretch; complete when the block succeeds.

        Parameters
        ----------
        counts : mapping
            What the block counts, from 0 on; added to `counts`.
        """
        folder = self.folder / f"{len(self._parts):08d}"
        folder.mkdir()
        yield folder
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        self._parts.append({"folder": folder.name, "rows": stretch.rows, "counts": dict(counts)})
        self._write_journal()

    def stretches(self, rows: Iterable[Item], total: int) -> Iterator[Stretch[Item]]:
        """Rows in stretches that take some seconds each; where nothing is done yet, one at least.

        An interrupt (Ctrl-C, SIGTERM, SIGHUP) ends a stretch early.

        Parameters
        ----------
        rows : iterable
            Those after the complete ones.
        total : int
            Number of rows of the output.

        Raises
        ------
        InterruptedRunError
            After the stretch in which an interrupt came.
        """
        remaining = iter(rows)
        with _stop_requested() as stop:
            first = next(remaining, None)
            if first is None and not self._parts:
                yield Stretch(None, remaining, stop)
            while first is not None:
                yield Stretch(first, remaining, stop)
                first = None if stop() else next(remaining, None)
            if stop() and self.rows < total:
                raise InterruptedRunError(
                    f"interrupted; {self.rows} of {total} rows are kept in {self._shown}: the same "
                    "command goes on from there"
                )

    def discard(self) -> None:
        """Remove the parts: the output is complete."""
        shutil.rmtree(self.folder)


@contextmanager
def _stop_requested() -> Iterator[Callable[[], bool]]:
    """Whether an interrupt came; a second one raises KeyboardInterrupt as ever."""
    came = False

    def note(number: int, frame: Any) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True

    before = {}
    try:
        for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(kind) is not signal.SIG_IGN:
                before[kind] = signal.signal(kind, note)
    except ValueError:  # not the main thread: interrupts are somebody else's
        pass
    try:
        yield lambda: came
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
