"""BGZF: gzip in blocks, as htslib's tools index it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from findna.genome.text import BGZF_END

_MOST = 0xFF00  # bytes in a block, as in htslib
_HEAD = bytes.fromhex("1f8b08040000000000ff060042430200")


class _Blocks(io.RawIOBase):
    """Writes each piece as a block of its own, until it has ended."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.has_ended = False

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Write a block of as much as it can hold; return how much that is."""
        piece = bytes(data[:_MOST])
        if not self.has_ended:
            packer = zlib.compressobj(wbits=-15)
            packed = packer.compress(piece) + packer.flush()
            tail = struct.pack("<II", zlib.crc32(piece), len(piece))
            size = struct.pack("<H", len(_HEAD) + 2 + len(packed) + len(tail) - 1)
            self._file.write(_HEAD + size + packed + tail)
        return len(piece)

    def flush(self) -> None:
        """Pass on what is written."""
        if not self.has_ended:
            self._file.flush()


@contextmanager
def bgzf(file: BinaryIO) -> Iterator[BinaryIO]:
    """Give a file whose content goes to ``file`` as BGZF; each flush ends a block."""
    blocks = _Blocks(file)
    buffer = io.BufferedWriter(blocks, _MOST)
    try:
        yield cast(BinaryIO, buffer)
        buffer.flush()
        file.write(BGZF_END)
    finally:
        blocks.has_ended = True  # after a failure the buffer still holds what could not be written
        buffer.close()
