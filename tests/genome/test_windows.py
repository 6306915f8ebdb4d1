import pytest
from hypothesis import given
from hypothesis import strategies as st

from findna.genome.intervals import Interval
from findna.genome.windows import Region, resize, tile


@given(st.integers(1, 5_000), st.integers(1, 700))
def test_tiles_cover_once_and_read_the_same_backwards(length, longest):
    tiles = tile(length, longest)
    assert tiles[0][0] == 0
    assert tiles[-1][1] == length
    assert all(a[1] == b[0] for a, b in zip(tiles, tiles[1:], strict=False))
    sizes = [end - start for start, end in tiles]
    assert max(sizes) <= longest or longest == 1
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sizes[::-1]


def test_few_tiles():
    assert tile(100, 100) == [(0, 100)]
    assert tile(101, None) == [(0, 101)]
    assert tile(200, 100) == [(0, 100), (100, 200)]
    assert tile(101, 100) == [(0, 34), (34, 67), (67, 101)] or len(tile(101, 100)) == 3


@pytest.mark.parametrize(
    ("anchor", "strand", "expected"),
    [
        ("center", ".", (145, 155)),
        ("start", "+", (95, 105)),
        ("start", "-", (195, 205)),
        ("end", "+", (194, 204)),
        ("end", "-", (96, 106)),
    ],
)
def test_window_on_an_anchor(anchor, strand, expected):
    interval = Interval("c", 100, 200, strand=strand)
    assert resize(interval, window=10, anchor=anchor, stranded=True) == expected


def test_anchor_ignores_the_strand_unless_asked():
    assert resize(Interval("c", 100, 200, strand="-"), window=11, anchor="start") == (95, 106)


def test_flank_then_window():
    interval = Interval("c", 100, 200)
    assert resize(interval, flank=5) == (95, 205)
    assert resize(interval, flank=5, window=300) == (0, 300)


def test_slices_of_joined_blocks_on_both_strands():
    parts = ((10, 20), (30, 35))
    assert len(Region("c", parts)) == 15
    assert Region("c", parts).slice(8, 12) == [(18, 20), (30, 32)]
    assert Region("c", parts, reverse=True).slice(0, 6) == [(19, 20), (30, 35)]


@given(
    st.integers(0, 1_000),
    st.integers(1, 500),
    st.integers(1, 700),
    st.sampled_from(["start", "end"]),
)
def test_an_anchored_window_is_its_mirror_image_on_the_other_strand(start, length, window, anchor):
    """Seen from the other strand of a contig of 2,000 bp."""
    size = 2_000
    forward = resize(
        Interval("c", start, start + length, strand="+"),
        window=window, anchor=anchor, stranded=True,
    )  # fmt: skip
    turned = resize(
        Interval("c", size - start - length, size - start, strand="-"),
        window=window, anchor=anchor, stranded=True,
    )  # fmt: skip
    assert forward[1] - forward[0] == window
    assert forward == (size - turned[1], size - turned[0])


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=5),
    st.booleans(),
    st.data(),
)
def test_slices_of_a_region_are_those_of_its_bases(gaps, reverse, data):
    parts, at = [], 0
    for gap, length in gaps:
        parts.append((at + gap, at + gap + length))
        at += gap + length
    region = Region("c", tuple(parts), reverse)
    bases = [i for first, last in parts for i in range(first, last)]
    assert len(region) == len(bases)
    start = data.draw(st.integers(0, len(bases)))
    end = data.draw(st.integers(start, len(bases)))
    found = [i for first, last in region.slice(start, end) for i in range(first, last)]
    if reverse:
        assert found[::-1] == bases[::-1][start:end]
    else:
        assert found == bases[start:end]


@pytest.mark.parametrize(
    ("strand", "anchor", "expected"),
    [
        ("+", "start", (51, 151)),  # of 100-110
        ("-", "start", (59, 159)),
        ("+", "end", (60, 160)),
        ("-", "end", (50, 150)),
        ("+", "center", (55, 155)),  # about 104, the first of two in the middle
        ("-", "center", (55, 155)),  # about 105
        (".", "start", (51, 151)),
    ],
)
def test_upstream_and_downstream_follow_the_strand(strand, anchor, expected):
    interval = Interval("c", 100, 110, strand=strand)
    assert resize(interval, anchor=anchor, reach=(49, 50)) == expected
