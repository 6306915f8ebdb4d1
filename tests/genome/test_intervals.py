import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from findna.errors import RegionError
from findna.genome.intervals import Interval, parse_region, select
from tests.conftest import random_sequence

CONTIGS = {"chr1": 100, "HLA:01-02": 50}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr1", ("chr1", 0, 100)),
        ("chr1:11", ("chr1", 10, 100)),
        ("chr1:11-20", ("chr1", 10, 20)),
        ("chr1:1,1-2,0", ("chr1", 10, 20)),
        ("HLA:01-02", ("HLA:01-02", 0, 50)),
        ("HLA:01-02:3-4", ("HLA:01-02", 2, 4)),
        ("chr1:11-", ("chr1", 10, 100)),
        ("chr1:-20", ("chr1", 0, 20)),
        ("chr1:200", ("chr1", 199, 200)),
        ("nowhere", ("nowhere", 0, 0)),
        ("other:3-4", ("other", 2, 4)),
        ("other:x", ("other:x", 0, 0)),
        ("{HLA:01-02}:3-4", ("HLA:01-02", 2, 4)),
        ("{HLA:01-02}", ("HLA:01-02", 0, 50)),
        ("{chr1}:11-20", ("chr1", 10, 20)),
        ("{other}:11-20", ("other", 10, 20)),
        ("chr1:0.01k-.02K", ("chr1", 9, 20)),
        ("chr1:1k-1.5M", ("chr1", 999, 1_500_000)),
        ("chr1:1-1g", ("chr1", 0, 10**9)),
    ],
)
def test_region_strings_are_one_based_and_inclusive(text, expected):
    interval = parse_region(text, CONTIGS)
    assert (interval.chrom, interval.start, interval.end) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("chr1:0-5", "the first base is 1"),
        ("chr1:20-10", "ends before it starts"),
        ("chr1:" + "9" * 5000, "larger than any contig"),
        ("chr1:5-" + "9" * 20, "larger than any contig"),
        ("chr1:1-99999G", "larger than any contig"),
        ("chr1:1.5-9", "1.5 is not a whole number of bases"),
        ("chr1:1.2345k", "1.2345k is not a whole number"),
        ("chr1:\u0661-\u0669", "are no coordinates"),  # digits of another script
        ("chr1:1kb-2kb", "1kb-2kb are no coordinates; write chr1:1,001-2,000"),
        ("a:5-9", "a contig, or a part of a\\? write {a:5-9} or {a}:5-9"),
    ],
)
def test_impossible_region_strings(text, said):
    with pytest.raises(RegionError, match=f"^region .*{said}"):
        parse_region(text, CONTIGS | {"a": 9, "a:5-9": 9})


@pytest.mark.skipif(shutil.which("samtools") is None, reason="samtools is not installed")
@pytest.mark.parametrize(
    "text",
    [
        *("chr1:1k-2k", "chr1:1.5k-2K", "chr1:1.5k", "chr1:0.001M-0.002m", "chr1:.5k-1,000"),
        *("chr1:1,001", "chr1:-7", "chr1:7-", "chr1:", "{chr1}", "{chr1}:5-9", "chr1:5k"),
        *("HLA-A*01:01", "HLA-A*01:01:10", "HLA-A*01:01:1k-1.2k", "{HLA-A*01:01}:5-9"),
        *("{HLA-A*01:01:5-9}", "HLA-A*01:01:5-9:3-4", "x:1k", "x:1k:2-3", "{x:1k}:2-3", "a{b}:1-3"),
    ],
)
def test_region_strings_are_read_as_samtools_reads_them(tmp_path, text):
    lengths = {"chr1": 5_000, "HLA-A*01:01": 5_000, "HLA-A*01:01:5-9": 300, "x:1k": 300, "a{b}": 9}
    records = {name: random_sequence(n, seed=n) for name, n in lengths.items()}
    fasta = tmp_path / "g.fa"
    fasta.write_text("".join(f">{name}\n{letters}\n" for name, letters in records.items()))
    words = ["samtools", "faidx", str(fasta), text]
    found = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    interval = parse_region(text, lengths)
    read = records[interval.chrom][interval.start : interval.end]
    assert read == "".join(found.splitlines()[1:])
    assert read


def test_label():
    assert Interval("c", 1, 5).label() == "c:1-5"
    assert Interval("c", 1, 5, strand="-").label(stranded=True) == "c:1-5(-)"
    assert Interval("c", 1, 5, "n").label() == "n"


@pytest.mark.skipif(shutil.which("bedtools") is None, reason="bedtools is not installed")
def test_select():
    include = [Interval("chr1", 50, 80), Interval("chr1", 10, 60)]
    assert select(CONTIGS, include, [Interval("chr1", 20, 30)]) == [
        ("chr1", 10, 20),
        ("chr1", 30, 80),
    ]
    assert select(CONTIGS, None, None) == [("HLA:01-02", 0, 50), ("chr1", 0, 100)]


@pytest.mark.skipif(shutil.which("bedtools") is None, reason="bedtools is not installed")
def test_select_takes_every_name(capfd):
    contigs = dict.fromkeys(["track1", "#1", "browser", "chr1", "1", "\xe9", "a b"], 9)
    parts = [Interval(name, 0, 4) for name in contigs]
    assert select(contigs, parts, None) == [(name, 0, 4) for name in sorted(contigs)]
    assert select(contigs, None, parts) == [(name, 4, 9) for name in sorted(contigs)]
    assert capfd.readouterr().err == ""


@given(st.integers(1, 10**11), st.integers(0, 10**6), st.booleans())
def test_region_strings_come_back(first, more, commas):
    last = first + more
    text = f"chr1:{first:,}-{last:,}" if commas else f"chr1:{first}-{last}"
    assert parse_region(text, CONTIGS) == Interval("chr1", first - 1, last)
