import itertools
import warnings

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from findna.evaluation import baselines
from findna.evaluation.baselines import (
    GenomicBenchmarksCNN,
    KmerTable,
    kmer_regression,
    knn,
    train_cnn,
    validation_score,
)
from findna.genome.encoding import BLANK, Tokens, encode, reverse_complement
from findna.labelled.metrics import measure
from findna.tasks.kmers import kmer_counts
from findna.tasks.probe import Problem
from tests.conftest import random_sequence


@pytest.fixture(autouse=True)
def _few_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "KS", (3, 4))
    monkeypatch.setattr(baselines, "STRENGTHS", (1e-3, 1e-1))


def with_motif(n: int, seed: int, motifs: tuple[str, ...], length: int = 60) -> tuple:
    """Random sequences; those of class i > 0 hold the motif i - 1 at a random place."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(motifs) + 1, n)
    sequences = []
    for i, label in enumerate(labels):
        sequence = random_sequence(length, seed * 10_000 + i)
        if label:
            motif = motifs[label - 1]
            start = rng.integers(0, length - len(motif))
            sequence = sequence[:start] + motif + sequence[start + len(motif) :]
        sequences.append(encode(sequence))
    return sequences, labels


MOTIF = ("GATAAGGATAAG",)


def split(train: tuple, valid: tuple, *test: tuple, kind: str = "classes", n: int = 2) -> tuple:
    """Sequences or vectors of all parts, the problem, and the rows of each part."""
    parts = (train, valid, *test)
    inputs = [row for rows, _ in parts for row in rows]
    labels = np.concatenate([labels for _, labels in parts])
    rows = np.split(np.arange(len(labels)), np.cumsum([len(labels) for _, labels in parts[:-1]]))
    return inputs, Problem(kind, n, labels, rows[0], rows[1]), rows


def kmers(*parts: tuple, kind: str = "classes", n: int = 2, seed: int = 0) -> tuple:
    """Predictions of every part, and the choice."""
    sequences, problem, rows = split(*parts, kind=kind, n=n)
    everything = np.arange(len(sequences))
    found, choice = kmer_regression(KmerTable(sequences), problem, everything, seed=seed)
    return [found[part] for part in rows], choice


def test_kmers_find_a_motif() -> None:
    train, valid, test = (with_motif(n, seed, MOTIF) for n, seed in ((300, 1), (100, 2), (100, 3)))
    (*_, probabilities), choice = kmers(train, valid, test)
    assert probabilities.shape == (100, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert measure(test[1], probabilities, "classes")["auroc"] > 0.9
    assert set(choice) == {"k", "both_strands", "C"}


def test_strands_are_chosen_by_what_matters() -> None:
    """Turned round at random, a motif is seen better by canonical k-mers; in place, by the rest."""

    def turned(seed: int, n: int) -> tuple[list[Tokens], np.ndarray]:
        sequences, labels = with_motif(n, seed, MOTIF, 200)
        flips = np.random.default_rng(seed).random(n) < 0.5
        pairs = zip(sequences, flips, strict=True)
        return [reverse_complement(s) if flip else s for s, flip in pairs], labels

    def strands(seed: int, n: int) -> tuple[list[Tokens], np.ndarray]:
        """Classes are the two strands of the same sequences: canonical k-mers see nothing."""
        forward = [encode("AAAGG" * 3 + random_sequence(100, seed * 1000 + i)) for i in range(n)]
        return [*forward, *map(reverse_complement, forward)], np.repeat([0, 1], n)

    _, choice = kmers(turned(1, 400), turned(2, 300))
    assert choice["both_strands"] is True
    _, choice = kmers(strands(1, 100), strands(2, 50))
    assert choice["both_strands"] is False


def test_choice_is_the_best_on_validation() -> None:
    train, valid = with_motif(200, 1, MOTIF), with_motif(100, 2, MOTIF)
    (_, predictions), _ = kmers(train, valid)
    best = validation_score(valid[1], predictions, "classes")
    for k, both_strands, strength in itertools.product(
        baselines.KS, (True, False), baselines.STRENGTHS
    ):
        other = baselines.CountRegression(
            kmer_counts(train[0], k, both_strands), train[1], "classes", 2
        )
        predictions = other.fit(strength).predict(kmer_counts(valid[0], k, both_strands))
        assert validation_score(valid[1], predictions, "classes") <= best + 0.01


def test_a_class_that_training_lacks_has_probability_zero() -> None:
    sequences, labels = with_motif(90, 1, MOTIF)
    (probabilities, _), _ = kmers((sequences, labels * 2), (sequences, labels * 2), n=4)
    assert probabilities.shape == (90, 4)
    assert (probabilities[:, [1, 3]] == 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    (probabilities, _), _ = kmers((sequences, labels * 0), (sequences, labels))
    assert (probabilities == [1, 0]).all()


def test_validation_of_one_class_still_chooses() -> None:
    sequences, labels = with_motif(60, 1, MOTIF)
    (probabilities, _), _ = kmers((sequences, labels), (sequences, labels * 0))
    assert probabilities.shape == (60, 2)


def test_kmers_of_several_labels_and_of_numbers() -> None:
    sequences, labels = with_motif(400, 1, ("GATAAGGATAAG", "CCTTTGCCTTTG"))

    def halves(labels: np.ndarray) -> tuple:
        return (sequences[:300], labels[:300]), (sequences[300:], labels[300:])

    one_hot = (labels[:, None] == [1, 2, 9]).astype(int)  # nothing has the third label
    (_, found), _ = kmers(*halves(one_hot), kind="multilabel", n=3)
    assert measure(one_hot[300:], found, "multilabel")["auroc"] > 0.9
    assert (found[:, 2] == 0).all()
    content = np.array([[np.isin(s, encode("GC")).mean() * 10, 3.5] for s in sequences])
    (_, found), _ = kmers(*halves(content), kind="regression")
    assert found.shape == (100, 2)
    assert measure(content[300:, :1], found[:, :1], "regression")["r2"] > 0.9


def test_choice_uses_few_and_the_fit_uses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MOST_FOR_CHOICE", 50)
    sizes = []
    fit = baselines.CountRegression.fit

    def counted(self: baselines.CountRegression, strength: float) -> baselines.CountRegression:
        sizes.append(self.regression.features.shape[0])
        return fit(self, strength)

    monkeypatch.setattr(baselines.CountRegression, "fit", counted)
    kmers(with_motif(300, 1, MOTIF), with_motif(200, 2, MOTIF))
    assert sizes[-1] == 300
    assert set(sizes[:-1]) == {50}


def test_tables_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for seldom is counted alone, the rest once with all; both give the same."""
    calls = []

    def counted(sequences: list[Tokens], k: int, both_strands: bool) -> object:
        calls.append((len(sequences), k))
        return kmer_counts(sequences, k, both_strands)

    monkeypatch.setattr(baselines, "kmer_counts", counted)
    sequences, _ = with_motif(40, 1, MOTIF)
    table, few = KmerTable(sequences), np.array([7, 3, 3])
    expected = kmer_counts([sequences[i] for i in few], 3)
    assert (table.counts(few, 3, True) != expected).nnz == 0
    assert calls == [(3, 3)]
    for rows in (np.arange(30), np.arange(30), np.arange(35), np.array([1]), few):
        counts = table.counts(rows, 3, True)
    assert calls == [(3, 3), (40, 3)]
    assert (counts != expected).nnz == 0


def test_no_warning_escapes() -> None:
    data = with_motif(30, 1, MOTIF, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kmers(data, data)


# the convolutional network


def test_network_is_the_published_one() -> None:
    """Layer by layer, with an embedding of every position."""
    torch.manual_seed(0)
    network = GenomicBenchmarksCNN(3, 120)
    tokens = torch.randint(0, 6, (5, 120), dtype=torch.uint8)
    for training in (True, False):
        network.train(training)
        x = network.embedding(tokens.long()).transpose(1, 2)
        for i in (1, 2, 3):
            x = getattr(network, f"norm{i}")(getattr(network, f"conv{i}")(x))
            x = torch.nn.functional.max_pool1d(x.relu(), 2)
        x = network.output(network.dense(x.flatten(1)))
        torch.testing.assert_close(network(tokens), x, rtol=1e-4, atol=1e-5)
    assert network.embedding.weight.shape == (BLANK + 1, 100)
    assert [c.weight.shape for c in (network.conv1, network.conv2, network.conv3)] == [
        (16, 100, 8),
        (8, 16, 8),
        (4, 8, 8),
    ]
    assert network.dense.out_features == 512


def test_shortest_length() -> None:
    shortest = GenomicBenchmarksCNN.MIN_LENGTH
    tokens = torch.zeros(1, shortest, dtype=torch.uint8)
    assert GenomicBenchmarksCNN(2, shortest)(tokens).shape == (1, 2)
    with pytest.raises(ValueError, match="length must be at least 57"):
        GenomicBenchmarksCNN(2, shortest - 1)


def cnn(*parts: tuple, seed: int = 0, n: int = 2) -> tuple:
    """Predictions of every part, and the choice."""
    sequences, problem, rows = split(*parts, n=n)
    found, choice = train_cnn(sequences, problem, np.arange(len(sequences)), seed=seed)
    return [found[part] for part in rows], choice


@pytest.mark.slow
def test_network_learns_and_is_decided_by_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "EPOCHS", 12)
    parts = [
        with_motif(n, seed, ("GATAAGGATAAG", "CCTTTGCCTTTG"))
        for n, seed in ((600, 1), (150, 2), (150, 3))
    ]
    state = torch.get_rng_state()
    (*_, probabilities), choice = cnn(*parts, n=3)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-9)
    assert measure(parts[2][1], probabilities, "classes")["auroc"] > 0.8
    (*_, again), same = cnn(*parts, n=3)
    np.testing.assert_array_equal(again, probabilities)
    assert same == choice
    monkeypatch.setattr(baselines, "EPOCHS", 2)
    (*_, other), _ = cnn(*parts, n=3, seed=1)
    assert not np.array_equal(other, probabilities)


def test_network_keeps_the_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.1, 0.7, 0.3, 0.2, 0.1, 0.9])
    seen = []

    def score(labels: object, predictions: np.ndarray, kind: str) -> float:
        seen.append(predictions)
        return next(scores)

    monkeypatch.setattr(baselines, "validation_score", score)
    monkeypatch.setattr(baselines, "PATIENCE", 3)
    data = with_motif(40, 1, MOTIF)
    (_, predictions), choice = cnn(data, data)
    assert choice == {"epoch": 2}
    assert len(seen) == 5  # stopped before the sixth
    np.testing.assert_array_equal(predictions, seen[1])
    assert not np.array_equal(seen[1], seen[-1])


def test_network_pads_and_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "EPOCHS", 1)
    lengths = (1, 20, 57, 60)
    sequences = [encode(random_sequence(n, n)) for n in lengths]
    labels = np.array([0, 1, 0, 1])
    longer = [encode(random_sequence(60, 60) + "ACGT" * 30)]
    (train, _, test), _ = cnn((sequences, labels), (sequences, labels), (longer, labels[:1]))
    np.testing.assert_allclose(test[0], train[3], rtol=1e-6)
    short = sequences[:2], labels[:2]
    (*_, test), _ = cnn(short, short, (sequences, labels))
    assert test.shape == (4, 2)


# nearest neighbours


def blobs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    scale = np.array([1, 100, 0.01, 1, 1])
    vectors = (rng.normal(size=(n, 5)) + np.eye(3, 5)[labels] * 2) * scale
    return vectors.astype(np.float32), labels


def neighbours(*parts: tuple, kind: str = "classes", n: int = 3) -> tuple:
    """Predictions of the last part, and the choice."""
    vectors, problem, rows = split(*parts, kind=kind, n=n)
    return knn(np.stack(vectors), problem, rows[-1])


def test_neighbours_agree_with_sklearn() -> None:
    train, valid, test = blobs(200, 1), blobs(80, 2), blobs(700, 3)
    predictions, choice = neighbours(train, valid, test)
    scaler = StandardScaler().fit(train[0])
    scores = {}
    for k in baselines.NEIGHBOURS:
        other = KNeighborsClassifier(k, metric="cosine").fit(scaler.transform(train[0]), train[1])
        scores[k] = validation_score(
            valid[1], other.predict_proba(scaler.transform(valid[0])), "classes"
        )
        if k == choice["k"]:
            expected = other.predict_proba(scaler.transform(test[0]))
            np.testing.assert_allclose(predictions, expected, atol=1e-12)
    assert scores[choice["k"]] == max(scores.values())


def test_neighbours_of_numbers_and_of_few_vectors() -> None:
    vectors, labels = blobs(3, 1)
    _, choice = neighbours((vectors, labels), (vectors, labels))
    assert choice == {"k": 3}
    values = np.array([[1.0, 2], [3, 4], [5, 9]])
    predictions, _ = neighbours((vectors, values), (vectors, values), kind="regression", n=2)
    np.testing.assert_allclose(predictions, [[3, 5]] * 3)


def test_constant_vectors_do_no_harm() -> None:
    data = np.ones((60, 4), np.float32), np.arange(60) % 2
    assert np.isfinite(neighbours(data, data, n=2)[0]).all()
