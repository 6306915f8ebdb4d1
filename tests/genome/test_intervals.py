import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from findna.errors import RegionError
from findna.genome.intervals import Interval, parse_region, select

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
        # digits of another script are letters of a contig that is not there
        ("chr1:\u0661-\u0669", ("chr1:\u0661-\u0669", 0, 0)),
        ("other:3-4", ("other", 2, 4)),
    ],
)
def test_region_strings_are_one_based_and_inclusive(text, expected):
    interval = parse_region(text, CONTIGS)
    assert (interval.chrom, interval.start, interval.end) == expected


@pytest.mark.parametrize(
    "text", ["chr1:0-5", "chr1:20-10", "chr1:" + "9" * 5000, "chr1:5-" + "9" * 20]
)
def test_impossible_region_strings(text):
    with pytest.raises(RegionError, match="region"):
        parse_region(text, CONTIGS)


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


@given(st.integers(1, 10**11), st.integers(0, 10**6), st.booleans())
def test_region_strings_come_back(first, more, commas):
    last = first + more
    text = f"chr1:{first:,}-{last:,}" if commas else f"chr1:{first}-{last}"
    assert parse_region(text, CONTIGS) == Interval("chr1", first - 1, last)
