import gzip
import hashlib
import os
import subprocess
import time

import pytest
from Bio import bgzf

from findna.encoding import decode
from findna.errors import GenomeError
from findna.genome import Genome, read_aliases
from tests.conftest import random_sequence

SEQUENCE = random_sequence(200_000, letters="ACGTacgtN")


def fasta(sequence=SEQUENCE, width=61):
    lines = "\n".join(sequence[i : i + width] for i in range(0, len(sequence), width))
    return f">one description\n{lines}\n>two\nACGT\n".encode()


def write_bgzf(path, data):
    with bgzf.open(str(path), "wb") as file:
        file.write(data)
    return path


@pytest.fixture(params=["plain", "bgzf"])
def path(request, tmp_path):
    if request.param == "plain":
        (tmp_path / "g.fa").write_bytes(fasta())
        return tmp_path / "g.fa"
    return write_bgzf(tmp_path / "g.fa.gz", fasta())


def test_any_interval(path):
    with Genome(path) as genome:
        assert genome.contigs == {"one": len(SEQUENCE), "two": 4}
        for start, end in [(0, 1), (0, 61), (60, 62), (65_270, 65_300), (199_990, 200_000), (5, 5)]:
            assert decode(genome.fetch("one", start, end)) == SEQUENCE[start:end].upper()
        for start in range(0, 199_000, 997):
            assert (
                decode(genome.fetch("one", start, start + 500))
                == SEQUENCE[start : start + 500].upper()
            )


def test_overhang_is_n(path):
    with Genome(path) as genome:
        assert decode(genome.fetch("two", -2, 6)) == "NNACGTNN"
        assert decode(genome.fetch("two", 10, 12)) == "NN"


def test_chunks_are_the_contig(path):
    with Genome(path) as genome:
        assert "".join(decode(c) for c in genome.chunks("one")) == SEQUENCE.upper()


def test_digest_is_m5(path):
    with Genome(path) as genome:
        expected = hashlib.md5(SEQUENCE.upper().encode()).hexdigest()
        assert genome.digests(["one"]) == {"one": expected}
        assert genome.digests(["one", "two"])["one"] == expected  # from the cache


def test_an_index_is_used_unless_it_is_older(path, tmp_path):
    Genome(path).close()
    index = tmp_path / f"{path.name}.fai"
    made = index.stat().st_mtime_ns
    Genome(path).close()
    assert index.stat().st_mtime_ns == made
    data = b">three\nAC\n"
    write_bgzf(path, data) if path.suffix == ".gz" else path.write_bytes(data)
    later = time.time() + 10
    os.utime(path, (later, later))
    with Genome(path) as genome:
        assert genome.contigs == {"three": 2}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder_permissions(path, tmp_path):
    tmp_path.chmod(0o555)
    try:
        with Genome(path) as genome:
            assert decode(genome.fetch("two", 0, 4)) == "ACGT"
    finally:
        tmp_path.chmod(0o755)


def test_index_in_the_cache_where_the_folder_is_not_writable(path, tmp_path, monkeypatch):
    import tempfile

    ordinary = tempfile.TemporaryDirectory

    def refuse(dir):
        if str(dir) == str(tmp_path):
            raise PermissionError(13, "Permission denied")
        return ordinary(dir=dir)

    monkeypatch.setattr("findna.genome.tempfile.TemporaryDirectory", refuse)
    for _ in range(2):  # the second time from the cache
        with Genome(path) as genome:
            assert decode(genome.fetch("two", 0, 4)) == "ACGT"
    assert not (tmp_path / f"{path.name}.fai").exists()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.fa.gz", gzip.compress(fasta()), r"plain gzip .* bgzip"),
        ("a.fa", b"", "cannot index"),
        ("a.fa", b"ACGT\n", "cannot index"),
        ("a.fa", b">a\nACGT\nAC\nACGT\n", "cannot index"),
        ("a.fa", b">a\nACGT\n>a\nACGT\n", "Duplicate"),
        ("a.fa", b"\xff\xfe\x00", "cannot index"),
    ],
)
def test_files_that_are_not_usable(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(GenomeError, match=message):
        Genome(tmp_path / name)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(GenomeError, match="no such file"):
        Genome(tmp_path / "none.fa")
    with pytest.raises(GenomeError, match="is a folder"):
        Genome(tmp_path)


def test_index_of_another_file(tmp_path):
    path = tmp_path / "g.fa"
    path.write_bytes(b">a\nACGTACGT\n")
    (tmp_path / "g.fa.fai").write_text("a\t800\t3\t8\t9\n")
    with Genome(path) as genome, pytest.raises(GenomeError, match="not fit its index"):
        genome.fetch("a", 0, 700)


def test_truncated_bgzf(tmp_path):
    path = write_bgzf(tmp_path / "g.fa.gz", fasta())
    Genome(path).close()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    past = time.time() - 100
    os.utime(path, (past, past))  # so that the indexes still count
    with pytest.raises(GenomeError), Genome(path) as genome:
        genome.fetch("one", 150_000, 150_100)


def test_aliases(tmp_path, path):
    (tmp_path / "alias.tsv").write_text("#c\n1\tone\n\n")
    aliases = read_aliases(tmp_path / "alias.tsv")
    with Genome(path, aliases) as genome:
        assert genome.resolve("1") == "one"
        assert genome.resolve("one") == "one"
        assert genome.resolve("9") is None
    (tmp_path / "bad.tsv").write_text("1 one\n")
    with pytest.raises(GenomeError, match=r"bad.tsv:1: expected two"):
        read_aliases(tmp_path / "bad.tsv")


def test_samtools_reads_our_index(path, tmp_path):
    import shutil

    if shutil.which("samtools") is None:
        pytest.skip("samtools is not installed")
    Genome(path).close()
    out = subprocess.run(
        ["samtools", "faidx", path, "one:65271-65300"], capture_output=True, text=True, check=True
    ).stdout
    assert out.splitlines()[1] == SEQUENCE[65_270:65_300]
