"""``findna variants --haplotype``: windows on a sample's haplotypes, against editing by hand."""

import itertools
import random
import re
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from findna.genome.encoding import decode, encode
from findna.genome.fasta import Genome
from findna.variants.alleles import Examiner
from findna.variants.haplotypes import Change, Edited, core, overlap
from findna.variants.phasing import Haplotypes, Neighbour, compatible
from findna.variants.vcf import VcfReader, VcfRecord, VcfSource
from tests.commands.test_variants import BCFTOOLS, bcftools, needs_bcftools, other
from tests.conftest import random_sequence
from tests.variants.test_haplotypes import Contig, by_hand, rc

HEADER = """\
##fileformat=VCFv4.2
##contig=<ID=c,length={length}>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=PS,Number=1,Type=String,Description="Phase set">
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO	FORMAT	one	two
"""
UNCHANGING = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def vcf_text(contig, rows):
    """Rows are (pos from 0, ref, alt, GT, PS) of sample two; the other sample carries nothing."""
    lines = [
        f"c\t{pos + 1}\t.\t{ref}\t{alt}\t.\t.\t.\tGT:PS\t0|0:.\t{gt}:{ps}\n"
        for pos, ref, alt, gt, ps in rows
    ]
    return HEADER.format(length=len(contig)) + "".join(lines)


def edited(contig, rows):
    """A contig with (pos, ref, alt) made, from the last to the first."""
    for pos, ref, alt in sorted(rows, reverse=True):
        assert contig[pos : pos + len(ref)] == ref
        contig = contig[:pos] + alt + contig[pos + len(ref) :]
    return contig


@pytest.fixture
def examined(tmp_path):
    """Windows of the alleles of rows, as letters; per allele a list with one or two backgrounds."""
    fasta, vcf = tmp_path / "c.fa", tmp_path / "c.vcf"

    def invoke(contig, rows, window, mismatch="stop"):
        fasta.write_text(f">c\n{contig}\n")
        fasta.with_name("c.fa.fai").unlink(missing_ok=True)
        vcf.write_text(vcf_text(contig, rows))
        haplotypes = Haplotypes("two", window)
        with Genome(fasta) as genome, VcfSource(vcf).open() as reader:
            found = list(haplotypes.examine_all(reader, Examiner(genome, window, mismatch)))
        assert [item.record.line for item in found] == vcf.read_text().splitlines()[5:]
        windows = [
            [
                [[(decode(h.tokens), h.start, h.end) for h in pair] for pair in strands]
                for strands in backgrounds
            ]
            if backgrounds is not None
            else None
            for item in found
            for backgrounds in item.windows
        ]
        return windows, haplotypes

    return invoke


# pieces


@st.composite
def edits(draw, length):
    """Changes of a contig in order, which do not overlap: (start, end, alt)."""
    n = draw(st.integers(0, 6))
    places = sorted(draw(st.lists(st.integers(0, length), min_size=2 * n, max_size=2 * n)))
    return [
        (start, end, draw(st.text("ACGT", max_size=8)))
        for start, end in zip(places[::2], places[1::2], strict=True)
    ]


@pytest.mark.slow
@given(st.data())
def test_a_contig_after_changes(data):
    contig = random_sequence(data.draw(st.integers(0, 40)))
    made = data.draw(edits(len(contig)))
    letters, growth = contig, 0
    for start, end, alt in reversed(made):
        letters = letters[:start] + alt + letters[end:]
        growth += len(alt) - (end - start)
    changes = [Change(start, encode(contig[start:end]), encode(alt)) for start, end, alt in made]
    found = Edited(Contig(contig), len(contig), changes)
    assert found.length == len(letters)
    for start, end in itertools.combinations_with_replacement(range(len(letters) + 1), 2):
        assert decode(found.fetch("c", start, end)) == letters[start:end]
    assert found.lifted(len(contig)) == len(letters)


@given(st.text("AC", max_size=9), st.text("AC", max_size=9))
def test_the_core_is_the_same_from_either_strand(ref, alt):
    here, there = (
        core(Change(5, encode(ref), encode(alt))),
        core(Change(5, encode(rc(ref)), encode(rc(alt)))),
    )
    assert decode(here.ref) == rc(decode(there.ref))
    assert decode(here.alt) == rc(decode(there.alt))
    assert here.start - 5 == 5 + len(ref) - there.end
    first, last = here.start - 5, 5 + len(ref) - here.end
    assert ref[:first] + decode(here.alt) + ref[len(ref) - last :] == alt


def interval(change):
    return change.start, change.end


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3), st.text("AC", max_size=1))))
def test_what_overlaps_is_left_out(made):
    genome = random_sequence(20)
    change = Change(6, encode(genome[6:8]), encode("A"))
    changes = [Change(at, encode(genome[at : at + n]), encode(alt)) for at, n, alt in made]
    rows = [Neighbour(i, 0, x, x, (0, 1), None, "") for i, x in enumerate(changes)]
    found = compatible(rows, change, change)
    distinct = {n.change.key: n for n in reversed(rows) if n.change.key != change.key}
    expected = [
        n
        for key, n in sorted(distinct.items())
        if not overlap(interval(n.change), interval(change))
        and not any(
            overlap(interval(n.change), interval(x.change)) for k, x in distinct.items() if k != key
        )
    ]
    assert found == expected


# windows


@st.composite
def phased(draw, gap=1, rest=("0|0", "./.", "0/1")):
    """A contig and rows that lie ``gap`` bases or more apart; all carried ones are in phase."""
    seed = draw(st.integers(0, 10_000))
    rng = random.Random(seed)
    contig = random_sequence(draw(st.integers(60, 300)), seed)
    rows, pos = [], rng.randrange(6)
    while pos < len(contig) - 1:
        n = rng.choice([1, 1, 1, 2, 4, 70]) if rng.random() < 0.9 else 1
        ref = contig[pos : pos + n]
        kind = rng.randrange(4)
        if kind == 0:
            alt = other(ref[0]) + ref[1:]
        elif kind == 1:
            alt = ref[0]  # a deletion, or none
        elif kind == 2:
            alt = ref + random_sequence(rng.choice([1, 3, 30]), rng.random())
        else:
            alt = random_sequence(rng.randint(1, 5), rng.random())
        gt = rng.choice(["0|1", "1|0", "1|1", "1/1", "1", *rest])
        rows.append((pos, ref, alt, gt, "."))
        pos += len(ref) + rng.choice([gap, 2, 5, 20, 60])
    return contig, rows


def on(rows, haplotype):
    """Those of the rows that a haplotype has, as bcftools consensus would take them."""
    chosen = {"0|1": (1,), "1|0": (0,), "1|1": (0, 1), "1/1": (0, 1), "1": (0, 1)}
    return [row[:3] for row in rows if haplotype in chosen.get(row[3], ())]


def once(contig, rows, but):
    """Rows without those that make the same change as one before, or as ``but``."""
    made = {edited(contig, [but])}
    kept = []
    for row in rows:
        if (after := edited(contig, [row])) not in made:
            kept.append(row)
        made.add(after)
    return kept


def expected_windows(contig, rows, i, window):
    """Of the haplotypes that carry row ``i``, or of both, by editing the whole contig."""
    pos, ref, alt, gt, _ = rows[i]
    carriers = {"0|1": [1], "1|0": [0]}.get(gt, [0, 1])
    found = []
    for haplotype in carriers:
        others = once(contig, on(rows[:i] + rows[i + 1 :], haplotype), rows[i][:3])
        at = pos + sum(len(x[2]) - len(x[1]) for x in others if x[0] < pos)
        found.append(by_hand(edited(contig, others), at, ref, alt, window))
    return found[:1] if found[0] == found[-1] else found


SAME_TWICE = (random_sequence(60, 3) + "GCAAAAC" + random_sequence(40, 5),
              [(61, "CA", "C", "1", "."), (64, "AA", "A", "0/1", ".")])  # fmt: skip
BETWEEN = ("ACCCCAACAACAACCCCAAAAAAACCAAACAACAAACCCCAAAACAAAAAAACCCCCCAAAACAAACACCCC",
           [(36, "CCC", "C", ".|1", "x"), (37, "CCC", "C", "0|1", "x"),
            (39, "CAAA", "A", ".|1", "x")])  # fmt: skip


@pytest.mark.slow
@UNCHANGING
@given(phased(), st.integers(30, 50))
@example(SAME_TWICE, 30)
def test_windows_are_those_of_the_edited_haplotype(examined, case, window):
    contig, rows = case
    windows, _ = examined(contig, rows, window)
    for i, found in enumerate(windows):
        if found is not None:  # not longer than the window
            assert found == expected_windows(contig, rows, i, window), rows[i]


def test_deletions_longer_than_a_window(examined):
    """The window is filled with what lies behind them, and what lies there is applied."""
    contig = random_sequence(2000)
    rows = [(p, contig[p], other(contig[p]), "1|1", ".") for p in (310, 330, 990, 1390, 1680)]
    rows += [(350, contig[350:951], contig[350], "0|1", ".")]
    rows += [(1050, contig[1050:1351], contig[1050], "0|1", ".")]
    rows += [(1400, contig[1400:1650], contig[1400], "1|1", ".")]
    rows += [(1000, contig[1000], other(contig[1000]), "0|1", ".")]
    rows = sorted(rows)
    windows, haplotypes = examined(contig, rows, 200)
    i = rows.index((1000, contig[1000], other(contig[1000]), "0|1", "."))
    assert windows[i] == expected_windows(contig, rows, i, 200)
    left, right = windows[i][0][0][0][0][:99], windows[i][0][0][0][0][100:]
    assert contig[301:310] + other(contig[310]) in left
    assert contig[1380:1390] + other(contig[1390]) in right
    assert haplotypes.neighbours["applied"] == 9


@st.composite
def wild(draw):
    """A contig and rows that overlap, repeat each other, and belong to several phase sets."""
    seed = draw(st.integers(0, 10_000))
    rng = random.Random(seed)
    contig = random_sequence(90, seed, draw(st.sampled_from(["ACGT", "AC"])))
    rows = []
    for _ in range(draw(st.integers(1, 12))):
        pos = rng.randrange(20, 70)
        ref = contig[pos : pos + rng.randint(1, 5)]
        alt = random_sequence(rng.randint(1, 5), rng.random(), "AC")
        alt = rng.choice([alt, ref[0], ref[-1], ref[0] + alt, alt + ref[-1], "<DEL>", "*"])
        gt = rng.choice(["0|1", "1|0", "1|1", "1/1", "1", "0|0", "0/1", ".|1"])
        rows.append((pos, ref, alt, gt, rng.choice("xy.")))
    return contig, sorted(rows)


@pytest.mark.slow
@UNCHANGING
@given(wild())
@example(BETWEEN)
def test_on_the_turned_genome_the_strands_change_places(examined, case):
    contig, rows = case
    windows, counts = examined(contig, rows, 24)
    turned = [
        (len(contig) - pos - len(ref), rc(ref), rc(alt) if alt[0] in "ACGT" else alt, gt, ps)
        for pos, ref, alt, gt, ps in rows
    ]
    order = sorted(range(len(rows)), key=lambda i: turned[i][0])
    again, turned_counts = examined(rc(contig), [turned[i] for i in order], 24)
    assert turned_counts.backgrounds == counts.backgrounds
    for there, i in zip(again, order, strict=True):
        here = windows[i]
        if alt_is_no_change(rows[i]) or here is None:
            assert (here is None) == (there is None)
            continue
        assert [strands[::-1] for strands in there] == here


def alt_is_no_change(row):
    return row[1] == row[2]


@pytest.mark.slow
@UNCHANGING
@given(wild())
def test_no_change_shows_the_same_window_twice(examined, case):
    contig, rows = case
    rows = sorted([*rows, (45, contig[45:47], contig[45:47], "0|1", "x")])
    windows, _ = examined(contig, rows, 24)
    for row, found in zip(rows, windows, strict=True):
        if alt_is_no_change(row):
            assert all(ref[0] == alt[0] for strands in found for ref, alt in strands)


@pytest.mark.slow
@UNCHANGING
@given(wild(), st.data())
def test_a_record_of_two_alleles_is_its_split_records(examined, case, data):
    contig, rows = case
    pos, n = data.draw(st.integers(25, 60)), data.draw(st.integers(1, 4))
    ref = contig[pos : pos + n]
    one, two = (data.draw(st.sampled_from([ref[0], ref + "CA", other(ref[0]) + ref[1:], "CC"]))
                for _ in range(2))  # fmt: skip
    gt = data.draw(st.sampled_from(["1|2", "2|1", "0|2", "1|0", "2|2", "1/2", "0/1"]))
    split = [gt.replace(b, "0").replace(a, "1") for a, b in ("12", "21")]
    joint = [*rows, (pos, ref, f"{one},{two}", gt, "x")]
    parts = [*rows, (pos, ref, one, split[0], "x"), (pos, ref, two, split[1], "x")]
    key = [row[0] for row in joint], [row[0] for row in parts]
    order = [sorted(range(len(k)), key=k.__getitem__) for k in key]
    a, _ = examined(contig, [joint[i] for i in order[0]], 24)
    b, _ = examined(contig, [parts[i] for i in order[1]], 24)
    assert a == b


def test_an_indel_in_a_repeat_has_the_same_windows_wherever_it_is_written(examined):
    contig = random_sequence(60, 1) + "CAG" * 6 + random_sequence(60, 2)
    around = [(40, contig[40], other(contig[40]), "0|1", "."),
              (90, contig[90:94], contig[90], "0|1", ".")]  # fmt: skip
    found = []
    for i in range(14):
        ref = contig[60 + i : 64 + i]
        windows, _ = examined(contig, sorted([*around, (60 + i, ref, ref[0], "0|1", ".")]), 80)
        found.append(windows[1])
    assert all(windows == found[0] for windows in found)
    assert contig[40:60] not in found[0][0][0][0][0]


def test_the_swapped_allele_on_the_alternate_haplotype(examined):
    contig = random_sequence(200, 4)
    rows = [(80, contig[80:84], contig[80], "1|1", "."),
            (100, contig[100:103], contig[100] + "TTGC", "0|1", "."),
            (120, contig[120], contig[120] + "GG", "0|1", ".")]  # fmt: skip
    windows, _ = examined(contig, rows, 60)
    pos, ref, alt = rows[1][:3]
    new = edited(contig, [rows[1][:3]])
    shifted = [rows[0], (pos, alt, ref, "0|1", "."), (120 + 4 - 2, *rows[2][1:])]
    shifted[2] = (120 + len(alt) - len(ref), *rows[2][1:])
    again, _ = examined(new, shifted, 60)
    assert again[1] == [[pair[::-1] for pair in strands] for strands in windows[1]]


# rules

AT = random_sequence(200, 9)


def snv(pos, gt="0|1", ps=".", alt=None):
    return (pos, AT[pos], alt or other(AT[pos]), gt, ps)


@pytest.fixture
def around(examined):
    """Letters of the reference windows around position 100, and what was counted."""

    def invoke(*rows, gt="0|1", ps=".", mismatch="stop"):
        record = snv(100, gt, ps)
        rows = sorted([record, *rows])
        windows, haplotypes = examined(AT, rows, 41, mismatch)
        n = sum(row[2].count(",") + 1 for row in rows[: rows.index(record)])
        letters = [strands[0][0][0] for strands in windows[n]]
        return letters, haplotypes

    return invoke


def seen(*rows):
    """The window around position 100 of a contig with SNVs."""
    return edited(AT, [row[:3] for row in rows])[80:121]


def test_the_background_of_an_allele(around):
    left, right, both = snv(90, "1|0"), snv(110, "0|1"), snv(105, "1/1")
    rows = (left, right, both)
    assert around(*rows, gt="1|0")[0] == [seen(left, both)]
    assert around(*rows, gt="0|1")[0] == [seen(right, both)]
    averaged = [seen(left, both), seen(right, both)]
    for gt, where in (("1|1", "both"), ("1/1", "both"), ("1", "both"), ("0/1", "unphased"),
                      ("0|0", "none"), (".", "none"), ("./.", "none"), ("./1", "unphased"),
                      ("0|0|1", "unphased"), ("1|1|1", "both")):  # fmt: skip
        found, counts = around(*rows, gt=gt)
        assert found == averaged
        assert counts.backgrounds[where] >= 1
    assert around(both, gt="1|1")[0] == [seen(both)]  # once where both are the same
    assert around(*rows, gt=".|1")[0] == around(*rows, gt="|0|1")[0] == [seen(right, both)]
    assert around(snv(90, "1"), snv(110, "."))[0] == [seen(snv(90))]


def test_phase_sets(around):
    mine, yours, both = snv(90, ps="x"), snv(110, ps="y"), snv(105, "1|1", "z")
    assert around(mine, yours, both, ps="x")[0] == [seen(mine, both)]
    assert around(mine, yours, both, ps="y")[0] == [seen(yours, both)]
    found, counts = around(mine, yours, both, ps=".")
    assert found == [seen(both)]
    assert counts.neighbours["other_phase_set"] == 3  # each for another's window
    assert around(mine, snv(112, ps="y"), gt="1|1", ps="y")[0] == [
        seen(),
        seen(mine),
    ]  # the nearest
    assert around(mine, yours, gt="0/1")[0] == [seen(), seen(mine)]  # as near: the first by name


def test_what_is_not_applied(around):
    rows = [
        snv(90, "0/1"), snv(92, alt="<DEL>"), snv(93, alt="*"), snv(94, alt="N"),
        snv(95, alt=f"{AT[95]}[c:9["), snv(96), (95, AT[95:98], AT[95], "0|1", "."),
        (99, AT[99:102], AT[99], "0|1", "."), snv(110, alt=AT[110]), snv(111, "0|0"),
        (112, other(AT[112]), AT[112], "0|1", "."),
    ]  # fmt: skip
    found, counts = around(*rows, mismatch="null")
    assert found == [seen()]
    assert counts.neighbours["unphased"] == 1
    for name in ("symbolic", "overlapping_deletion", "not_acgt", "breakend", "ref_mismatch"):
        assert counts.neighbours[name] == 1
    assert counts.neighbours["overlapping"] >= 3


def test_the_anchor_base_of_an_indel_does_not_overlap(around):
    rows = [
        snv(95),
        (95, AT[95:98], AT[95], "0|1", "."),
        (100, AT[100], AT[100] + "GG", "0|1", "."),
    ]
    expected = edited(AT, [(96, AT[96:98], ""), (101, "", "GG"), snv(95)[:3]])[78:119]
    assert around(*rows)[0] == [expected]


def test_an_allele_that_is_given_twice_is_applied_once(around):
    assert around(snv(90), snv(90))[0] == [seen(snv(90))]


REPEAT = AT[:86] + "TGAA" * 3 + AT[98:]
WAYS = {
    "insertion": [
        (85, REPEAT[85], REPEAT[85] + "TGAA", "0|1", "."),
        (85, REPEAT[85:90], REPEAT[85:90] + "TGAA", "0|1", "."),
        (97, REPEAT[97], REPEAT[97] + "TGAA", "0|1", "."),
    ],
    "deletion": [
        (85, REPEAT[85:90], REPEAT[85], "0|1", "."),
        (85, REPEAT[85:94], REPEAT[85:90], "0|1", "."),
        (93, REPEAT[93:98], REPEAT[93], "0|1", "."),
    ],
}


@pytest.mark.parametrize("kind", list(WAYS))
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 2), (1, 2), (0, 1, 2)])
def test_an_allele_that_is_written_in_two_ways_is_applied_once(examined, kind, order):
    ways = [WAYS[kind][i] for i in order]
    rows = [snv(78), *ways, snv(100)]
    windows, counts = examined(REPEAT, rows, 41)
    expected, alone = examined(REPEAT, [rows[0], ways[0], rows[-1]], 41)
    assert windows == [expected[0], *expected[1:2] * len(ways), expected[2]]
    assert alone.neighbours == {"applied": 3}
    assert counts.neighbours == {"applied": 3, "overlapping": len(ways)}


def test_scores_of_one_insertion_written_in_two_ways(run, write, model_folder):
    contig = AT[:86] + "GTGAA" + AT[91:]
    ways = [(86, "G", "GTGAA", "0|1", "."), (86, "GTGAA", "GTGAATGAA", "0|1", ".")]
    fasta = write("c.fa", f">c\n{contig}\n")

    def scores(*rows):
        vcf = write("c.vcf", vcf_text(contig, rows))
        words = ["-m", model_folder, "--haplotype", "two", "--window", 41]
        lines = run("variants", fasta, vcf, *words, "--no-version").stdout.splitlines()
        return [line.split("\t")[7] for line in lines if not line.startswith("#")]

    assert scores(*ways) == scores(ways[0]) * 2


def test_contigs_are_apart(tmp_path):
    (tmp_path / "two.fa").write_text(f">a\n{AT}\n>b\n{AT}\n")
    lines = [f"{c}\t101\t.\t{AT[100]}\t{other(AT[100])}\t.\t.\t.\tGT\t0|1" for c in "ab"]
    lines.insert(1, f"a\t106\t.\t{AT[105]}\t{other(AT[105])}\t.\t.\t.\tGT\t0|1")
    header = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts"]
    (tmp_path / "two.vcf").write_text("\n".join(header + lines) + "\n")
    with Genome(tmp_path / "two.fa") as genome, VcfSource(tmp_path / "two.vcf").open() as reader:
        found = list(Haplotypes("s", 41).examine_all(reader, Examiner(genome, 41)))
    letters = [decode(item.windows[0][0][0][0].tokens) for item in found]
    assert letters[0] == seen(snv(105))
    assert letters[2] == seen()


@pytest.mark.slow
def test_what_lies_behind_is_forgotten(tmp_path):
    """Of many records no more is held, and read ahead, than lies within reach."""
    contig = random_sequence(20_000)
    (tmp_path / "c.fa").write_text(f">c\n{contig}\n")
    taken = 0

    def records():
        nonlocal taken
        for pos in range(0, len(contig), 10):
            taken += 1
            alt = other(contig[pos])
            line = f"c\t{pos + 1}\t.\t{contig[pos]}\t{alt}\t.\t.\t.\tGT\t{pos % 20 // 10}|1"
            yield VcfRecord(taken, "c", pos, ".", contig[pos], (alt,), line)

    header = ["#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tone"]
    haplotypes = Haplotypes("one", 100)
    with Genome(tmp_path / "c.fa") as genome:
        reader = VcfReader("x", header, records())
        found = haplotypes.examine_all(reader, Examiner(genome, 100))
        for n, _ in enumerate(found, 1):
            assert taken - n <= 11
            assert len(haplotypes._near) <= 23
    assert n == 2_000


# the command


@pytest.fixture
def case():
    """A contig of 1 kb with rows that bcftools consensus takes without a warning."""
    rng = random.Random(5)
    contig = random_sequence(1_000, 5)
    rows = []
    for pos in range(10, 990, 17):
        ref = contig[pos : pos + rng.choice([1, 1, 1, 3, 6])]
        alt = rng.choice([other(ref[0]) + ref[1:], ref[0] + "TACG"[: rng.randint(0, 4)]])
        if alt != ref:
            gt = rng.choice(["0|1", "1|0", "1|1"])
            rows.append((pos, ref, alt, gt, "."))
    return contig, rows


@pytest.fixture
def score(run, write, model_folder):
    """Rows of the table: class and scores."""

    def invoke(contig, text, *options):
        fasta, vcf = write("c.fa", f">c\n{contig}\n"), write("c.vcf", text)
        fasta.with_name("c.fa.fai").unlink(missing_ok=True)
        found = run("variants", fasta, vcf, "-m", model_folder, "-O", "tsv", *options)
        return np.array([line.split("\t")[6:] for line in found.stdout.splitlines()[1:]], float)

    return invoke


@pytest.mark.slow
@needs_bcftools
def test_scores_are_those_on_the_consensus_of_bcftools(score, case, tmp_path):
    contig, rows = case
    found = score(contig, vcf_text(contig, rows), "--haplotype", "two")
    plain = score(contig, vcf_text(contig, rows))
    assert (abs(found[:, 1] - plain[:, 1]) > 1e-4).mean() > 0.8
    for i in range(0, len(rows), 6):
        pos, ref, alt, gt, _ = rows[i]
        rest = rows[:i] + rows[i + 1 :]
        ratios = []
        for haplotype in (0, 1):
            if gt[2 * haplotype] == "0":
                continue
            (tmp_path / "ref.fa").write_text(f">c\n{contig}\n")
            (tmp_path / "rest.vcf").write_text(vcf_text(contig, rest))
            packed = tmp_path / "rest.vcf.gz"
            bcftools("view", "-Oz", "-o", packed, tmp_path / "rest.vcf")
            bcftools("index", "-f", packed)
            done = subprocess.run(
                [BCFTOOLS, "consensus", "-s", "two", "-H", str(haplotype + 1),
                 "-f", tmp_path / "ref.fa", packed],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            consensus = "".join(done.stdout.splitlines()[1:])
            assert consensus == edited(contig, on(rest, haplotype))
            at = pos + sum(len(x[2]) - len(x[1]) for x in on(rest, haplotype) if x[0] < pos)
            there = vcf_text(consensus, [(at, ref, alt, gt, ".")])
            ratios.append(score(consensus, there)[0])
        if len(ratios) == 1:
            np.testing.assert_allclose(found[i], ratios[0], rtol=1e-3, atol=1e-5)
        assert found[i, 1] == pytest.approx(np.mean(ratios, axis=0)[1], abs=1e-5)


def test_both_haplotypes_are_averaged_as_strands_are(run, write, model_folder, tasks, tmp_path):
    """The vectors, the ratios and the log-odds; the distance is that of the mean vectors."""
    rows = [snv(90, "1|0"), snv(100, "1|1"), snv(110, "0|1")]
    task = tasks["binary"]

    def table(name, contig, rows, *options):
        fasta, vcf = write(f"{name}.fa", f">c\n{contig}\n"), write(f"{name}.vcf",
                                                                vcf_text(contig, rows))  # fmt: skip
        out = tmp_path / f"{name}.h5"
        words = ["-m", model_folder, "-t", task, "--window", 41, "-O", "tsv", *options]
        text = run("variants", fasta, vcf, *words, "--embeddings", out).stdout
        with h5py.File(out) as file:
            vectors = file["obsm/ref"][:], file["obsm/alt"][:], file["uns/findna"].attrs
            return [line.split("\t")[6:] for line in text.splitlines()[1:]], vectors[:2]

    found, (ref, alt) = table("both", AT, rows, "--haplotype", "two")
    parts = [table(f"h{i}", edited(AT, [row[:3]]), [rows[1]]) for i, row in enumerate(rows[::2])]
    mean = np.mean([np.array(values[0], float) for values, _ in parts], axis=0)
    np.testing.assert_allclose(np.array(found[1], float)[1:], mean[1:], atol=1e-4)
    for mine, others in (
        (ref[1], [p[1][0][0] for p in parts]),
        (alt[1], [p[1][1][0] for p in parts]),
    ):
        np.testing.assert_allclose(mine, np.mean(others, axis=0), atol=1e-6)
    a, b = ref[1].astype(float), alt[1].astype(float)
    distance = 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert float(found[1][0]) == pytest.approx(distance, rel=1e-2)


def test_records_and_header(run, write, model_folder):
    fasta = write("c.fa", f">c\n{AT}\n")
    rows = [snv(90, "1|0"), snv(100), snv(110, "0/1"), snv(115, "0|0"), snv(120, "1|1")]
    vcf = write("c.vcf", vcf_text(AT, rows))
    found = run("variants", fasta, vcf, "-m", model_folder, "--haplotype", "two", "--no-version")
    lines = found.stdout.splitlines()
    added = [line for line in lines if line.startswith("##INFO=<ID=FINDNA")]
    assert all(line.endswith(', windows of 100 bp on haplotypes of two">') for line in added)
    assert [re.sub(r"FINDNA_DIST=\S*", ".", line) for line in lines if line not in added] == (
        vcf.read_text().splitlines()
    )
    assert found.stderr.splitlines()[-1] == (
        "findna: haplotypes of two: scored alleles: 2 on one, 1 on both, 1 unphased, 1 on none; "
        "alleles around them: 3 applied, left out: 1 unphased"
    )
    piped = run("variants", fasta, "-", "-m", model_folder, "--haplotype", "two", "--no-version",
                input=vcf.read_bytes())  # fmt: skip
    assert piped.stdout == found.stdout
    plain = run("variants", fasta, vcf, "-m", model_folder, "--haplotype", "one", "--no-version")
    alone = run("variants", fasta, vcf, "-m", model_folder, "--no-version").stdout
    assert plain.stdout.replace(" on haplotypes of one", "") == alone  # who carries nothing
    assert "haplotypes of" not in alone


@needs_bcftools
def test_bcf(run, write, model_folder, tmp_path):
    fasta, vcf = write("c.fa", f">c\n{AT}\n"), write("c.vcf", vcf_text(AT, [snv(90), snv(100)]))
    bcftools("view", "-Ob", "-o", tmp_path / "c.bcf", vcf)
    options = ["-m", model_folder, "--haplotype", "two", "-O", "tsv"]
    found = [run("variants", fasta, path, *options).stdout for path in (vcf, tmp_path / "c.bcf")]
    assert found[0] == found[1]


def test_what_cannot_be_used(run, write, model_folder, tmp_path):
    fasta, out = write("c.fa", f">c\n{AT}\n"), tmp_path / "o.vcf"
    good = vcf_text(AT, [snv(90), snv(100)])

    def error(text, sample="two", code=1):
        vcf = write("c.vcf", text)
        messages = []
        for source, data in ((vcf, None), ("-", text.encode())):
            words = ["variants", fasta, source, "-m", model_folder, "--haplotype", sample]
            messages.append(run(*words, "-o", out, input=data, code=code).stderr)
            assert len(messages[-1].splitlines()) == 1
            assert not out.exists()
        assert messages[0].replace(str(vcf), "<stdin>") == messages[1]
        return messages[0]

    assert "no sample three in " in error(good, "three", 2)
    assert "c.vcf, which has one, two" in error(good, "three", 2)
    bare = "\n".join("\t".join(line.split("\t")[:8]) for line in good.splitlines()) + "\n"
    assert "c.vcf, which has none" in error(bare, code=2)
    many = good.replace("\tone\ttwo", "\tone\ttwo\tx\ty\tz").replace(":.\n", ":.\t.\t.\t.\n")
    assert "which has one, two, x and 2 more" in error(many, "three", 2)
    message = error(vcf_text(AT, [snv(100), snv(90)]))
    assert "c.vcf:7: c:91 comes after c:101, but --haplotype needs sorted records" in message
    assert "bcftools sort" in message
    for gt in ("0|2", "a|b", "0|-1", "", "1|"):
        assert f"c.vcf:6: GT of two is {gt!r}, with 1 alternate allele" in error(
            vcf_text(AT, [snv(90, gt)])
        )


def test_contigs_that_come_back_are_not_sorted(run, write, model_folder):
    fasta = write("c.fa", f">c\n{AT}\n>d\n{AT}\n")
    text = vcf_text(AT, [snv(90), snv(100), snv(110)])
    lines = text.splitlines()
    lines[-2] = "d" + lines[-2][1:]
    vcf = write("c.vcf", "\n".join(lines) + "\n")
    words = ["variants", fasta, vcf, "-m", model_folder, "--haplotype", "two"]
    assert "c.vcf:8: c:111 comes after d:101" in run(*words, code=1).stderr


def test_records_without_genotypes(run, write, model_folder):
    fasta = write("c.fa", f">c\n{AT}\n")
    text = vcf_text(AT, [snv(90), snv(100)]).replace("GT:PS", "DP:PS")
    vcf = write("c.vcf", text)
    found = run("variants", fasta, vcf, "-m", model_folder, "--haplotype", "two")
    assert "scored alleles: 2 on none; alleles around them: 0 applied" in found.stderr


def test_the_page_of_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "variants.md").read_text()
    for name in ("unphased", "other_phase_set", "overlapping"):
        assert f"| `{name}` |" in page
