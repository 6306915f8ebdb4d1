"""``findna explain`` with a task of single bases: the effects on the log-odds of one base."""

import anndata
import h5py
import numpy as np
import pytest
import torch

import findna
from findna.genome.encoding import decode, encode, reverse_complement
from findna.genome.fasta import Genome
from findna.model.devices import Compute
from findna.tasks.sites import load_sites
from tests.conftest import MOTIF, random_sequence

CPU = Compute(torch.device("cpu"))
LETTERS = "ACGT"
CONTIG = random_sequence(260, 1) + "N" * 20 + random_sequence(200, 2)
CLASSES = ("donor", "acceptor")  # of the task of the fixture


@pytest.fixture
def fasta(write):
    return write("g.fa", f">c\n{CONTIG}\n>short\n{random_sequence(30, 5)}\n")


@pytest.fixture
def explain(run, fasta, site_task, tmp_path):
    """``explain(bed, ...)``: the HDF5 file as AnnData."""

    def invoke(bed, *options, name="donor", task=site_task, genome=fasta):
        path, output = tmp_path / "r.bed", tmp_path / "e.h5"
        path.write_text(bed)
        run("explain", genome, path, "-t", task, "--class", name, "-o", output, "-f", *options)
        return anndata.read_h5ad(output)

    return invoke


def rows(data):
    """The changes of each row, (length, 4) each."""
    packed = data.uns["effects"]
    return np.split(packed["values"], packed["offsets"][1:-1])


def log_odds(task, write, contig, strand, number):
    """Log-odds of a class at every base of a contig, by `SiteTask.probabilities`."""
    with Genome(write("mutant.fa", f">c\n{contig}\n")) as genome:
        pieces = load_sites(str(task)).probabilities(
            [("c", 0, len(contig))], genome, CPU, strand == "-"
        )
        p = np.concatenate([piece.values[:, number] for piece in pieces]).astype(np.float64)
    return np.log(p) - np.log1p(-p)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("options", [[], ["-s"]])
def test_changes_are_those_of_scan_at_the_best_site(explain, site_task, write, name, options):
    number = CLASSES.index(name)
    data = explain("c\t100\t160\tx\t0\t-\n", *options, name=name)
    (found,), site = rows(data), data.obs.iloc[0]
    plain = {s: log_odds(site_task, write, CONTIG, s, number)[100:160] for s in "+-"}
    strands = "-" if options else "+-"
    best = max(strands, key=lambda s: plain[s].max())
    assert site["site_strand"] == best
    assert site["site_start"] == 100 + plain[best].argmax()
    assert data.X[0, 0] == pytest.approx(plain[best].max(), abs=1e-4)
    bases = CONTIG[100:160]
    if best == "-":
        bases = decode(reverse_complement(encode(bases)))
    assert site["sequence"] == bases
    at, spread = int(site["site_start"]), []
    for i in [0, 7, 31, 59]:
        for j, letter in enumerate(LETTERS):
            place = 159 - i if best == "-" else 100 + i
            forward = "TGCA"[j] if best == "-" else letter
            mutant = CONTIG[:place] + forward + CONTIG[place + 1 :]
            change = log_odds(site_task, write, mutant, best, number)[at] - data.X[0, 0]
            assert found[i, j] == pytest.approx(change, abs=2e-4)
            assert (found[i, j] == 0) >= (letter == bases[i])
            spread.append(abs(change))
    assert max(spread) > 1e-2  # there is something to see


def test_a_point_is_measured_itself_and_41_bases_are_replaced(explain, site_task, write):
    rng = np.random.default_rng(0)
    starts = [20, 75, 76, 87, 88, 163, 164, *map(int, rng.integers(20, 240, 10)), 459]
    bed = "".join(f"c\t{i}\t{i + 1}\tp{i}\t0\t{'+-'[i % 2]}\n" for i in starts)
    data = explain(bed, "-s")
    plain = {s: log_odds(site_task, write, CONTIG, s, 0) for s in "+-"}
    assert data.obs["site_start"].tolist() == starts
    assert data.obs["site_strand"].tolist() == ["+-"[i % 2] for i in starts]
    assert data.obs["length"].tolist() == [41] * len(starts)
    for i, value, changes in zip(starts, data.X[:, 0], rows(data), strict=True):
        assert value == pytest.approx(plain["+-"[i % 2]][i], abs=1e-4)
        assert np.abs(changes[20]).max() > 0  # the base itself, in the middle
    either = explain(bed)
    for i, value, strand in zip(starts, either.X[:, 0], either.obs["site_strand"], strict=True):
        assert value == pytest.approx(max(plain[s][i] for s in "+-"), abs=1e-4)
        assert value == pytest.approx(plain[strand][i], abs=1e-4)
    wide = explain("c\t100\t101\n", "--upstream", 4, "--downstream", 60)
    assert wide.obs["length"].tolist() == [65]
    assert wide.obs["site_start"].tolist() == [100]


def test_rows_do_not_depend_on_others(explain):
    bed = ["c\t100\t160\n", "c\t30\t90\n", "c\t300\t301\n", "short\t0\t30\n", "c\t250\t270\n"]
    together = explain("".join(bed), "--max-tokens", 250)
    for i, line in enumerate(bed):
        alone = explain(line)
        assert alone.X[0, 0] == pytest.approx(together.X[i, 0], abs=1e-5)
        np.testing.assert_allclose(rows(alone)[0], rows(together)[i], atol=1e-5)


def test_what_lies_outside_the_tile_changes_nothing(explain, fasta, site_task):
    data = explain("c\t60\t160\n", "-s")
    (changes,), site = rows(data), int(data.obs["site_start"].iloc[0])
    with Genome(fasta) as genome:
        (tile,) = load_sites(str(site_task)).tiles([("c", site, site + 1)], genome, False)
    inside = np.array([tile.first <= i < tile.last for i in range(60, 160)])
    assert 12 <= (~inside).sum() < 100
    assert (changes[~inside] == 0).all()
    assert (np.abs(changes[inside]).max(1) > 0).mean() > 0.9


def test_n_and_the_ends_of_contigs(explain, run, fasta, site_task, tmp_path):
    places = [(255, 261), (270, 271), (281, 282)]
    data = explain("".join(f"c\t{i}\t{j}\tx\t0\t+\n" for i, j in places), "-s")
    assert data.obs["status"].tolist() == ["ok", "no_sequence", "ok"]
    assert np.isnan(data.X[1, 0])
    first, none, last = rows(data)
    assert np.isnan(first[5]).all()
    assert not np.isnan(first[:5]).any()
    assert len(none) == 0
    assert np.isnan(data.obs["site_start"].iloc[1])
    assert data.obs["site_strand"].iloc[1] == "."
    assert np.isnan(last[:19]).all()
    edge = write_bed(tmp_path, "c\t3\t4\n")
    words = ["explain", fasta, edge, "-t", site_task, "--class", "donor", "-o", tmp_path / "x.h5"]
    assert "--out-of-bounds pad fills with N" in run(*words, code=1).stderr
    padded = explain("c\t3\t4\nc\t478\t479\nshort\t0\t30\n", "--out-of-bounds", "pad")
    assert padded.obs["site_start"].tolist()[:2] == [3, 478]
    assert np.isnan(rows(padded)[0]).all(1).sum() == 17
    outside = explain("c\t485\t486\n", "--out-of-bounds", "pad", "--on-error", "null")
    assert outside.obs["status"].iloc[0] != "ok"


def write_bed(folder, text):
    path = folder / "edge.bed"
    path.write_text(text)
    return path


def test_tracks_and_pictures(run, explain, fasta, site_task, tmp_path):
    data = explain("c\t100\t101\tsite\t0\t-\n", "-s")
    importance = -rows(data)[0].sum(1) / 3
    bed = tmp_path / "r.bed"
    words = ["explain", fasta, bed, "-t", site_task, "--class", "donor", "-s"]
    done = run(*words, "--header")
    assert "importance for log-odds of donor" in done.stdout
    assert "log-odds of donor, task sites" in done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()[2:]]
    starts = [int(line[1]) for line in lines]
    assert starts == sorted(starts)
    track = np.zeros(41)
    for _, start, end, value in lines:
        track[int(start) - 80 : int(end) - 80] = value
    np.testing.assert_allclose(track[::-1], importance, atol=1e-5)
    run(*words, "--plot", tmp_path / "p.svg")
    assert (tmp_path / "p.svg").stat().st_size > 10_000
    with h5py.File(tmp_path / "e.h5") as file:
        assert file["var/_index"].asstr()[:].tolist() == ["log-odds of donor"]


def test_from_python(fasta, site_task, explain):
    data = explain("c\t100\t160\n")
    for task in (findna.load_task(site_task), str(site_task)):
        found = findna.explain(fasta, ("c", 100, 160), task=task, class_name="donor")
        assert found.site == (data.obs["site_start"].iloc[0], data.obs["site_strand"].iloc[0])
        assert found.sequence == data.obs["sequence"].iloc[0]
        np.testing.assert_allclose(found.effects, rows(data)[0], atol=1e-5)
        first, last = found.positions[[0, -1]]
        assert (first, last) == ((100, 159) if found.site.strand == "+" else (159, 100))
    assert findna.explain(fasta, ("c", 100, 110)).site is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--class", "donor", "--context", 50], "--context does nothing for a task of single"),
        (["--class", "donor", "--both-strands"], "--both-strands does nothing for a task of"),
        (["--class", "donor", "--split"], "--split does nothing for a task of single bases"),
        (["--class", "donor", "--whole"], "--whole does nothing for a task of single bases"),
        ([], "one class at a time: choose it with --class (donor, acceptor)"),
        (["--class", "exon"], "--class exon: the task's classes are donor, acceptor"),
    ],
)
def test_options_that_do_nothing_are_refused(run, fasta, site_task, options, message):
    done = run("explain", fasta, "-r", "c:1-40", "-t", site_task, *options, code=2)
    assert message in done.stderr
    assert not done.stdout


def test_long_regions_are_refused(run, fasta, site_task):
    words = ["explain", fasta, "-r", "c:1-120", "-t", site_task, "--class", "donor"]
    assert "120 bp, and at most 100 can be read at once" in run(*words, code=1).stderr


def test_a_trained_task_looks_at_its_motif(explain, donors):
    sites = [line.split("\t") for line in (donors / "s.bed").read_text().splitlines()]
    held = [line for line in sites if line[0] == "c3"][:10]
    bed = "".join("\t".join(line) + "\n" for line in held)
    data = explain(bed, "-s", task=donors / "donors", genome=donors / "g.fa")
    importance = np.mean([-changes.sum(1) / 3 for changes in rows(data)], 0)
    start = 20 - 3  # of the motif, whose fourth base is the site
    for letters in data.obs["sequence"]:
        assert letters[start : start + len(MOTIF)] == MOTIF
    motif = np.zeros(41, bool)
    motif[start : start + len(MOTIF)] = True
    assert importance[motif].mean() > 10 * np.abs(importance[~motif]).mean()
    assert importance.argmax() in np.flatnonzero(motif)


@pytest.mark.realdata
def test_the_worm_task_looks_at_the_ends_of_an_intron(shared_data, tmp_path):
    genome = tmp_path / "worm.fa.gz"
    genome.symlink_to(shared_data / "worm-ce10" / "ce10.chrIII_chrM.fa.gz")
    region = "chrIII:10,003,314-10,003,370"
    found = findna.explain(genome, region, task="splice-worm", class_name="donor")
    assert found.site == (10_003_318, "+")
    strong = np.flatnonzero(found.importance > 1.9)
    assert "".join(found.sequence[i] for i in strong) == "GGTAGTAG"
    assert found.sequence[4:10] == "GGTAAG"
    assert found.sequence[50:55] == "TTCAG"
    assert set(strong) < {*range(4, 10), *range(50, 55)}
