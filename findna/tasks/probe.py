"""A linear head on the frozen encoder; what it reads of a sequence is chosen on validation data.

Mean pooling cannot see where in a window a signal lies, exact positions fade from layer to layer
of a trained encoder, and k-mers count small motifs better than embeddings do. So the search goes
over layers and, for each, over strands, poolings and k-mers, one after the other. It compares them
by ridge regression on the labels, which has a closed form. The head itself is a logistic
regression whose regularisation is chosen on the same validation data. The search leaves the
encoder's own layer only for one that is better beyond doubt: between two that are level, chance
would often choose the wrong one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.dummy import DummyClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from findna.labelled.metrics import PRIMARY, bootstrap_difference, measure
from findna.labelled.sets import CLASSES, MULTILABEL, REGRESSION
from findna.model.heads import TaskHead
from findna.tasks.features import Features, FeatureTable, Matrix
from findna.tasks.regression import Regression, Solver
from findna.tasks.task import to_probabilities

logger = logging.getLogger(__name__)

Rows = npt.NDArray[np.int64]

Labels = npt.NDArray[Any]

POOLINGS: tuple[tuple[tuple[str, ...], int], ...] = (
    (("mean",), 0),
    (("center",), 0),
    ((), 2),
    ((), 4),
    ((), 8),
    ((), 16),
    (("mean", "std"), 0),
    (("mean", "max", "std", "center"), 4),
    (("mean", "max", "std", "center"), 8),
)
"""Poolings and bins to choose from."""

TRAINED_POOLINGS = (POOLINGS[0], *POOLINGS[3:6])
"""The same where the encoder is trained too, which learns what other poolings would add."""

KS = (0, 4, 5, 6)

READOUTS = (0, 1)
"""Layers after which to read: where the embeddings are, or the first."""

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""C of logistic regression on standardised features: the inverse of the regularisation."""

TRAINED_STRENGTHS = STRENGTHS[:3]
"""The same where the encoder is trained too: the large weights of a weakly regularised head would
make the first steps large."""

_SEARCH_PENALTIES = (1e2, 1e3, 1e4)

SEARCH_ROWS = 3_000
"""Training rows on which features are compared; the last fit takes all."""

_RIDGE_PENALTIES = (1e5, 1e4, 1e3, 1e2, 1e1)

MOST_VALUES = 250_000_000
"""Of a feature matrix: 1 GB."""


@dataclass(frozen=True)
class Problem:
    """What a head learns.

    Parameters
    ----------
    kind : {"classes", "multilabel", "regression"}
    n_outputs : int
        Number of classes, labels or targets.
    labels : ndarray
        Of all rows (`findna.labelled.sets.LabelledSet.labels`).
    train, valid : ndarray, int64
        Rows to train on, and rows by which choices are made.
    balanced : bool
        Weight classes by the inverse of their frequency in training.
    """

    kind: str
    n_outputs: int
    labels: Labels
    train: Rows
    valid: Rows
    balanced: bool = False


@dataclass(frozen=True)
class SearchSpace:
    """What the validation rows choose among.

    Parameters
    ----------
    readouts : tuple of int
        Layers to read after; 0 is where the encoder's embeddings are.
    poolings : tuple of (tuple of str, int)
        Poolings, and a number of bins.
    ks : tuple of int
        Lengths of k-mers; 0 is none.
    strengths : tuple of float
        C of logistic regression, rising.
    """

    readouts: tuple[int, ...] = READOUTS
    poolings: tuple[tuple[tuple[str, ...], int], ...] = POOLINGS
    ks: tuple[int, ...] = KS
    strengths: tuple[float, ...] = STRENGTHS


@dataclass(frozen=True)
class Probe:
    """A fitted head and how it was chosen."""

    features: Features
    head: TaskHead
    strength: float
    valid_score: float

    def logits(self, table: FeatureTable, rows: Rows) -> Matrix:
        """Return logits, or values of a regression, of some rows; (len(rows), n_outputs)."""
        return logits_of(self.head, self.features, table, rows)


def logits_of(head: TaskHead, features: Features, table: FeatureTable, rows: Rows) -> Matrix:
    """Return logits of a head for some rows; (len(rows), n_outputs)."""
    with torch.inference_mode():
        logits: Matrix = head(torch.from_numpy(table.matrix(features, rows))).numpy()
    return logits


def score(labels: Labels, logits: Matrix, kind: str) -> float:
    """Return AUROC of logits, or R2 of a regression; minus infinity if it is undefined."""
    if not np.isfinite(logits).all():
        return -np.inf
    value = measure(labels, to_probabilities(logits, kind, 1.0), kind)[PRIMARY[kind]]
    return value if np.isfinite(value) else -np.inf


def _head(scaler: StandardScaler, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> TaskHead:
    head = TaskHead(weight.shape[1], len(weight))
    tensors = {
        "mean": scaler.mean_,
        "scale": scaler.scale_,
        "linear.weight": weight,
        "linear.bias": bias,
    }
    head.load_state_dict({k: torch.from_numpy(np.float32(v)) for k, v in tensors.items()})
    return head.requires_grad_(False).eval()


def _weights(
    regression: Regression, kind: str, n_outputs: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return weight (n_outputs, n_features) and bias (n_outputs,) of a fitted regression."""
    n_features = regression.features.shape[1]
    if kind == REGRESSION:
        (ridge,) = regression.models
        return np.reshape(ridge.coef_, (n_outputs, -1)), np.reshape(ridge.intercept_, -1)
    if kind == CLASSES:
        return _class_weights(regression.models[0], n_features, n_outputs)
    weights, biases = [], []
    for model in regression.models:
        if isinstance(model, DummyClassifier):  # a label that never varies keeps its value
            weights.append(np.zeros((1, n_features)))
            biases.append(np.array([20.0 if model.classes_[0] else -20.0]))
        else:
            weights.append(model.coef_)
            biases.append(model.intercept_)
    return np.concatenate(weights), np.concatenate(biases)


def _class_weights(
    model: Any, n_features: int, n_outputs: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return weight and bias of all classes; one that is not in training is never chosen."""
    if isinstance(model, DummyClassifier):
        weight, bias = np.zeros((1, n_features)), np.zeros(1)
    else:
        weight, bias = model.coef_, model.intercept_
        if len(weight) == 1:  # one output for each of two classes here too: half the logit
            weight, bias = np.concatenate((-weight, weight)) / 2, np.concatenate((-bias, bias)) / 2
    every_weight = np.zeros((n_outputs, n_features))
    every_bias = np.full(n_outputs, bias.min() - 20.0)
    every_weight[model.classes_], every_bias[model.classes_] = weight, bias
    return every_weight, every_bias


def _targets(labels: Labels, kind: str, n_outputs: int) -> npt.NDArray[Any]:
    """Return labels as numbers for ridge regression, (n, n_outputs): classes as -1 and 1."""
    if kind == REGRESSION:
        return labels
    if kind == MULTILABEL:
        return 2 * labels - 1
    return 2 * np.eye(n_outputs, dtype=np.float32)[labels] - 1


@dataclass(frozen=True)
class _Search:
    """Fits heads on some training rows and judges them on the validation rows."""

    table: FeatureTable
    problem: Problem

    def choose(self, candidates: Iterable[Features]) -> Probe:
        """Return the candidate whose ridge regression scores highest; the first of equals."""
        problem = self.problem
        targets = _targets(problem.labels[problem.train], problem.kind, problem.n_outputs)
        best: Probe | None = None
        for features in candidates:
            probe = self._best(self._ridge(features, targets, _SEARCH_PENALTIES))
            logger.info("probe: %s: %.4f", features, probe.valid_score)
            if best is None or probe.valid_score > best.valid_score:
                best = probe
        assert best is not None
        return best

    def surely_better(self, probe: Probe, other: Probe) -> bool:
        """Whether the 95 % interval of the gain in score over another probe lies above 0."""
        if not probe.valid_score > other.valid_score > -np.inf:
            return probe.valid_score > other.valid_score
        problem = self.problem
        first, second = (
            to_probabilities(each.logits(self.table, problem.valid), problem.kind, 1.0)
            for each in (probe, other)
        )
        metric = PRIMARY[problem.kind]
        labels = problem.labels[problem.valid]
        interval = bootstrap_difference(labels, first, second, problem.kind, [metric])
        return interval[metric][0] > 0

    def fit(self, features: Features, strengths: tuple[float, ...]) -> Probe:
        """Return the head whose regularisation scores highest."""
        labels = self.problem.labels[self.problem.train]
        if self.problem.kind == REGRESSION:
            probes = self._ridge(features, labels, _RIDGE_PENALTIES)
        else:
            probes = self._logistic(features, labels, strengths)
        best = self._best(probes)
        logger.info("probe: %s, C %g: %.4f", features, best.strength, best.valid_score)
        return best

    def _best(self, probes: Iterable[Probe]) -> Probe:
        return max(probes, key=lambda probe: probe.valid_score)  # the first of equals

    def _logistic(
        self, features: Features, labels: Labels, strengths: tuple[float, ...]
    ) -> Iterator[Probe]:
        problem = self.problem
        solver = Solver(max_iter=200, tol=1e-3, balanced=problem.balanced)
        scaler, x = self._scaled(features)
        regression = Regression(x, labels, problem.kind, solver)
        valid = self._valid(features)
        for strength in strengths:
            regression.fit(strength)
            head = _head(scaler, *_weights(regression, problem.kind, problem.n_outputs))
            yield Probe(features, head, strength, self._score(head, valid))

    def _ridge(
        self, features: Features, targets: npt.NDArray[Any], penalties: tuple[float, ...]
    ) -> Iterator[Probe]:
        """Yield probes by ridge regression on targets (n, n_outputs), in their units."""
        center = targets.mean(0)
        spread = np.maximum(targets.std(0), 1e-12)
        scaler, x = self._scaled(features)
        scaled = (targets - center) / spread
        regression = Regression(x, scaled, REGRESSION, Solver(ridge="cholesky"))
        valid = self._valid(features)
        for penalty in penalties:
            regression.fit(penalty)
            weight, bias = _weights(regression, REGRESSION, targets.shape[1])
            head = _head(scaler, weight * spread[:, None], bias * spread + center)
            yield Probe(features, head, 1 / penalty, self._score(head, valid))

    def _scaled(self, features: Features) -> tuple[StandardScaler, Matrix]:
        """Return standardised features of the training rows, and what standardises them."""
        scaler = StandardScaler(copy=False)
        return scaler, scaler.fit_transform(self.table.matrix(features, self.problem.train))

    def _valid(self, features: Features) -> Tensor:
        return torch.from_numpy(self.table.matrix(features, self.problem.valid))

    def _score(self, head: TaskHead, valid: Tensor) -> float:
        with torch.inference_mode():
            logits = head(valid).numpy()
        return score(self.problem.labels[self.problem.valid], logits, self.problem.kind)


def search_space(mode: str, kmers: bool) -> SearchSpace:
    """Return what to choose among for a probe of its own, or one that full training begins with."""
    if mode == "full":
        # the head stays where training can reach most of the encoder
        return SearchSpace((0,), TRAINED_POOLINGS, (0,), TRAINED_STRENGTHS)
    return SearchSpace() if kmers else SearchSpace(ks=(0,))


def fit_probe(
    table: FeatureTable, problem: Problem, space: SearchSpace = SearchSpace(), *, seed: int = 0
) -> Probe:
    """Choose features and regularisation on validation rows and fit a head on training rows.

    For each readout strands are chosen first, then poolings, then k-mers: each on at most 3,000
    training rows. The features that score highest are then fitted on all of them; those of another
    readout than the first only if the 95 % bootstrap interval of what they gain is above 0.

    Parameters
    ----------
    table : FeatureTable
        Of every row of the problem.
    seed : int
        Decides which training rows features are compared on, where there are more.
    """
    few = problem.train
    if len(few) > SEARCH_ROWS:
        few = np.random.default_rng(seed).choice(few, SEARCH_ROWS, replace=False)
    search = _Search(table, replace(problem, train=few))
    both = (True, False) if table.strands == 2 else (False,)
    chosen: Probe | None = None
    for readout in space.readouts:
        table.vectors(readout, np.concatenate((few, problem.valid)))  # encoded in one go
        best = search.choose(Features((), 4, 0, strands, readout) for strands in both)
        stranded = best.features
        best = search.choose(
            replace(stranded, pools=pools, bins=bins) for pools, bins in space.poolings
        )
        with_kmers = [replace(best.features, k=k) for k in space.ks]
        n_rows = len(problem.train)
        affordable = [f for f in with_kmers if f.size(table.dim) * n_rows <= MOST_VALUES]
        best = search.choose(affordable) if affordable else best
        if chosen is None or search.surely_better(best, chosen):
            chosen = best
    assert chosen is not None
    return _Search(table, problem).fit(chosen.features, space.strengths)
