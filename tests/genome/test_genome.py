import gzip
import hashlib
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pysam
import pytest
from Bio import bgzf
from hypothesis import given, settings
from hypothesis import strategies as st

from findna.errors import GenomeError
from findna.genome import fasta as module
from findna.genome.encoding import decode, encode
from findna.genome.fasta import Genome, read_aliases
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
        assert "".join(decode(c & 7) for c in genome.chunks("one")) == SEQUENCE.upper()


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

    monkeypatch.setattr("findna.genome.index.tempfile.TemporaryDirectory", refuse)
    for _ in range(2):  # the second time from the cache
        with Genome(path) as genome:
            assert decode(genome.fetch("two", 0, 4)) == "ACGT"
    assert not (tmp_path / f"{path.name}.fai").exists()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.fa.gz", gzip.compress(fasta(), mtime=0), r"plain gzip .* bgzip"),
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


@pytest.mark.parametrize("packed", [False, True])
def test_records_that_htslib_leaves_out(tmp_path, packed, capfd):
    """Empty ones are contigs of length 0; two of one name are refused; nothing is printed."""

    def write(data):
        path = tmp_path / ("g.fa.gz" if packed else "g.fa")
        return write_bgzf(path, data) if packed else (path.write_bytes(data), path)[1]

    with Genome(write(b">a\nACGT\n>b\n>c\nAC\n>d\n")) as genome:
        assert genome.contigs == {"a": 4, "b": 0, "c": 2, "d": 0}
        assert decode(genome.fetch("c", 0, 2)) == "AC"
    later = time.time() + 10
    os.utime(write(b">a\nACGT\n>b\nA\n>a\nAC\n"), (later, later))
    with pytest.raises(GenomeError, match="Duplicate"):
        Genome(tmp_path / ("g.fa.gz" if packed else "g.fa"))
    assert capfd.readouterr() == ("", "")


def test_the_index_is_that_of_samtools(path, tmp_path):
    Genome(path).close()
    built = {index.name: index.read_bytes() for index in tmp_path.glob("*i")}
    pysam.faidx(str(path))
    assert built == {name: (tmp_path / name).read_bytes() for name in built}
    assert built


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(GenomeError, match="no such file"):
        Genome(tmp_path / "none.fa")
    with pytest.raises(GenomeError, match="is a folder"):
        Genome(tmp_path)


def test_index_of_another_file(tmp_path):
    path = tmp_path / "g.fa"
    path.write_bytes(b">a\nACGTACGT\n")
    (tmp_path / "g.fa.fai").write_text("a\t800\t3\t8\t9\n")
    with pytest.raises(GenomeError, match="not fit its index"), Genome(path) as genome:
        genome.fetch("a", 0, 700)


def read_all(path):
    """Every contig, a piece at a time."""
    with Genome(path) as genome:
        for name, n in genome.contigs.items():
            for start in range(-2, n + 2, 10_000):
                genome.fetch(name, start, min(start + 100, n + 2))


TWO = b">a x\nACGTACGT\nTTGG\n>b\nCCCC\nAA\n"
TWO_INDEX = "a\t12\t5\t8\t9\nb\t6\t22\t4\t5\n"


@pytest.mark.parametrize(
    ("data", "index"),
    [
        (TWO.replace(b"a x", b"a xy"), TWO_INDEX),  # everything lies one byte further on
        (TWO.replace(b">b", b">c"), TWO_INDEX),
        (TWO.replace(b"ACGTACGT\nTTGG", b"ACGTACG\nTTTGG"), TWO_INDEX),
        (TWO + b">c\nAC\n", TWO_INDEX),
        (TWO, TWO_INDEX.replace("\t12\t", "\t11\t")),
        (TWO, TWO_INDEX.replace("\t12\t", "\t0\t")),
        (TWO, TWO_INDEX.replace("\t8\t9", "\t7\t8")),
        (TWO, TWO_INDEX.replace("\t8\t9", "\t8\t99999999999")),
        (TWO, TWO_INDEX.replace("\t8\t9", "\t0\t0")),
        (TWO, TWO_INDEX.replace("\t22\t", "\t-22\t")),
        (TWO, TWO_INDEX.replace("\t6\t", "\t-6\t")),
        (TWO, TWO_INDEX.splitlines()[0] + "\n"),
        (TWO, TWO_INDEX.splitlines()[1] + "\n"),
        (TWO, TWO_INDEX.replace("b\t", "b\t\t")),
    ],
)
def test_an_index_that_does_not_fit(tmp_path, data, index):
    """Newer than the FASTA, but of another one: it would give other bases without a word."""
    path = tmp_path / "g.fa"
    path.write_bytes(data)
    (tmp_path / "g.fa.fai").write_text(index)
    with pytest.raises(GenomeError):
        read_all(path)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("width", [61, 10**9])
@pytest.mark.parametrize("name", ["g.fa", "g.fa.gz"])
def test_indexes_of_samtools_are_used(tmp_path, name, width, end):
    """Also where they leave out empty records."""
    letters = {"none": b"", "one": SEQUENCE.encode(), "two": b"", "three": b"ACGTA"}
    content = b""
    for contig, text in letters.items():
        lines = [text[i : i + width] for i in range(0, len(text), width)]
        content += end.join([b">" + contig.encode(), *lines, b""])
    path = tmp_path / name
    if name.endswith(".gz"):
        with pysam.BGZFile(str(path), "wb") as file:
            file.write(content)
    else:
        path.write_bytes(content)
    pysam.faidx(str(path))
    index = Path(f"{path}.fai")
    before = index.read_bytes(), index.stat().st_mtime_ns
    with Genome(path) as genome:
        assert {"one", "three"} <= set(genome.contigs)
        for start in range(0, 199_000, 9_973):
            found = decode(genome.fetch("one", start, start + 100))
            assert found == SEQUENCE[start : start + 100].upper()
        assert decode(genome.fetch("three", 0, 5)) == "ACGTA"
    assert before == (index.read_bytes(), index.stat().st_mtime_ns)


def test_contigs_are_in_the_order_of_the_file(tmp_path):
    path = tmp_path / "g.fa"
    path.write_bytes(TWO)
    (tmp_path / "g.fa.fai").write_text("".join(reversed(TWO_INDEX.splitlines(True))))
    with Genome(path) as genome:
        assert list(genome.contigs) == ["a", "b"]
        assert decode(genome.fetch("a", 6, 12)) == "GTTTGG"


def test_a_last_line_longer_than_the_others(tmp_path):
    """pyfaidx indexes it, and then reads other bases."""
    path = tmp_path / "g.fa"
    path.write_bytes(b">a\nACGT\nACGTACGT\n")
    with pytest.raises(GenomeError, match="not all as long"), Genome(path) as genome:
        genome.fetch("a", 0, 12)


@pytest.mark.parametrize("by_samtools", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        b">a\nACGTACGT \nACGTACGT \nACG\n",
        b">a\n ACGTACG\n ACGTACG\n",
        b">a\nACGT ACGT\nACGT ACGT\n",
        b">a\nACGT\tACGT\r\nACGT\tACGT\r\n",
        b">a\nACGTACGTA\nACGT ACGT\n",
        b">a\nACGTACGT\nACGTACG \n>b\nACGT\n",
    ],
)
def test_white_space_in_sequence(content, packed, by_samtools, run, tmp_path):
    """samtools passes over it, others count it as bases: positions behind it would shift."""
    path = tmp_path / "g.fa"
    path.write_bytes(content)
    if packed:
        path = write_bgzf(tmp_path / "g.fa.gz", content)
    if by_samtools and subprocess.run(["samtools", "faidx", path], capture_output=True).returncode:
        pytest.skip("samtools cannot index it either")
    result = run("embed", path, "-O", "tsv", code=1)
    if by_samtools and "remove the .fai" in result.stderr:
        Path(f"{path}.fai").unlink()
        result = run("embed", path, "-O", "tsv", code=1)
    assert "white space within the sequence" in result.stderr


def test_white_space_that_an_index_counts(tmp_path):
    """As pyfaidx indexes it: each blank is a base."""
    path = tmp_path / "g.fa"
    path.write_bytes(b">a\nACGTACGT \nACGTACGT \n>b\nACGTACG\nAC TACG\n")
    index = tmp_path / "g.fa.fai"
    index.write_text("a\t18\t3\t9\t10\nb\t14\t26\t7\t8\n")
    with Genome(path) as genome:
        with pytest.raises(GenomeError, match=r"g\.fa: a: white space"):
            genome.fetch("a", 10, 12)
        genome.fetch("b", 0, 5)
        with pytest.raises(GenomeError, match=r"g\.fa: b:1-14: white space"):
            genome.digests(["b"])


def test_letters_of_several_bytes(tmp_path):
    path = tmp_path / "g.fa"
    path.write_bytes(">a\nACÉGT\n>b\nACGT\n".encode())
    with pytest.raises(GenomeError), Genome(path) as genome:
        genome.fetch("a", 3, 5)


@pytest.mark.parametrize("at", [8, 16, 24])
def test_block_index_that_does_not_fit(tmp_path, at):
    path = write_bgzf(tmp_path / "g.fa.gz", fasta())
    Genome(path).close()
    index = tmp_path / "g.fa.gz.gzi"
    data = bytearray(index.read_bytes())
    data[at] ^= 4
    index.write_bytes(data)
    with pytest.raises(GenomeError):
        read_all(path)


@settings(max_examples=60)
@given(
    st.lists(st.text("ACGTNacgtnRYU", max_size=70), min_size=1, max_size=4),
    st.integers(1, 20),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_any_fasta(tmp_path_factory, sequences, width, end, last_end, packed, data):
    lines = []
    for i, text in enumerate(sequences):
        lines += [f">c{i} some text", *(text[j : j + width] for j in range(0, len(text), width))]
    content = end.join(line.encode() for line in lines) + (end if last_end else b"")
    path = tmp_path_factory.mktemp("fasta") / "g.fa"
    if packed:
        path = write_bgzf(path.with_suffix(".fa.gz"), content)
    else:
        path.write_bytes(content)
    with Genome(path) as genome:
        assert genome.contigs == {f"c{i}": len(text) for i, text in enumerate(sequences)}
        for name, text in zip(genome.contigs, sequences, strict=True):
            start = data.draw(st.integers(-3, len(text) + 3))
            stop = data.draw(st.integers(start, len(text) + 6))
            expected = "".join(text[i] if 0 <= i < len(text) else "N" for i in range(start, stop))
            assert np.array_equal(genome.fetch(name, start, stop), encode(expected))


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


@pytest.mark.parametrize(
    ("contigs", "name", "contig"),
    [
        ("chr1 chrM", "1", "chr1"),
        ("1 MT", "chr1", "1"),
        ("chr1 chrM", "MT", "chrM"),
        ("1 MT", "chrM", "MT"),
        ("1 chr1 2", "1", "1"),  # both are there: each is itself
        ("1 chr1 2", "chr1", "chr1"),
        ("1 chr1 2", "chr2", "2"),
        ("chrM MT", "M", None),  # it could be either
        ("chr1", "Chr1", None),
        ("chr1", "", None),
    ],
)
def test_aliases_by_rule(tmp_path, contigs, name, contig):
    (tmp_path / "g.fa").write_text("".join(f">{name}\nACGT\n" for name in contigs.split()))
    with Genome(tmp_path / "g.fa", "auto") as genome:
        assert genome.resolve(name) == contig


@pytest.mark.parametrize(("more", "contig"), [("", None), (">chrMT\nACGT\n", "chrMT")])
def test_the_mitochondrion_of_hg19_is_not_mt(tmp_path, more, contig):
    (tmp_path / "g.fa").write_text(f">chrM\n{random_sequence(16_571)}\n{more}")
    with Genome(tmp_path / "g.fa", "auto") as genome:
        assert genome.resolve("MT") == contig
        if contig is None:
            assert genome.unknown("MT").endswith("is that of hg19, another sequence than MT")


def test_samtools_reads_our_index(path, tmp_path):
    import shutil

    if shutil.which("samtools") is None:
        pytest.skip("samtools is not installed")
    Genome(path).close()
    out = subprocess.run(
        ["samtools", "faidx", path, "one:65271-65300"], capture_output=True, text=True, check=True
    ).stdout
    assert out.splitlines()[1] == SEQUENCE[65_270:65_300]


def test_aliases_in_other_wrappings(tmp_path):
    path = tmp_path / "aliases"
    for data in (b"1\tchr\xc2\x851\r\n2\tb", gzip.compress(b"1\tchr\xc2\x851\n2\tb\n")):
        path.write_bytes(data)
        assert read_aliases(path) == {"1": "chr\x851", "2": "b"}


def test_a_name_that_stands_for_two_contigs(tmp_path):
    path = tmp_path / "aliases"
    path.write_text("1\ta\n1\ta\n")
    assert read_aliases(path) == {"1": "a"}
    path.write_text("1\ta\n1\tb\n")
    with pytest.raises(GenomeError, match="stands for a and for b"):
        read_aliases(path)


@pytest.fixture
def little_stretches(monkeypatch):
    monkeypatch.setattr(module, "_STRETCH", 1000)
    monkeypatch.setattr(module, "_MOST_STRETCHES", 5)


def test_what_is_read_often_is_read_once(path, little_stretches, monkeypatch):
    """Requests close to each other read a stretch once; those far apart read only themselves."""
    with Genome(path) as genome:
        asked = []
        letters = genome._letters
        monkeypatch.setattr(genome, "_letters", lambda *at: asked.append(at[1:]) or letters(*at))
        rng = np.random.default_rng(1)
        for start in rng.integers(0, 1900, 500).tolist():
            end = start + int(rng.integers(1, 100))
            expected = SEQUENCE[start:end].upper()
            found = genome.fetch("one", start, end)
            assert decode(found) == expected
            assert genome.count_n("one", start, end) == expected.count("N")
            found[:] = 0  # a copy: what is kept stays as it is
        assert {(0, 1000), (1000, 2000)} <= set(asked)
        asked.clear()
        for start in rng.permutation(np.arange(3000, 190_000, 300)).tolist() * 3:
            genome.fetch("one", start, start + 50)
        assert max(end - start for start, end in asked) == 50
        assert len(genome._stretches) == 5
        assert genome.count_n("one", -5, 200_000) == 5 + SEQUENCE.count("N")


def test_a_stretch_with_damage_elsewhere_is_read_as_asked(tmp_path, little_stretches):
    lines = ["ACGT" * 20] * 20
    (tmp_path / "g.fa").write_text("\n".join([">one", *lines, ""]))
    with Genome(tmp_path / "g.fa") as genome:
        lines[10] = "ACGT " + lines[10][5:]
        (tmp_path / "g.fa").write_text("\n".join([">one", *lines, ""]))
        for _ in range(20):
            assert decode(genome.fetch("one", 40, 48)) == "ACGTACGT"
            assert genome.count_n("one", 40, 48) == 0
        with pytest.raises(GenomeError, match="one:791-810: white space"):
            genome.fetch("one", 790, 810)
