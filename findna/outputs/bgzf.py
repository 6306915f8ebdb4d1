"""BGZF: gzip in blocks, as htslib's tools index it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from findna.genome.text import BGZF_END

_MOST = 0xFF00  # bytes in a block, as in htslib
_HEAD = bytes.fromhex("1f8b08040000000000ff060042430200")


class _Blocks:
    """Writes blocks that are as full as they can be, however the data comes in."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        """Write what fills blocks, and hold the rest."""
        self._waiting += data
        while len(self._waiting) >= _MOST:
            self._write_block(bytes(self._waiting[:_MOST]))
            del self._waiting[:_MOST]
        return len(data)

    def flush(self) -> None:
        """End the block, and pass on what is written."""
        if self._waiting:
            self._write_block(bytes(self._waiting))
            self._waiting.clear()
        self._file.flush()

    def _write_block(self, piece: bytes) -> None:
        packer = zlib.compressobj(wbits=-15)
        packed = packer.compress(piece) + packer.flush()
        tail = struct.pack("<II", zlib.crc32(piece), len(piece))
        size = struct.pack("<H", len(_HEAD) + 2 + len(packed) + len(tail) - 1)
        self._file.write(_HEAD + size + packed + tail)


@contextmanager
def bgzf(file: BinaryIO) -> Iterator[BinaryIO]:
    """Give a file whose content goes to ``file`` as BGZF; each flush ends a block."""
    blocks = _Blocks(file)
    yield cast(BinaryIO, blocks)
    blocks.flush()
    file.write(BGZF_END)
