"""Files that appear once they are complete, and what may be written where."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from findna.errors import OutputError
from findna.outputs.claims import LOCK

MISSING = "."

UNFINISHED = ".unfinished"
"""Name of the folder of a model's or a task's files that are still to be moved into its own."""


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
    check_is_no_input(path, inputs)
    if path.exists() and not force:
        raise OutputError(f"{path}: exists; --force overwrites it")
    if not folder.is_dir():
        raise OutputError(f"{path}: there is no folder {folder}; create it first")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{path}: the folder {folder} is not writable")


def check_is_no_input(path: Path, inputs: Iterable[Path]) -> None:
    """Raise OutputError if an output would replace one of its inputs, by whatever name."""
    if path.is_file() and any(source.exists() and path.samefile(source) for source in inputs):
        raise OutputError(f"{path}: is also an input; name another file")


def check_folder(folder: Path, force: bool, last: str) -> None:
    """Raise OutputError if writing a model or a task would mix with what is in its folder.

    What a run that was killed in `published_folder` has left is no obstacle.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: exists and is not a folder")
    left = (folder / UNFINISHED).is_dir() and not (folder / last).exists()
    if force or left or not folder.is_dir():
        return
    if any(path.name != LOCK for path in folder.iterdir()):
        raise OutputError(f"{folder}: is not empty; --force writes into it all the same")


@contextmanager
def published_folder(folder: Path, last: str) -> Iterator[Path]:
    """Give a folder for the files of a model or a task; they are moved when the block succeeds.

    ``folder`` is none until the file called ``last`` has come, so a run that is killed leaves no
    mix of two. Other files in it stay.
    """
    complete = folder / UNFINISHED
    shutil.rmtree(complete, ignore_errors=True)
    complete.mkdir(parents=True)
    try:
        yield complete
    except BaseException:
        shutil.rmtree(complete, ignore_errors=True)
        raise
    (folder / last).unlink(missing_ok=True)
    files = [path.relative_to(complete) for path in complete.rglob("*") if path.is_file()]
    for file in sorted(files, key=lambda file: file.name == last):
        (folder / file).parent.mkdir(exist_ok=True)
        os.replace(complete / file, folder / file)
    shutil.rmtree(complete)


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
