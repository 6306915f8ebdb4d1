"""Where text comes from: a file, standard input, plain, gzip or BGZF."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from findna.errors import RegionError

STANDARD_INPUT = ("-", "stdin", "/dev/stdin")
_GZIP_MAGIC = b"\x1f\x8b"
_LONGEST_LINE = 1 << 24  # bytes
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def is_stdin(source: str | Path) -> bool:
    """Whether a name stands for standard input."""
    return str(source) in STANDARD_INPUT


def display_name(source: str | Path) -> str:
    """How messages call a source."""
    return "<stdin>" if is_stdin(source) else str(source)


def open_raw(source: str | Path) -> BinaryIO:
    """Bytes of a file or of standard input, as they are."""
    if not is_stdin(source):
        return Path(source).open("rb")
    if sys.stdin is None:
        raise RegionError("standard input is closed; give a file")
    return sys.stdin.buffer


@contextmanager
def open_input(source: str | Path) -> Iterator[IO[bytes]]:
    """Bytes of a file or of standard input, decompressed if they are gzip or BGZF."""
    with open_raw(source) as raw:
        reader = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(Any, raw))
        if reader.peek(2)[:2] == _GZIP_MAGIC:
            with gzip.open(reader, "rb") as unzipped:
                yield cast(IO[bytes], unzipped)
        else:
            yield reader


def numbered_lines(
    file: IO[bytes] | BinaryIO, name: str, longest: int = _LONGEST_LINE
) -> Iterator[tuple[int, str]]:
    """Lines without their ends (LF or CRLF), numbered from 1.

    Bytes that are not UTF-8 pass through unchanged: written back with ``surrogateescape`` they
    are the same bytes again.

    Raises
    ------
    RegionError
        The compressed data ends early or is damaged, a line holds a NUL byte or has no end.
    """
    number = 0
    try:
        while line := file.readline(longest):
            number += 1
            if len(line) == longest and not line.endswith(b"\n"):
                size = f"{longest >> 20} MiB"
                raise RegionError(f"{name}:{number}: line longer than {size}; not a text file")
            if b"\0" in line:
                raise RegionError(f"{name}:{number}: holds a NUL byte; not a text file")
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            yield number, line.rstrip(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RegionError(
            f"{name}: compressed data ends early or is damaged after line {number}; "
            "copy or compress the file again"
        ) from error
