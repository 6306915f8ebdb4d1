"""Baselines of a model: random weights, k-mer regression, a small CNN, and nearest neighbours.

Every choice is made on validation sequences; the labels of the test rows are given to none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from findna.genome.encoding import BLANK, Tokens
from findna.labelled.metrics import measure
from findna.labelled.sets import CLASSES, REGRESSION
from findna.model.checkpoint import Model
from findna.model.config import EncoderConfig
from findna.tasks.features import Matrix
from findna.tasks.kmers import kmer_counts
from findna.tasks.probe import Labels, Problem, Rows
from findna.tasks.regression import Regression

Floats = npt.NDArray[np.float64]

Prediction = tuple[npt.NDArray[Any], dict[str, Any]]
"""One row per test sequence (the probability of each class or label, or the value of each target),
and what was chosen on the validation sequences."""

KS = (3, 4, 5, 6)
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""C of regression on standardised counts: the inverse of the regularisation."""
NEIGHBOURS = (5, 10, 20, 50)
MOST_FOR_CHOICE = 5000
"""Sequences of a split on which k, strands and C of k-mer regression are chosen."""

EPOCHS = 30
BATCH_SIZE = 64
PATIENCE = 5
"""Epochs without a better one after which the training of the CNN stops."""


def validation_score(labels: Labels, predictions: Floats, kind: str) -> float:
    """Return what choices maximise: AUROC, or R2 of a regression.

    Where neither is defined, as with a single class in validation: the mean log-probability of the
    right class, or less the mean squared error.
    """
    score = measure(labels, predictions, kind)["r2" if kind == REGRESSION else "auroc"]
    if not np.isnan(score):
        return score
    if kind == REGRESSION:
        return -float(((labels - predictions) ** 2).mean())
    if kind == CLASSES:
        right = predictions[np.arange(len(labels)), labels]
    else:
        right = np.where(labels == 1, predictions, 1 - predictions)
    return float(np.log(right.clip(1e-12)).mean())


def random_model(config: EncoderConfig, seed: int) -> Model:
    """Return a model of the same sizes with weights as before any training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Model(config).requires_grad_(False).eval()


class KmerTable:
    """k-mer counts of sequences, kept once most of the sequences are asked for."""

    def __init__(self, sequences: Sequence[Tokens]) -> None:
        self._sequences = sequences
        self._counts: dict[tuple[int, bool], sparse.csr_matrix] = {}

    def counts(self, rows: Rows, k: int, both_strands: bool) -> sparse.csr_matrix:
        """Return ``kmer_counts`` of the sequences of these rows."""
        key = k, both_strands
        if key not in self._counts:
            if 2 * len(rows) < len(self._sequences):
                return kmer_counts([self._sequences[row] for row in rows], k, both_strands)
            self._counts[key] = kmer_counts(self._sequences, k, both_strands)
        return self._counts[key][rows]


class CountRegression:
    """Logistic or ridge regression on scaled k-mer counts, for one C after another.

    ``counts`` have shape (n, n_kmers); the others are fields of `findna.tasks.probe.Problem`.
    """

    def __init__(
        self, counts: sparse.csr_matrix, labels: Labels, kind: str, n_outputs: int
    ) -> None:
        self.kind, self.n_outputs = kind, n_outputs
        # the mean stays: taking it away would fill the zeros of a sparse matrix
        self.scaler = StandardScaler(with_mean=False)
        self.regression = Regression(self.scaler.fit_transform(counts), labels, kind)

    def fit(self, strength: float) -> CountRegression:
        """Fit with this C."""
        self.regression.fit(1 / strength if self.kind == REGRESSION else strength)
        return self

    def predict(self, counts: sparse.csr_matrix) -> Floats:
        """Return predictions, shape (n, n_outputs)."""
        features, models = self.scaler.transform(counts), self.regression.models
        predictions = np.zeros((features.shape[0], self.n_outputs))
        if self.kind == REGRESSION:
            predictions[:] = models[0].predict(features).reshape(len(predictions), -1)
        elif self.kind == CLASSES:
            predictions[:, models[0].classes_] = models[0].predict_proba(features)
        else:
            for column, model in enumerate(models):
                predictions[:, column] = model.predict_proba(features) @ model.classes_
        return predictions


def kmer_regression(table: KmerTable, problem: Problem, test: Rows, *, seed: int) -> Prediction:
    """Return predictions by logistic, or ridge, regression on k-mer frequencies.

    k, strand handling and C are those best on validation sequences, with at most
    MOST_FOR_CHOICE sequences of either split; the fit that predicts uses every training
    sequence.

    Parameters
    ----------
    table : KmerTable
        Of every row of the problem, and the test rows.
    seed : int
        Decides which sequences the choice is made on, where there are more.
    """
    labels, kind, n_outputs = problem.labels, problem.kind, problem.n_outputs
    rng = np.random.default_rng(seed)
    train, valid = (
        rows[np.sort(rng.permutation(len(rows))[:MOST_FOR_CHOICE])]
        for rows in (problem.train, problem.valid)
    )
    best = -np.inf
    choice: dict[str, Any] = {}
    for k in KS:
        for both_strands in (True, False):
            counts = table.counts(train, k, both_strands)
            regression = CountRegression(counts, labels[train], kind, n_outputs)
            counts = table.counts(valid, k, both_strands)
            for strength in STRENGTHS:
                predictions = regression.fit(strength).predict(counts)
                score = validation_score(labels[valid], predictions, kind)
                if score > best:
                    best = score
                    choice = {"k": k, "both_strands": both_strands, "C": strength}
    reading = choice["k"], choice["both_strands"]
    counts = table.counts(problem.train, *reading)
    regression = CountRegression(counts, labels[problem.train], kind, n_outputs)
    return regression.fit(choice["C"]).predict(table.counts(test, *reading)), choice


class GenomicBenchmarksCNN(nn.Module):
    """The baseline network of the GenomicBenchmarks package (Grešová et al., 2023).

    An embedding of 100 channels; three convolutions of width 8 to 16, 8 and 4 channels, each
    followed by batch normalisation, ReLU and max-pooling by 2; a dense layer of 512 and one of
    a logit per class, with nothing in between. The original has one output and two classes.

    Every input has the given length, which is at least MIN_LENGTH.
    """

    MIN_LENGTH = 57
    """Shortest input of which one position is left after the last pooling."""

    WIDTH = 8

    def __init__(self, n_classes: int, length: int) -> None:
        super().__init__()
        if length < self.MIN_LENGTH:
            raise ValueError(f"length must be at least {self.MIN_LENGTH}, not {length}")
        self.embedding = nn.Embedding(BLANK + 1, 100)  # A, C, G, N, T, and padding
        self.conv1, self.norm1 = nn.Conv1d(100, 16, self.WIDTH), nn.BatchNorm1d(16)
        self.conv2, self.norm2 = nn.Conv1d(16, 8, self.WIDTH), nn.BatchNorm1d(8)
        self.conv3, self.norm3 = nn.Conv1d(8, 4, self.WIDTH), nn.BatchNorm1d(4)
        for _ in range(3):
            length = (length - self.WIDTH + 1) // 2
        self.dense = nn.Linear(4 * length, 512)
        self.output = nn.Linear(512, n_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits, shape (n, n_classes); ``tokens`` has shape (n, length), uint8."""
        one_hot = nn.functional.one_hot(tokens.long(), BLANK + 1).transpose(1, 2)
        # the embedding times the first weights, once per token id instead of once per position
        weight = torch.einsum("oew,ve->ovw", self.conv1.weight, self.embedding.weight)
        hidden = nn.functional.conv1d(one_hot.to(weight.dtype), weight, self.conv1.bias)
        hidden = _pool(self.norm1(hidden))
        hidden = _pool(self.norm2(self.conv2(hidden)))
        hidden = _pool(self.norm3(self.conv3(hidden)))
        logits: Tensor = self.output(self.dense(hidden.flatten(1)))
        return logits


def _pool(hidden: Tensor) -> Tensor:
    return nn.functional.max_pool1d(torch.relu(hidden), 2)


def _padded(sequences: Sequence[Tokens], length: int) -> Tensor:
    """Return tokens cut or padded at the end; shape (n, length), uint8."""
    tokens = np.full((len(sequences), length), BLANK, dtype=np.uint8)
    for row, sequence in zip(tokens, sequences, strict=True):
        row[: len(sequence)] = sequence[:length]
    return torch.from_numpy(tokens)


@torch.inference_mode()
def _probabilities(network: GenomicBenchmarksCNN, tokens: Tensor) -> Floats:
    network.eval()
    device = network.output.weight.device
    parts = [
        network(part.to(device)).double().softmax(1).cpu() for part in torch.split(tokens, 512)
    ]
    probabilities: Floats = torch.cat(parts).numpy()
    return probabilities


def train_cnn(
    sequences: Sequence[Tokens],
    problem: Problem,
    test: Rows,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> Prediction:
    """Return predictions of ``GenomicBenchmarksCNN``, trained as its authors do: Adam's own rate.

    The epoch best on validation is kept. Sequences are padded at the end to the longest of
    training, longer ones cut.

    Parameters
    ----------
    sequences : sequence of ndarray, shape (length,), uint8
        Of every row of the problem, which is one of classes, and the test rows.
    seed : int
        Decides initial weights and the order of the sequences.
    """
    training = [sequences[row] for row in problem.train]
    length = max([GenomicBenchmarksCNN.MIN_LENGTH, *map(len, training)])
    tokens = _padded(training, length)
    judges, tested = (
        _padded([sequences[row] for row in rows], length) for rows in (problem.valid, test)
    )
    labels = torch.from_numpy(problem.labels[problem.train].astype(np.int64))
    order = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = GenomicBenchmarksCNN(problem.n_outputs, length)
    network.to(device)
    optimizer = torch.optim.Adam(network.parameters())
    best, best_epoch, kept = -np.inf, 0, {}
    for epoch in range(1, EPOCHS + 1):
        network.train()
        for rows in torch.split(torch.randperm(len(tokens), generator=order), BATCH_SIZE):
            logits = network(tokens[rows].to(device))
            loss = nn.functional.cross_entropy(logits, labels[rows].to(device))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        probabilities = _probabilities(network, judges)
        score = validation_score(problem.labels[problem.valid], probabilities, CLASSES)
        if score > best:
            best, best_epoch = score, epoch
            kept = {name: value.clone() for name, value in network.state_dict().items()}
        if epoch - best_epoch >= PATIENCE:
            break
    network.load_state_dict(kept)
    return _probabilities(network, tested), {"epoch": best_epoch}


def knn(vectors: Matrix, problem: Problem, test: Rows) -> Prediction:
    """Return the mean label of the nearest training vectors, by cosine of standardised vectors.

    Their number k is that of NEIGHBOURS best on validation. ``vectors``, (n, dim), are those of
    every row of the problem and of the test rows.
    """
    labels = problem.labels[problem.train]
    targets = np.eye(problem.n_outputs)[labels] if problem.kind == CLASSES else np.float64(labels)
    scaled = StandardScaler().fit(vectors[problem.train]).transform(vectors).astype(np.float32)
    unit: Matrix = scaled / np.linalg.norm(scaled, axis=1, keepdims=True).clip(1e-12)
    known = unit[problem.train]
    ks = sorted({min(k, len(known)) for k in NEIGHBOURS})
    nearest = _nearest(unit[problem.valid], known, ks[-1])
    scores = {
        k: validation_score(
            problem.labels[problem.valid], targets[nearest[:, :k]].mean(1), problem.kind
        )
        for k in ks
    }
    k = max(ks, key=lambda k: scores[k])
    return targets[_nearest(unit[test], known, k)].mean(1), {"k": k}


def _nearest(queries: Matrix, vectors: Matrix, k: int) -> Rows:
    """Return the rows of the k nearest of some unit vectors, nearest first; (len(queries), k)."""
    result = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), 512):
        similarity = queries[start : start + 512] @ vectors.T
        nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(similarity, nearest, 1), axis=1, kind="stable")
        result[start : start + 512] = np.take_along_axis(nearest, order, 1)
    return result
