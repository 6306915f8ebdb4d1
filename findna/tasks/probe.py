"""A linear head on the frozen encoder; the features it reads are chosen on validation data.

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
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.dummy import DummyClassifier
from sklearn.preprocessing import StandardScaler

from findna.console import progress
from findna.labelled.metrics import PRIMARY, bootstrap_difference, measure
from findna.labelled.sets import MULTILABEL, REGRESSION
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
"""Those to choose from if the encoder is trained too: it learns what other poolings would add."""

KS = (0, 4, 5, 6)

READOUTS = (0, 1)
"""Layers after which to read: where the embeddings are, or the first."""

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""C of logistic regression on standardised features: the inverse of the regularisation."""

TRAINED_STRENGTHS = STRENGTHS[:3]
"""Those to choose from if the encoder is trained too: the large weights of a weakly regularised
head would make the first steps large."""

SEARCH_PENALTIES = (1e2, 1e3, 1e4)
"""Of the ridge regressions that features are compared by."""

SEARCH_ROWS = 3_000
"""Training rows on which features are compared; the last fit takes all."""

_RIDGE_PENALTIES = (1e5, 1e4, 1e3, 1e2, 1e1)

MOST_VALUES = 250_000_000
"""Of a feature matrix: 1 GB."""


@dataclass(frozen=True)
class Problem:
    """Labels to learn, and the rows to learn them on.

    ``labels`` has those of all rows (as `findna.labelled.sets.LabelledSet.labels`), ``n_outputs``
    is the number of classes, labels or targets. Heads are fitted on rows ``train`` and chosen on
    rows ``valid``; ``balanced`` weights classes by the inverse of their frequency in training.
    """

    kind: str
    n_outputs: int
    labels: Labels
    train: Rows
    valid: Rows
    balanced: bool = False


@dataclass(frozen=True)
class SearchSpace:
    """Readouts, poolings with numbers of bins, lengths of k-mers, and rising C to choose among."""

    readouts: tuple[int, ...] = READOUTS
    poolings: tuple[tuple[tuple[str, ...], int], ...] = POOLINGS
    ks: tuple[int, ...] = KS
    strengths: tuple[float, ...] = STRENGTHS


@dataclass(frozen=True)
class Probe:
    """A fitted head, the features it reads, and its score on validation rows."""

    features: Features
    head: TaskHead
    strength: float
    valid_score: float

    def logits(self, table: FeatureTable, rows: Rows) -> Matrix:
        """Return logits, or values of a regression, of some rows; (len(rows), n_outputs)."""
        x = torch.from_numpy(table.matrix(self.features, rows))
        with torch.inference_mode():
            logits: Matrix = self.head(x.to(self.head.mean.device)).cpu().numpy()
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
    if kind == REGRESSION:
        (ridge,) = regression.models
        return np.reshape(ridge.coef_, (n_outputs, -1)), np.reshape(ridge.intercept_, -1)
    weight = np.zeros((n_outputs, regression.features.shape[1]))
    bias = np.zeros(n_outputs)
    if kind == MULTILABEL:
        for label, model in enumerate(regression.models):
            if isinstance(model, DummyClassifier):  # a label that never varies keeps its value
                bias[label] = 20.0 if model.classes_[0] else -20.0
            else:
                weight[label], bias[label] = model.coef_[0], model.intercept_[0]
        return weight, bias
    (model,) = regression.models
    if not isinstance(model, DummyClassifier):
        coefficients, intercepts = model.coef_, model.intercept_
        if len(coefficients) == 1:  # one output for each of two classes here too: half the logit
            coefficients = np.concatenate((-coefficients, coefficients)) / 2
            intercepts = np.concatenate((-intercepts, intercepts)) / 2
        weight[model.classes_], bias[model.classes_] = coefficients, intercepts
    absent = np.setdiff1d(np.arange(n_outputs), model.classes_)
    bias[absent] = bias[model.classes_].min() - 20.0  # a class not in training is never chosen
    return weight, bias


def _targets(labels: Labels, kind: str, n_outputs: int) -> npt.NDArray[Any]:
    """Return labels as numbers for ridge regression, (n, n_outputs): classes as -1 and 1."""
    if kind == REGRESSION:
        return labels
    if kind == MULTILABEL:
        return 2 * labels - 1
    return 2 * np.eye(n_outputs, dtype=np.float32)[labels] - 1


@dataclass(frozen=True)
class _Search:
    """Heads fitted on the training rows of a problem and judged on its validation rows."""

    table: FeatureTable
    problem: Problem

    def choose(self, candidates: Iterable[Features]) -> Probe:
        """Return the candidate whose ridge regression scores highest; the first of equals."""
        problem = self.problem
        targets = _targets(problem.labels[problem.train], problem.kind, problem.n_outputs)
        candidates, probes = list(candidates), []
        n_fits = len(candidates) * len(SEARCH_PENALTIES)
        with progress(n_fits, "fits", "choose features") as bar:
            for features in candidates:
                probe = self._fit(features, targets, REGRESSION, SEARCH_PENALTIES, bar.update)
                logger.info("probe: %s: %.4f", features, probe.valid_score)
                probes.append(probe)
        return max(probes, key=attrgetter("valid_score"))

    def surely_better(self, probe: Probe, other: Probe) -> bool:
        """Return whether the 95 % interval of the gain in score over another probe is above 0."""
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
        kind = self.problem.kind
        labels = self.problem.labels[self.problem.train]
        regularisations = _RIDGE_PENALTIES if kind == REGRESSION else strengths
        rows = np.concatenate((self.problem.train, self.problem.valid))
        self.table.vectors(features.readout, rows)  # encoded before the fits are counted
        with progress(len(regularisations), "fits", "fit the head") as bar:
            best = self._fit(features, labels, kind, regularisations, bar.update)
        logger.info("probe: %s, C %g: %.4f", features, best.strength, best.valid_score)
        return best

    def _fit(
        self,
        features: Features,
        targets: Labels,
        kind: str,
        regularisations: tuple[float, ...],
        fitted: Callable[[], object],
    ) -> Probe:
        """Return the best probe by logistic regression (by C), or ridge regression (by penalty).

        ``fitted`` is called after each fit.
        """
        problem = self.problem
        scaler = StandardScaler(copy=False)
        x = scaler.fit_transform(self.table.matrix(features, problem.train))
        valid = torch.from_numpy(self.table.matrix(features, problem.valid))
        center, spread = np.zeros(1), np.ones(1)
        if kind == REGRESSION:
            center, spread = targets.mean(0), np.maximum(targets.std(0), 1e-12)
            targets = (targets - center) / spread
        solver = Solver(max_iter=200, tol=1e-3, balanced=problem.balanced, ridge="cholesky")
        regression = Regression(x, targets, kind, solver)
        probes = []
        for regularisation in regularisations:
            regression.fit(regularisation)
            weight, bias = _weights(regression, kind, problem.n_outputs)
            head = _head(scaler, weight * spread[:, None], bias * spread + center)
            with torch.inference_mode():
                logits = head(valid).numpy()
            valid_score = score(problem.labels[problem.valid], logits, problem.kind)
            strength = 1 / regularisation if kind == REGRESSION else regularisation
            probes.append(Probe(features, head, strength, valid_score))
            fitted()
        return max(probes, key=attrgetter("valid_score"))  # the first of equals


def search_space(mode: str, kmers: bool) -> SearchSpace:
    """Return the space to search for a probe of its own, or one that full training begins with."""
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
    ``table`` holds every row of the problem; ``seed`` decides which 3,000 rows are taken of more.
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
