"""Classes of single bases from BED, GTF and GFF, and the position weight matrix."""

import numpy as np
import pytest

from findna.errors import LabelError, RegionError
from findna.genome.encoding import N, encode
from findna.genome.fasta import Genome
from findna.genome.intervals import Interval
from findna.labelled.matrix import PositionMatrix
from findna.labelled.sites import SiteLabels, read_sites
from tests.conftest import random_sequence


@pytest.fixture
def fasta(write):
    with Genome(
        write("g.fa", f">c\n{random_sequence(300)}\n>d\n{random_sequence(80)}\n")
    ) as genome:
        yield genome


def test_classes_of_bases_as_if_counted_one_by_one():
    rng = np.random.default_rng(3)
    sites = []
    for _ in range(60):
        start, length = int(rng.integers(180)), int(rng.choice([1, 1, 1, 5, 40]))
        name, strand = str(rng.choice(["a", "b", "c"])), str(rng.choice(["+", "-", "."]))
        sites.append(Interval("c", start, start + length, name, strand))
    labels = SiteLabels(sites)
    assert labels.classes == ("a", "b", "c")
    for start, end in ((0, 220), (17, 18), (100, 140), (219, 220)):
        for reverse in (False, True):
            expected = np.zeros((end - start, 3), bool)
            for site in sites:
                for at in range(site.start, site.end):
                    if site.strand != "+-"[not reverse] and start <= at < end:
                        expected[at - start, "abc".index(site.name)] = True
            assert np.array_equal(labels.of("c", start, end, reverse), expected)
    assert not labels.of("other", 0, 9, False).any()


def test_sites_within_spans():
    sites = [
        Interval("c", 4, 5, "x", "+"),
        Interval("c", 10, 21, "y", "."),
        Interval("d", 1, 2, "x"),
    ]
    labels = SiteLabels(sites)
    assert labels.within([("c", 0, 10), ("d", 2, 9)]) == [("c", 4, 0, False)]
    assert labels.within([("c", 10, 30)]) == [("c", 15, 1, False), ("c", 15, 1, True)]


def test_bed(fasta, write):
    labels = read_sites(
        write("s.bed", "c\t5\t6\tdonor\t0\t-\nq\t1\t2\tdonor\nc\t299\t301\tz\n"), fasta
    )
    assert labels.classes == ("donor",)  # what is elsewhere is passed over
    assert np.flatnonzero(labels.of("c", 0, 300, True)[:, 0]).tolist() == [5]
    assert not labels.of("c", 0, 300, False).any()


GTF = """# comment
c\tx\texon\t11\t20\t.\t+\t.\tgene_id "g"; transcript_id "t1";
c\tx\texon\t31\t40\t.\t+\t.\tgene_id "g"; transcript_id "t1";
c\tx\texon\t61\t70\t.\t+\t.\tgene_id "g"; transcript_id "t1";
c\tx\texon\t11\t20\t.\t-\t.\tgene_id "h"; transcript_id "t2";
c\tx\texon\t51\t60\t.\t-\t.\tgene_id "h"; transcript_id "t2";
c\tx\tCDS\t13\t15\t.\t+\t0\tgene_id "g"; transcript_id "t1";
"""
GFF = GTF.replace('gene_id "g"; transcript_id "t1";', "ID=e;Parent=t1").replace(
    'gene_id "h"; transcript_id "t2";', "Parent=t2"
)


@pytest.mark.parametrize(("name", "text"), [("a.gtf", GTF), ("a.gff3", GFF)])
def test_splice_sites_are_the_ends_of_introns(fasta, write, name, text):
    labels = read_sites(write(name, text), fasta, ["donor", "acceptor"])
    assert labels.classes == ("acceptor", "donor")
    plus, minus = labels.of("c", 0, 300, False), labels.of("c", 0, 300, True)
    # introns 21-30 and 41-60 (1-based) on plus; 21-50 on minus
    assert np.flatnonzero(plus[:, 1]).tolist() == [20, 40]
    assert np.flatnonzero(plus[:, 0]).tolist() == [29, 59]
    assert np.flatnonzero(minus[:, 1]).tolist() == [49]
    assert np.flatnonzero(minus[:, 0]).tolist() == [20]


def test_exons_without_a_strand_have_no_splice_sites(fasta, write, caplog):
    """Both ends of an intron could be either."""
    more = "".join(f"d\tx\texon\t{i}\t{i + 9}\t.\t.\t.\tParent=t3\n" for i in (11, 31))
    labels = read_sites(write("a.gff", GFF + more), fasta, ["donor", "acceptor"])
    assert len(labels.within([("c", 0, 300)])) == 6
    assert labels.within([("d", 0, 80)]) == []
    assert "a.gff: 2 exons without a strand left out" in caplog.text


def test_features_of_gtf(fasta, write):
    labels = read_sites(write("a.gtf.gz", GTF), fasta, ["CDS"])
    assert np.flatnonzero(labels.of("c", 0, 300, False)[:, 0]).tolist() == [12, 13, 14]


def test_sites_that_are_none_are_told(fasta, write, caplog):
    text = "c\t5\t6\tx\nc\t300\t301\tx\nc\t9\t7\tx\nq\t1\t2\tx\n"
    labels = read_sites(write("a.bed", text), fasta)
    assert labels.within([("c", 0, 300)]) == [("c", 5, 0, False), ("c", 5, 0, True)]
    assert "a.bed: 2 sites left out: start 300 is past the end of c (300 bp)" in caplog.text
    caplog.clear()
    read_sites(write("b.bed", "c\t5\t6\tx\nq\t1\t2\tx\n"), fasta)
    assert "left out" not in caplog.text


@pytest.mark.parametrize("begin", ["##FASTA\n>c\n", ">c\n"])
def test_sequence_at_the_end_of_gff_is_passed_over(fasta, write, begin):
    path = write("a.gff", f"{GFF}{begin}ACGT\nACGT\n")
    labels = read_sites(path, fasta, ["donor", "acceptor"])
    assert len(labels.within([("c", 0, 300)])) == 6


@pytest.mark.parametrize(
    ("name", "text", "names", "message"),
    [
        ("a.gtf", GTF, [], "choose --features"),
        ("a.bed", "c\t1\t2\tx\n", ["CDS"], "are for GTF and GFF"),
        ("a.bed", "c\t1\t2\n", [], "a.bed:1: no class in column 4"),
        ("a.bed", "q\t1\t2\tx\n", [], "no site lies in g.fa: no contig q in g.fa, which has c, d"),
        (
            "a.gtf",
            GTF.replace("c\t", "chrc\t"),
            ["exon"],
            r"g.fa: no contig chrc.* did you mean c\?",
        ),
        ("a.bed", "c\t1\t301\tx\nq\t1\t2\tx\n", [], "g.fa: end 301 is past the end of c"),
        ("a.bed", "", [], "no site lies in g.fa: it holds no site"),
        ("a.gtf", "c\tx\texon\t1\n", ["exon"], "a.gtf:1: not a line of GTF"),
        ("a.gtf", "c\tx\texon\tone\t2\t.\t+\t.\ta\n", ["exon"], "a.gtf:1: not a line of GTF"),
        ("a.gtf", "c\tx\texon\t\t2\t.\t+\t.\ta\n", ["exon"], "a.gtf:1: not a line of GTF"),
        ("a.gtf", "c\tx\texon\t\u00b2\t2\t.\t+\t.\ta\n", ["exon"], "a.gtf:1: not a line of GTF"),
        ("a.gtf", GTF, ["UTR"], "no site lies in g.fa: it holds no UTR"),
        ("a.bed", "".join(f"c\t{i}\t{i + 1}\tk{i}\n" for i in range(9)), [], "9 classes of sites"),
    ],
)
def test_files_that_are_wrong(fasta, write, name, text, names, message):
    with pytest.raises((LabelError, RegionError), match=message):
        read_sites(write(name, text), fasta, names)


def test_a_matrix_finds_what_it_counted():
    rng = np.random.default_rng(0)
    motif = encode("GGTAAGT")
    windows = []
    for _ in range(200):
        window = encode(random_sequence(21, int(rng.integers(1 << 30))))
        window[7:14] = motif
        windows.append(window)
    matrix = PositionMatrix.fit(windows, np.array([0.25, 0.25, 0.25, 0, 0.25]))
    assert matrix.reach == 10
    tokens = encode(random_sequence(500, 5))
    tokens[300:307] = motif  # its middle is base 303
    tokens[50] = N
    scores = matrix.scores(tokens)
    assert len(scores) == 480
    assert scores.argmax() + matrix.reach == 303
    window = tokens[60:81]
    assert scores[60] == pytest.approx(
        sum(matrix.log_odds[i, token] for i, token in enumerate(window)), rel=1e-5
    )
    assert (matrix.log_odds[:, N] == 0).all()
