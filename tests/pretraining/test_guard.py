"""Runs that go wrong, provoked for real in miniature, and what is told of every run."""

import builtins
import json
import math
import random
import re
import xml.dom.minidom

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from findna.errors import CheckpointError, CollapseError, LabelError
from findna.genome.encoding import encode
from findna.labelled.sets import CLASSES, REGRESSION, LabelledSet
from findna.model.checkpoint import load_checkpoint
from findna.pretraining.guard import FIRST_STEP, LOOKS, Guard
from findna.pretraining.heldout import alignment, entropy, uniformity
from findna.pretraining.history import METRICS, PANELS, Metrics, read_history, sparkline
from findna.pretraining.probe import LEAST_ROWS, MOST_ROWS, FrozenProbe
from findna.pretraining.recipe import from_preset
from tests.commands.test_pretrain import LITTLE
from tests.conftest import make_model, random_sequence

EVERY = ["--log-every", 5, "--evaluate-every", 10, "--checkpoint-every", 10]


def records(folder):
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def evaluations(folder):
    return [record for record in records(folder) if "accuracy" in record]


@pytest.fixture
def genome(write):
    """Contigs of different composition, parts of them soft-masked; the last is to be held out."""
    rng = random.Random(1)
    text = []
    for name, gc in (("a", 0.3), ("b", 0.6), ("c", 0.45)):
        letters = rng.choices("ACGT", [1 - gc, gc, gc, 1 - gc], k=6000)
        letters[1000:3000] = "".join(letters[1000:3000]).lower()
        text.append(f">{name}\n{''.join(letters)}\n")
    return write("g.fa", "".join(text))


@pytest.fixture
def pretrain(run, tmp_path):
    def invoke(fasta, *options, code=0):
        words = ["pretrain", fasta, "-o", tmp_path / "m", *LITTLE, *EVERY, *options]
        return run(*words, code=code).stderr, tmp_path / "m"

    return invoke


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--preset", "findna"],
        ["--preset", "paper", "--n-cls", 2],
        ["--contrast", "none"],
        ["--contrast", "prototypes", "--prototypes", 8, "--contrast-weight", 0],
        ["--lr", 0.02, "--log-every", 1, "--evaluate-every", 1],
    ],
)
def test_healthy_runs_do_not_trip(pretrain, genome, options):
    _, folder = pretrain(genome, "--steps", 64, "--holdout", "c", *options)
    last = evaluations(folder)[-1]
    assert 0 < last["accuracy_repeat"] < 1
    assert 0 < last["accuracy_unique"] < 1
    low, high = sorted((last["perplexity_repeat"], last["perplexity_unique"]))
    assert low <= last["perplexity"] <= high
    assert ("agreement" in last) == ("none" not in options)
    card = (folder / "README.md").read_text()
    assert "in repeats (soft-masked" in card
    assert read_history(folder).verdict == "healthy at step 64"


def test_what_has_no_lower_case_has_no_repeats(pretrain, write):
    fasta = write("u.fa", ">a\n" + random_sequence(3000) + "\n")
    _, folder = pretrain(fasta, "--steps", 4)
    assert not any("accuracy_repeat" in record for record in records(folder))
    assert "in repeats" not in (folder / "README.md").read_text()


@pytest.mark.slow
def test_evaluations_see_the_same_windows_masks_and_views(pretrain, genome):
    # nothing is learned at this rate: what differs would differ by chance
    _, folder = pretrain(
        genome, "--steps", 30, "--lr", 1e-30, "--muon-lr", 1e-30, "--weight-decay", 0
    )
    first, *others = evaluations(folder)
    assert len(others) == 2
    assert all(other | {"step": 0} == first | {"step": 0} for other in others)


DIVERGED = [
    # of what is not a number, and of numbers that are too large for long
    (["--lr", 1e10, "--clip", 1e9], r"\w+ is not finite"),
    (["--lr", 3, "--clip", 1e9, "--warmup", 0, "--contrast", "none"], "the masked-nucleotide loss"),
]


@pytest.mark.parametrize(("options", "reason"), DIVERGED)
def test_a_run_that_diverges(pretrain, genome, options, reason):
    error, folder = pretrain(genome, "--steps", 200, *options, code=3)
    assert len(error.splitlines()) == 1
    assert re.search(f"training diverged at step [0-9]+: {reason}", error)
    assert "lower lr" in error
    assert records(folder)[-1]["verdict"] == "diverged"
    assert not (folder / "model.safetensors").exists()  # nothing good was ever there


@pytest.mark.slow
def test_a_target_that_is_the_same_for_every_window(pretrain, genome):
    # no balancing, as the centre stays 0; a teacher that follows at once; contrast over all else
    error, folder = pretrain(
        genome,
        "--contrast",
        "cls",
        "--centring",
        "mean",
        "--center-momentum",
        1,
        "--n-cls",
        2,
        "--contrast-weight",
        50,
        "--ema-start",
        0.5,
        "--lr",
        0.01,
        "--steps",
        200,
        code=3,
    )
    assert re.search(r"training collapsed at step \d+: the teacher asks the same of every", error)
    assert "centring sinkhorn" in error
    last = evaluations(folder)[-1]
    assert last["mean_target_entropy"] - last["target_entropy"] < 0.01 * last["contrast_bound"]
    assert last["agreement"] > 0.95
    assert last["step"] >= FIRST_STEP


def test_vectors_that_become_constant(pretrain, genome):
    error, folder = pretrain(
        genome,
        "--contrast",
        "none",
        "--koleo-weight",
        0,
        "--optimizer",
        "adamw",
        "--weight-decay",
        300,
        "--lr",
        1e-3,
        "--warmup",
        0,
        "--ema-start",
        0.5,
        "--steps",
        200,
        code=3,
    )
    assert "the teacher gives every window the same vector" in error
    assert "lower lr or weight_decay" in error
    assert evaluations(folder)[-1]["spread"] < 1e-3


# two kinds of windows, as they are: whatever is learned, their vectors are two points
TWO = ">a\n" + "A" * 3000 + "\n>c\n" + "C" * 3000 + "\n"
ONE_LINE = [
    "--contrast",
    "none",
    "--teacher-rc",
    0,
    "--max-indel",
    0,
    "--max-shift",
    0,
    "--steps",
    200,
]


@pytest.mark.slow
def test_vectors_along_one_line(pretrain, write):
    error, folder = pretrain(write("two.fa", TWO), *ONE_LINE, code=3)
    assert "in one direction alone (effective rank 1.0" in error
    assert "more varied sequence" in error
    assert evaluations(folder)[-1]["step"] == FIRST_STEP + 10 * (LOOKS - 1)


@pytest.mark.slow
def test_while_a_sign_stands_nothing_is_kept(pretrain, write):
    error, folder = pretrain(write("two.fa", TWO), *ONE_LINE, code=3)
    assert error.rstrip().endswith("the last good checkpoint is kept")
    assert load_checkpoint(str(folder)).training["steps_done"] == FIRST_STEP - 10
    moments = [v for k, v in load_file(folder / "training.safetensors").items() if ".step" in k]
    assert {float(moment) for moment in moments} == {FIRST_STEP - 10}


@pytest.fixture
def guard(tmp_path):
    config = from_preset("findna", {"steps": 1000})
    with Metrics(tmp_path / METRICS, 0) as metrics:
        yield lambda: Guard(config, metrics, tmp_path / "none")


def test_a_sign_must_stand(guard):
    high, low = ({"mnm": value} for value in (9.0, 1.0))
    watch = guard()
    for step, values in ((20, high), (40, high), (60, low), (80, high), (100, high)):
        watch.check_step(step, values)
        assert watch.sound == (values is low)
    with pytest.raises(CollapseError, match="step 120"):
        watch.check_step(120, high)
    watch = guard()  # many looks, few steps
    for step in range(1, 11):
        watch.check_step(step, high)
    with pytest.raises(CollapseError, match="step 11"):
        watch.check_step(11, high)
    watch = guard()  # seen once, and the run is over
    watch.check_step(1000, high)
    assert watch.sound


def test_alignment_and_uniformity_of_known_vectors():
    generator = torch.Generator().manual_seed(0)
    views = [torch.randn(500, 64, generator=generator) for _ in range(2)]
    assert alignment(views[0], views[0] * 3 + 1) == pytest.approx(0, abs=1e-6)
    assert alignment(*views) == pytest.approx(2, abs=0.05)
    assert uniformity(views[0]) == pytest.approx(-3.9, abs=0.1)
    assert uniformity(torch.ones(10, 4)) == 0
    known = entropy(torch.tensor([[0.25] * 4, [1.0, 0, 0, 0]]))
    torch.testing.assert_close(known, torch.tensor([math.log(4), 0], dtype=torch.float64))


# the probe


def labelled(n, length=60, classes=("no", "yes"), seed=0):
    rng = random.Random(seed)
    labels = [rng.randrange(len(classes)) for _ in range(n)]
    texts = ["".join(rng.choices("ACGT", [1 + 3 * x, 1, 1, 1], k=length)) for x in labels]
    return LabelledSet("set.csv", CLASSES, classes, [encode(t) for t in texts], np.array(labels))


@pytest.fixture
def encoder():
    from tests.conftest import TINY

    return make_model(TINY).encoder


@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c")])
def test_probe_of_what_can_be_told(encoder, classes):
    probe = FrozenProbe(labelled(300, classes=classes))
    found = probe(encoder)
    assert found["probe_auroc"] > 0.9
    assert found["probe_accuracy"] > 0.7
    assert probe(encoder) == found
    assert sum(probe.rows) == 300
    assert probe.rows[1] == pytest.approx(100, abs=2)


def test_probe_is_capped_and_measures_on_no_row_it_has_seen():
    assert sum(FrozenProbe(labelled(1500)).rows) == MOST_ROWS
    assert sum(FrozenProbe(labelled(200, length=6000)).rows) == LEAST_ROWS
    data = labelled(100)
    twice = data.take(np.repeat(np.arange(100), 2))
    train, valid = FrozenProbe(twice).rows
    assert train < 100 < train + valid


def test_probe_wants_classes():
    data = labelled(20)
    numbers = LabelledSet("x.csv", REGRESSION, ("y",), data.sequences, np.ones((20, 1)))
    with pytest.raises(LabelError, match="one class per row"):
        FrozenProbe(numbers)
    with pytest.raises(LabelError, match="needs at least 2"):
        FrozenProbe(data.take(np.flatnonzero(data.labels == 1)))


@pytest.mark.slow
def test_a_run_with_a_probe_and_a_report(pretrain, run, genome, write, tmp_path):
    rows = "".join(
        f"a\t{i * 90}\t{i * 90 + 60}\tpoor\nb\t{i * 90}\t{i * 90 + 60}\trich\n" for i in range(30)
    )
    report = tmp_path / "r.html"
    _, folder = pretrain(
        genome,
        "--contrast",
        "prototypes",
        "--prototypes",
        8,
        "--steps",
        20,
        "--probe",
        write("p.bed", rows),
        "--report",
        report,
    )
    assert [e["probe_auroc"] > 0.8 for e in evaluations(folder)] == [True, True]
    training = load_checkpoint(str(folder)).training
    assert training["probe"]["file"] == "p.bed"
    assert training["probe"]["train"] + training["probe"]["valid"] == 60
    assert "A linear probe of its mean vectors on `p.bed`" in (folder / "README.md").read_text()
    page = report.read_text()
    assert page.count("<svg") == page.count("<figure>") == len(PANELS)
    assert "healthy at step 20" in page
    assert not re.search(r'(src|href)="(?!#)', page)  # nothing is fetched
    for picture in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        xml.dom.minidom.parseString(picture)
    ids = re.findall(r'<clipPath id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    info = run("models", "info", folder).stdout
    assert "\naccuracy_repeat\t" in info
    assert "\nhealthy at step 20\n" in info
    again = tmp_path / "again.html"
    run("models", "report", folder, "-o", again)
    assert again.read_text() == page


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_report_as_a_picture(pretrain, run, genome, tmp_path, kind):
    _, folder = pretrain(genome, "--steps", 4)
    path = tmp_path / f"r.{kind}"
    run("models", "report", folder / METRICS, "-o", path)
    first = path.read_bytes()
    assert "exists; --force" in run("models", "report", folder, "-o", path, code=1).stderr
    run("models", "report", folder, "-o", path, "--force")
    assert path.read_bytes() == first
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.slow
def test_report_of_a_shipped_model(run, tmp_path):
    pytest.importorskip("matplotlib")
    run("models", "report", "tiny", "-o", tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    error = run("models", "report", "tinny", "-o", tmp_path / "s.png", code=1).stderr
    assert "no model tinny: neither a folder nor one of the known models" in error


@pytest.mark.slow
def test_report_of_a_run_that_failed(pretrain, genome, tmp_path):
    options, reason = DIVERGED[1]
    report = tmp_path / "r.html"
    _, folder = pretrain(genome, "--steps", 200, *options, "--report", report, code=3)
    page = report.read_text()
    assert f"diverged at step {records(folder)[-1]['step']}: {reason}" in page
    assert "What to change: lower lr" in page
    assert ">steps</span> 200<" in page
    assert "diverged at step" in read_history(folder).verdict


def log_of(write, scores, **fields):
    """A log of a loss and of probe scores, one evaluation each 10 steps."""
    rows = [{"step": 10 * i, "mnm": 1.4} for i in range(1, len(scores) + 1)]
    rows += [
        {"step": 10 * i, "accuracy": 0.3, "probe_auroc": score} | fields
        for i, score in enumerate(scores, 1)
    ]
    return read_history(write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))


@pytest.mark.slow
def test_a_probe_that_fell_is_not_healthy(run, write, tmp_path):
    history = log_of(write, [0.80, 0.90, 0.88, 0.85, 0.84, 0.83])
    said = "worse at step 60: probe AUROC fell to 0.830 from 0.900 at step 20"
    assert history.verdict == said
    run("models", "report", tmp_path / "metrics.jsonl", "-o", tmp_path / "r.html")
    assert f'<span class="verdict worse">{said}</span>' in (tmp_path / "r.html").read_text()
    assert (
        said in run("models", "report", tmp_path / "metrics.jsonl", "-o", tmp_path / "r.svg").stderr
    )


@pytest.mark.parametrize(
    "scores",
    [
        [0.80, 0.90, 0.89, 0.885, 0.882, 0.881],  # by less than .02
        [0.80, 0.90, 0.90, 0.90, 0.85, 0.85],  # not long enough
        [0.80, 0.90, 0.70, 0.85, 0.72, 0.87, 0.74, 0.86],  # within the noise
        [0.9, 0.5, 0.5],  # too few to tell
        [0.9, None, None, None, None],
    ],
)
def test_a_probe_that_wavers_is_healthy(write, scores):
    assert log_of(write, scores).verdict.startswith("healthy at step")


def test_captions_speak_of_lines_that_are_drawn(write):
    bounds = {"mnm_bound": 1.386, "contrast_bound": 4.85}
    without, with_bounds = log_of(write, [0.8] * 4), log_of(write, [0.8] * 4, **bounds)
    for panel in PANELS:
        assert "ashed" not in panel.note
        assert "ashed" not in panel.caption(without)
        assert ("ashed" in panel.caption(with_bounds)) == bool(panel.limit_note)
        assert not panel.bound or (panel.line(without), panel.line(with_bounds)) == (
            None,
            bounds[panel.bound],
        )


def test_reports_that_cannot_be_made(pretrain, genome, tmp_path, monkeypatch, write):
    error, folder = pretrain(genome, "--steps", 2, "--report", "r.jpg", code=2)
    assert "r.jpg: name a .html, .pdf, .png or .svg file" in error
    error, _ = pretrain(genome, "--steps", 2, "--report", write("r.html", "mine"), code=1)
    assert "exists; --force" in error
    ordinary = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return ordinary(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    error, _ = pretrain(genome, "--steps", 2, "--report", tmp_path / "new.html", code=1)
    assert error == "findna: a report needs matplotlib: pip install 'findna[plot]'\n"
    assert not folder.exists()  # it was said before training


def test_what_is_not_the_log_of_a_run(run, write, tmp_path):
    for text in ("", "{}\n", "[1]\n" * 3, '{"step": 1}\n', '{"step": 1, "mnm": [1]}\n', "\0\xff"):
        error = run("models", "report", write("m.jsonl", text), "-o", tmp_path / "r.png", code=1)
        assert "holds no metrics of findna pretrain" in error.stderr
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="findna pretrain writes it"):
        read_history(tmp_path / "empty")


def test_damaged_lines_and_missing_values_of_a_log(write, run, tmp_path):
    path = write("m.jsonl", '{"step": 1, "mnm": 2.0}\n{"step": 2, "mnm": null}\n{"step": 3, "mn')
    history = read_history(path)
    assert history.step == 2
    assert history.last("mnm") == 2
    assert math.isnan(history.series("mnm")[1][1])
    run("models", "report", path, "-o", tmp_path / "r.png")


def test_sparklines():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([1, math.nan, 1]) == "▁▁"
    assert sparkline([]) == ""
    assert len(sparkline(list(range(1000)), 24)) == 24
