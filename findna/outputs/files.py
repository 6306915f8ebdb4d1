"""Files that appear once they are complete, streams of text, and their indexes."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO, cast

from findna.errors import OutputError
from findna.genome.bed import is_header

MISSING = "."
COMPRESSED = (".gz", ".bgz")
"""Endings of names that get BGZF."""


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
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder}: is not empty; --force writes the model into it all the same")


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


def is_stdout(path: Path | None) -> bool:
    """Whether results go to standard output."""
    return path is None or str(path) in ("-", "/dev/stdout")


def is_device(path: Path) -> bool:
    """Whether a name stands for a pipe or a device, which is written to and never replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


def is_live(path: Path | None) -> bool:
    """Whether somebody may be reading what is written while it is written."""
    return path is None or is_stdout(path) or is_device(path)


@contextmanager
def open_text_output(path: Path | None, force: bool = False) -> Iterator[BinaryIO]:
    """Where text results go: standard output (None or ``-``), or a file once it is complete.

    A name that ends in ``.gz`` or ``.bgz`` gets BGZF. A pipe or a device is written to directly.
    """
    if is_stdout(path):
        if sys.stdout is None:
            raise OutputError("standard output is closed; name a file with -o")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    assert path is not None
    if is_device(path):
        with path.open("wb") as file:
            yield file
        return
    with published(path, force) as temporary:
        if path.suffix in (".gz", ".bgz"):
            from pysam import BGZFile

            with BGZFile(str(temporary), "wb", None) as file:
                yield cast(BinaryIO, file)
        else:
            with temporary.open("wb") as file:
                yield file


def index_table(path: Path) -> None:
    """Make a tabix index (.tbi) beside a BGZF file of BED rows.

    Raises
    ------
    OutputError
        Its rows are not sorted; the file itself is complete.
    """
    from pysam import BGZFile, tabix_index

    with BGZFile(str(path), "rb", None) as file:
        lines = (line.decode("utf-8", "surrogateescape") for line in file)
        n_headers = sum(1 for _ in takewhile(is_header, lines))
    columns: dict[str, Any] = {"seq_col": 0, "start_col": 1, "end_col": 2, "zerobased": True}
    try:  # not its preset "bed", which stumbles over track lines
        tabix_index(str(path), **columns, line_skip=n_headers, force=True, keep_original=True)
    except OSError as error:
        raise OutputError(
            f"{path}: written, but not indexed: its rows are not sorted; sort the input "
            "(sort -k1,1 -k2,2n) and run again"
        ) from error


def index_variants(path: Path, longest: int) -> None:
    """Make a .tbi index beside BGZF, or a .csi beside BCF or where a contig is too long for .tbi.

    Parameters
    ----------
    longest : int
        Length of the longest contig, bp.

    Raises
    ------
    OutputError
        The records are not sorted; the file itself is complete.
    """
    import pysam

    csi = path.suffix == ".bcf" or longest > 1 << 29
    before = pysam.set_verbosity(0)
    try:
        pysam.tabix_index(str(path), preset="vcf", force=True, keep_original=True, csi=csi)
    except OSError as error:
        raise OutputError(
            f"{path}: written, but not indexed: its records are not sorted; sort it (bcftools "
            "sort) and index the result"
        ) from error
    finally:
        pysam.set_verbosity(before)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()
