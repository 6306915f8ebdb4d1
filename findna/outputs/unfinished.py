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
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

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


@contextmanager
def open_unfinished(output: Destination, facts: Facts) -> Iterator[Unfinished]:
    """Open the complete parts of an output, or of a shard of it, in a folder beside it.

    Parameters
    ----------
    facts : mapping
        What decides the content: plain values. Parts of a run with others are refused, or thrown
        away if ``output.force`` is set.

    Raises
    ------
    OutputError
        The parts belong to another run, or one is at work on them now.
    """
    target = output.file.resolve()
    folder = target.with_name(target.name + SUFFIX)
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            shown = output.file.with_name(folder.name)
            raise OutputError(f"{shown}: another run is at work on it") from error
        yield Unfinished(folder, output, facts)


class Unfinished:
    """Complete parts of an output that is not finished; see `open_unfinished`."""

    def __init__(self, folder: Path, output: Destination, facts: Facts) -> None:
        self.folder = folder
        self._shown = output.file.with_name(folder.name)
        shard = output.shard
        self._facts = json.loads(json.dumps(facts))
        if shard is not None:
            self._facts["shard"] = f"{shard.number}/{shard.count}"
        self._parts: list[dict[str, Any]] = []
        journal = folder / JOURNAL
        if journal.exists():
            values = read_journal(journal)
            differing = difference(values.get("facts", {}), self._facts)
            if not differing:
                self._parts = values["parts"]
            elif not output.force:
                raise OutputError(
                    f"{self._shown}: holds parts of another run: {'; '.join(differing[:3])}; "
                    "--force throws them away, or name another output"
                )
        kept = {part["folder"] for part in self._parts}
        # what was being written when a run was killed
        for path in folder.iterdir():
            if path.is_dir() and path.name not in kept:
                shutil.rmtree(path)
        name = glob.escape(folder.name.removesuffix(SUFFIX))
        for path in folder.parent.glob(f".{name}.*.tmp"):
            path.unlink()
        self._write_journal()

    def _write_journal(self) -> None:
        values = {"format": FORMAT, "facts": self._facts, "parts": self._parts}
        with replaced(self.folder / JOURNAL) as path, path.open("w", encoding="utf-8") as file:
            json.dump(values, file, indent=1)
            file.flush()
            os.fsync(file.fileno())

    @property
    def counts(self) -> Counts:
        """Sums of what was counted in complete parts; ``rows`` are their rows."""
        total = Counter[str](rows=0)
        for part in self._parts:
            total.update(part["counts"])
        return dict(total)

    def files(self, name: str) -> list[Path]:
        """Return a file of every part, in the order of the rows."""
        return [self.folder / part["folder"] / name for part in self._parts]

    @contextmanager
    def part(self, counts: Counts) -> Iterator[Path]:
        """Give a folder for the files of a part; the part is complete when the block succeeds.

        Parameters
        ----------
        counts : dict of str to int
            What the block counts, from 0 on, ``rows`` among it; added to `counts`.
        """
        folder = self.folder / f"{len(self._parts):08d}"
        folder.mkdir()
        yield folder
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        self._parts.append({"folder": folder.name, "counts": counts})
        self._write_journal()

    def stretches(self, rows: Iterable[Item], total: int) -> Iterator[Iterator[Item]]:
        """Yield the rows in stretches that take some seconds each; at least one for a new output.

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
            first = list(islice(remaining, 1))
            if not first and not self._parts:
                yield iter(())
            while first:
                yield _stretch(chain(first, remaining), stop)
                first = [] if stop() else list(islice(remaining, 1))
            n_rows = self.counts["rows"]
            if stop() and n_rows < total:
                raise InterruptedRunError(
                    f"interrupted; {n_rows} of {total} rows are kept in {self._shown}: the same "
                    "command goes on from there"
                )

    def discard(self) -> None:
        """Remove the parts: the output is complete."""
        shutil.rmtree(self.folder)


def _stretch(rows: Iterator[Item], stop: Callable[[], bool]) -> Iterator[Item]:
    end = time.monotonic() + SECONDS
    for row in rows:
        yield row
        if stop() or time.monotonic() > end:
            break


@contextmanager
def _stop_requested() -> Iterator[Callable[[], bool]]:
    """Give a function that tells of an interrupt; a second one raises KeyboardInterrupt as ever."""
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
