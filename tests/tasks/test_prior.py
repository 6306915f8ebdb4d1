"""Probabilities restated for other frequencies of the classes."""

import json
import shutil

import numpy as np
import pytest
from scipy.special import expit, logit

from findna.errors import ConfigError
from findna.tasks.prior import at_prior
from findna.tasks.sites import load_any_task
from tests.conftest import make_task, random_sequence


def counted(folder, data=None, metrics=None):
    """A task folder whose record says how frequent its classes were."""
    record = json.loads((folder / "task.json").read_text())
    record |= {"data": data, "metrics": metrics}
    (folder / "task.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def two(tmp_path, model_folder):
    valid = {"rows": 100, "classes": {"0": 60, "1": 40}}
    return counted(make_task(tmp_path / "two", model_folder), {"valid": valid})


def features(task):
    return np.random.default_rng(0).normal(size=(5, len(task.head.mean))).astype(np.float32)


def test_two_classes_shift_by_the_odds(two):
    task = load_any_task(str(two))
    before = task.probabilities(features(task))
    after = at_prior(task, 0.01).probabilities(features(task))
    expected = expit(logit(before[:, 1].astype(float)) + logit(0.01) - logit(0.4))
    assert after[:, 1] == pytest.approx(expected, rel=1e-4)
    assert after.sum(1) == pytest.approx(1)
    same = at_prior(task, 0.4).probabilities(features(task))
    assert same == pytest.approx(before, rel=1e-5)
    assert at_prior(task, 0.01).digest != task.digest


def test_classes_that_are_not_named_share_the_rest(tmp_path, model_folder):
    folder = make_task(tmp_path / "t", model_folder, classes=("a", "b", "c"))
    valid = {"rows": 100, "classes": {"0": 20, "1": 20, "2": 60}}
    task = load_any_task(str(counted(folder, {"valid": valid})))
    before = task.probabilities(features(task)).astype(float)
    after = at_prior(task, {"a": 0.6}).probabilities(features(task))
    weights = before * np.array([3, 0.5, 0.5])
    assert after == pytest.approx(weights / weights.sum(1, keepdims=True), rel=1e-4)


@pytest.mark.parametrize("kind", ["classes", "multilabel"])
def test_classes_that_were_weighted_are_alike_before(tmp_path, model_folder, kind):
    """With --balanced probabilities hold where all classes are as frequent."""
    folder = make_task(tmp_path / "t", model_folder, kind=kind, classes=("a", "b"))
    valid = {"rows": 100, "classes": {"a": 90, "b": 10}}
    counted(folder, {"valid": valid})
    record = json.loads((folder / "task.json").read_text()) | {"training": {"balanced": True}}
    (folder / "task.json").write_text(json.dumps(record))
    task = load_any_task(str(folder))
    assert at_prior(task, {"b": 0.5}).offsets == (0, 0)
    shift = np.diff(at_prior(task, {"b": 0.1}).offsets)
    assert shift == pytest.approx(logit(0.1))


def test_each_class_of_sites_shifts_alone(site_task, tmp_path):
    folder = shutil.copytree(site_task, tmp_path / "sites")
    shares = {"donor": {"sites": 1, "bases": 100}, "acceptor": {"sites": 2, "bases": 100}}
    task = load_any_task(str(counted(folder, metrics={"valid": shares})))
    found = at_prior(task, {"acceptor": 0.2})
    assert found.offsets == pytest.approx((0, logit(0.2) - logit(0.02)))


def test_each_label_of_a_trained_task_shifts_alone(run, tmp_path, model_folder, write):
    rows = [(random_sequence(80, i), i % 2, int(i % 5 == 0)) for i in range(60)]
    table = "".join(f"{','.join(map(str, row))}\n" for row in rows)
    data = write("t.csv", f"sequence,a,b\n{table}")
    run("finetune", "-t", "x", "-o", tmp_path / "x", "-m", model_folder, "--train", data,
        "--valid", data, "--on-overlap", "keep", "--kind", "multilabel", "--label-column",
        "a,b")  # fmt: skip
    found = at_prior(load_any_task(str(tmp_path / "x")), {"b": 0.01})
    assert found.offsets == pytest.approx((0, logit(0.01) - logit(0.2)))
    assert "60 sequences (a 30, b 12)" in (tmp_path / "x" / "README.md").read_text()


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (1.5, "above 0 and below 1"),
        ({"x": 0.1}, "has no class x"),
        ({"no": 0.5, "yes": 0.2}, "add"),
    ],
)
def test_impossible_shares_are_refused(two, prior, message):
    with pytest.raises(ConfigError, match=message):
        at_prior(load_any_task(str(two)), prior)


def test_a_task_that_does_not_know_its_shares_is_refused(tmp_path, model_folder):
    task = load_any_task(str(make_task(tmp_path / "t", model_folder)))
    with pytest.raises(ConfigError, match="does not say how frequent"):
        at_prior(task, 0.1)


def test_the_command_line(run, two, example, write):
    bed = write("r.bed", "chrA\t0\t300\n")
    plain = run("predict", example / "genome.fa", bed, "-t", two).stdout.split()
    rare = run("predict", example / "genome.fa", bed, "-t", two, "--prior", "0.01").stdout.split()
    assert float(rare[-1]) < float(plain[-1])
    named = run(
        "predict", example / "genome.fa", bed, "-t", two, "--prior", "yes=0.01"
    ).stdout.split()
    assert named == rare
    done = run("predict", example / "genome.fa", bed, "-t", two, "--prior", "much", code=2)
    assert "give a share" in done.stderr
    done = run(
        "predict", example / "genome.fa", bed, "-t", f"{two},{two}", "--prior", "0.1", code=2
    )
    assert "one task" in done.stderr


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("0.1,0.2", "name the class of each share"),
        ("yes=0.1,0.2", "name the class of each share"),
        ("yes=0.1,no=0.9,yes=0.2", "yes is there twice"),
    ],
)
def test_shares_that_can_be_meant_in_two_ways(run, two, example, prior, message):
    done = run("predict", example / "genome.fa", "-t", two, "--prior", prior, code=2)
    assert f"--prior {prior}: {message}" in done.stderr
