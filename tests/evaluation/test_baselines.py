import itertools
import warnings

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from findna.evaluation import baselines
from findna.evaluation.baselines import (
    CNNTraining,
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


def test_kmers_find_a_motif() -> None:
    train, valid, test = (with_motif(n, seed, MOTIF) for n, seed in ((300, 1), (100, 2), (100, 3)))
    model = kmer_regression(*train, *valid, "classes", 2, seed=0)
    probabilities = model.predict(test[0])
    assert probabilities.shape == (100, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert measure(test[1], probabilities, "classes")["auroc"] > 0.9
    assert set(model.choice) == {"k", "both_strands", "C"}


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

    model = kmer_regression(*turned(1, 400), *turned(2, 300), "classes", 2, seed=0)
    assert model.choice["both_strands"] is True
    model = kmer_regression(*strands(1, 100), *strands(2, 50), "classes", 2, seed=0)
    assert model.choice["both_strands"] is False


def test_choice_is_the_best_on_validation() -> None:
    train, valid = with_motif(200, 1, MOTIF), with_motif(100, 2, MOTIF)
    model = kmer_regression(*train, *valid, "classes", 2, seed=0)
    best = validation_score(valid[1], model.predict(valid[0]), "classes")
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
    model = kmer_regression(sequences, labels * 2, sequences, labels * 2, "classes", 4, seed=0)
    probabilities = model.predict(sequences)
    assert probabilities.shape == (90, 4)
    assert (probabilities[:, [1, 3]] == 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    one = kmer_regression(sequences, labels * 0, sequences, labels, "classes", 2, seed=0)
    assert (one.predict(sequences) == [1, 0]).all()


def test_validation_of_one_class_still_chooses() -> None:
    sequences, labels = with_motif(60, 1, MOTIF)
    model = kmer_regression(sequences, labels, sequences, labels * 0, "classes", 2, seed=0)
    assert model.predict(sequences).shape == (60, 2)


def test_kmers_of_several_labels_and_of_numbers() -> None:
    sequences, labels = with_motif(400, 1, ("GATAAGGATAAG", "CCTTTGCCTTTG"))
    one_hot = (labels[:, None] == [1, 2, 9]).astype(int)  # nothing has the third label
    half = [np.arange(300), np.arange(300, 400)]
    train, valid = ([sequences[i] for i in rows] for rows in half)
    model = kmer_regression(
        train, one_hot[half[0]], valid, one_hot[half[1]], "multilabel", 3, seed=0
    )
    found = model.predict(valid)
    assert measure(one_hot[half[1]], found, "multilabel")["auroc"] > 0.9
    assert (found[:, 2] == 0).all()
    content = np.array([[np.isin(s, encode("GC")).mean() * 10, 3.5] for s in sequences])
    model = kmer_regression(
        train, content[half[0]], valid, content[half[1]], "regression", 2, seed=0
    )
    found = model.predict(valid)
    assert found.shape == (100, 2)
    assert measure(content[half[1]][:, :1], found[:, :1], "regression")["r2"] > 0.9


def test_choice_uses_few_and_the_fit_uses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MOST_FOR_CHOICE", 50)
    train, valid = with_motif(300, 1, MOTIF), with_motif(200, 2, MOTIF)
    sizes = []
    fit = baselines.CountRegression.fit

    def counted(self: baselines.CountRegression, strength: float) -> baselines.CountRegression:
        sizes.append(self.regression.features.shape[0])
        return fit(self, strength)

    monkeypatch.setattr(baselines.CountRegression, "fit", counted)
    kmer_regression(*train, *valid, "classes", 2, seed=0)
    assert sizes[-1] == 300
    assert set(sizes[:-1]) == {50}


def test_kmers_do_not_depend_on_how_they_are_counted() -> None:
    """A table and its parts give what the sequences alone give, for every seed."""
    sequences, labels = with_motif(300, 1, MOTIF)
    table = KmerTable(sequences)
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(300)
        rows, rest = order[:200], order[200:]
        shared = kmer_regression(
            table.take(rows), labels[rows], table.take(rest), labels[rest], "classes", 2, seed=seed
        )
        parts = ([sequences[i] for i in some] for some in (rows, rest))
        a, b = parts
        alone = kmer_regression(a, labels[rows], b, labels[rest], "classes", 2, seed=seed)
        assert shared.choice == alone.choice
        np.testing.assert_array_equal(shared.predict(sequences), alone.predict(sequences))
        np.testing.assert_array_equal(shared.predict(table), alone.predict(sequences))


def test_tables_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(sequences: list[Tokens], k: int, both_strands: bool) -> object:
        calls.append((len(sequences), k))
        return kmer_counts(sequences, k, both_strands)

    monkeypatch.setattr(baselines, "kmer_counts", counted)
    sequences, _ = with_motif(40, 1, MOTIF)
    table = KmerTable(sequences)
    few, many = table.take(np.array([7, 3, 3])), table.take(np.arange(30))
    expected = kmer_counts([sequences[i] for i in (7, 3, 3)], 3)
    assert (few.counts(3, True) != expected).nnz == 0
    assert calls == [(3, 3)]
    for part in (many, many, table, table.take(np.arange(35)), many.take(np.array([1]))):
        part.counts(3, True)
    assert calls == [(3, 3), (40, 3)]
    twice = table.take(np.array([5, 6, 7])).take(np.array([2, 0]))
    assert len(twice) == 2
    expected = kmer_counts([sequences[i] for i in (7, 5)], 3)
    assert (twice.counts(3, True) != expected).nnz == 0


def test_no_warning_escapes() -> None:
    sequences, labels = with_motif(30, 1, MOTIF, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kmer_regression(sequences, labels, sequences, labels, "classes", 2, seed=0)


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


def test_network_learns_and_is_decided_by_its_seed() -> None:
    train, valid, test = (
        with_motif(n, seed, ("GATAAGGATAAG", "CCTTTGCCTTTG"))
        for n, seed in ((600, 1), (150, 2), (150, 3))
    )
    state = torch.get_rng_state()
    model = train_cnn(*train, *valid, 3, seed=0, training=CNNTraining(12))
    assert torch.equal(torch.get_rng_state(), state)
    probabilities = model.predict(test[0])
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-9)
    assert measure(test[1], probabilities, "classes")["auroc"] > 0.8
    same = train_cnn(*train, *valid, 3, seed=0, training=CNNTraining(12))
    np.testing.assert_array_equal(same.predict(test[0]), probabilities)
    assert same.choice == model.choice
    other = train_cnn(*train, *valid, 3, seed=1, training=CNNTraining(2))
    assert not np.array_equal(other.predict(test[0]), probabilities)


def test_network_keeps_the_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.1, 0.7, 0.3, 0.2, 0.1, 0.9])
    seen = []

    def score(labels: object, predictions: np.ndarray, kind: str) -> float:
        seen.append(predictions)
        return next(scores)

    monkeypatch.setattr(baselines, "validation_score", score)
    sequences, labels = with_motif(40, 1, MOTIF)
    model = train_cnn(
        sequences, labels, sequences, labels, 2, seed=0, training=CNNTraining(patience=3)
    )
    assert model.choice == {"epoch": 2}
    assert len(seen) == 5  # stopped before the sixth
    np.testing.assert_array_equal(model.predict(sequences), seen[1])
    assert not np.array_equal(seen[1], seen[-1])


def test_network_pads_and_cuts() -> None:
    lengths = (1, 20, 57, 60)
    sequences = [encode(random_sequence(n, n)) for n in lengths]
    labels = np.array([0, 1, 0, 1])
    model = train_cnn(sequences, labels, sequences, labels, 2, seed=0, training=CNNTraining(1, 3))
    longer = [*sequences, encode(random_sequence(60, 60) + "ACGT" * 30)]
    probabilities = model.predict(longer)
    np.testing.assert_array_equal(probabilities[:4], model.predict(sequences))
    np.testing.assert_allclose(probabilities[4], probabilities[3], rtol=1e-6)
    short = train_cnn(
        sequences[:2], labels[:2], sequences[:2], labels[:2], 2, seed=0, training=CNNTraining(1)
    )
    assert short.predict(sequences).shape == (4, 2)


# nearest neighbours


def blobs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    scale = np.array([1, 100, 0.01, 1, 1])
    vectors = (rng.normal(size=(n, 5)) + np.eye(3, 5)[labels] * 2) * scale
    return vectors.astype(np.float32), labels


def test_neighbours_agree_with_sklearn() -> None:
    train, valid, test = blobs(200, 1), blobs(80, 2), blobs(700, 3)
    model = knn(*train, *valid, "classes", 3)
    scaler = StandardScaler().fit(train[0])
    scores = {}
    for k in baselines.NEIGHBOURS:
        other = KNeighborsClassifier(k, metric="cosine").fit(scaler.transform(train[0]), train[1])
        scores[k] = validation_score(
            valid[1], other.predict_proba(scaler.transform(valid[0])), "classes"
        )
        if k == model.choice["k"]:
            expected = other.predict_proba(scaler.transform(test[0]))
            np.testing.assert_allclose(model.predict(test[0]), expected, atol=1e-12)
    assert scores[model.choice["k"]] == max(scores.values())


def test_neighbours_of_numbers_and_of_few_vectors() -> None:
    vectors, labels = blobs(3, 1)
    model = knn(vectors, labels, vectors, labels, "classes", 3)
    assert model.choice == {"k": 3}
    values = np.array([[1.0, 2], [3, 4], [5, 9]])
    model = knn(vectors, values, vectors, values, "regression", 2)
    np.testing.assert_allclose(model.predict(vectors), [[3, 5]] * 3)


def test_constant_vectors_do_no_harm() -> None:
    vectors, labels = np.ones((60, 4), np.float32), np.arange(60) % 2
    assert np.isfinite(knn(vectors, labels, vectors, labels, "classes", 2).predict(vectors)).all()
