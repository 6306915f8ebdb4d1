"""Files that appear once they are complete, and what may be written where."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from findna.errors import OutputError
from findna.outputs.claims import LOCK

MISSING = "."


def check_output(path: Path, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise OutputError unless ``path`` can be written; cheap, so done before any work.

    ``inputs`` are files that it must not replace.
    """
    try:
        folder = path.resolve().parent
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{path}: a symbolic link that leads nowhere") from error
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: not a regular file; this output needs one")
    if path.exists() and any(source.exists() and path.samefile(source) for source in inputs):
        raise OutputError(f"{path}: is also an input; name another file")
    if path.exists() and not force:
        raise OutputError(f"{path}: exists; --force overwrites it")
    if not folder.is_dir():
        raise OutputError(f"{path}: there is no folder {folder}; create it first")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{path}: the folder {folder} is not writable")


def check_model_folder(folder: Path, force: bool) -> None:
    """Raise OutputError if writing a model to ``folder`` would mix with what is in it."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: exists and is not a folder")
    if not force and folder.is_dir() and any(path.name != LOCK for path in folder.iterdir()):
        raise OutputError(f"{folder}: is not empty; --force writes the model into it all the same")


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a temporary neighbour of ``path`` that takes its name when the block succeeds.

    No other run has this neighbour. If the block fails it is removed, and what was there before
    stays.
    """
    target = path.resolve()  # a symbolic link keeps pointing at the new file
    temporary = _new_neighbour(target)
    try:
        yield temporary
        os.replace(temporary, target)
    except BrokenPipeError as error:  # a file that was asked for and is not there is a failure
        raise OutputError(
            f"{path}: not written, since the reader of another output ended (as `head` does); "
            "write that output to a file"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _new_neighbour(target: Path) -> Path:
    """Make an empty file beside ``target`` under a name that no file had."""
    while True:
        path = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        with suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()
