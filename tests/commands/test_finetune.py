"""``findna finetune`` and ``findna tasks``, on motifs planted in random sequence."""

import copy
import json
import logging
import os
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from findna import console
from findna.commands import finetune as runs
from findna.commands.finetune import FineTuneOptions, SplitOptions, Splits, finetune, read_splits
from findna.errors import CheckpointError, ConfigError, LabelError
from findna.genome.batching import Sequences, batches
from findna.genome.encoding import decode, encode, reverse_complement
from findna.genome.fasta import Genome
from findna.genome.windows import Region
from findna.labelled.metrics import expected_calibration_error, measure
from findna.labelled.sets import LabelledSet
from findna.model.checkpoint import digest_of, load_checkpoint, save_checkpoint
from findna.model.devices import Compute
from findna.model.heads import TaskHead
from findna.model.inference import region_vectors
from findna.model.pooling import Pooling
from findna.outputs.claims import claimed
from findna.outputs.pictures import image
from findna.tasks import full
from findna.tasks import probe as probes
from findna.tasks import task as tasks_module
from findna.tasks.calibration import fit_temperature, log_loss
from findna.tasks.features import POOLS, Features, FeatureTable
from findna.tasks.full import differentiable_features, fine_tune, parameter_groups
from findna.tasks.probe import Problem, SearchSpace, fit_probe, score, search_space
from findna.tasks.recipe import FineTuneConfig
from findna.tasks.task import load_task, to_probabilities
from tests.conftest import TINY, make_model, random_sequence
from tests.pages import Page

CPU = Compute(torch.device("cpu"))
LENGTH = 60
MOTIFS = ("TATAAATATA", "GGCGGGGCGG")
MEAN_ONLY = ((("mean",), 0),)
NO_KMERS = SearchSpace(ks=(0,))
SHORT = FineTuneConfig(epochs=2, batch_tokens=600)


# labelled sets made by hand


def planted(places, seed=0):
    """One random sequence per row of ``places``: (motif, first, last base it may begin at), ..."""
    rng = random.Random(seed)
    sequences = []
    for motifs in places:
        letters = "".join(rng.choices("ACGT", k=LENGTH))
        for motif, first, last in motifs:
            at = rng.randint(first, last)
            letters = letters[:at] + motif + letters[at + len(motif) :]
        sequences.append(letters)
    return sequences


def labelled(letters, labels, kind="classes", classes=("0", "1"), name="made.csv"):
    dtype = np.int64 if kind == "classes" else np.float32
    return LabelledSet(name, kind, classes, [encode(s) for s in letters], np.array(labels, dtype))


def presence(n, seed=0):
    """Every second sequence has a motif."""
    return planted([[(MOTIFS[0], 0, 50)] * (i % 2) for i in range(n)], seed), np.arange(n) % 2


def side(n, seed=0):
    """The motif lies in the left half or the right."""
    places = [[(MOTIFS[0], 30, 50) if i % 2 else (MOTIFS[0], 0, 20)] for i in range(n)]
    return planted(places, seed), np.arange(n) % 2


def three(n, seed=0):
    """No motif, or one of two."""
    return planted([[(m, 0, 50) for m in MOTIFS[i % 3 : i % 3 + 1]] for i in range(n)], seed), (
        np.arange(n) % 3
    )


def several(n, seed=0):
    """Two motifs independent of one another."""
    labels = np.stack((np.arange(n) % 2, np.arange(n) // 2 % 2), axis=1)
    places = [[(m, 25 * i, 25 * i + 15) for i, m in enumerate(MOTIFS) if row[i]] for row in labels]
    return planted(places, seed), labels


def counted(n, seed=0):
    """The label is the number of motifs, 0 to 3."""
    places = [[(MOTIFS[0], 20 * j, 20 * j + 10) for j in range(i % 4)] for i in range(n)]
    return planted(places, seed), (np.arange(n) % 4)[:, None] + 0.5


MAKERS = {
    "presence": (presence, "classes", ("0", "1")),
    "side": (side, "classes", ("0", "1")),
    "three": (three, "classes", ("neither", "at", "gc")),
    "several": (several, "multilabel", ("at", "gc")),
    "counted": (counted, "regression", ("n",)),
}


def made(which, n, seed=0, name="made.csv"):
    maker, kind, classes = MAKERS[which]
    return labelled(*maker(n, seed), kind, classes, name)


def splits_of(which, n=(90, 45, 60)):
    train, valid, test = (
        made(which, size, seed, f"{name}.csv")
        for seed, (name, size) in enumerate(zip(("train", "valid", "test"), n, strict=True))
    )
    return Splits(train, valid, test, "its own file")


def csv_of(data):
    rows = [
        ",".join([decode(sequence), *(f"{value:g}" for value in np.atleast_1d(label))])
        for sequence, label in zip(data.sequences, data.labels, strict=True)
    ]
    header = "label" if data.kind == "classes" else ",".join(data.classes)
    return "\n".join([f"sequence,{header}", *rows]) + "\n"


@pytest.fixture(scope="module")
def model():
    return make_model(TINY)


@pytest.fixture(scope="module")
def data(model):
    """``data("three")``: a set of 90 training, 45 validation and 60 test rows, and its features."""
    found = {}

    def get(which):
        if which not in found:
            one = made(which, 195)
            table = FeatureTable(model.encoder, one.sequences, compute=CPU)
            found[which] = one, table, np.arange(90), np.arange(90, 135), np.arange(135, 195)
        return found[which]

    return get


def problem_of(one, train, valid, balanced=False):
    return Problem(one.kind, len(one.classes), one.labels, train, valid, balanced)


def probe_of(data, which, balanced=False, **space):
    one, table, train, valid, _ = data(which)
    return fit_probe(table, problem_of(one, train, valid, balanced), replace(NO_KMERS, **space))


def measured(data, which, probe):
    """Metrics on the test rows."""
    one, table, *_, test = data(which)
    probabilities = to_probabilities(probe.logits(table, test), one.kind, 1.0)
    return measure(one.labels[test], probabilities, one.kind)


# the probe


@pytest.mark.parametrize(
    ("which", "metric", "least"),
    [
        ("presence", "auroc", 0.8),
        ("three", "auroc", 0.8),
        ("several", "auroc", 0.8),
        ("counted", "r2", 0.4),
    ],
)
def test_a_probe_learns_a_planted_motif(data, which, metric, least):
    assert measured(data, which, probe_of(data, which))[metric] > least


def test_a_probe_of_labels_that_mean_nothing_is_near_chance(data):
    one, table, train, valid, test = data("presence")
    labels = np.random.default_rng(0).permutation(one.labels)
    probe = fit_probe(table, Problem("classes", 2, labels, train, valid), NO_KMERS)
    assert 0.3 < score(labels[test], probe.logits(table, test), "classes") < 0.7


@pytest.mark.slow
def test_where_a_motif_lies_takes_bins(data):
    probe = probe_of(data, "side")
    assert probe.features.bins > 0
    assert measured(data, "side", probe)["auroc"] > 0.95
    blind = probe_of(data, "side", poolings=MEAN_ONLY)
    assert measured(data, "side", blind)["auroc"] < 0.75


@pytest.mark.slow
def test_the_first_layer_is_read_where_the_last_says_nothing(data):
    one, _, train, valid, _ = data("side")
    model = make_model(TINY, seed=2)
    assert fit_side(model, one, train, valid).features.readout == 0
    for value in model.encoder.mixer.norm.parameters():  # the last thing before embeddings
        value.zero_()
    probe = fit_side(model, one, train, valid)
    assert probe.features.readout == 1
    assert probe.valid_score > 0.9
    assert fit_side(model, one, train, valid, readouts=(0,)).valid_score == 0.5


@pytest.mark.slow
def test_another_layer_is_only_read_where_it_is_surely_better(data, monkeypatch):
    """Where the layers are level the encoder's own stays, though the other may score higher."""
    alone = [probe_of(data, "presence", readouts=(readout,)) for readout in (0, 1, 2)]
    assert [probe.features.readout for probe in alone] == [0, 1, 2]
    for order in ((0, 1), (1, 0), (2, 0), (1, 2)):
        assert probe_of(data, "presence", readouts=order).features == alone[order[0]].features
    worse, better = sorted((0, 1), key=lambda readout: alone[readout].valid_score)
    assert alone[worse].valid_score < alone[better].valid_score
    monkeypatch.setattr(probes, "bootstrap_difference", lambda *_: {"auroc": (0.01, 0.02)})
    found = probe_of(data, "presence", readouts=(worse, better))
    assert found.features == alone[better].features


def fit_side(model, one, train, valid, **space):
    table = FeatureTable(model.encoder, one.sequences, compute=CPU)
    return fit_probe(table, problem_of(one, train, valid), replace(NO_KMERS, **space))


def test_kmers_are_appended_where_they_help(data, monkeypatch):
    assert probe_of(data, "presence", ks=probes.KS).features.k > 0
    monkeypatch.setattr(probes, "MOST_VALUES", 10_000)  # a matrix with them would not fit
    assert probe_of(data, "presence", ks=probes.KS).features.k == 0
    assert search_space("probe", kmers=True) == SearchSpace()
    assert search_space("probe", kmers=False) == NO_KMERS
    assert search_space("full", kmers=True) == SearchSpace(
        (0,), probes.TRAINED_POOLINGS, (0,), probes.TRAINED_STRENGTHS
    )


def standardised(data, which, probe):
    one, table, train, _, test = data(which)
    scaler = StandardScaler().fit(table.matrix(probe.features, train))
    x, unseen = (scaler.transform(table.matrix(probe.features, rows)) for rows in (train, test))
    return x, one.labels[train], unseen, probe.logits(table, test)


@pytest.mark.parametrize("which", ["presence", "three"])
@pytest.mark.parametrize("balanced", [False, True])
def test_the_head_is_the_logistic_regression_of_sklearn(data, which, balanced):
    probe = probe_of(data, which, balanced=balanced, strengths=(1e-2,))
    x, labels, unseen, logits = standardised(data, which, probe)
    weights = "balanced" if balanced else None
    regression = LogisticRegression(C=1e-2, max_iter=200, tol=1e-3, class_weight=weights)
    decision = regression.fit(x, labels).decision_function(unseen)
    found = logits[:, 1] - logits[:, 0] if decision.ndim == 1 else logits
    np.testing.assert_allclose(found, decision, rtol=1e-3, atol=1e-4)
    probabilities = to_probabilities(logits, "classes", 1.0)
    np.testing.assert_allclose(probabilities, regression.predict_proba(unseen), atol=1e-4)


def test_heads_of_labels_are_regressions_of_their_own(data):
    probe = probe_of(data, "several", strengths=(1e-2,))
    x, labels, unseen, logits = standardised(data, "several", probe)
    for i, column in enumerate(labels.T):
        regression = LogisticRegression(C=1e-2, max_iter=200, tol=1e-3).fit(x, column)
        expected = regression.decision_function(unseen)
        np.testing.assert_allclose(logits[:, i], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_strength_is_the_best_on_validation_rows(data):
    one, table, _, valid, _ = data("three")
    probe = probe_of(data, "three")
    assert probe.valid_score == score(one.labels[valid], probe.logits(table, valid), one.kind)
    assert probe.strength in probes.STRENGTHS
    for strength in probes.STRENGTHS:
        alone = probe_of(data, "three", strengths=(strength,))
        assert alone.valid_score <= probe.valid_score + 1e-3


@pytest.mark.parametrize("absent", [0, 1, 2])
def test_a_class_that_is_not_in_training_is_never_chosen(data, absent):
    one, table, train, valid, test = data("three")
    train, valid = (rows[one.labels[rows] != absent] for rows in (train, valid))
    probe = fit_probe(table, problem_of(one, train, valid), NO_KMERS)
    rows = test[one.labels[test] != absent]
    chosen = probe.logits(table, rows).argmax(1)
    assert absent not in chosen
    assert (chosen == one.labels[rows]).mean() > 0.75  # the other two are told apart


def test_a_single_class_in_training_is_always_chosen(data):
    one, table, train, valid, test = data("three")
    train = train[one.labels[train] == 2]
    probe = fit_probe(table, problem_of(one, train, valid), NO_KMERS)
    assert set(probe.logits(table, test).argmax(1)) == {2}


def test_a_class_that_is_not_among_the_rows_of_the_search(data, monkeypatch):
    one, table, train, valid, _ = data("three")
    rare = np.flatnonzero(one.labels[train] == 1)[:2]
    train = np.concatenate((train[one.labels[train] != 1], train[rare]))
    monkeypatch.setattr(probes, "SEARCH_ROWS", 12)
    probe = fit_probe(table, problem_of(one, train, valid), NO_KMERS, seed=1)
    assert np.isfinite(probe.valid_score)


def test_a_label_that_never_varies_in_training(data):
    one, table, train, valid, test = data("several")
    labels = np.concatenate((one.labels, np.ones((len(one), 1)), np.zeros((len(one), 1))), axis=1)
    probe = fit_probe(table, Problem("multilabel", 4, labels, train, valid), NO_KMERS)
    probabilities = to_probabilities(probe.logits(table, test), "multilabel", 1.0)
    assert (probabilities[:, 2] > 0.999).all()
    assert (probabilities[:, 3] < 0.001).all()


def test_balanced_classes(data):
    one, table, train, valid, test = data("presence")
    positive = np.flatnonzero(one.labels[train] == 1)
    train = np.delete(train, positive[8:])  # 8 against 45
    found = [
        fit_probe(table, problem_of(one, train, valid, balanced), NO_KMERS).logits(table, test)
        for balanced in (False, True)
    ]
    plain, balanced = (to_probabilities(logits, "classes", 1.0)[:, 1].mean() for logits in found)
    assert plain < 0.35
    assert balanced > plain + 0.1


def test_without_reverse_complements_the_forward_strand_is_read(model, data):
    one, _, train, valid, _ = data("presence")
    table = FeatureTable(model.encoder, one.sequences, compute=CPU, strands=1)
    probe = fit_probe(table, problem_of(one, train, valid), NO_KMERS)
    assert not probe.features.both_strands


def test_one_class_in_validation_leaves_the_first_choice(data):
    one, table, train, valid, _ = data("presence")
    valid = valid[one.labels[valid] == 1]
    probe = fit_probe(table, problem_of(one, train, valid), NO_KMERS)
    assert probe.valid_score == -np.inf
    assert probe.features == Features(("mean",))


# calibration


@pytest.mark.parametrize("kind", ["classes", "multilabel"])
@pytest.mark.parametrize("factor", [1 / 2, 3])
def test_a_known_temperature_is_found_again(kind, factor):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (6000, 3)).astype(np.float32)
    p = to_probabilities(logits, kind, 1.0)
    if kind == "classes":
        labels = (p.cumsum(1) < rng.random((len(p), 1))).sum(1).clip(max=2)
    else:
        labels = (rng.random(p.shape) < p).astype(np.float32)
    found = fit_temperature(labels, factor * logits, kind)
    assert found == pytest.approx(factor, rel=0.06)
    before, after = (to_probabilities(factor * logits, kind, t) for t in (1.0, found))
    assert log_loss(labels, after, kind) < log_loss(labels, before, kind)
    if kind == "classes":
        ece = [expected_calibration_error(labels, one) for one in (before, after)]
        assert ece[1] < 0.03 < ece[0]


@pytest.mark.parametrize("kind", ["classes", "multilabel"])
def test_the_temperature_of_a_balanced_head_is_that_of_classes_alike(kind):
    """Its logits are meant for classes that are equally frequent, as those of the data are not."""
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], [400, 400])
    logits = rng.normal(np.where(labels, 6, -1), 3).astype(np.float32)[:, None]  # too sure of one
    if kind == "classes":
        logits = np.concatenate([np.zeros_like(logits), logits], 1)
    else:
        labels = labels[:, None]
    rare = np.concatenate([np.arange(400), np.tile(np.arange(400, 800), 20)])
    alike = fit_temperature(labels, logits, kind)
    assert fit_temperature(labels, logits, kind, balanced=True) == pytest.approx(alike)
    found = fit_temperature(labels[rare], logits[rare], kind, balanced=True)
    assert found == pytest.approx(alike)
    assert abs(fit_temperature(labels[rare], logits[rare], kind) - alike) > 0.1


def test_a_regression_has_no_temperature():
    values = np.array([[1.5], [-3.0]], np.float32)
    assert fit_temperature(values, values + 1, "regression") == 1.0
    np.testing.assert_array_equal(to_probabilities(values, "regression", 5.0), values)


# training the encoder too

MIXED = [encode(random_sequence(n, n)) for n in (64, 130, 37, 251, 100, 5)]  # 100 is one tile


@pytest.mark.parametrize(
    "features",
    [
        *(Features((pool,)) for pool in POOLS),
        Features(POOLS[::-1], 4),
        *(Features((), bins) for bins in (2, 8, 16)),
        Features(("mean", "center"), 2),
    ],
    ids=str,
)
def test_features_with_gradients_are_those_of_prediction(model, features):
    source = Sequences(MIXED)
    regions = [
        (i, Region(str(i), ((0, len(tokens)),), i % 2 == 1)) for i, tokens in enumerate(MIXED)
    ]
    (batch,) = batches(
        regions, source, max_tokens=1 << 40, longest=TINY.max_length, n_cls=TINY.n_cls
    )
    tokens, offsets = torch.from_numpy(batch.tokens), torch.from_numpy(batch.offsets)
    states = model.encoder.embed(tokens, offsets).clone().requires_grad_(True)
    found = differentiable_features(states, batch, features, len(MIXED))
    pooling = Pooling(features.pools, features.bins)
    expected = []
    for i, row in region_vectors(regions, source, model.encoder, pooling, compute=CPU):
        turned = row.bins[::-1] if regions[i][1].reverse else row.bins
        expected.append(features.of(replace(row, bins=turned)))
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-4, atol=1e-5)
    found.square().sum().backward()
    is_cls = np.ones(len(tokens), bool)
    for piece, first in zip(batch.pieces, batch.offsets[:-1], strict=True):
        is_cls[first : first + len(piece)] = False
    assert torch.isfinite(states.grad).all()
    assert (states.grad[is_cls] == 0).all()
    if features.pools != ("center",) and "max" not in features.pools:
        assert (states.grad[~is_cls] != 0).any(dim=1).all()  # every base counts


def tune(
    model,
    data,
    which="presence",
    config=SHORT,
    poolings=MEAN_ONLY,
    forget=False,
    balanced=False,
    seed=0,
):
    """A probe and what full training makes of it; with ``forget`` of a probe without weights."""
    one, _, train, valid, _ = data(which)
    probe = probe_of(data, which, poolings=poolings)
    if forget:
        probe.head.linear.weight.zero_()
        probe = replace(probe, valid_score=0.5)
    problem = replace(problem_of(one, train, valid), balanced=balanced)
    return probe, fine_tune(model, probe, one.sequences, problem, config, CPU, seed=seed)


@pytest.mark.slow
def test_full_training_keeps_the_best_epoch(model, data, monkeypatch, capsys):
    """It begins with a head that knows nothing, so that there is something to learn."""
    monkeypatch.setattr(console, "_lines_wanted", True)
    monkeypatch.setattr(console, "SECONDS", 0)
    one, _, _, valid, _ = data("presence")
    probe, tuned = tune(model, data, config=replace(SHORT, epochs=3), forget=True)
    found = [line["valid"] for line in tuned.history]
    assert [line["epoch"] for line in tuned.history] == [0, 1, 2, 3]
    assert found[0] == 0.5
    assert tuned.epoch == int(np.argmax(found)) > 0
    assert max(found) > 0.65
    said = capsys.readouterr().err
    assert "findna: epoch 1/3, validating: " in said
    assert f"findna: epoch 2/3, validation {found[1]:.4f}:" in said
    kept = FeatureTable(tuned.model.encoder, [one.sequences[row] for row in valid], compute=CPU)
    logits = replace(probe, head=tuned.head).logits(kept, np.arange(len(valid)))
    assert score(one.labels[valid], logits, one.kind) == max(found)


def test_epoch_0_is_the_probe(model, data):
    config = FineTuneConfig(epochs=5, patience=1, lr=1e-12, batch_tokens=8000)
    probe, tuned = tune(model, data, config=config)
    assert tuned.epoch == 0
    assert len(tuned.history) == 3  # patience
    assert_equal(tuned.model.state_dict(), model.state_dict())
    assert_equal(tuned.head.state_dict(), probe.head.state_dict())


@pytest.mark.slow
def test_patience_is_with_epochs_that_rise_below_the_probe(model, data, monkeypatch):
    scores = iter([0.1, 0.2, 0.3, 1.1, 0.5, 0.4, 0.6])
    monkeypatch.setattr(full, "valid_score", lambda *arguments: next(scores))
    _, tuned = tune(model, data, config=replace(SHORT, epochs=7, patience=2))
    assert [line["valid"] for line in tuned.history[1:]] == [0.1, 0.2, 0.3, 1.1, 0.5, 0.4]
    assert tuned.epoch == 4


def assert_equal(some, others):
    assert some.keys() == others.keys()
    assert [name for name in some if not torch.equal(some[name], others[name])] == []


def test_only_what_is_read_is_trained(data):
    model = make_model(replace(TINY, readout=3), seed=2)
    before = copy.deepcopy(model.state_dict())
    probe, tuned = tune(model, data, config=replace(SHORT, epochs=1), forget=True)
    assert_equal(model.state_dict(), before)
    assert not any(p.requires_grad for p in model.parameters())
    assert tuned.epoch == 1
    after = tuned.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    read = tuple(f"encoder.mixer.blocks.0.{i}." for i in range(3))
    assert changed == {name for name in before if name.startswith(("encoder.embedding.", *read))}
    head, old = tuned.head.state_dict(), probe.head.state_dict()
    assert {name for name in head if not torch.equal(head[name], old[name])} == {
        "linear.weight",
        "linear.bias",
    }


def test_learning_rates_fall_from_layer_to_layer():
    model, head = make_model(replace(TINY, readout=3)), TaskHead(4, 2)
    groups = parameter_groups(model.encoder, head, FineTuneConfig(layer_decay=0.5))
    scale = {id(p): group["scale"] for group in groups for p in group["params"]}
    layers = [layer for block in model.encoder.mixer.blocks for layer in block]
    found = [scale.get(id(layer.fc1.weight)) for layer in layers]
    assert found == [0.25, 0.5, 1] + [None] * 7  # what is not read is left out
    assert scale[id(model.encoder.embedding.weight)] == 0.125
    assert scale[id(head.linear.weight)] == 1


@pytest.mark.slow
def test_the_seed_decides_what_full_training_gives(model, data):
    config = replace(SHORT, epochs=1)
    found = [tune(model, data, config=config, seed=seed)[1] for seed in (1, 1, 2)]
    assert_equal(found[0].model.state_dict(), found[1].model.state_dict())
    assert_equal(found[0].head.state_dict(), found[1].head.state_dict())
    assert found[0].history == found[1].history != found[2].history


@pytest.mark.parametrize("which", ["three", "several", "counted"])
@pytest.mark.parametrize("balanced", [False, True])
def test_full_training_of_every_kind(model, data, which, balanced):
    config = replace(SHORT, epochs=1)
    _, tuned = tune(model, data, which, config, ((("mean", "std"), 2),), balanced=balanced)
    assert all(np.isfinite(value) for line in tuned.history for value in line.values())


def test_training_that_diverges_keeps_what_was_good(model, data, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("findna"), "propagate", True)
    caplog.set_level(logging.WARNING, "findna")
    config = FineTuneConfig(epochs=3, lr=1e9, clip=1e9, batch_tokens=600)
    _, tuned = tune(model, data, config=config)
    assert "training diverged in epoch 1; epoch 0 is kept" in caplog.text
    assert_equal(tuned.model.state_dict(), model.state_dict())


# what a task folder holds


def short_run(splits, folder, model_folder, **options):
    how = FineTuneOptions(**{"config": SHORT, **options})
    return finetune(splits, folder, how, model=str(model_folder), compute=CPU)


@pytest.fixture(scope="module")
def folders(model_folder, tmp_path_factory):
    """Summary of a run by mode."""
    folder = tmp_path_factory.mktemp("finetuned")
    return {
        name: finetune(
            splits_of("three"),
            folder / name,
            FineTuneOptions(mode, ("none", "tata", "sp1"), config=SHORT),
            model=str(model_folder),
            compute=Compute(torch.device("cpu"), precision),
            about={"note": "Made by hand.", "species": "mouse", "licence": "MIT"},
        )
        for name, mode, precision in (
            ("probe", "probe", "fp32"),
            ("full", "full", "fp32"),
            ("trained in bf16", "full", "bf16"),
        )
    }


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["probe", "full", "trained in bf16"])
def test_figures_are_those_of_what_is_stored(folders, mode):
    task = load_task(str(folders[mode].folder))
    for name, one in (("valid", splits_of("three").valid), ("test", splits_of("three").test)):
        table = FeatureTable(task.checkpoint.model.encoder, one.sequences, compute=CPU)
        features = table.matrix(task.config.features, np.arange(len(one)))
        probabilities = task.probabilities(features)
        found = {k: round(v, 4) for k, v in measure(one.labels, probabilities, "classes").items()}
        assert found == task.record["metrics"][name] == folders[mode].metrics[name]
    calibration = task.record["calibration"]
    ece = expected_calibration_error(one.labels, probabilities)
    assert calibration["ece_after"] == pytest.approx(ece, abs=1e-4)
    assert calibration["measured_on"] == "test"
    assert calibration["temperature"] == round(task.config.temperature, 4)
    assert sum(row["n"] for row in calibration["reliability"]) == len(one)
    intervals = task.record["metrics"]["test_interval_95"]
    assert intervals.keys() == task.record["metrics"]["test"].keys()
    for metric, (low, high) in intervals.items():
        assert low <= task.record["metrics"]["test"][metric] <= high


def test_the_encoder_is_stored_in_float16(folders):
    folder = folders["full"].folder
    stored = load_file(folder / "encoder" / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    checkpoint = load_checkpoint(str(folder / "encoder"))
    assert checkpoint.training["note"] == "Encoder of a task, trained from little."
    task = load_task(str(folder))
    assert task.config.encoder_digest == checkpoint.digest
    assert checkpoint.digest == digest_of(
        TINY, {name: tensor.float() for name, tensor in stored.items()}
    )
    assert not (folders["probe"].folder / "encoder").exists()


@pytest.mark.parametrize("mode", ["probe", "full"])
def test_digests_name_what_decides_the_output(folders, mode, tmp_path):
    summary = folders[mode]
    task = load_task(str(summary.folder))
    assert task.digest == task.record["digest"] == summary.digest
    assert summary.digest in (summary.folder / "README.md").read_text()
    copied = shutil.copytree(summary.folder, tmp_path / "copied")
    assert load_task(str(copied)).digest == summary.digest
    tensors = load_file(copied / "head.safetensors")
    tensors["linear.bias"][0] += 0.5
    save_file(tensors, copied / "head.safetensors")
    with pytest.raises(CheckpointError, match="are not what one run wrote"):
        load_task(str(copied))


@pytest.mark.parametrize("mode", ["probe", "full"])
def test_task_json(folders, mode, model_folder):
    values = json.loads(
        (folders[mode].folder / "task.json").read_text(), parse_constant=pytest.fail
    )
    assert list(values) == [
        "format",
        "findna_version",
        "task",
        "digest",
        "data",
        "metrics",
        "calibration",
        "detail",
        "training",
        "note",
        "species",
        "licence",
    ]
    task = values["task"]
    assert task["mode"] == mode
    assert task["kind"] == "classes"
    assert task["classes"] == ["none", "tata", "sp1"]
    assert task["window"] == LENGTH
    # a model that does not ship is found again by its path
    assert task["encoder"] == (str(model_folder) if mode == "probe" else "little")
    assert task["features"].keys() == {"pools", "bins", "k", "both_strands", "readout"}
    splits = splits_of("three")
    assert {name: one["sha256"] for name, one in values["data"].items()} == {
        "train": splits.train.digest,
        "valid": splits.valid.digest,
        "test": splits.test.digest,
    }
    assert values["data"]["train"] == {
        "file": "train.csv",
        "sha256": splits.train.digest,
        "rows": 90,
        "classes": {"neither": 30, "at": 30, "gc": 30},
    }
    assert values["data"]["valid"]["source"] == "its own file"
    training = values["training"]
    assert training["seed"] == 0
    assert training["balanced"] is False
    assert training["features"] == str(folders[mode].features)
    assert ("history" in training) == ("best_epoch" in training) == (mode == "full")
    tensors = load_file(folders[mode].folder / "head.safetensors")
    n = folders[mode].features.size(TINY.dim)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "mean": (n,),
        "scale": (n,),
        "linear.weight": (3, n),
        "linear.bias": (3,),
    }


@pytest.mark.parametrize("mode", ["probe", "full"])
def test_the_card_says_what_to_know(folders, mode):
    card = (folders[mode].folder / "README.md").read_text()
    values = json.loads((folders[mode].folder / "task.json").read_text())
    splits = splits_of("three")
    for text in (
        f"# {mode}\n",
        "one of the classes none, tata, sp1",
        f"{LENGTH} bp",
        "Made by hand.",
        "Licence of the weights: MIT",
        "`train.csv`",
        "90 sequences (neither 30, at 30, gc 30)",
        splits.train.digest[:16],
        splits.test.digest[:16],
        "AUROC",
        "macro-F1",
        "Expected calibration error on the test set",
        f"{values['calibration']['ece_before']:.3f} before",
        f"{values['calibration']['ece_after']:.3f} after",
        f"| {values['metrics']['test']['accuracy']:.3f} (",
        {"probe": "a linear head on the frozen encoder", "full": "best epoch"}[mode],
    ):
        assert text in card, text


@pytest.mark.parametrize("mode", ["probe", "full"])
def test_the_report_beside_the_card(folders, mode):
    folder = folders[mode].folder
    page = Page(folder / "report.html")
    detail = json.loads((folder / "task.json").read_text())["detail"]
    assert detail["measured_on"] == "test"
    counts = np.array(detail["confusion"])
    assert counts.sum() == len(splits_of("three").test)
    accuracy = folders[mode].metrics["test"]["accuracy"]
    assert np.trace(counts) / counts.sum() == pytest.approx(accuracy, abs=1e-4)
    assert list(detail["curves"]) == ["none", "tata", "sp1"]
    for number, points in enumerate(detail["curves"].values()):
        assert points["true"][-1] == counts[number].sum()
        assert points["false"][-1] == counts.sum() - counts[number].sum()
    assert page.pictures == ["Metrics on the test set", "ROC, test set",
                             "Precision and recall, test set", "Letters, none", "Letters, tata",
                             "Letters, sp1", "Reliability, test set"]  # fmt: skip
    (table,) = (table for table in page.tables if table[0][0] == "is")
    assert [row[0] for row in table] == ["is", "none", "tata", "sp1"]
    assert table[1][1].startswith(f"{counts[0, 0]} (")
    assert "not stored" not in page.sections["Figures"]
    # a list of numbers is one line
    assert len((folder / "task.json").read_text().splitlines()) < 300


def test_a_picture_that_fails_stops_no_training(model_folder, tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("no font")

    monkeypatch.setattr(image, "draw", fail)
    summary = short_run(splits_of("three"), tmp_path / "a", model_folder, kmers=False)
    assert load_task(str(summary.folder)).digest == summary.digest
    assert not (tmp_path / "a" / "report.html").exists()
    assert "report.html: left out, all else is written: no font" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("which", ["several", "counted"])
def test_tasks_of_other_kinds(which, model_folder, tmp_path):
    summary = short_run(splits_of(which), tmp_path / which, model_folder, kmers=False)
    task = load_task(str(summary.folder))
    assert task.config.kind == MAKERS[which][1]
    assert task.record["calibration"] == {}
    assert (task.config.temperature == 1) == (which == "counted")
    card = (tmp_path / which / "README.md").read_text()
    assert ("R2" if which == "counted" else "AUROC") in card
    assert "Calibration" not in card
    assert ("curves" in task.record["detail"]) == (which == "several")
    page = Page(tmp_path / which / "report.html")
    assert page.pictures[0] == "Metrics on the test set"
    assert "not stored" not in page.sections["Figures"]


def test_another_encoder_than_the_one_trained_on_is_refused(folders, tmp_path):
    folder = shutil.copytree(folders["full"].folder, tmp_path / "moved")
    assert load_task(str(folder)).checkpoint
    save_checkpoint(folder / "encoder", make_model(TINY, seed=5), {}, "{digest}\n")
    with pytest.raises(
        CheckpointError, match=r"task moved was trained on weights [0-9a-f]{12}, but"
    ):
        load_task(str(folder)).checkpoint  # noqa: B018
    shutil.rmtree(folder / "encoder")
    with pytest.raises(CheckpointError, match=r"no model .*encoder"):
        load_task(str(folder)).checkpoint  # noqa: B018


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["probe", "full"])
def test_the_test_set_decides_nothing(mode, model_folder, tmp_path):
    splits = splits_of("presence", (40, 20, 20))
    flipped = replace(splits, test=replace(splits.test, labels=1 - splits.test.labels))
    for name, one in (("a", splits), ("b", flipped), ("c", replace(splits, test=None))):
        short_run(one, tmp_path / name, model_folder, mode=mode)
    a, b, c = (load_task(str(tmp_path / name)) for name in "abc")
    assert a.digest == b.digest == c.digest
    heads = [(tmp_path / name / "head.safetensors").read_bytes() for name in "abc"]
    assert heads[0] == heads[1] == heads[2]
    assert a.record["metrics"]["valid"] == b.record["metrics"]["valid"]
    assert a.record["metrics"]["test"] != b.record["metrics"]["test"]
    assert c.record["calibration"]["measured_on"] == "valid"
    cards = [(tmp_path / name / "README.md").read_text() for name in "ac"]
    assert ["test set was only measured" in card for card in cards] == [True, False]
    assert "not measured" in cards[1]
    assert "there was no test set" in cards[1]


@pytest.mark.parametrize(
    ("labels", "kind", "said"),
    [("11", "classes", "class 1"), (("2.5", "2.5"), "regression", "the same values")],
)
def test_a_validation_set_that_cannot_choose_is_told(write, caplog, labels, kind, said):
    letters = [random_sequence(30, i) for i in range(12)]
    rows = [f"{x},{i % 2}.0\n" for i, x in enumerate(letters[:8])]
    train = write("t.csv", "sequence,label\n" + "".join(rows).replace(".0", ""))
    rows = [f"{x},{y}\n" for x, y in zip(letters[8:10], labels, strict=True)]
    valid = write("v.csv", "sequence,label\n" + "".join(rows))
    read_splits(train, valid, options=SplitOptions(kind=kind))
    assert f"v.csv: every row has {said}, so that nothing can be chosen by it" in caplog.text
    caplog.clear()
    read_splits(train, train, options=SplitOptions(kind=kind, on_overlap="keep"))
    assert "nothing can be chosen" not in caplog.text


@pytest.mark.slow
def test_a_validation_set_of_one_class(model_folder, tmp_path):
    splits = splits_of("presence", (40, 20, 20))
    ones = np.flatnonzero(splits.valid.labels == 1)
    splits = replace(splits, valid=splits.valid.take(ones))
    for mode in ("probe", "full"):
        short_run(splits, tmp_path / mode, model_folder, mode=mode)
        text = (tmp_path / mode / "task.json").read_text()
        values = json.loads(text, parse_constant=pytest.fail)  # no NaN and no infinity in JSON
        assert values["training"]["probe_valid_score"] is None
        assert values["metrics"]["valid"]["auroc"] is None
        assert "| AUROC | undefined |" in (tmp_path / mode / "README.md").read_text()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a", "b", "c"), "3 different names wanted for the classes 0, 1"),
        (("a", "a"), "two classes have the same name"),
        (("a", ""), "must be printable"),
        (("a", "b\tc"), "must be printable"),
    ],
)
def test_class_names_that_are_wrong(names, message, model_folder, tmp_path):
    with pytest.raises(ConfigError, match=message):
        short_run(splits_of("presence"), tmp_path / "t", model_folder, class_names=names)
    assert not (tmp_path / "t").exists()


def test_a_regression_cannot_be_balanced(model_folder, tmp_path):
    with pytest.raises(ConfigError, match="--balanced"):
        short_run(splits_of("counted"), tmp_path / "t", model_folder, balanced=True)


@pytest.mark.parametrize("fails", ["save_tensors", "write_text"])
def test_a_failed_run_leaves_no_folder(fails, model_folder, tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tasks_module, fails, full_disk)
    splits = splits_of("presence", (30, 20, 20))
    with pytest.raises(OSError, match="No space left"):
        short_run(
            splits, tmp_path / "t", model_folder, mode="full", config=replace(SHORT, epochs=1)
        )
    assert list(tmp_path.iterdir()) == []


# train, validation and test set


def write_set(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(csv_of(data))
    return path


@pytest.fixture
def files(tmp_path):
    """Folder with train.csv, valid.csv and test.csv."""
    splits = splits_of("presence", (60, 20, 30))
    for name in ("train", "valid", "test"):
        write_set(tmp_path / "set" / f"{name}.csv", getattr(splits, name))
    return tmp_path / "set"


def sizes(splits):
    return tuple(0 if s is None else len(s) for s in (splits.train, splits.valid, splits.test))


def test_a_folder_gives_all_splits(files):
    splits = read_splits(files)
    assert sizes(splits) == (60, 20, 30)
    assert splits.valid_from == "its own file"
    (files / "valid.csv").unlink()
    splits = read_splits(files)
    assert sizes(splits) == (48, 12, 30)
    (files / "train.csv").rename(files / "dev.csv")
    with pytest.raises(LabelError, match="holds dev, test but no train split; name files"):
        read_splits(files)


def test_files_that_are_named_go_before_those_of_the_folder(files):
    other = write_set(files.parent / "other.csv", made("presence", 8, seed=9))
    assert sizes(read_splits(files, other)) == (60, 8, 30)
    assert sizes(read_splits(files, test=other)) == (60, 20, 8)


def test_a_part_of_one_file_is_held_out(files):
    splits = read_splits(files / "train.csv", options=SplitOptions(seed=3))
    assert sizes(splits) == (48, 12, 0)
    assert splits.valid_from == "20% of the training set, drawn at random, by class"
    assert np.bincount(splits.valid.labels).tolist() == [6, 6]
    same = read_splits(files / "train.csv", options=SplitOptions(seed=3))
    assert same.valid.digest == splits.valid.digest
    other = read_splits(files / "train.csv", options=SplitOptions(seed=4))
    assert other.valid.digest != splits.valid.digest


def test_repeated_sequences_are_not_on_both_sides_of_a_held_out_part(files):
    train = made("presence", 60)
    doubled = train.take(np.repeat(np.arange(60), 2))
    splits = read_splits(write_set(files / "doubled.csv", doubled))
    seen = {s.tobytes() for s in splits.train.sequences}
    assert not any(s.tobytes() in seen for s in splits.valid.sequences)
    assert len(splits.valid) == 24
    assert 70 < len(splits.train) < 96


def test_whole_contigs_are_held_out(genome, write):
    rows = [
        f"{chrom}\t{start}\t{start + 60}\t{start // 100 % 2}\t0\t{'+-'[start // 200 % 2]}\n"
        for chrom, n in (("chrA", 40), ("chrB", 12))
        for start in range(0, 100 * n, 100)
    ]
    bed = write("x.bed", "".join(rows))
    splits = read_splits(bed, genome=genome)
    assert splits.valid_from == "23% of the training set, whole contigs"
    assert set(splits.train.contigs) == {"chrA"}
    assert set(splits.valid.contigs) == {"chrB"}
    stranded, plain = (
        read_splits(bed, genome=genome, options=SplitOptions(stranded=stranded))
        for stranded in (True, False)
    )
    assert stranded.train.digest != plain.train.digest


@pytest.mark.slow
def test_rows_without_a_strand(run, example, model_folder, write, home):
    """Said once, whatever the number of files and rows, and only of -s."""
    rows = [f"chrA\t{100 * i}\t{100 * i + 60}\t{'ab'[i % 2]}\t0\t.\n" for i in range(300)]
    train, test = write("x.bed", "".join(rows[:240])), write("y.bed", "".join(rows[240:]))
    words = ["finetune", example / "genome.fa", "-t", "a", "--train", train, "--test", test, "-f"]
    said = f"{train}:1: strand is not + or -; it and others like it are read forward"
    for stranded in (True, False):
        found = run(*words, *["-s"] * stranded, "-m", model_folder).stderr
        assert found.count("strand is not") == found.count(said) == stranded, found


@pytest.fixture
def shared_rows(files):
    """The test set shares two rows with train, one turned round, and valid one with each."""
    train, valid, test = (made("presence", n, i) for i, n in enumerate((60, 20, 30)))
    turned = reverse_complement(train.sequences[1])
    test.sequences[0:2] = [train.sequences[0], turned]
    valid.sequences[0:2] = [train.sequences[4], test.sequences[5]]
    for name, one in (("train", train), ("valid", valid), ("test", test)):
        write_set(files / f"{name}.csv", one)
    return train, valid, test


def test_rows_in_two_sets_stop_a_run(files, shared_rows):
    with pytest.raises(LabelError, match=r"shares 2 sequences with .*test.csv") as caught:
        read_splits(files)
    assert "1 identical, 1 as reverse complement" in str(caught.value)
    assert "--on-overlap drop" in str(caught.value)
    with pytest.raises(LabelError, match=r"shares 1 sequence with .*valid.csv"):
        read_splits(files / "train.csv", files / "valid.csv")


def test_rows_in_two_sets_are_dropped_or_kept(files, shared_rows):
    train, valid, test = shared_rows
    dropped = read_splits(files, options=SplitOptions(on_overlap="drop"))
    assert dropped.train.digest == train.take(np.delete(np.arange(60), [0, 1, 4])).digest
    assert dropped.valid.digest == valid.take(np.delete(np.arange(20), [1])).digest
    assert dropped.test.digest == test.digest
    kept = read_splits(files, options=SplitOptions(on_overlap="keep"))
    assert [kept.train.digest, kept.valid.digest] == [train.digest, valid.digest]


def test_dropping_may_leave_nothing_to_train_on(files):
    train = made("presence", 60)
    write_set(files / "test.csv", train)
    with pytest.raises(LabelError, match=r"train.csv: every sequence also occurs in .*test.csv"):
        read_splits(files, options=SplitOptions(on_overlap="drop"))
    write_set(files / "test.csv", train.take(np.flatnonzero(train.labels == 1)))
    with pytest.raises(LabelError, match=r"class '?1'? has 0 rows"):
        read_splits(files, options=SplitOptions(on_overlap="drop"))


def test_labels_of_other_sets_must_be_known(files):
    text = (files / "test.csv").read_text()
    (files / "test.csv").write_text(text[:-2] + "7\n")
    with pytest.raises(LabelError, match=r"test.csv:31: label '?7'? is not one of the known"):
        read_splits(files)


def test_one_class_is_not_enough(files):
    train = made("presence", 60)
    write_set(files / "train.csv", train.take(np.flatnonzero(train.labels == 1)))
    with pytest.raises(LabelError, match="at least two classes"):
        read_splits(files)


@pytest.mark.parametrize("which", ["several", "counted"])
def test_kinds_of_labels(which, tmp_path):
    path = write_set(tmp_path / "x.csv", made(which, 40))
    column = ",".join(MAKERS[which][2])
    splits = read_splits(path, options=SplitOptions(label_column=column))
    assert splits.train.kind == MAKERS[which][1]
    assert sizes(splits) == (32, 8, 0)


# the command line


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FINDNA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def command(run, files, model_folder):
    """``findna finetune`` on the folder of splits, with the little model."""

    def invoke(*options, code=0, train=files):
        words = ["--train", train, "-m", model_folder, "--no-kmers"]
        return run("finetune", *words, *options, code=code)

    return invoke


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["probe", "full"])
def test_how_long_it_takes_is_told(command, home, monkeypatch, mode):
    words = ["-t", "a", "--mode", mode, *(["--epochs", 2] if mode == "full" else []), "-f"]
    assert "about" not in command(*words).stderr  # it takes seconds
    monkeypatch.setattr("findna.commands.finetune.FEW_BASES", 0)
    monkeypatch.setattr("findna.tasks.duration.LEAST_SECONDS", 0)
    first, *_, last = command(*words).stderr.splitlines()
    end = ", if training goes on for 2 epochs" if mode == "full" else ""
    pattern = rf"findna: \d+ sequences of {LENGTH} bp: about \d+ minutes? on this machine{end}"
    assert re.fullmatch(pattern, first)
    assert last.startswith("findna: a: accuracy")
    assert command(*words, "-q").stderr == ""


@pytest.mark.slow
def test_a_task_is_trained_listed_and_used(command, run, home, example, monkeypatch, tmp_path):
    result = command("-t", "tata", "--class-names", "other,tata")
    assert result.stdout == ""
    assert "tata: accuracy 0." in result.stderr
    assert "on the test set" in result.stderr
    folder = home / "tasks" / "tata"
    names = ["README.md", "head.safetensors", "report.html", "task.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    monkeypatch.chdir(tmp_path)  # nothing is looked for in the working directory
    lines = run("tasks", "list").stdout.splitlines()
    assert lines[0].startswith("#task\tclasses\twindow\tmode\tencoder\tfigure\twhere\tdigest")
    (line,) = (one.split("\t") for one in lines if one.startswith("tata\t"))
    digest = load_task("tata").digest
    auroc = load_task("tata").record["metrics"]["test"]["auroc"]
    assert line[1:4] == ["other,tata", "60", "probe"]
    assert line[5:] == [f"AUROC {auroc:.3f} (test)", "home", digest[:12], ".", "."]
    assert run("tasks", "info", "tata").stdout == (folder / "README.md").read_text()
    stored = json.loads((folder / "task.json").read_text())
    assert json.loads(run("tasks", "info", "tata", "--json").stdout) == stored
    words = [example / "genome.fa", example / "regions.bed", "-t", "tata"]
    rows = run("predict", *words).stdout.splitlines()
    assert len(rows) == len((example / "regions.bed").read_text().splitlines())
    assert {row.split("\t")[6] for row in rows} <= {"other", "tata"}


@pytest.mark.slow
def test_full_training_by_command(command, run, home, example):
    options = ["--mode", "full", "--epochs", 1, "--batch-tokens", 600, "--lr", 1e-3]
    assert command("-t", "tata", *options).stdout == ""
    assert (home / "tasks" / "tata" / "encoder" / "model.safetensors").is_file()
    run("predict", example / "genome.fa", example / "regions.bed", "-t", "tata")
    words = [example / "genome.fa", "-r", "chrA:1-100", "-O", "tsv"]
    run("embed", *words, "-m", home / "tasks" / "tata" / "encoder")


@pytest.mark.slow
def test_the_folder_of_a_task(command, home, tmp_path):
    command("-t", "a", "-o", tmp_path / "x")
    assert not home.exists()
    assert load_task(str(tmp_path / "x")).name == "x"
    before = (tmp_path / "x" / "task.json").read_bytes()
    error = command("-t", "a", "-o", tmp_path / "x", code=1).stderr
    assert "is not empty; --force" in error
    assert (tmp_path / "x" / "task.json").read_bytes() == before
    command("-t", "a", "-o", tmp_path / "x", "--force", "--note", "Again.")
    assert "- Again." in (tmp_path / "x" / "README.md").read_text()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["-t", "a", "--lr", 1e-3], 2, "--lr needs --mode full"),
        (["-t", "a", "--layer-decay", 0.5], 2, "--layer-decay needs --mode full"),
        (["-t", "a", "--mode", "full", "--lr", -1], 2, "lr must be greater than 0"),
        (["-t", "a/b"], 2, "--task a/b: a name of letters"),
        (["-t", ".a"], 2, "--task .a: a name of letters"),
        (["-t", ""], 2, "a name of letters"),
        ([], 2, "Missing option '-t' / '--task'. Name of the task."),
        (["-t", "a", "--class-names", "x"], 2, "--class-names"),
        (["-t", "a", "-m", "nowhere"], 1, "no model nowhere"),
        (["-t", "a", "--device", "abacus"], 2, "unknown device"),
        (["-t", "a", "--test", "nowhere.csv"], 2, "does not exist"),
        (["-t", "a", "--label-column", "nothing"], 1, "nothing"),
        (["-t", "a", "--kind", "regression", "--balanced"], 2, "--balanced"),
    ],
)
def test_options_that_are_wrong(command, home, options, code, message):
    error = command(*options, code=code).stderr
    assert message in error
    assert not home.exists()


def test_intervals_need_a_genome(run, command, home, example, write, model_folder):
    rows = [f"chrA\t{i * 100}\t{i * 100 + 60}\t{i % 2}\n" for i in range(30)]
    bed = write("x.bed", "".join(rows))
    error = command("-t", "a", train=bed, code=1).stderr
    assert "give GENOME, the FASTA it refers to" in error
    assert not home.exists()
    words = ["-t", "a", "--train", bed, "-m", model_folder, "--no-kmers"]
    run("finetune", example / "genome.fa", *words)
    assert load_task("a").config.window == 60


def test_bad_data_leaves_nothing(command, home, files, monkeypatch):
    (files / "train.csv").write_text("sequence,label\nACGT,0\nACXT,1\n")
    assert "train.csv:3" in command("-t", "a", code=1).stderr
    assert not home.exists()
    monkeypatch.setattr(runs, "fit_probe", interrupt)
    (files / "train.csv").write_text(csv_of(made("presence", 60)))
    assert "interrupted" in command("-t", "a", code=130).stderr
    assert not home.exists()


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_a_broken_task_does_not_hide_the_others(command, run, home):
    command("-t", "good")
    shutil.copytree(home / "tasks" / "good", home / "tasks" / "bad")
    (home / "tasks" / "bad" / "task.json").write_text("{")
    result = run("tasks", "list")
    own = [line.split("\t") for line in result.stdout.splitlines()[1:] if "\tshipped\t" not in line]
    assert [columns[0] for columns in own] == ["good"]
    assert "bad left out" in result.stderr


def test_files_of_two_runs_are_no_task(command, run, home, example):
    command("-t", "a")
    path = home / "tasks" / "a" / "head.safetensors"
    tensors = load_file(path)
    tensors["linear.bias"] += 1  # of another run
    save_file(tensors, path)
    for words in (["predict", example / "genome.fa", "-t"], ["tasks", "info"]):
        error = run(*words, "a", code=1).stderr
        assert "a: task.json and head.safetensors are not what one run wrote" in error
        assert "train the task again (findna finetune)" in error


@pytest.mark.slow
def test_a_run_killed_as_it_replaces_a_task(command, run, home, example, monkeypatch):
    command("-t", "a")
    folder = home / "tasks" / "a"
    replace_file = os.replace

    def stop(source, target):
        replace_file(source, target)
        if Path(target) == folder / "head.safetensors":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop)
        command("-t", "a", "--force", code=130)
    error = run("predict", example / "genome.fa", "-t", folder, code=1).stderr
    assert "holds no task.json: findna finetune was stopped before its end; run it again" in error
    command("-t", "a")
    names = ["README.md", "head.safetensors", "report.html", "task.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    run("predict", example / "genome.fa", "-t", "a")


def test_two_runs_in_one_folder(command, home):
    folder = home / "tasks" / "a"
    with claimed(folder):
        error = command("-t", "a", code=1).stderr
    assert error.endswith(f"{folder}: another run is at work in it; wait or name another\n")
    folder.mkdir(parents=True)
    (folder / ".lock").touch()  # of a run that was killed
    command("-t", "a")
    assert not (folder / ".lock").exists()


@pytest.mark.slow
def test_a_task_keeps_where_its_windows_lie(run, example, model_folder, tmp_path, write):
    """Of intervals from what was cut, of sequences from what was said; points are read alike."""
    fasta = example / "genome.fa"
    points = [("chrA", 300 + 97 * i, "+-"[i % 2]) for i in range(60)]
    names = [f"{'ab'[i // 2 % 2]}\t0\t{strand}" for i, (_, _, strand) in enumerate(points)]
    bed = write("p.bed", "".join(
        f"{chrom}\t{start}\t{start + 1}\t{name}\n"
        for (chrom, start, _), name in zip(points, names, strict=True)
    ))  # fmt: skip
    train = ["finetune", fasta, "-t", "x", "--train", bed, "-m", model_folder]

    def kept(*options, words=train):
        run(*words, "-o", tmp_path / "x", "--force", *options)
        settings = json.loads((tmp_path / "x" / "task.json").read_text())["task"]
        return settings["window"], settings["upstream"], settings["stranded"]

    assert kept("-s", "--upstream", 40, "--downstream", 19) == (60, 40, True)
    assert (
        "windows of 60 bp, 40 upstream of each region of 1 bp, by its strand"
        in (tmp_path / "x" / "README.md").read_text()
    )
    said = run("predict", fasta, bed, "-t", tmp_path / "x").stderr
    assert "windows of 60 bp, 40 upstream of each point" in said
    assert kept("--window", 60) == (60, None, False)
    assert kept("-s", "--window", 60, "--anchor", "start") == (60, 30, True)
    summits = "".join(
        f"{chrom}\t{start - 5}\t{start + 20}\t{name[0]}\t0\t+\t1\t1\t1\t5\n"
        for (chrom, start, _), name in zip(points, names, strict=True)
    )
    words = ["finetune", fasta, "-t", "x", "-m", model_folder, "--window", 60]
    words += ["--anchor", "summit", "--train"]
    assert kept(words=[*words, write("s.narrowPeak", summits)]) == (60, None, False)
    none = write("n.narrowPeak", summits.replace("\t5\n", "\t-1\n"))
    error = run(*words, none, "-o", tmp_path / "y", code=1).stderr
    assert "its summit (column 10) is '-1'" in error
    del words[words.index("--window") : words.index("--anchor")]
    error = run(*words, tmp_path / "s.narrowPeak", "-o", tmp_path / "y", code=2).stderr
    assert "--anchor summit changes nothing alone: give --window" in error

    rows = ["sequence,label"]
    with Genome(fasta) as genome:
        for (chrom, start, _), name in zip(points, names, strict=True):
            rows.append(f"{decode(genome.fetch(chrom, start - 40, start + 20))},{name[0]}")
    table = write("t.csv", "\n".join(rows) + "\n")
    words = ["finetune", "-t", "x", "--train", table, "-m", model_folder]
    assert kept(words=words) == (60, None, False)
    assert kept("--upstream", 40, words=words) == (60, 40, True)
    assert kept("--upstream", 40, "--downstream", 19, words=words) == (60, 40, True)
    for options, reason in (
        (["--upstream", 60], "give sequences of one length above 60 bp"),
        (["--upstream", 40, "--downstream", 20], "give sequences of 61 bp"),
        (["--anchor", "end"], "--anchor is for intervals"),
    ):
        assert reason in run(*words, "-o", tmp_path / "y", *options, code=1).stderr
    error = run(*words, "--upstream", 4, "--window", 9, code=2).stderr
    assert "cannot be combined" in error
