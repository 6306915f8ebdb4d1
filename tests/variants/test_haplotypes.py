"""Windows of both haplotypes, against editing strings by hand."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from findna.genome.encoding import decode, encode, reverse_complement
from findna.variants.haplotypes import (
    Change,
    Edited,
    Strand,
    left_aligned,
    strand_windows,
    trim,
    windows,
)
from tests.conftest import random_sequence


@dataclass
class Contig:
    """A sequence source with one contig, which refuses what lies outside it."""

    letters: str

    def fetch(self, chrom, start, end):
        assert chrom == "c"
        assert 0 <= start <= end <= len(self.letters)
        return encode(self.letters)[start:end]


def unchanged(letters):
    return Edited(Contig(letters), len(letters), ())


def pairs_of(contig, pos, ref, alt, size):
    """What findna makes of a record: per strand, letters and allele of both windows."""
    assert contig[pos : pos + len(ref)] == ref
    change = Change(pos, encode(ref), encode(alt))
    found = strand_windows(change, unchanged(contig), "c", size)
    return [[(decode(h.tokens), h.start, h.end) for h in pair] for pair in found]


def rc(letters):
    return decode(reverse_complement(encode(letters)))


def by_hand(contig, pos, ref, alt, size):
    """The same by editing the whole contig and comparing it with itself, one letter at a time."""
    result = []
    for turned in (False, True):
        old, new = contig, contig[:pos] + alt + contig[pos + len(ref) :]
        if turned:
            old, new = rc(old), rc(new)
        shortest = min(len(old), len(new))
        last = 0  # letters after the change: as many as possible, so it lies as early as it can
        while last < shortest and old[-1 - last] == new[-1 - last]:
            last += 1
        first = 0
        while first < shortest - last and old[first] == new[first]:
            first += 1
        if old == new:  # no change; it is where the record says
            first = len(contig) - pos - len(ref) if turned else pos
            last = len(contig) - first
        longest = max(len(old), len(new)) - first - last
        row = []
        for letters in (old, new):
            n = min(size, len(letters))
            start = first - (size - longest) // 2
            start = max(0, min(start, len(letters) - n))
            end = len(letters) - last
            row.append((letters[start : start + n], first - start, end - start))
        result.append(row)
    return result


@st.composite
def records(draw, longest=30):
    """A contig, repetitive or not, and a record on it; REF and ALT are never empty."""
    letters = draw(st.sampled_from(["A", "AC", "ACG", "ACGT"]))
    unit = draw(st.text(letters, min_size=1, max_size=6))
    contig = draw(st.text(letters, max_size=12)) + unit * draw(st.integers(1, 12))
    contig += draw(st.text(letters, max_size=12))
    pos = draw(st.integers(0, len(contig) - 1))
    n = draw(st.integers(1, min(longest, len(contig) - pos)))
    alt = draw(st.one_of(st.text(letters, min_size=1, max_size=longest), st.just(unit * 2)))
    return contig, pos, contig[pos : pos + n], alt


@settings(max_examples=300)
@pytest.mark.slow
@given(records(), st.integers(30, 60))
def test_windows_are_those_of_the_edited_contig(record, size):
    assert pairs_of(*record, size) == by_hand(*record, size)


@settings(max_examples=100)
@given(records(), st.integers(30, 60))
def test_each_window_shows_its_allele_and_both_are_as_long(record, size):
    contig, pos, ref, alt = record
    new = contig[:pos] + alt + contig[pos + len(ref) :]
    for before, after in pairs_of(*record, size):
        assert len(before[0]) == min(size, len(contig))
        assert len(after[0]) == min(size, len(new))
        for letters, start, end in (before, after):
            assert 0 <= start <= end <= len(letters)


def placements(contig, pos, ref, alt):
    """Every record, with an anchor base or with more, that leads to the same new contig."""
    new = contig[:pos] + alt + contig[pos + len(ref) :]
    shorter = min(len(contig), len(new))
    for start in range(len(contig)):
        for end in range(start + 1, len(contig) + 1):
            rest = len(contig) - end
            if start + rest >= len(new) or start + rest > shorter:
                continue
            if contig[:start] == new[:start] and contig[end:] == new[len(new) - rest :]:
                yield start, contig[start:end], new[start : len(new) - rest]


@settings(max_examples=40)
@given(records(longest=5))
def test_every_way_to_write_a_variant_gives_the_same_windows(record):
    contig, pos, ref, alt = record
    assume(ref != alt and len(contig) < 50)
    expected = pairs_of(*record, 20)
    found = list(placements(contig, pos, ref, alt))
    assert (pos, ref, alt) in found
    for placed in found:
        assert pairs_of(contig, *placed, 20) == expected


@settings(max_examples=100)
@given(records(), st.integers(30, 60))
def test_on_the_alternate_genome_the_windows_change_places(record, size):
    contig, pos, ref, alt = record
    new = contig[:pos] + alt + contig[pos + len(ref) :]
    assert pairs_of(new, pos, alt, ref, size) == [pair[::-1] for pair in pairs_of(*record, size)]


@settings(max_examples=100)
@pytest.mark.slow
@given(records(), st.integers(30, 60))
def test_on_the_turned_genome_the_strands_change_places(record, size):
    contig, pos, ref, alt = record
    turned = (rc(contig), len(contig) - pos - len(ref), rc(ref), rc(alt))
    assert pairs_of(*turned, size) == pairs_of(*record, size)[::-1]


@pytest.mark.parametrize(
    ("ref", "alt", "expected"),
    [
        ("A", "C", (0, "A", "C")),
        ("ACG", "ATG", (1, "C", "T")),
        ("AC", "GT", (0, "AC", "GT")),
        ("A", "AT", (1, "", "T")),
        ("CAA", "A", (0, "CA", "")),
        ("CAAA", "CA", (1, "AA", "")),
        ("ACT", "AGGT", (1, "C", "GG")),
        ("ACG", "ACG", (0, "", "")),
    ],
)
def test_trim(ref, alt, expected):
    change = trim(Change(0, encode(ref), encode(alt)))
    assert (change.start, decode(change.ref), decode(change.alt)) == expected


def test_an_indel_moves_through_a_long_repeat():
    contig = "GATTACA" + "CAG" * 700 + "TTGCA"
    strand = Strand(unchanged(contig), "c")
    change = Change(7 + 3 * 650 + 1, encode("AGC"), encode(""))
    moved = left_aligned(change, strand)
    assert (moved.start, decode(moved.ref)) == (7, "CAG")


def test_an_indel_does_not_move_through_n():
    contig = "AAAANAAAATT"
    strand = Strand(unchanged(contig), "c")
    assert left_aligned(Change(8, encode("A"), encode("")), strand).start == 5


def test_the_variant_lies_in_the_middle():
    contig = random_sequence(200)
    (ref, alt), (ref_, alt_) = pairs_of(contig, 100, contig[100], "A", 51)
    assert (ref[1], alt[1], ref_[1], alt_[1]) == (25, 25, 25, 25)
    ref = pairs_of(contig, 100, contig[100], "A", 50)[0][0]
    assert ref[1:] == (24, 25)


def test_the_blanked_window_lacks_the_allele_alone():
    contig = "ACGTACGTAC"
    change = Change(4, encode("AC"), encode("A"))
    strand = Strand(unchanged(contig), "c")
    before, after = windows(left_aligned(trim(change), strand), strand, 8)
    assert decode(before.allele) == "C"
    assert decode(before.blanked()).count(".") == 1
    assert len(after.allele) == 0
    assert np.array_equal(after.blanked(), after.tokens)
