"""Baselines of a model: random weights, k-mer regression, a small CNN, and nearest neighbours.

Every choice is made on validation sequences; none of these functions is given a test set. A
prediction is one row per sequence: the probability of each class or label, or the value of each
target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from findna.tasks.kmers import kmer_counts
from findna.tasks.regression import Regression

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]

KS = (3, 4, 5, 6)
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""C of regression on standardised counts: the inverse of the regularisation."""
NEIGHBOURS = (5, 10, 20, 50)
MOST_FOR_CHOICE = 5000
"""Sequences of a split on which k, strands and C of k-mer regression are chosen."""


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
    """Sequences, and their k-mer counts made when first asked for and kept.

    Parts taken from a table share what it has counted: one table per split serves every seed.
    """

    def __init__(self, sequences: Sequence[Tokens]) -> None:
        self.sequences = sequences
        self._counts: dict[tuple[int, bool], sparse.csr_matrix] = {}
        self._whole: KmerTable | None = None
        self._rows: Rows = np.arange(len(sequences))

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: Rows) -> KmerTable:
        """Return the table of some rows, by index."""
        whole = self if self._whole is None else self._whole
        rows = self._rows[rows]
        part = KmerTable([whole.sequences[row] for row in rows])
        part._whole, part._rows = whole, rows
        return part

    def counts(self, k: int, both_strands: bool) -> sparse.csr_matrix:
        """Return ``kmer_counts`` of the sequences."""
        key = (k, both_strands)
        # a large part counts the whole table, whose other parts then need not
        if self._whole is not None and (
            key in self._whole._counts or 2 * len(self) >= len(self._whole)
        ):
            return self._whole.counts(k, both_strands)[self._rows]
        if key not in self._counts:
            self._counts[key] = kmer_counts(self.sequences, k, both_strands)
        return self._counts[key]


def _table(sequences: KmerTable | Sequence[Tokens]) -> KmerTable:
    return sequences if isinstance(sequences, KmerTable) else KmerTable(sequences)


class CountRegression:
    """Logistic or ridge regression on scaled k-mer counts, for one C after another.

    Parameters
    ----------
    counts : csr_matrix, shape (n, n_kmers)
    labels, kind, n_classes
        As in `kmer_regression`.
    """

    def __init__(
        self, counts: sparse.csr_matrix, labels: Labels, kind: str, n_classes: int
    ) -> None:
        self.kind, self.n_classes = kind, n_classes
        # the mean stays: taking it away would fill the zeros of a sparse matrix
        self.scaler = StandardScaler(with_mean=False)
        self.regression = Regression(self.scaler.fit_transform(counts), labels, kind)

    def fit(self, strength: float) -> CountRegression:
        """Fit with this C."""
        self.regression.fit(1 / strength if self.kind == REGRESSION else strength)
        return self

    def predict(self, counts: sparse.csr_matrix) -> Floats:
        """Return predictions, shape (n, n_classes)."""
        features, models = self.scaler.transform(counts), self.regression.models
        predictions = np.zeros((features.shape[0], self.n_classes))
        if self.kind == REGRESSION:
            predictions[:] = models[0].predict(features).reshape(len(predictions), -1)
        elif self.kind == CLASSES:
            predictions[:, models[0].classes_] = models[0].predict_proba(features)
        else:
            for column, model in enumerate(models):
                predictions[:, column] = model.predict_proba(features) @ model.classes_
        return predictions


@dataclass(frozen=True)
class KmerModel:
    """k-mer regression as chosen and fitted.

    Parameters
    ----------
    choice : dict
        ``k``, ``both_strands`` and ``C``.
    """

    choice: dict[str, Any]
    _regression: CountRegression

    def predict(self, sequences: KmerTable | Sequence[Tokens]) -> Floats:
        """Return predictions of sequences or of a table of them; shape (n, n_classes)."""
        counts = _table(sequences).counts(self.choice["k"], self.choice["both_strands"])
        return self._regression.predict(counts)


def kmer_regression(
    train: KmerTable | Sequence[Tokens],
    y_train: Labels,
    valid: KmerTable | Sequence[Tokens],
    y_valid: Labels,
    kind: str,
    n_classes: int,
    *,
    seed: int,
) -> KmerModel:
    """Fit logistic regression, or ridge regression of numbers, on k-mer frequencies.

    k, strand handling and C are those best on validation sequences, with at most
    MOST_FOR_CHOICE sequences of either split; the fit that is kept uses every training
    sequence.

    Parameters
    ----------
    train, valid : KmerTable or sequence of ndarray, shape (length,), uint8
    y_train, y_valid : ndarray
        Labels as ``findna.labelled.metrics.measure`` takes them.
    kind : str
        "classes", "multilabel" or "regression".
    n_classes : int
        Number of classes, labels or targets.
    seed : int
        Decides which sequences the choice is made on, where there are more.
    """
    train, valid = _table(train), _table(valid)
    rng = np.random.default_rng(seed)
    rows, valid_rows = (
        np.sort(rng.permutation(len(table))[:MOST_FOR_CHOICE]) for table in (train, valid)
    )
    few, judges = train.take(rows), valid.take(valid_rows)
    best = -np.inf
    choice: dict[str, Any] = {}
    for k in KS:
        for both_strands in (True, False):
            counts = few.counts(k, both_strands)
            regression = CountRegression(counts, y_train[rows], kind, n_classes)
            counts = judges.counts(k, both_strands)
            for strength in STRENGTHS:
                predictions = regression.fit(strength).predict(counts)
                score = validation_score(y_valid[valid_rows], predictions, kind)
                if score > best:
                    best = score
                    choice = {"k": k, "both_strands": both_strands, "C": strength}
    counts = train.counts(choice["k"], choice["both_strands"])
    final = CountRegression(counts, y_train, kind, n_classes).fit(choice["C"])
    final.regression.forget()
    return KmerModel(choice, final)


class GenomicBenchmarksCNN(nn.Module):
    """The baseline network of the GenomicBenchmarks package (Grešová et al., 2023).

    An embedding of 100 channels; three convolutions of width 8 to 16, 8 and 4 channels, each
    followed by batch normalisation, ReLU and max-pooling by 2; a dense layer of 512 and one of
    a logit per class, with nothing in between. The original has one output and two classes.

    Parameters
    ----------
    n_classes : int
    length : int
        Length of every input, at least MIN_LENGTH.
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


@dataclass(frozen=True)
class CNNModel:
    """A trained network.

    Parameters
    ----------
    choice : dict
        ``epoch``, counted from 1, of the weights that are kept.
    """

    choice: dict[str, Any]
    _network: GenomicBenchmarksCNN
    _length: int

    @torch.inference_mode()
    def predict(self, sequences: Sequence[Tokens]) -> Floats:
        """Return probabilities, shape (n, n_classes)."""
        return _probabilities(self._network, _padded(sequences, self._length))


@torch.inference_mode()
def _probabilities(network: GenomicBenchmarksCNN, tokens: Tensor) -> Floats:
    network.eval()
    device = network.output.weight.device
    parts = [
        network(part.to(device)).double().softmax(1).cpu() for part in torch.split(tokens, 512)
    ]
    probabilities: Floats = torch.cat(parts).numpy()
    return probabilities


@dataclass(frozen=True)
class CNNTraining:
    """How long the network is trained.

    Parameters
    ----------
    epochs : int
        At most.
    batch_size : int
        Sequences of a step.
    patience : int
        Epochs without a better one after which training stops.
    """

    epochs: int = 30
    batch_size: int = 64
    patience: int = 5


def train_cnn(
    train: Sequence[Tokens],
    y_train: Labels,
    valid: Sequence[Tokens],
    y_valid: Labels,
    n_classes: int,
    *,
    seed: int,
    training: CNNTraining = CNNTraining(),
    device: torch.device | str = "cpu",
) -> CNNModel:
    """Train ``GenomicBenchmarksCNN`` with Adam at its default rate, as its authors do.

    The epoch best on validation is kept. Sequences are padded at the end to the longest of
    training, longer ones cut.

    Parameters
    ----------
    train, valid : sequence of ndarray, shape (length,), uint8
    y_train, y_valid : ndarray, shape (n,), int
        Class indices.
    seed : int
        Decides initial weights and the order of the sequences.
    """
    length = max(GenomicBenchmarksCNN.MIN_LENGTH, *map(len, train), 0)
    tokens, judges = _padded(train, length), _padded(valid, length)
    labels = torch.from_numpy(np.asarray(y_train, dtype=np.int64))
    order = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = GenomicBenchmarksCNN(n_classes, length)
    network.to(device)
    optimizer = torch.optim.Adam(network.parameters())
    best, best_epoch, kept = -np.inf, 0, {}
    for epoch in range(1, training.epochs + 1):
        network.train()
        for rows in torch.split(torch.randperm(len(tokens), generator=order), training.batch_size):
            logits = network(tokens[rows].to(device))
            loss = nn.functional.cross_entropy(logits, labels[rows].to(device))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        score = validation_score(y_valid, _probabilities(network, judges), CLASSES)
        if score > best:
            best, best_epoch = score, epoch
            kept = {name: value.clone() for name, value in network.state_dict().items()}
        if epoch - best_epoch >= training.patience:
            break
    network.load_state_dict(kept)
    return CNNModel({"epoch": best_epoch}, network, length)


@dataclass(frozen=True)
class NearestNeighbours:
    """Predicts the mean label of the nearest training vectors, by cosine of standardised vectors.

    Parameters
    ----------
    choice : dict
        ``k``, the number of neighbours.
    """

    choice: dict[str, Any]
    _scaler: StandardScaler
    _vectors: npt.NDArray[np.float32]
    _targets: Floats

    def predict(self, vectors: npt.NDArray[np.float32]) -> Floats:
        """Return predictions of vectors, shape (n, dim); shape (n, n_classes)."""
        k = self.choice["k"]
        return _neighbour_means(_unit(self._scaler, vectors), self._vectors, self._targets, [k])[k]


def _unit(scaler: StandardScaler, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    scaled = scaler.transform(vectors).astype(np.float32)
    unit: npt.NDArray[np.float32] = scaled / np.linalg.norm(scaled, axis=1, keepdims=True).clip(
        1e-12
    )
    return unit


def _neighbour_means(
    queries: npt.NDArray[np.float32],
    vectors: npt.NDArray[np.float32],
    targets: Floats,
    ks: Sequence[int],
) -> dict[int, Floats]:
    """Return the mean target of the k nearest vectors by k; each of shape (n, n_targets)."""
    means = {k: np.empty((len(queries), targets.shape[1])) for k in ks}
    most = max(ks)
    for start in range(0, len(queries), 512):
        similarity = queries[start : start + 512] @ vectors.T
        nearest = np.argpartition(-similarity, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(similarity, nearest, 1), axis=1, kind="stable")
        nearest = np.take_along_axis(nearest, order, 1)
        for k, mean in means.items():
            mean[start : start + 512] = targets[nearest[:, :k]].mean(1)
    return means


def knn(
    train: npt.NDArray[np.float32],
    y_train: Labels,
    valid: npt.NDArray[np.float32],
    y_valid: Labels,
    kind: str,
    n_classes: int,
) -> NearestNeighbours:
    """Fit nearest neighbours; their number k is that of NEIGHBOURS best on validation.

    Parameters
    ----------
    train, valid : ndarray, shape (n, dim), float
        Vectors; they are standardised by the mean and deviation of ``train``.
    y_train, y_valid, kind, n_classes
        As in ``kmer_regression``.
    """
    scaler = StandardScaler().fit(train)
    vectors = _unit(scaler, train)
    targets = np.eye(n_classes)[y_train] if kind == CLASSES else y_train.astype(np.float64)
    ks = sorted({min(k, len(train)) for k in NEIGHBOURS})
    means = _neighbour_means(_unit(scaler, valid), vectors, targets, ks)
    scores = {k: validation_score(y_valid, mean, kind) for k, mean in means.items()}
    return NearestNeighbours({"k": max(ks, key=lambda k: scores[k])}, scaler, vectors, targets)
