"""BGZF that findna packs itself."""

import gzip
import io
import random

import pysam
import pytest

from findna.outputs.bgzf import bgzf


def packed(pieces):
    file = io.BytesIO()
    with bgzf(file) as out:
        for piece in pieces:
            out.write(piece)
    return file.getvalue()


@pytest.mark.parametrize("size", [0, 1, 0xFEFF, 0xFF00, 0xFF01, 300_000])
def test_bytes_do_not_depend_on_how_the_data_comes_in(size, tmp_path):
    rng = random.Random(size)
    data = rng.randbytes(size // 2) + b"A" * (size - size // 2)
    whole = packed([data])
    cuts = sorted(rng.choices(range(size + 1), k=40))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, size], strict=True)]
    assert packed(pieces) == whole
    assert gzip.decompress(whole) == data
    path = tmp_path / "x.gz"
    path.write_bytes(whole)
    with pysam.BGZFile(str(path)) as file:
        assert file.read() == data


def test_a_flush_ends_a_block():
    file = io.BytesIO()
    with bgzf(file) as out:
        out.write(b"one\n")
        out.flush()
        assert gzip.decompress(file.getvalue()) == b"one\n"
        out.write(b"two\n")
    assert gzip.decompress(file.getvalue()) == b"one\ntwo\n"


def test_nothing_more_is_written_after_a_failure():
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), bgzf(Full()) as out:
        out.write(b"x" * 70_000)
