"""An output that is not finished: its complete parts, kept beside it until it is.

Parts are folders; a journal lists the complete ones and what decides their content. Whatever is
being written when a run is killed is in no part, and is made again.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from findna.console import counted
from findna.errors import InterruptedRunError, OutputError
from findna.outputs.claims import LOCK, claimed
from findna.outputs.destination import DIGEST, JOURNAL, WHOLE, Destination
from findna.outputs.files import file_digest
from findna.outputs.shards import (
    Counts,
    Facts,
    difference,
    finished_note,
    is_count,
    read_journal,
    write_journal,
)

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

OUTPUT = "output"
"""Name of the file in a part."""

_PART = re.compile("[0-9]{8,}")
_NEW_JOURNAL = re.compile(r"\.journal\.json\.[0-9a-f]+\.tmp")  # of a run that was killed

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
        The parts belong to another run, are not as they were written, or one is at work on them
        now; or the folder is a link, or holds something else.
    """
    folder = output.parts
    shown = output.file.with_name(folder.name)
    if folder.is_symlink():
        raise OutputError(f"{shown}: is a symbolic link; parts are kept in a folder: remove it")
    if folder.is_dir():
        _check_own(folder, shown)
    with claimed(folder):
        yield Unfinished(folder, output, facts)


def _check_own(folder: Path, shown: Path) -> None:
    """Raise OutputError if a folder holds what no run has put there: it would be removed."""
    has_journal = (folder / JOURNAL).is_file()
    for path in folder.iterdir():
        if not _is_own(path) or (path.is_dir() and not has_journal):
            raise OutputError(
                f"{shown}: holds {path.name}, which is no part of an unfinished output; "
                "move the folder away, or name another output"
            )


def _is_own(path: Path) -> bool:
    """Return whether a file, or folder, is what a run keeps of an unfinished output."""
    if path.is_symlink():
        return False
    if path.is_dir():
        files = list(path.iterdir())
        return bool(_PART.fullmatch(path.name)) and files in ([], [path / OUTPUT])
    known = (LOCK, JOURNAL, WHOLE, DIGEST)
    return path.name in known or bool(_NEW_JOURNAL.fullmatch(path.name))


def _remove(path: Path) -> None:
    """Remove a file, or the folder of a part."""
    if path.is_dir():
        (path / OUTPUT).unlink(missing_ok=True)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


class Unfinished:
    """Complete parts of an output that is not finished; see `open_unfinished`.

    Attributes
    ----------
    is_published : bool
        The output itself is complete: a run was killed before it removed the parts, or another
        shard of its job was not finished.
    """

    def __init__(self, folder: Path, output: Destination, facts: Facts) -> None:
        self.folder = folder
        self._shown = output.file.with_name(folder.name)
        shard = output.shard
        self._facts = json.loads(json.dumps(facts))
        finished = None
        if shard is not None:
            finished = finished_note(output.file, shard, self._facts)
            self._facts["shard"] = f"{shard.number}/{shard.count}"
        self._parts: list[dict[str, Any]] = []
        self.is_published = False
        if (folder / JOURNAL).exists():
            self._open_journal(output)
        self._finished: Counts = {}
        if finished is not None:
            logger.info("%s is finished", output.file)
            self.is_published, self._finished = True, finished.counts
            (folder / DIGEST).write_text(finished.sha256)
        kept = {LOCK, DIGEST, *(self._part(i).name for i in range(len(self._parts)))}
        # what was being written when a run was killed
        for path in folder.iterdir():
            if path.name not in kept:
                _remove(path)
        self._write_journal()

    def _open_journal(self, output: Destination) -> None:
        """Take over the complete parts, if they are those of this run and as they were written."""
        try:
            values = read_journal(self.folder / JOURNAL)
            differing = difference(_mapping(values.get("facts")), self._facts)
            if differing:
                raise OutputError(
                    f"{self._shown}: holds parts of another run: {'; '.join(differing[:3])}"
                )
            parts = values.get("parts")
            if not isinstance(parts, list) or not all(map(_is_part, parts)):
                raise OutputError(f"{self._shown}: its {JOURNAL} is no list of parts")
            self.is_published = output.is_published
            for i, part in enumerate(parts):
                path = self._part(i) / OUTPUT
                if not self.is_published and (
                    not path.is_file() or file_digest(path) != part["sha256"]
                ):
                    raise OutputError(f"{self._shown}: part {i:08d} is not what the run wrote")
            self._parts = parts
        except OutputError as error:
            self.is_published = False
            if not output.force:
                remedy = "--force throws the parts away, or name another output"
                raise OutputError(f"{error}; {remedy}") from error

    def _write_journal(self) -> None:
        write_journal(self.folder / JOURNAL, {"facts": self._facts, "parts": self._parts})

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:08d}"

    @property
    def counts(self) -> Counts:
        """Sums of what was counted in complete parts; ``rows`` are their rows."""
        if self._finished:
            return self._finished
        total = Counter[str](rows=0)
        for part in self._parts:
            total.update(part["counts"])
        return dict(total)

    @property
    def files(self) -> list[Path]:
        """The file of every part, in the order of the rows."""
        return [self._part(i) / OUTPUT for i in range(len(self._parts))]

    @contextmanager
    def part(self, counts: Counts) -> Iterator[Path]:
        """Give the path of the file of a part; the part is complete when the block succeeds.

        Parameters
        ----------
        counts : dict of str to int
            What the block counts, from 0 on, ``rows`` among it; added to `counts`.
        """
        folder = self._part(len(self._parts))
        folder.mkdir()
        path = folder / OUTPUT
        yield path
        with path.open("rb") as file:
            os.fsync(file.fileno())
        self._parts.append({"counts": counts, "sha256": file_digest(path)})
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
                    f"interrupted; {n_rows} of {counted(total, 'row')} kept in {self._shown}: the "
                    "same command goes on from there"
                )

    def discard(self) -> None:
        """Remove the parts: the output is complete."""
        for path in sorted(filter(_is_own, self.folder.iterdir())):  # the journal after the parts
            _remove(path)
        with suppress(OSError):  # somebody else put something there
            self.folder.rmdir()


def _mapping(value: Any) -> Facts:
    return value if isinstance(value, dict) else {}


def _is_part(value: Any) -> bool:
    counts = _mapping(_mapping(value).get("counts"))
    has_counts = all(map(is_count, counts.values())) and {"rows", "header_lines"} <= counts.keys()
    return has_counts and "sha256" in value


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
