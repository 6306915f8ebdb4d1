"""Text of a file or of standard input, plain, gzip or BGZF."""

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

GZIP_MAGIC = b"\x1f\x8b"

BGZF_HEAD = 18
"""Bytes that tell whether a file is BGZF."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_BLOCK = 1 << 16
_LONGEST_LINE = 1 << 24  # bytes
_HEADERS = ("#", "track ", "track\t", "browser ", "browser\t")


def is_header(line: str) -> bool:
    """Return whether a line of BED is a comment, a track or browser line, or blank."""
    return not line.strip() or line.startswith(_HEADERS) or line in ("track", "browser")


def is_text(column: str) -> bool:
    """Return whether a column came from UTF-8; other bytes are read as lone surrogates."""
    return column.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in column)


def is_stdin(source: str | Path) -> bool:
    """Return whether a name stands for standard input."""
    return str(source) in STANDARD_INPUT


def is_pipe(source: str | Path) -> bool:
    """Return whether a name stands for bytes that can be read once only."""
    return is_stdin(source) or (Path(source).exists() and not Path(source).is_file())


def display_name(source: str | Path) -> str:
    """Return the name of a source in messages."""
    return "<stdin>" if is_stdin(source) else str(source)


def open_raw(source: str | Path) -> BinaryIO:
    """Open a file or standard input, and read its bytes as they are."""
    if not is_stdin(source):
        return Path(source).open("rb")
    if sys.stdin is None:
        raise RegionError("standard input is closed; give a file")
    return sys.stdin.buffer


def is_bgzf(head: bytes) -> bool:
    """Return whether a file that begins with these bytes (18 or more) is BGZF."""
    has_fields = len(head) >= BGZF_HEAD and bool(head[3] & 4)
    return head.startswith(GZIP_MAGIC) and has_fields and head[12:14] == b"BC"


class _Watched:
    """Reads from another reader, and keeps the first and the last bytes."""

    def __init__(self, reader: io.BufferedReader) -> None:
        self._reader = reader
        self.head = self.tail = b""

    def read(self, size: int) -> bytes:
        """Read what there is, without waiting for more."""
        data = self._reader.read1(size)
        if len(self.head) < BGZF_HEAD:
            self.head += data[:BGZF_HEAD]
        self.tail = (self.tail + data[-len(BGZF_END) :])[-len(BGZF_END) :]
        return data


class _Unzipped(io.RawIOBase):
    """Content of a gzip file; BGZF without its last block ends with EOFError.

    To gzip it is complete if it was cut off between two blocks. Where reading has failed it fails
    again: gzip would go on behind the damage.
    """

    def __init__(self, reader: io.BufferedReader) -> None:
        self._watched = _Watched(reader)
        self._file = gzip.GzipFile(fileobj=cast(Any, self._watched))
        self._failure: tuple[type[Exception], tuple[Any, ...]] | None = None  # holds no frames

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is, without waiting for more."""
        if self._failure is not None:
            kind, reasons = self._failure
            raise kind(*reasons)
        try:
            data = self._file.read1(len(buffer))
            if not data and is_bgzf(self._watched.head) and self._watched.tail != BGZF_END:
                raise EOFError
        except (EOFError, OSError, zlib.error) as error:
            self._failure = type(error), error.args
            raise
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def open_input(source: str | Path) -> Iterator[IO[bytes]]:
    """Open a file or standard input; gzip and BGZF are decompressed."""
    with open_raw(source) as raw:
        reader = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(Any, raw))
        if reader.peek(2)[:2] == GZIP_MAGIC:
            yield io.BufferedReader(_Unzipped(reader), _BLOCK)
        else:
            yield reader


def numbered_lines(
    file: IO[bytes] | BinaryIO, name: str, longest: int = _LONGEST_LINE
) -> Iterator[tuple[int, str]]:
    """Yield the lines as `line_blocks` does, one by one, numbered from 1."""
    for first, lines in line_blocks(file, name, longest):
        yield from enumerate(lines, first)


def line_blocks(
    file: IO[bytes] | BinaryIO, name: str, longest: int = _LONGEST_LINE
) -> Iterator[tuple[int, list[str]]]:
    """Yield lines without their ends (LF or CRLF), as many as are there, and the first's number.

    Bytes that are not UTF-8 pass through unchanged: written back with ``surrogateescape`` they
    are the same bytes again.

    Raises
    ------
    RegionError
        The compressed data ends early or is damaged, a line holds a NUL byte or has no end, or
        lines end as on an old Mac: several would pass for one.
    """
    number = 1
    try:
        for block in _whole_lines(file, longest):
            if number == 1:
                block = block.removeprefix(BYTE_ORDER_MARK)
            lines = _plain_lines(block, longest)
            if lines is not None:
                yield number, lines
                number += len(lines)
                continue
            for line in block.removesuffix(b"\n").split(b"\n"):
                yield number, [_text_of(line, f"{name}:{number}", longest)]
                number += 1
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RegionError(
            f"{name}: compressed data ends early or is damaged after line {number - 1}; "
            "copy or compress the file again"
        ) from error


def _whole_lines(file: Any, longest: int) -> Iterator[bytes]:
    """Yield blocks of whole lines; the last line may have no end, or be ``longest`` without one."""
    begun: list[bytes] = []  # of a line whose end was not read yet
    size = 0
    while data := file.read1(_BLOCK):
        lines, end, rest = data.rpartition(b"\n")
        if end:
            yield b"".join([*begun, lines, end])
            begun, size = [], 0
        if rest:
            begun.append(rest)
            size += len(rest)
        if size >= longest:
            break
    if begun:
        yield b"".join(begun)


def _plain_lines(block: bytes, longest: int) -> list[str] | None:
    """Return the lines of a block if none of them needs a closer look, by `_text_of`."""
    if len(block) > longest or b"\0" in block or not block.endswith(b"\n"):
        return None
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
        if b"\r" in block:
            return None
    try:
        return block[:-1].decode().split("\n")
    except UnicodeDecodeError:
        return None


def _text_of(line: bytes, location: str, longest: int) -> str:
    """Return the text of a line without its LF, or raise RegionError."""
    if len(line) >= longest:
        size = f"{longest >> 20} MiB"
        raise RegionError(f"{location}: line longer than {size}; not a text file")
    if b"\0" in line:
        raise RegionError(f"{location}: holds a NUL byte; not a text file")
    line = line.removesuffix(b"\r")
    if b"\r" in line:
        raise RegionError(
            f"{location}: a carriage return within the line; if the line ends are "
            "those of an old Mac, convert them: tr '\\r' '\\n'"
        )
    return line.decode("utf-8", "surrogateescape")
