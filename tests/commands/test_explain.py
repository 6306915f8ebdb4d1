"""``findna explain``: the effect of replacing each base, as HDF5, tracks and pictures."""

import gzip
import itertools
import re
import subprocess
import sys

import anndata
import h5py
import numpy as np
import pytest
import torch

from findna.commands.rows import place_all
from findna.genome.encoding import decode, encode, reverse_complement
from findna.genome.fasta import Genome
from findna.genome.regions import RegionOptions
from findna.genome.sources import RegionSource
from findna.model.checkpoint import load_checkpoint
from findna.model.devices import Compute
from findna.tasks.reading import TaskReader
from findna.tasks.task import load_task
from findna.variants.mutagenesis import Stretch, masked_effects, task_effects
from tests.conftest import make_task, random_sequence

CPU = Compute(torch.device("cpu"))
LETTERS = "ACGT"
CONTIG = random_sequence(70, 1) + "NNN" + random_sequence(60, 2).lower() + "RT" + "A" * 40
OTHER = random_sequence(90, 5)
OUTPUTS = {"binary": None, "three": "acceptor", "labels": "b", "value": "rate"}
"""Tasks of the fixture, and the class that is measured."""


def rc(letters):
    return decode(reverse_complement(encode(letters)))


@pytest.fixture
def fasta(write):
    return write("g.fa", f">c\n{CONTIG}\n>b\n{OTHER}\n>short\n{OTHER[:25]}\n")


@pytest.fixture
def explain(run, fasta, tmp_path):
    """``explain(bed, ...)``: the HDF5 file as AnnData."""
    numbers = itertools.count()

    def invoke(bed, *options, fasta=fasta, **more):
        number = next(numbers)
        path, output = tmp_path / f"{number}.bed", tmp_path / f"{number}.h5"
        path.write_text(bed)
        run("explain", fasta, path, "-o", output, *options, **more)
        return anndata.read_h5ad(output)

    return invoke


def rows(data):
    """The changes of each row, (length, 4) each."""
    packed = data.uns["effects"]
    return np.split(packed["values"], packed["offsets"][1:-1])


def same(a, b):
    """Equal but for the order of arithmetic; NaN equals NaN."""
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def predicted(letters, name, tasks, tmp_path):
    """What `predict` says of sequences: probabilities, or values of a regression."""
    path = tmp_path / "mutants.fa"
    path.write_text("".join(f">{i}\n{x}\n" for i, x in enumerate(letters)))
    task = load_task(str(tasks[name]))
    number = task.config.output(OUTPUTS[name])
    with Genome(path) as genome:
        placed = place_all(RegionSource.records(genome), genome, RegionOptions())
        pairs = ((row, row.region) for row in placed)
        calls = TaskReader([task], CPU).calls(pairs, genome)
        return np.array([found[0].values[number] for _, found in calls])


def effects_of(measure, stretches, *arguments):
    """The effects of stretches, each under its number; the numbers come out in order."""
    pairs = list(measure(enumerate(stretches), *arguments, compute=CPU))
    assert [number for number, _ in pairs] == list(range(len(stretches)))
    return [effects for _, effects in pairs]


# what the numbers are


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTPUTS)
def test_changes_are_those_of_predict(explain, tasks, tmp_path, name):
    chosen = ("--class", OUTPUTS[name]) if OUTPUTS[name] else ()
    data = explain("c\t60\t90\n", "-t", tasks[name], *chosen)
    (found,) = rows(data)
    letters = CONTIG[60:90].upper()
    mutants, where = [], []
    for i, old in enumerate(letters):
        for j, new in enumerate(LETTERS):
            if old != "N" and old != new:
                mutants.append(letters[:i] + new + letters[i + 1 :])
                where.append((i, j))
    log_odds = data.X[0, 0] + np.array([0, *(found[place] for place in where)])
    values = log_odds if name == "value" else 1 / (1 + np.exp(-log_odds))
    same(values, predicted([letters, *mutants], name, tasks, tmp_path))
    for i, old in enumerate(letters):
        if old == "N":
            assert np.isnan(found[i]).all()
        else:
            assert found[i, LETTERS.index(old)] == 0
    assert data.obs["sequence"].tolist() == [letters]
    assert np.abs(found[~np.isnan(found)]).max() > 1e-3  # there is something to see


def test_likelihood_is_that_of_variants(explain, run, fasta, model_folder, write):
    """A base in the middle of an odd window: what variants calls LLR, forward strand."""
    position = 30  # 0-based; a window of 41 bp
    vcf = write(
        "v.vcf",
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        + "".join(
            f"c\t{position + 1}\t.\t{CONTIG[position]}\t{x}\t.\t.\t.\n"
            for x in LETTERS if x != CONTIG[position]
        ),
    )  # fmt: skip
    for strand, more in (("+", []), ("both", ["--both-strands"])):
        table = run(
            "variants", fasta, vcf, "-m", model_folder, "--window", 41, "--scores", "llr",
            "--strand", strand, "-O", "tsv",
        ).stdout  # fmt: skip
        head, *lines = (line.split("\t") for line in table.splitlines())
        expected = [float(line[head.index("FINDNA_LLR")]) for line in lines]
        data = explain(
            f"c\t{position}\t{position + 1}\n", "--target", "mnm", "-m", model_folder,
            "--context", 41, *more,
        )  # fmt: skip
        (found,) = rows(data)
        others = [i for i, x in enumerate(LETTERS) if x != CONTIG[position]]
        same(found[0, others], expected)


def test_value_is_the_mean_likelihood(model_folder):
    model = load_checkpoint(str(model_folder)).model
    tokens = encode("ACGTTGCA")
    (found,) = effects_of(masked_effects, [Stretch(tokens, 0, 8)], model)
    # log-likelihoods follow from ratios, because the four probabilities add up to one
    likelihoods = -np.log(np.exp(found.changes.astype(float)).sum(1))
    same(found.value, likelihoods.mean())


TARGETS = [("-t", "binary"), ("-t", "three", "--class", "donor"), ("--target", "mnm")]


@pytest.fixture(params=TARGETS, ids=lambda target: target[1])
def target(request, tasks, model_folder):
    if request.param[0] == "--target":
        return ("--target", "mnm", "-m", model_folder)
    return ("-t", tasks[request.param[1]], *request.param[2:])


def test_a_minus_strand_is_the_reverse_complement(explain, write, target):
    flipped = write("flipped.fa", f">c\n{rc(CONTIG)}\n")
    n = len(CONTIG)
    minus = explain("c\t50\t85\tx\t0\t-\n", *target, "-s")
    plus = explain(f"c\t{n - 85}\t{n - 50}\tx\t0\t+\n", *target, "-s", fasta=flipped)
    same(rows(minus)[0], rows(plus)[0])
    assert minus.obs["sequence"].tolist() == plus.obs["sequence"].tolist()
    same(minus.X, plus.X)


def test_both_strands_say_the_same(explain, target):
    data = explain("c\t50\t85\tx\t0\t+\nc\t50\t85\tx\t0\t-\n", *target, "-s", "--both-strands")
    plus, minus = rows(data)
    same(minus, plus[::-1, ::-1])
    same(data.X[0], data.X[1])


@pytest.mark.slow
def test_rows_do_not_depend_on_what_shares_their_batch(explain, target):
    bed = "c\t0\t20\nb\t5\t60\nc\t70\t73\nshort\t0\t25\n"
    together = explain(bed, *target)
    for options in (("--max-tokens", 1), ("--max-tokens", 200)):
        same(
            together.uns["effects"]["values"],
            explain(bed, *target, *options).uns["effects"]["values"],
        )
    for row, line in zip(rows(together), bed.splitlines(), strict=True):
        same(row, rows(explain(line + "\n", *target))[0])


@pytest.mark.parametrize("strand", "+-")
@pytest.mark.parametrize(
    ("region", "window"),
    [((40, 50), (30, 60)), ((41, 50), (31, 61)), ((0, 10), (0, 30)), ((160, 172), (145, 175))],
)
def test_context_reads_more_than_it_replaces(explain, target, strand, region, window):
    """The same as the rows of the window around a region; it is moved inside the contig."""
    if strand == "-" and region == (41, 50):
        window = (30, 60)  # the odd base is always at the end, in reading direction
    bed = "c\t{}\t{}\tx\t0\t" + strand + "\n"
    part = explain(bed.format(*region), *target, "-s", "--context", 30)
    whole = explain(bed.format(*window), *target, "-s")
    inside = rows(whole)[0] if strand == "+" else rows(whole)[0][::-1]
    inside = inside[region[0] - window[0] : region[1] - window[0]]
    same(rows(part)[0], inside if strand == "+" else inside[::-1])
    if target[0] == "-t":  # a likelihood is a mean over the bases that are replaced
        same(part.X, whole.X)


def test_context_is_a_whole_contig_that_is_shorter(explain, tasks):
    part = explain("short\t3\t9\n", "-t", tasks["binary"], "--context", 60)
    same(rows(part)[0], rows(explain("short\t0\t25\n", "-t", tasks["binary"]))[0][3:9])
    padded = explain(
        "short\t3\t9\n", "-t", tasks["binary"], "--context", 60, "--out-of-bounds", "pad"
    )
    assert not np.allclose(rows(part)[0], rows(padded)[0])


def test_an_n_is_not_replaced(tasks, model_folder):
    for letters in ("NNNN", "NANN", "N"):
        stretch = Stretch(encode(letters), 0, len(letters))
        for (found,) in (
            effects_of(masked_effects, [stretch], load_checkpoint(str(model_folder)).model),
            effects_of(task_effects, [stretch], load_task(str(tasks["three"])), 0),
        ):
            assert (np.isnan(found.importance) == [x == "N" for x in letters]).all()


def test_stretches_without_a_base_keep_their_place(model_folder):
    """Nothing is read of them by the masked target; rows around them stay in order."""
    model = load_checkpoint(str(model_folder)).model
    letters = ["N", "ACGT", "NN", "NN", "TTGCA", "N"]
    stretches = [Stretch(encode(x), 0, len(x)) for x in letters]
    found = effects_of(masked_effects, stretches, model)
    assert [len(one.changes) for one in found] == [len(x) for x in letters]
    for one, stretch in zip(found, stretches, strict=True):
        (alone,) = effects_of(masked_effects, [stretch], model)
        same(one.changes, alone.changes)
        same(one.value, alone.value)


# rows


def test_rows_come_out_as_they_went_in(explain, tasks):
    bed = "c\t5\t30\tfirst\t7\t+\nx\t1\t9\tlost\t0\t.\nb\t0\t8\tshort\t1\t-\n"
    data = explain(bed, "-t", tasks["binary"], "--on-error", "null")
    assert data.obs["name"].tolist() == ["first", "lost", "short"]
    assert data.obs["score"].tolist() == [7, 0, 1]
    assert data.obs["status"].tolist() == ["ok", "unknown_contig", "ok"]
    assert data.obs["length"].tolist() == [25, 0, 8]
    assert np.isnan(data.X[1]).all()
    assert data.uns["effects"]["offsets"].tolist() == [0, 25, 25, 33]
    assert data.uns["findna"]["task"]["digest"] == load_task(str(tasks["binary"])).digest
    skipped = explain(bed, "-t", tasks["binary"], "--on-error", "skip")
    assert skipped.obs["name"].tolist() == ["first", "short"]
    same(skipped.uns["effects"]["values"], data.uns["effects"]["values"])


def test_no_rows(explain, tasks, run, fasta, write):
    assert explain("", "-t", tasks["binary"]).shape == (0, 1)
    assert run("explain", fasta, write("e.bed", ""), "-t", tasks["binary"]).stdout == ""


def test_without_regions_every_record_is_one(run, write, tasks, tmp_path):
    fasta = write("two.fa", f">x\n{OTHER[:12]}\n>y\n{OTHER[:20]}\n")
    run("explain", fasta, "-t", tasks["binary"], "-o", tmp_path / "o.h5")
    with h5py.File(tmp_path / "o.h5") as file:
        assert file["uns/effects/offsets"][:].tolist() == [0, 12, 32]


# tracks


def track(text):
    found = (line.split("\t") for line in text.splitlines())
    return [(chrom, int(start), int(end), float(value)) for chrom, start, end, value in found]


def test_track_lies_where_the_bases_are(run, fasta, write, explain, tasks):
    bed = "c\t60\t90\tx\t0\t-\nb\t3\t20\ty\t0\t+\n"
    options = ("-t", tasks["three"], "--class", "donor", "-s")
    first, second = rows(explain(bed, *options))
    found = track(run("explain", fasta, write("t.bed", bed), *options).stdout)
    values = {(chrom, i): v for chrom, a, b, v in found for i in range(a, b)}
    minus, plus = -first.sum(1)[::-1] / 3, -second.sum(1) / 3
    expected = {("c", 60 + i): v for i, v in enumerate(minus) if not np.isnan(v)}
    expected |= {("b", 3 + i): v for i, v in enumerate(plus)}
    assert values.keys() == expected.keys()
    assert all(abs(values[place] - expected[place]) < 1e-4 for place in expected)
    assert found == sorted(found)
    assert not any(chrom == "c" and 70 <= i < 73 for chrom, i in values)  # N


def test_track_is_the_mean_where_regions_overlap(run, fasta, write, tasks):
    def of(bed):
        text = run("explain", fasta, write("t.bed", bed), "-t", tasks["binary"]).stdout
        return {(c, i): v for c, a, b, v in track(text) for i in range(a, b)}

    one, two = of("b\t0\t30\n"), of("b\t20\t50\n")
    both = of("b\t20\t50\nb\t0\t30\n")
    assert both.keys() == one.keys() | two.keys()
    for place, value in both.items():
        expected = [values[place] for values in (one, two) if place in values]
        assert abs(value - np.mean(expected)) < 1e-4


def test_split_joins_the_blocks(run, fasta, write, explain, tasks):
    bed = "c\t10\t60\tx\t0\t-\t10\t60\t0\t2\t8,12\t0,38\n"
    data = explain(bed, "-t", tasks["three"], "--class", "donor", "--split", "-s")
    assert data.obs["sequence"].tolist() == [rc(CONTIG[10:18] + CONTIG[48:60])]
    options = ("-t", tasks["three"], "--class", "donor", "--split", "-s")
    text = run("explain", fasta, write("t.bed", bed), *options).stdout
    covered = sorted(i for _, a, b, _ in track(text) for i in range(a, b))
    assert covered == [*range(10, 18), *range(48, 60)]


def test_bigwig_and_index(run, fasta, write, tasks, tmp_path):
    pybigtools = pytest.importorskip("pybigtools")
    bed = write("t.bed", "c\t0\t40\nb\t0\t30\n")
    text = run("explain", fasta, bed, "-t", tasks["binary"]).stdout
    run("explain", fasta, bed, "-t", tasks["binary"], "--track", tmp_path / "t.bw")
    with pybigtools.open(str(tmp_path / "t.bw")) as file:
        found = [(c, *row) for c in ("b", "c") for row in file.records(c)]
    assert [row[:3] for row in found] == [row[:3] for row in track(text)]
    same([row[3] for row in found], [row[3] for row in track(text)])
    out = tmp_path / "t.bedgraph.gz"
    run("explain", fasta, bed, "-t", tasks["binary"], "--track", out, "--header", "--write-index")
    assert (tmp_path / "t.bedgraph.gz.tbi").exists()
    lines = gzip.decompress(out.read_bytes()).decode().splitlines()
    assert load_task(str(tasks["binary"])).digest[:12] in lines[0]
    assert lines[1].startswith("track type=bedGraph")
    assert "\n".join(lines[2:]) + "\n" == text


# pictures


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_pictures(run, fasta, write, tasks, tmp_path, suffix):
    pytest.importorskip("logomaker")
    bed = write("t.bed", "c\t0\t90\tleft\n" + "b\t0\t30\tright\n" * (suffix == "pdf"))
    paths = [tmp_path / f"{i}.{suffix}" for i in (1, 2)]
    for path in paths:
        said = run("explain", fasta, bed, "-t", tasks["binary"], "--plot", path).stderr
        assert said.endswith(f" -> {path}\n")
    content = paths[0].read_bytes()
    assert content == paths[1].read_bytes()
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    assert content.startswith(start)
    if suffix == "pdf":
        assert len(re.findall(rb"/Type /Page\b", content)) == 2


@pytest.mark.slow
def test_several_regions_are_several_pictures(run, fasta, write, tasks, tmp_path):
    pytest.importorskip("logomaker")
    bed = write("t.bed", "c\t0\t30\tleft\n" + "b\t0\t30\tright\n" * 9)
    words = ["explain", fasta, bed, "-t", tasks["binary"], "--plot", tmp_path / "x.png"]
    (tmp_path / "x.png").touch()  # of one region, in a run before: no name that is written
    said = run(*words).stderr
    assert said.endswith(f" -> {tmp_path / 'x.01.png'} to {tmp_path / 'x.10.png'}\n")
    (tmp_path / "x.png").unlink()
    names = [f"x.{i:02}.png" for i in range(1, 11)]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == names
    assert (tmp_path / names[0]).read_bytes() != (tmp_path / names[1]).read_bytes()
    assert f"{tmp_path / names[0]}: exists" in run(*words, code=1).stderr
    run(*words, "--force")


@pytest.mark.slow
def test_a_picture_says_where_and_by_what(run, fasta, write, tasks, tmp_path):
    """Positions are 1-based and in reading direction; the scale is also one of probability."""
    matplotlib = pytest.importorskip("matplotlib")
    pytest.importorskip("logomaker")
    path, table = tmp_path / "x.svg", tmp_path / "p.bed"
    bed = write("t.bed", "c\t4\t88\tleft\t0\t-\n")
    with matplotlib.rc_context({"svg.fonttype": "none"}):  # text as text
        run("explain", fasta, bed, "-s", "-t", tasks["binary"], "--plot", path)
    run("predict", fasta, bed, "-s", "-t", tasks["binary"], "-O", "tsv", "-o", table)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())
    (title,) = [text for text in texts if text.startswith("left")]
    assert title == "left c:5-88 (-)"
    digest = load_task(str(tasks["binary"])).digest[:12]
    (subtitle,) = [text for text in texts if digest in text]
    assert subtitle.startswith(f"task binary {digest}: log-odds of yes ")
    probability = float(table.read_text().split()[-1])
    assert float(subtitle.split()[-1]) == pytest.approx(probability, rel=0.01)
    positions = [text for text in texts if text.isdigit() and int(text) > 4]
    assert positions == ["88", "80", "70", "60", "50", "40", "30", "20", "10"]
    assert "c, minus strand (1-based)" in texts
    assert "probability with the replacement" in texts


@pytest.mark.parametrize("options", [("--target", "mnm"), ("-t", "value", "--class", "rate")])
def test_what_is_no_probability_has_no_scale_of_it(
    run, fasta, model_folder, tasks, tmp_path, options
):
    matplotlib = pytest.importorskip("matplotlib")
    pytest.importorskip("logomaker")
    path = tmp_path / "x.svg"
    weights = ["-m", model_folder] if "mnm" in options else []
    words = [tasks.get(word, word) for word in options]
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        run("explain", fasta, "-r", "c:1-20", *words, *weights, "--plot", path)
    assert "importance" in path.read_text()
    assert "probability" not in path.read_text()


def test_pictures_show_what_was_found():
    """Letters are as high as the importance of their base; a dot marks it in the map."""
    matplotlib = pytest.importorskip("matplotlib")
    pytest.importorskip("logomaker")
    from findna.outputs.logos import Picture, draw_figure
    from findna.outputs.results import Effects

    changes = np.zeros((130, 4), np.float32)
    changes[4] = [0, -3, -3, -3]
    changes[120] = [np.nan] * 4
    letters = "A" * 120 + "N" + "C" * 9
    positions = np.arange(1, 131)
    figure = draw_figure(
        Picture("x", letters, positions, "chr1", Effects(1.0, changes), "log-odds", True)
    )
    logos, maps = figure.axes[0:4:2], figure.axes[1:4:2]
    # one letter stands out: A at base 5, of height 3
    heights = {
        round((box := patch.get_path().get_extents()).x0): box.height for patch in logos[0].patches
    }
    assert max(heights.values()) == pytest.approx(3, rel=0.05)
    assert maps[0].images[0].get_array().shape == (4, 100)
    assert maps[1].images[0].get_array().shape == (4, 30)
    assert maps[0].images[0].get_array()[:, 4].tolist() == [0, -3, -3, -3]
    (dots,) = maps[1].lines
    assert dots.get_xdata().tolist() == [*range(101, 121), *range(122, 131)]  # none on N
    assert dots.get_ydata().tolist() == [0] * 20 + [1] * 9
    # N is grey, what lies beyond the last base is not
    assert matplotlib.colors.to_hex(maps[1].images[0].get_cmap().get_bad()) == "#d9d9d9"
    assert matplotlib.colors.to_hex(maps[1].get_facecolor()) == "#ffffff"


def test_no_library_for_pictures(run, fasta, tasks, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "logomaker", None)
    options = ("-t", tasks["binary"], "--plot", tmp_path / "x.png")
    found = run("explain", fasta, "-r", "c:1-20", *options, code=1)
    assert "findna[plot]" in found.stderr


# errors


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "give --task NAME (findna tasks list) or --target mnm"),
        (
            ["-t", "binary", "--target", "mnm"],
            2,
            "give --task NAME (findna tasks list) or --target mnm",
        ),
        (["-t", "binary", "-m", "tiny"], 2, "a task has its own encoder"),
        (["--target", "mnm", "--class", "yes"], 2, "--class is for --task"),
        (["-t", "binary", "--split", "--context", "9"], 2, "--split cannot be combined"),
        (["-t", "three"], 2, "--class (donor, acceptor, neither)"),
        (["-t", "three", "--class", "x"], 2, "classes are donor, acceptor, neither"),
        (["-t", "binary", "-o", "-"], 2, "--track -"),
        (["-t", "binary", "--plot", "x.jpg"], 2, ".pdf, .png or .svg"),
        (["-t", "binary", "--track", "x.bw", "--header"], 2, "bigWig has no header"),
        (["-t", "binary", "--write-index"], 2, "NAME.bedgraph.gz"),
        (["-t", "binary", "--context", "200"], 2, "at most 100 bp"),
        (["-t", "binary", "--context", "10"], 1, "20 bp, and at most 10"),
        (["-t", "binary", "-o", "x.h5", "--plot", "x.h5"], 2, "two outputs with one name"),
        (["-t", "binary", "-o", "g.fa"], 1, "also an input"),
    ],
)
def test_bad_usage(run, fasta, tasks, tmp_path, monkeypatch, options, code, message):
    monkeypatch.chdir(tmp_path)
    words = [tasks.get(word, word) for word in options]
    result = run("explain", fasta, "-r", "c:1-20", *words, code=code)
    assert message in result.stderr
    assert not list(tmp_path.glob("x.*"))


def test_too_long_a_region(run, fasta, tasks, write, tmp_path):
    bed = write("t.bed", "c\t0\t120\nb\t0\t20\n")
    out = tmp_path / "x.h5"
    result = run("explain", fasta, bed, "-t", tasks["binary"], "-o", out, code=1)
    assert "line 1: 120 bp, and at most 100 can be read at once: --window 100" in result.stderr
    assert not out.exists()
    run("explain", fasta, bed, "-t", tasks["binary"], "-o", out, "--on-error", "null")
    assert anndata.read_h5ad(out).obs["status"].tolist() == ["too_long", "ok"]
    run("explain", fasta, bed, "-t", tasks["binary"], "-o", out, "--whole", "-f")
    assert anndata.read_h5ad(out).obs["status"].tolist() == ["ok", "ok"]


def test_a_task_for_another_length_is_warned_of_once(run, fasta, model_folder, tmp_path, write):
    from tests.conftest import make_task

    task = make_task(tmp_path / "task", model_folder, window=30)
    bed = write("t.bed", "c\t0\t30\nc\t0\t20\nc\t0\t10\n")
    stderr = run("explain", fasta, bed, "-t", task).stderr
    assert stderr.count("was trained on 30 bp") == 1
    assert "line 2 is read as 20 bp" in stderr
    assert "trained on" not in run("explain", fasta, bed, "-t", task, "--context", 30).stderr


def test_the_same_bytes_again(run, fasta, tasks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        run("explain", fasta, "-r", "c:1-40", "-t", tasks["binary"], "-o", "x.h5", "-f")
        (tmp_path / "x.h5").rename(tmp_path / f"{_}.h5")
    assert (tmp_path / "0.h5").read_bytes() == (tmp_path / "1.h5").read_bytes()


def test_help_does_not_load_torch():
    code = "import sys; from findna.cli.explain import explain; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# real sequence


@pytest.mark.realdata
def test_real_promoter(run, shared_data, tmp_path):
    """What replacing one base of a promoter changes is what `predict` says of it."""
    tss = gzip.decompress(
        (shared_data / "regions/epdnew_human_tss.no_chr19.hg38.bed.gz").read_bytes()
    )
    rows_ = (line.split("\t") for line in tss.decode().splitlines())
    chrom, start, _, name, _, strand = next(row for row in rows_ if row[0] == "chr20")
    low = int(start) - 30
    bed = tmp_path / "p.bed"
    bed.write_text(f"{chrom}\t{low}\t{low + 60}\t{name}\t0\t{strand}\n")
    genome = shared_data / "human-hg38/hg38.chr2_chr20_chr21.fa.gz"
    run("explain", genome, bed, "-s", "-t", "promoter", "-o", tmp_path / "p.h5")
    data = anndata.read_h5ad(tmp_path / "p.h5")
    (changes,) = rows(data)
    assert changes.shape == (60, 4)
    letters = data.obs["sequence"].iloc[0]
    base, to = np.unravel_index(np.abs(changes).argmax(), changes.shape)
    mutant = letters[:base] + LETTERS[to] + letters[base + 1 :]
    (tmp_path / "m.fa").write_text(f">ref\n{letters}\n>alt\n{mutant}\n")
    lines = run("predict", tmp_path / "m.fa", "-t", "promoter").stdout.splitlines()
    p = np.array([float(line.split("\t")[-1]) for line in lines[-2:]])
    expected = np.log(p) - np.log1p(-p)
    assert data.X[0, 0] == pytest.approx(expected[0], abs=1e-3)
    assert changes[base, to] == pytest.approx(expected[1] - expected[0], abs=1e-3)
    assert abs(changes[base, to]) > 0.05


def test_points_get_the_window_of_the_task(run, example, model_folder, write, tmp_path):
    settings = {"window": 30, "upstream": 20, "stranded": True}
    task = make_task(tmp_path / "tss", model_folder, **settings)
    fasta = example / "genome.fa"
    bed = write("p.bed", "chrA\t500\t501\ta\t0\t-\n")
    own = run("explain", fasta, bed, "-t", task)
    rows = write("r.bed", "chrA\t491\t521\ta\t0\t-\n")
    assert own.stdout == run("explain", fasta, rows, "-s", "-t", task).stdout
    assert "windows of 30 bp, 20 upstream of each point" in own.stderr
    assert "trained on" not in own.stderr
    longer = write("l.bed", "chrA\t400\t501\ta\t0\t-\n")
    assert run("explain", fasta, longer, "-t", task, "--anchor", "start").stdout == own.stdout
    context = run("explain", fasta, bed, "-t", task, "--context", 30)
    assert len(context.stdout.splitlines()) == 1
    assert "upstream" not in context.stderr


def test_regions_of_nothing_but_n(run, fasta, tasks, write, tmp_path):
    bed = write("n.bed", "c\t70\t73\tgap\nc\t60\t80\tedge\n")
    out, track = tmp_path / "o.h5", tmp_path / "t.bedgraph"
    words = ["explain", fasta, bed, "-t", tasks["binary"]]
    result = run(*words, "-o", out, "--track", track)
    assert result.stderr.count("line 1 (gap): 3 of its 3 bp are N") == 1
    assert "1 of 2 regions explained, 1 without effects (1 no_sequence)" in result.stderr
    data = anndata.read_h5ad(out)
    assert data.obs["status"].tolist() == ["no_sequence", "ok"]
    assert np.isnan(data.X[:, 0]).tolist() == [True, False]
    assert data.uns["effects"]["offsets"].tolist() == [0, 0, 20]
    assert len(track.read_text().splitlines()) == 17
    result = run(*words, "--max-n", 0.1)
    assert result.stdout == ""
    assert "0 of 2 regions explained, 2 without effects (2 no_sequence)" in result.stderr
    plot = tmp_path / "p.png"
    result = run("explain", fasta, "-r", "c:71-73", "-t", tasks["binary"], "--plot", plot, code=2)
    assert "there is no region to draw" in result.stderr
