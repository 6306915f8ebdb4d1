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
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block at the end of every complete BGZF file."""


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


def is_bgzf(head: bytes) -> bool:
    """Whether the first 18 bytes of a file are those of BGZF."""
    has_fields = len(head) == 18 and bool(head[3] & 4)
    return head.startswith(_GZIP_MAGIC) and has_fields and head[12:14] == b"BC"


class _CompleteBgzf:
    """Bytes of BGZF; its end is an error where the last block is missing.

    A file that was cut between two blocks is valid gzip: without this its last rows would be lost
    in silence.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._last = b""

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        if data:
            self._last = (self._last + data)[-len(BGZF_END) :]
        elif self._last != BGZF_END:
            raise EOFError("BGZF without its last block")
        return data


@contextmanager
def open_input(source: str | Path) -> Iterator[IO[bytes]]:
    """Bytes of a file or of standard input, decompressed if they are gzip or BGZF."""
    with open_raw(source) as raw:
        reader = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(Any, raw))
        if reader.peek(2)[:2] == _GZIP_MAGIC:
            checked = _CompleteBgzf(reader) if is_bgzf(reader.peek(18)[:18]) else reader
            with gzip.open(cast(Any, checked), "rb") as unzipped:
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
        The compressed data ends early or is damaged, a line holds a NUL byte or has no end, or
        lines end as on an old Mac: several would pass for one.
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
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            if b"\r" in line:
                raise RegionError(
                    f"{name}:{number}: a carriage return within the line; if the line ends are "
                    "those of an old Mac, convert them: tr '\\r' '\\n'"
                )
            yield number, line.decode("utf-8", "surrogateescape")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RegionError(
            f"{name}: compressed data ends early or is damaged after line {number}; "
            "copy or compress the file again"
        ) from error
