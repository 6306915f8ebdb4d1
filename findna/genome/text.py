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

BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block at the end of every complete BGZF file."""

_GZIP_MAGIC = b"\x1f\x8b"

_BGZF_HEAD = 18  # bytes

_BLOCK = 1 << 16

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


def is_bgzf(head: bytes) -> bool:
    """Whether a file that begins with these bytes (18 or more) is BGZF."""
    has_fields = len(head) >= _BGZF_HEAD and bool(head[3] & 4)
    return head.startswith(_GZIP_MAGIC) and has_fields and head[12:14] == b"BC"


class _Watched(io.RawIOBase):
    """The bytes of another reader, of which the first and the last are kept."""

    def __init__(self, reader: io.BufferedReader) -> None:
        self._reader = reader
        self.head = self.tail = b""

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What there is, without waiting for more."""
        n = self._reader.readinto1(buffer)
        if len(self.head) < _BGZF_HEAD:
            self.head += bytes(buffer[: min(n, _BGZF_HEAD)])
        last = bytes(buffer[max(n - len(BGZF_END), 0) : n])
        self.tail = (self.tail + last)[-len(BGZF_END) :]
        return n


class _Unzipped(io.RawIOBase):
    """What gzip holds; BGZF without its last block ends with EOFError.

    To gzip it is complete if it was cut off between two blocks.
    """

    def __init__(self, reader: io.BufferedReader) -> None:
        self._watched = _Watched(reader)
        self._file = gzip.GzipFile(fileobj=cast(Any, self._watched))

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What there is, without waiting for more."""
        data = self._file.read1(len(buffer))
        buffer[: len(data)] = data
        if not data and is_bgzf(self._watched.head) and self._watched.tail != BGZF_END:
            raise EOFError
        return len(data)


@contextmanager
def open_input(source: str | Path) -> Iterator[IO[bytes]]:
    """Bytes of a file or of standard input, decompressed if they are gzip or BGZF."""
    with open_raw(source) as raw:
        reader = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(Any, raw))
        if reader.peek(2)[:2] == _GZIP_MAGIC:
            yield io.BufferedReader(_Unzipped(reader), _BLOCK)
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
