"""Publish an output once it is complete: written beside its final name, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from findna.errors import OutputError


def check_output(path: Path, force: bool) -> None:
    """Raise OutputError unless ``path`` can be written; cheap, so done before any work."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    if path.exists() and not force:
        raise OutputError(f"{path}: exists; --force overwrites it")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise OutputError(f"{path}: there is no folder {folder}; create it first")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{path}: the folder {folder} is not writable")


@contextmanager
def published(path: Path, force: bool) -> Iterator[Path]:
    """`replaced`, for an output the user named."""
    check_output(path, force)
    with replaced(path) as temporary:
        yield temporary


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary neighbour of ``path`` that takes its name when the block succeeds.

    If the block fails the neighbour is removed, and what was there before stays.
    """
    target = path.resolve()  # a symbolic link keeps pointing at the new file
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
