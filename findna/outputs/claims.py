"""Folders that one run at a time writes to."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from findna.errors import OutputError

LOCK = ".lock"
"""Name of the file by which a run keeps others out of its folder; a killed run leaves it behind."""


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make a folder and keep other runs out of it; what stays empty is removed again.

    Raises
    ------
    OutputError
        It is a file, or another run is at work in it.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: exists and is not a folder")
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(folder / LOCK):
            yield
    finally:
        with suppress(OSError):  # one holds something
            for path in new:
                path.rmdir()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file, which is removed at the end."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)  # never through a link
    with open(number, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # the run that held the file may just have removed it
            taken = not os.path.samestat(os.fstat(file.fileno()), path.stat())
        except (BlockingIOError, FileNotFoundError):
            taken = True
        except OSError:  # a file system without locks
            taken = False
        if taken:
            raise OutputError(f"{path.parent}: another run is at work in it; wait or name another")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
