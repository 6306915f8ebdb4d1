"""A linear head on the frozen encoder; what it reads of a sequence is chosen on validation data.

Mean pooling cannot see where in a window a signal lies, and small motifs are counted better than
embedded: so the search goes over strands, poolings and k-mers, one after the other, and over the
regularisation with each.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from findna.features import Features, FeatureTable, Matrix
from findna.labelled import CLASSES, MULTILABEL, REGRESSION
from findna.metrics import measure
from findna.model.heads import TaskHead
from findna.task import to_probabilities

logger = logging.getLogger(__name__)

Rows = npt.NDArray[np.int64]
Labels = npt.NDArray[Any]

POOLINGS: tuple[tuple[tuple[str, ...], int], ...] = (
    (("mean",), 0),
    (("center",), 0),
    ((), 2),
    ((), 4),
    ((), 8),
    (("mean", "std"), 0),
    (("mean", "max", "std", "center"), 4),
    (("mean", "max", "std", "center"), 8),
)
"""Poolings and bins to choose from."""
KS = (0, 4, 5, 6)
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""C of logistic regression on standardised features: the inverse of the regularisation."""
_SEARCH_STRENGTHS = (1e-3, 1e-2)
_SEARCH_ROWS = 4_000  # training rows on which features are compared; the last fit takes all
_MOST_VALUES = 250_000_000  # of a feature matrix: 1 GB
_MAIN = {CLASSES: "auroc", MULTILABEL: "auroc", REGRESSION: "r2"}
"""The metric by which choices are made, on validation data."""


@dataclass(frozen=True)
class Probe:
    """A fitted head and how it was chosen."""

    features: Features
    head: TaskHead
    strength: float
    valid_score: float

    def logits(self, table: FeatureTable, rows: Rows) -> Matrix:
        """Logits, or values of a regression, of some rows; (len(rows), n_outputs)."""
        with torch.inference_mode():
            logits: Matrix = self.head(torch.from_numpy(table.matrix(self.features, rows))).numpy()
        return logits


def score(labels: Labels, logits: Matrix, kind: str) -> float:
    """The validation score of logits: AUROC, or R2 of a regression; NaN counts as worst."""
    value = measure(labels, to_probabilities(logits, kind, 1.0), kind)[_MAIN[kind]]
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


def _fit(
    x: Matrix, labels: Labels, kind: str, n_outputs: int, strength: float, balanced: bool
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Weight (n_outputs, n_features) and bias (n_outputs,) on standardised features."""
    if kind == REGRESSION:
        center, spread = labels.mean(0), labels.std(0)
        ridge = Ridge(alpha=0.5 / strength).fit(x, (labels - center) / spread)
        weight, bias = np.atleast_2d(ridge.coef_), np.atleast_1d(ridge.intercept_)
        return weight * spread[:, None], bias * spread + center
    logistic = LogisticRegression(
        C=strength, max_iter=300, tol=1e-3, class_weight="balanced" if balanced else None
    )
    if kind == MULTILABEL:
        several = OneVsRestClassifier(logistic).fit(x, labels)
        each = several.estimators_
        return (
            np.concatenate([one.coef_ for one in each]),
            np.concatenate([one.intercept_ for one in each]),
        )
    logistic.fit(x, labels)
    weight, bias = logistic.coef_, logistic.intercept_
    if n_outputs == 2:  # one output per class here too: half the logit each
        weight, bias = (
            np.concatenate((-weight, weight)) / 2,
            np.concatenate((-bias, bias)) / 2,
        )
    elif len(logistic.classes_) < n_outputs:  # a class that only occurs elsewhere: never chosen
        full = np.zeros((n_outputs, weight.shape[1]))
        low = np.full(n_outputs, bias.min() - 20.0)
        full[logistic.classes_], low[logistic.classes_] = weight, bias
        weight, bias = full, low
    return weight, bias


@dataclass
class _Search:
    """Fits heads on some features, and remembers the best on validation data."""

    table: FeatureTable
    labels: Labels
    train: Rows
    valid: Rows
    kind: str
    n_outputs: int
    balanced: bool

    def best(self, features: Iterable[Features], strengths: Iterable[float]) -> Probe:
        """The probe with the highest validation score; the first of equals."""
        found: Probe | None = None
        strengths = tuple(strengths)
        for chosen in features:
            x = self.table.matrix(chosen, self.train)
            scaler = StandardScaler(copy=False)
            x = scaler.fit_transform(x)
            valid = torch.from_numpy(self.table.matrix(chosen, self.valid))
            for strength in strengths:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)  # validation decides
                    weight, bias = _fit(
                        x, self.labels[self.train], self.kind, self.n_outputs, strength,
                        self.balanced,
                    )  # fmt: skip
                head = _head(scaler, weight, bias)
                with torch.inference_mode():
                    value = score(self.labels[self.valid], head(valid).numpy(), self.kind)
                logger.info("probe: %s, C %g: %.4f", chosen, strength, value)
                if found is None or value > found.valid_score:
                    found = Probe(chosen, head, strength, value)
        assert found is not None
        return found


def fit_probe(
    table: FeatureTable,
    labels: Labels,
    train: Rows,
    valid: Rows,
    *,
    kind: str,
    n_outputs: int,
    seed: int = 0,
    balanced: bool = False,
    ks: tuple[int, ...] = KS,
) -> Probe:
    """Choose features and regularisation on validation rows and fit a head on training rows.

    Strands are chosen first, then poolings, then k-mers: each on at most 4,000 training rows.
    The chosen features are then fitted on all of them.

    Parameters
    ----------
    labels : ndarray
        Of all rows of the table (`findna.labelled.LabelledSet.labels`).
    balanced : bool
        Weight classes by the inverse of their frequency.
    ks : tuple of int
        k-mer lengths to choose from; 0 is none.
    """
    few = train
    if len(train) > _SEARCH_ROWS:
        few = np.random.default_rng(seed).choice(train, _SEARCH_ROWS, replace=False)
        if kind == CLASSES and len(np.unique(labels[few])) < len(np.unique(labels[train])):
            few = train
    search = _Search(table, labels, few, valid, kind, n_outputs, balanced)
    start = Features((), 4)
    both = (True, False) if len(table.vectors) == 2 else (False,)
    found = search.best((replace(start, both_strands=b) for b in both), _SEARCH_STRENGTHS)
    strands = found.features.both_strands
    poolings = (Features(pools, bins, 0, strands) for pools, bins in POOLINGS)
    found = search.best(poolings, _SEARCH_STRENGTHS)
    with_kmers = [replace(found.features, k=k) for k in ks]
    affordable = [f for f in with_kmers if f.size(table.dim) * len(train) <= _MOST_VALUES]
    found = search.best(affordable or [found.features], _SEARCH_STRENGTHS)
    return replace(search, train=train).best([found.features], STRENGTHS)
