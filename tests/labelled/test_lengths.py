"""Sets whose lengths tell their labels are noticed."""

import numpy as np
import pytest

from findna.genome.encoding import encode
from findna.labelled.lengths import length_score, length_warning
from findna.labelled.sets import CLASSES, MULTILABEL, REGRESSION, LabelledSet
from tests.conftest import random_sequence


def made(lengths, labels, kind=CLASSES):
    labels = np.array(labels, np.int64 if kind == CLASSES else np.float32)
    names = 2 if kind == CLASSES else labels.shape[1]
    sequences = [encode(random_sequence(length, i)) for i, length in enumerate(lengths)]
    return LabelledSet("made.csv", kind, tuple(map(str, range(names))), sequences, labels)


def lengths_of(labels, rng, apart):
    return 100 + apart * np.asarray(labels) + rng.integers(0, 50, len(labels))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_length_that_tells_the_class(rng):
    labels = rng.integers(0, 2, 200)
    one = made(lengths_of(labels, rng, 60), labels)
    assert length_score(one, one) == 1
    said = length_warning(one, one)
    assert said.startswith("made.csv: the length of a sequence by itself tells its label (AUROC 1.")
    assert f"(the shortest has {min(map(len, one.sequences))})" in said
    half = made(lengths_of(labels, rng, 25), labels)
    assert 0.7 < length_score(half, half) < 0.95


def test_lengths_that_say_nothing(rng):
    labels = rng.integers(0, 2, 400)
    lengths = rng.integers(50, 150, 400)
    train, test = made(lengths[:200], labels[:200]), made(lengths[200:], labels[200:])
    assert 0.35 < length_score(train, test) < 0.65
    assert length_warning(train, test) == ""


def test_one_length(rng):
    one = made([80] * 40, rng.integers(0, 2, 40))
    assert length_score(one, one) is None
    assert length_warning(one, one) == ""


def test_one_class_in_the_test_set(rng):
    labels = rng.integers(0, 2, 100)
    train = made(lengths_of(labels, rng, 60), labels)
    assert length_score(train, made([90, 120], [1, 1])) is None


def test_labels_and_targets(rng):
    labels = rng.integers(0, 2, (300, 2))
    first = made(lengths_of(labels[:, 0], rng, 60), labels, MULTILABEL)  # the second is chance
    assert 0.7 < length_score(first, first) < 0.9
    lengths = rng.integers(50, 150, 300)
    strength = made(lengths, lengths[:, None] / 10, REGRESSION)
    assert length_score(strength, strength) > 0.95
    assert "R2 " in length_warning(strength, strength)


@pytest.mark.slow
def test_findna_finetune_says_so_once_and_goes_on(run, write, model_folder, tmp_path, rng):
    labels = [0, 1] * 30
    lengths = lengths_of(labels, rng, 60)
    rows = [f"{random_sequence(n, i)},{y}" for i, (n, y) in enumerate(zip(lengths, labels))]  # noqa: B905
    table = write("t.csv", "sequence,label\n" + "\n".join(rows) + "\n")
    options = ("-t", "x", "--train", table, "-m", model_folder, "--no-kmers")
    said = run("finetune", *options, "-o", tmp_path / "whole").stderr
    assert said.count("the length of a sequence by itself") == 1
    shortest = said.split("shortest has ")[1].split(")")[0]
    said = run("finetune", *options, "--window", shortest, "-o", tmp_path / "cut").stderr
    assert "the length" not in said
    info = run("tasks", "info", tmp_path / "cut").stdout
    assert f"from {shortest} bp" in info
