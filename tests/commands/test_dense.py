"""Tasks of single bases: ``findna finetune --dense`` and what reads such tasks."""

import json
import shutil

import numpy as np
import pytest
import torch

from findna.errors import CheckpointError
from findna.genome.encoding import decode, encode, reverse_complement
from findna.genome.fasta import Genome
from findna.model.devices import Compute
from findna.tasks.sites import load_sites, tiles
from tests.conftest import random_sequence

MOTIF = "CAGGTAAGTA"
CPU = Compute(torch.device("cpu"))


def write_genome(folder, n_contigs=4, length=3000, every=100):
    """Contigs with a motif on either strand, its fourth base a site; d has N and no sites."""
    rng = np.random.default_rng(0)
    records, rows = [], []
    for i in range(n_contigs):
        letters = list(random_sequence(length, i))
        for k in range(every, length - every, every):
            at, reverse = k + int(rng.integers(50)), bool(rng.integers(2))
            word = decode(reverse_complement(encode(MOTIF))) if reverse else MOTIF
            letters[at : at + len(MOTIF)] = word
            site = at + len(MOTIF) - 4 if reverse else at + 3
            rows.append(f"c{i}\t{site}\t{site + 1}\tdonor\t0\t{'+-'[reverse]}\n")
        records.append(f">c{i}\n{''.join(letters)}\n")
    records.append(f">d\n{random_sequence(130, 9)}{'N' * 150}{random_sequence(100, 8)}\n")
    (folder / "g.fa").write_text("".join(records))
    (folder / "s.bed").write_text("".join(rows))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, model_folder):
    """A folder with g.fa, s.bed and the task ``donors``, trained along with its encoder."""
    from click.testing import CliRunner

    from findna.cli import main

    folder = tmp_path_factory.mktemp("sites")
    write_genome(folder)
    words = ["finetune", folder / "g.fa", "-t", "donors", "--dense", "--train", folder / "s.bed",
             "--holdout", "c3", "-o", folder / "donors", "-m", model_folder, "--mode", "full",
             "--epochs", 30, "--batch-tokens", 2000, "--lr", 0.01, "-@", 1]  # fmt: skip
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return folder


def bases(task, genome, spans, reverse=False, compute=CPU):
    """Probabilities of spans, joined by contig and position."""
    with Genome(genome) as fasta:
        pieces = load_sites(str(task)).probabilities(spans, fasta, fasta.contigs, compute, reverse)
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
    assert test["matrix_auprc"] > 0.9
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
    assert "| validation, " in (tmp_path / "x" / "README.md").read_text()


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


def test_commands_that_read_regions_refuse_it(run, trained, example):
    task = trained / "donors"
    for words in (
        ["predict", trained / "g.fa", trained / "s.bed", "--task", task],
        ["explain", trained / "g.fa", trained / "s.bed", "--task", task],
        ["variants", example / "genome.fa", example / "variants.vcf", "--task", task],
    ):
        assert "tells single bases, not regions" in run(*words, code=2).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--window", 5], "--window does nothing for a task of sites"),
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
    assert "--call is for tasks of sites" in run(*words, code=2).stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--dense", "--kind", "classes"], 2, "--kind does nothing with --dense"),
        (["--holdout", "c1"], 2, "--holdout needs --dense"),
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
