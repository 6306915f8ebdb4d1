"""Tasks of single bases: ``findna finetune --dense`` and what reads such tasks."""

import json
import re
import shutil

import numpy as np
import pytest
import torch

from findna.errors import CheckpointError
from findna.genome.encoding import decode, encode, reverse_complement
from findna.genome.fasta import Genome
from findna.genome.windows import Region
from findna.model.devices import Compute
from findna.tasks.reading import TaskReader
from findna.tasks.sites import load_sites, tiles
from tests.conftest import MOTIF, make_task, random_sequence
from tests.pages import Page

CPU = Compute(torch.device("cpu"))


@pytest.fixture(scope="module")
def trained(donors):
    return donors


def bases(task, genome, spans, reverse=False, compute=CPU):
    """Probabilities of spans, joined by contig and position."""
    with Genome(genome) as fasta:
        pieces = load_sites(str(task)).probabilities(spans, fasta, compute, reverse)
        return {
            (piece.chrom, piece.start + i): row
            for piece in pieces
            for i, row in enumerate(piece.values)
        }


def test_it_learns_and_says_how_well(trained):
    record = json.loads((trained / "donors" / "task.json").read_text())
    test = record["metrics"]["test"]["donor"]
    assert test["sites"] == 28
    assert test["bases"] == 6000  # every base of both strands
    assert test["auprc"] > 0.8
    baselines = {name: figures["auprc"] for name, figures in test["baselines"].items()}
    assert baselines["position weight matrix"] > 0.9
    assert max(value for name, value in baselines.items() if "bp" in name) < 0.1
    detail = record["detail"]
    points = detail["curves"]["donor"]
    assert detail["measured_on"] == "test"
    assert (points["true"][-1], points["false"][-1]) == (28, 5972)
    assert sum(row["n"] for row in detail["reliability"]["donor"]) == 6000
    page = Page(trained / "donors" / "report.html")
    assert page.pictures == ["Task and baselines, test set", "ROC, test set",
                             "Precision and recall, test set", "Reliability, test set",
                             "Letters, donor"]  # fmt: skip
    motifs = detail["motifs"]
    strongest, members = (motifs["classes"]["donor"][key] for key in ("strongest", "members"))
    assert (strongest["n"], members["n"]) == (28, 28)
    assert strongest["right"] > 20
    table = np.array([members[letter] for letter in "ACGT"])
    assert (table.max(0) == 28).sum() == len(MOTIF)
    assert "".join("ACGT"[i] for i in table[:, table.max(0) == 28].argmax(0)) == MOTIF
    assert members["G"][-motifs["first"]] == 28  # the fourth base is the site
    card = (trained / "donors" / "README.md").read_text()
    assert record["digest"] in card
    assert "findna scan GENOME --task donors --call 0.5" in card
    assert record["data"]["holdout"] == ["c3"]


def test_a_base_has_one_value_whatever_is_asked_for(trained):
    everything = [(f"c{i}", 0, 3000) for i in range(4)] + [("d", 0, 380)]
    for reverse in (False, True):
        whole = bases(trained / "donors", trained / "g.fa", everything, reverse)
        assert len(whole) == 12_380
        parts = [("c0", 0, 77), ("c0", 77, 1203), ("c2", 2999, 3000), ("d", 5, 380)]
        little = Compute(torch.device("cpu"), max_tokens=300)
        some = bases(trained / "donors", trained / "g.fa", parts, reverse, little)
        assert len(some) == 77 + 1126 + 1 + 375
        for place, value in some.items():
            assert value == pytest.approx(whole[place], abs=1e-5, nan_ok=True)
        unknown = [p for p, value in whole.items() if np.isnan(value).any()]
        assert unknown == [("d", i) for i in range(130, 280)]


def test_the_minus_strand_is_the_plus_strand_of_the_reverse_complement(trained, write):
    sequence = random_sequence(60, 4)
    turned = decode(reverse_complement(encode(sequence)))
    genome = write("two.fa", f">s\n{sequence}\n>t\n{turned}\n")  # each in one tile
    minus = bases(trained / "donors", genome, [("s", 0, 60)], True)
    plus = bases(trained / "donors", genome, [("t", 0, 60)])
    for i in range(60):
        assert minus["s", i] == pytest.approx(plus["t", 59 - i], abs=1e-5)


def test_tiles_cover_every_base_once():
    for margin in (0, 12, 40):
        for spans in ([("c", 0, 1000)], [("c", 3, 4)], [("c", 90, 501), ("c", 501, 999)]):
            found = list(tiles(spans, {"c": 1000}, 100, margin))
            covered = [i for tile in found for i in range(tile.start, tile.end)]
            assert covered == [i for _, start, end in spans for i in range(start, end)]
            for tile in found:
                assert 0 <= tile.first <= tile.start < tile.end <= tile.last <= 1000
                assert tile.start - tile.first >= min(margin, tile.start)
                assert tile.last - tile.first <= 100
    over = list(tiles([("c", -50, 120), ("c", 980, 1090), ("c", -9, 0)], {"c": 1000}, 100, 12))
    assert [i for t in over for i in range(t.start, t.end)] == [*range(120), *range(980, 1000)]


def test_scan_makes_a_track_of_one_class(run, trained, tmp_path):
    task, genome = trained / "donors", trained / "g.fa"
    text = run("scan", genome, "--task", task, "--header", "-r", "d").stdout.splitlines()
    assert text[0].startswith("#findna ")
    assert text[0].endswith("class=donor strand=+")
    rows = [line.split("\t") for line in text[2:]]
    values = bases(task, genome, [("d", 0, 380)])
    seen = {}
    for _, start, end, value in rows:
        seen.update(dict.fromkeys(range(int(start), int(end)), float(value)))
    assert sorted(seen) == [*range(130), *range(280, 380)]  # N is a gap
    for i, value in seen.items():
        assert value == pytest.approx(values["d", i][0], abs=6e-4)
    out = tmp_path / "t.bw"
    run("scan", genome, "--task", task, "--strand", "-", "-o", out)
    assert out.stat().st_size > 100


def test_scan_lists_sites(run, trained):
    task, genome = trained / "donors", trained / "g.fa"
    done = run("scan", genome, "--task", task, "--call", 0.3)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert f"{len(rows)} sites over 12230 of 12380 bp" in done.stderr
    expected = []
    spans = [(f"c{i}", 0, 3000) for i in range(4)] + [("d", 0, 380)]
    for strand, reverse in (("+", False), ("-", True)):
        above = {p: v[0] for p, v in bases(task, genome, spans, reverse).items() if v[0] >= 0.3}
        for (chrom, at), _ in sorted(above.items()):
            if (chrom, at - 1) not in above:
                end = at
                while (chrom, end) in above:
                    end += 1
                score = round(1000 * max(above[chrom, i] for i in range(at, end)))
                expected.append([chrom, at, end, "donor", score, strand])
    found = [[c, int(a), int(b), name, int(s), strand] for c, a, b, name, s, strand in rows]
    assert found == sorted(found, key=lambda row: row[:2])
    for row, other in zip(sorted(found), sorted(expected), strict=True):
        assert row[:4] + row[5:] == other[:4] + other[5:]
        assert abs(row[4] - other[4]) <= 1
    only = run("scan", genome, "--task", task, "--call", 0.3, "--strand", "-").stdout
    assert only.splitlines() == [line for line in done.stdout.splitlines() if line.endswith("-")]
    true = {tuple(line.split("\t")[i] for i in (0, 1, 5)) for line in (
        trained / "s.bed").read_text().splitlines()}  # fmt: skip
    hits = {(row[0], row[1], row[5]) for row in rows}
    assert len(hits & true) > 0.7 * len(true)


def test_help_says_that_neighbouring_bases_are_one_site(run):
    words = " ".join(run("scan", "--help").stdout.split())
    assert "neighbouring bases of a class above it are one site" in words


def test_runs_go_on_across_tiles(run, trained):
    """Every base is a site of probability 0 or more: one run per strand and stretch."""
    done = run("scan", trained / "g.fa", "--task", trained / "donors", "--call", 0)
    rows = [line.split("\t")[:3] for line in done.stdout.splitlines()]
    pieces = [[f"c{i}", "0", "3000"] for i in range(4)] + [["d", "0", "130"], ["d", "280", "380"]]
    assert rows == sorted(pieces * 2)


def test_a_frozen_encoder_stays_as_it_is(run, trained, tmp_path, model_folder):
    run("finetune", trained / "g.fa", "-t", "x", "--dense", "--train", trained / "s.bed", "-o",
        tmp_path / "x", "-m", model_folder, "--epochs", 1)  # fmt: skip
    task = load_sites(str(tmp_path / "x"))
    assert task.config.mode == "probe"
    assert not (tmp_path / "x" / "encoder").exists()
    assert task.checkpoint.folder == model_folder
    assert "test" not in task.record["metrics"]
    assert "| validation | donor | the task | " in (tmp_path / "x" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["probe", "full"])
def test_how_long_it_takes_is_told(run, trained, tmp_path, model_folder, monkeypatch, mode):
    words = ["finetune", trained / "g.fa", "-t", "x", "--dense", "--train", trained / "s.bed", "-f",
             "-o", tmp_path / "x", "-m", model_folder, "--epochs", 2, "--mode", mode]  # fmt: skip
    assert "about" not in run(*words).stderr  # it takes seconds
    monkeypatch.setattr("findna.commands.finetune_sites.FEW_BASES", 0)
    monkeypatch.setattr("findna.tasks.duration.LEAST_SECONDS", 0)
    first = run(*words).stderr.splitlines()[0]
    end = "on this machine, if training goes on for 2 epochs"
    assert re.fullmatch(rf"findna: 0\.0 Mb: about \d+ minutes? {end}", first)


def test_lists_and_cards(run, trained, monkeypatch):
    home = trained / "home" / "tasks"
    home.mkdir(parents=True)
    shutil.copytree(trained / "donors", home / "donors")
    monkeypatch.setenv("FINDNA_HOME", str(trained / "home"))
    (row,) = [x for x in run("tasks", "list").stdout.splitlines() if x.startswith("donors\t")]
    assert row.split("\t")[1:4] == ["donor", "bases", "full"]
    assert "AUPRC" in row
    assert "tells at every base" in run("tasks", "info", "donors").stdout
    assert json.loads(run("tasks", "info", "donors", "--json").stdout)["task"]["kind"] == "sites"
    run("scan", trained / "g.fa", "--task", "donors", "--call", 0.5, "-r", "c0:1-500")


# predict: the best site of every region


@pytest.fixture(scope="module")
def everywhere(example, site_task):
    """Probabilities of every base of the example by strand: {"+": {(chrom, i): (2,)}, "-": ...}."""
    spans = [("chrA", 0, 60_000), ("chrB", 0, 40_000)]
    return {s: bases(site_task, example / "genome.fa", spans, s == "-") for s in "+-"}


@pytest.fixture
def predict(run, example, site_task):
    """``predict(bed, ...)``: lines of fields, by the made-up task of donors and acceptors."""

    def invoke(regions, *options, task=site_task, **more):
        words = ["predict", example / "genome.fa", regions, "-t", task, *options]
        return [line.split("\t") for line in run(*words, **more).stdout.splitlines()]

    return invoke


def check(everywhere, fields, chrom, spans, strands):
    """Hold label, probability, start, strand and the highest of each class against every base."""
    label, probability, start, strand, *each = fields
    seen = {(s, i): everywhere[s][chrom, i] for s in strands for a, b in spans for i in range(a, b)}
    values = np.stack(list(seen.values()))
    np.testing.assert_allclose(np.array(each, float), np.nanmax(values, 0), atol=2e-5)
    assert float(probability) == max(map(float, each))
    best = seen[strand, int(start)]
    assert best.max() == pytest.approx(float(probability), abs=2e-5)
    assert label == (("donor", "acceptor")[int(best.argmax())] if best.max() >= 0.5 else "none")
    return label, strand


@pytest.mark.parametrize("options", [[], ["-s"], ["-s", "--max-tokens", 300]])
def test_predict_finds_the_best_site_of_each_region(predict, write, everywhere, options):
    rng = np.random.default_rng(3)
    rows = []
    for i, length in enumerate([1, 1, 2, 75, 76, 77, 100, 400, 900, 2500] * 4):
        chrom = ("chrA", "chrB")[i % 2]
        start = int(rng.integers(40_000 - length))
        rows.append((chrom, start, start + length, f"r{i}", "0", "+-"[int(rng.integers(2))]))
    rows += [("chrA", 0, 60_000, "a", "0", "-"), ("chrB", 39_999, 40_000, "b", "0", "+")]
    bed = write("r.bed", "".join("\t".join(map(str, row)) + "\n" for row in rows))
    lines = predict(bed, "--all-classes", *options)
    found = set()
    for row, line in zip(rows, lines, strict=True):
        chrom, start, end, _, _, strand = row
        assert line[:6] == list(map(str, row))
        strands = strand if options else "+-"
        found.add(check(everywhere, line[6:], chrom, [(start, end)], strands))
    assert {label for label, _ in found} == {"donor", "acceptor", "none"}
    assert {strand for _, strand in found} == {"+", "-"}
    piped = predict("-", "--all-classes", *options, input=bed.read_bytes())
    assert piped == lines
    for i in (0, 7, 41):  # alone
        (line,) = predict(write("one.bed", "\t".join(map(str, rows[i])) + "\n"), *options)
        assert line[:7] + line[8:] == lines[i][:7] + lines[i][8:10]
        assert float(line[7]) == pytest.approx(float(lines[i][7]), abs=2e-5)


def test_parts_of_split_rows_and_what_is_resized(predict, write, everywhere):
    row = "chrA\t1000\t9000\tg\t0\t-\t1000\t9000\t0\t3\t50,300,1\t0,4000,7999\n"
    bed = write("t.bed", row)
    spans = [(1000, 1050), (5000, 5300), (8999, 9000)]
    (line,) = predict(bed, "--split", "--all-classes")
    check(everywhere, line[12:], "chrA", spans, "+-")
    (line,) = predict(bed, "--split", "--all-classes", "-s")
    check(everywhere, line[12:], "chrA", spans, "-")
    (line,) = predict(bed, "--window", 101, "--anchor", "start", "-s", "--all-classes")
    check(everywhere, line[12:], "chrA", [(8949, 9050)], "-")
    edge = write("e.bed", "chrB\t5\t9\nchrB\t39990\t39999\n")
    first, last = predict(edge, "--flank", 200, "--out-of-bounds", "pad", "--all-classes")
    check(everywhere, first[3:], "chrB", [(0, 209)], "+-")
    check(everywhere, last[3:], "chrB", [(39_790, 40_000)], "+-")


def test_a_point_is_one_base_unless_a_task_of_regions_lays_a_window(
    predict, write, everywhere, model_folder, tmp_path, site_task
):
    bed = write("p.bed", "chrA\t700\t701\tx\t0\t-\nchrA\t900\t1100\ty\t0\t+\n")
    point, other = predict(bed, "--all-classes")
    check(everywhere, point[6:], "chrA", [(700, 701)], "+-")
    check(everywhere, other[6:], "chrA", [(900, 1100)], "+-")
    made = make_task(tmp_path / "made", model_folder, window=60, upstream=40, stranded=True)
    both = predict(bed, "--all-classes", task=f"{site_task},{made}")
    check(everywhere, both[0][6:12], "chrA", [(700 - 19, 741)], "-")
    check(everywhere, both[1][6:12], "chrA", [(900, 1100)], "+-")
    alone = predict(bed, "--all-classes", task=made)
    assert [row[12:] for row in both] == [row[6:] for row in alone]


def test_tasks_of_regions_and_of_sites_go_together(predict, write, tasks, site_task, tmp_path):
    bed = write("r.bed", "".join(f"chrA\t{i}\t{i + 37 * k}\n" for k, i in enumerate(
        range(100, 2000, 100), 1)))  # fmt: skip
    shutil.copytree(site_task, tmp_path / "again")
    alone = {}
    for task in (tasks["binary"], tasks["three"], site_task, tmp_path / "again"):
        alone[task] = [row[3:] for row in predict(bed, task=task)]
    for order in ([tasks["binary"], site_task, tasks["three"]], [site_task, tasks["binary"]],
                  [tmp_path / "again", tasks["three"], site_task]):  # fmt: skip
        header, *lines = predict(bed, "-O", "tsv", task=",".join(map(str, order)))
        names = []
        for task in order:
            names += [task.name, f"{task.name}_probability"]
            if task in (site_task, tmp_path / "again"):
                names += [f"{task.name}_start", f"{task.name}_strand"]
        assert header[3:] == names
        for line, *parts in zip(lines, *(alone[task] for task in order), strict=True):
            assert line[3:] == [field for part in parts for field in part]


def test_rows_without_a_result_and_json(run, site_task, write):
    genome = write("n.fa", f">s\n{random_sequence(300, 2)}{'N' * 200}{random_sequence(90, 3)}\n")
    bed = write("r.bed", "s\t0\t300\ns\t310\t400\ns\t290\t400\nz\t1\t5\n")
    words = ["predict", genome, bed, "-t", site_task, "--on-error", "null", "--all-classes"]
    done = run(*words, "-O", "tsv")
    header, *lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert header[3:] == ["sites", "sites_probability", "sites_start", "sites_strand",
                          "sites_donor", "sites_acceptor"]  # fmt: skip
    assert [line[3:] == ["."] * 6 for line in lines] == [False, True, False, True]
    assert "1 no_sequence" in done.stderr
    assert 290 <= int(lines[2][5]) < 300  # the rest is N
    assert run(*words, "--max-n", 0.5).stdout.splitlines()[2].endswith("\t." * 6)
    records = [json.loads(line) for line in run(*words, "-O", "jsonl").stdout.splitlines()]
    assert [record["sites"] is None for record in records] == [False, True, False, True]
    first = records[0]["sites"]
    assert list(first) == ["label", "probability", "start", "strand", "all"]
    assert [first["label"], str(first["start"]), first["strand"]] == [lines[0][3], *lines[0][5:7]]
    assert first["probability"] == max(first["all"].values())
    (line,) = run("predict", genome, "-t", site_task).stdout.splitlines()[1:]  # whole records
    assert line.split("\t")[:2] == ["s", "590"]


def test_forms_parts_and_filters(predict, run, example, site_task, tmp_path):
    bed = example / "regions.bed"
    plain = predict(bed)
    calls = [row[-4:] for row in plain]
    six = predict(bed, "--bed6")
    assert [row[4] for row in six] == [str(round(1000 * float(p))) for _, p, _, _ in calls]
    assert [row[5] for row in six] == [strand for *_, strand in calls]
    nine = predict(bed, "--bed9")
    assert [row[5:8] for row in nine] == [
        [strand, start, str(int(start) + 1)] for _, _, start, strand in calls
    ]
    window = ("--window", 5000, "--out-of-bounds", "pad")
    wide = predict(bed, "--bed9", *window)
    for row, (*_, start, strand) in zip(wide, predict(bed, *window), strict=True):
        inside = int(row[1]) <= int(start) < int(row[2])
        thick = [start, str(int(start) + 1)] if inside else [row[1], row[1]]
        assert row[5:8] == [strand, *thick]
    grey = [row[8] == "153,153,153" for row in predict(bed, "--bed9")]
    assert grey == [label == "none" for label, *_ in calls]
    assert 0 < sum(grey) < len(grey)
    assert predict(bed, "--min-prob", 0.5) == [row for row in plain if row[-4] != "none"]
    words = ["predict", example / "genome.fa", bed, "-t", site_task, "--header"]
    run(*words, "-o", tmp_path / "whole.bed")
    parts = [tmp_path / f"{i}.bed" for i in (1, 2, 3)]
    for i, part in enumerate(parts, 1):
        run(*words, "-o", part, "--shard", f"{i}/3")
    run("merge", *parts, "-o", tmp_path / "merged.bed")
    run(*words, "-o", tmp_path / "resumed.bed", "--resume")
    whole = (tmp_path / "whole.bed").read_text()
    assert whole.splitlines()[-1].split("\t") == plain[-1]
    for name in ("merged", "resumed"):
        assert (tmp_path / f"{name}.bed").read_text() == whole


def test_a_long_region_is_read_as_it_comes(example, site_task, monkeypatch):
    """Its tiles are read up to a batch ahead, and the rows before it are out by then."""
    fetched = []
    fetch = Genome.fetch
    task = load_sites(str(site_task))
    _ = task.checkpoint
    rows = [("short", Region("chrB", ((0, 50),))), ("long", Region("chrA", ((0, 60_000),)))]
    monkeypatch.setattr(Genome, "fetch", lambda *at: fetched.append(at[1:]) or fetch(*at))
    with Genome(example / "genome.fa") as genome:
        calls = TaskReader([task], Compute(torch.device("cpu"), max_tokens=500)).calls(rows, genome)
        item, _ = next(calls)
        assert item == "short"
        assert len(fetched) < 10
        assert [item for item, _ in calls] == ["long"]
    assert len(fetched) > 1500


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--window", 5], "--window does nothing for a task of single bases"),
        (["--class", "x"], "classes are donor"),
        (["--call", 0.5, "-O", "bedgraph"], "--call writes BED"),
        (["--call", 0.5, "-o", "x.bw"], "no format has the ending .bw"),
        (["--call", 2], "--call"),
    ],
)
def test_scan_with_options_that_are_wrong(run, trained, words, message):
    done = run("scan", trained / "g.fa", "--task", trained / "donors", *words, code=2)
    assert message in done.stderr


def test_call_is_for_sites(run, example, tasks):
    words = ["scan", example / "genome.fa", "--task", tasks["binary"], "--call", 0.5]
    assert "--call is for tasks of single bases" in run(*words, code=2).stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--dense", "--kind", "classes"], 2, "--kind does nothing with --dense"),
        (["--holdout", "c1"], 2, "--holdout needs --dense"),
        (["--about-sites", 0.2], 2, "--about-sites needs --dense"),
        (["--dense", "--layer-decay", 0.9], 2, "--layer-decay trains the encoder"),
        (["--dense", "--holdout", "q"], 1, "no contig q"),
        (["--dense", "--sites", "exon"], 2, "known are donor, acceptor"),
        (["--dense", "--features", "CDS"], 1, "are for GTF and GFF"),
        (["--dense", "--holdout", "d"], 1, "--holdout: 0 sites of class donor"),
        (["--dense", "--epochs", 0], 2, "epochs must be greater than 0"),
    ],
)
def test_finetune_with_options_that_are_wrong(run, trained, tmp_path, words, code, message):
    done = run("finetune", trained / "g.fa", "-t", "x", "--train", trained / "s.bed", "-o",
               tmp_path / "x", *words, code=code)  # fmt: skip
    assert message in done.stderr
    assert not (tmp_path / "x").exists()


def test_too_few_sites(run, trained, tmp_path, write):
    few = write("few.bed", "c0\t5\t6\tx\t0\t+\n")
    words = [
        "finetune",
        trained / "g.fa",
        "-t",
        "x",
        "--dense",
        "--train",
        few,
        "-o",
        tmp_path / "x",
    ]
    assert "training: 1 sites of class x" in run(*words, code=1).stderr
    assert "needs GENOME" in run(*words[:1], *words[2:], code=2).stderr


def test_nothing_but_sites(run, trained, tmp_path, write):
    words = ["finetune", trained / "g.fa", "-t", "x", "--dense", "--train", trained / "s.bed",
             "-o", tmp_path / "x", "--holdout", "c3", "--regions"]  # fmt: skip
    inside = (trained / "s.bed").read_text().splitlines()
    rows = [line.split("\t") for line in inside]
    sites = ["\t".join([*row[:5], "."]) for row in rows if row[0] == "c3"]
    elsewhere = [line for line in inside if not line.startswith("c3")]
    labels = write("s.bed", "\n".join([*elsewhere, *sites]) + "\n")
    words[6] = labels
    wide = "".join(f"c{i}\t0\t3000\n" for i in range(3))
    regions = write("r.bed", wide + "".join(f"{row.rpartition(chr(9))[0]}\n" for row in sites))
    assert "--holdout: every base, on both strands, is donor" in run(*words, regions, code=1).stderr
    assert not (tmp_path / "x").exists()


def test_the_share_of_training_about_sites(run, trained, tmp_path):
    """The more bases of a step are sites, the more there is to get wrong at first."""
    losses = []
    for share in (0, 1):
        words = ["-t", "x", "--dense", "--train", trained / "s.bed", "-o", tmp_path / str(share),
                 "--epochs", 1, "--about-sites", share]  # fmt: skip
        run("finetune", trained / "g.fa", *words)
        training = json.loads((tmp_path / str(share) / "task.json").read_text())["training"]
        assert training["about_sites"] == share
        losses.append(training["history"][0]["loss"])
    assert losses[1] > 1.2 * losses[0]


def test_a_site_that_is_n_is_no_site(run, trained, tmp_path, write):
    """A base that is not known cannot be measured on."""
    genome = (trained / "g.fa").read_text().rstrip("\n") + "\n>n\n" + "ACGTN" * 20 + "\n"
    labels = (trained / "s.bed").read_text() + "n\t4\t5\tdonor\t0\t+\n"
    words = [write("n.fa", genome), "-t", "x", "--dense", "--train", write("n.bed", labels), "-o",
             tmp_path / "x", "--holdout", "n"]  # fmt: skip
    assert "--holdout: 0 sites of class donor" in run("finetune", *words, code=1).stderr
    assert not (tmp_path / "x").exists()


def test_a_task_that_was_tampered_with(trained, tmp_path):
    shutil.copytree(trained / "donors", tmp_path / "t")
    path = tmp_path / "t" / "task.json"
    text = path.read_text()
    for before, after, message in [
        ('"margin": ', '"margin": 1', "impossible tile"),
        ('"slopes": [', '"slopes": [1, ', "not one finite number"),
        ('"reach": ', '"reach": 1', "impossible tile|do not fit"),
        ('"donor"', '"other"', "not what one run wrote"),
    ]:
        path.write_text(text.replace(before, after, 1))
        with pytest.raises(CheckpointError, match=message):
            load_sites(str(tmp_path / "t"))
    path.write_text(text)
    load_sites(str(tmp_path / "t"))


@pytest.mark.realdata
def test_the_worm_task_finds_introns(run, shared_data, tmp_path):
    genome = tmp_path / "worm.fa.gz"
    shutil.copy(shared_data / "worm-ce10" / "ce10.chrIII_chrM.fa.gz", genome)
    words = ["--task", "splice-worm", "--call", 0.5, "-r", "chrIII:10,000,001-10,040,000"]
    rows = [line.split("\t") for line in run("scan", genome, *words).stdout.splitlines()]
    assert len(rows) > 10
    read = []
    with Genome(genome) as fasta:
        for _, at, _, kind, _, strand in rows:
            first = int(at) - ((kind == "acceptor") == (strand == "+"))
            pair = fasta.fetch("chrIII", first, first + 2)
            read.append((kind, decode(reverse_complement(pair) if strand == "-" else pair)))
    right = [("donor", "GT"), ("donor", "GC"), ("acceptor", "AG")]
    assert sum(each in right for each in read) >= 0.95 * len(read)
