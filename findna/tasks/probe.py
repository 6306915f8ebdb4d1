"""A linear head on the frozen encoder; what it reads of a sequence is chosen on validation data.

Mean pooling cannot see where in a window a signal lies, exact positions fade from layer to layer
of a trained encoder, and small motifs are counted better than embedded: so the search goes over
layers and, for each, over strands, poolings and k-mers, one after the other. It compares them by
ridge regression on the labels, which has a closed form; the head itself is a logistic regression,
its regularisation chosen on the same validation data. Another layer than the encoder's own is only
read where it is surely better on them: of two that are level, chance would often choose the wrong.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from findna.labelled.metrics import PRIMARY, bootstrap_difference, measure
from findna.labelled.sets import CLASSES, MULTILABEL, REGRESSION
from findna.model.heads import TaskHead
from findna.tasks.features import Features, FeatureTable, Matrix
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
"""The same where the encoder is trained too: it learns what others would add."""

KS = (0, 4, 5, 6)

READOUTS = (0, 1)
"""Layers after which to read: where the embeddings are, or the first."""

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""C of logistic regression on standardised features: the inverse of the regularisation."""

TRAINED_STRENGTHS = STRENGTHS[:3]
"""And their C: a head that is sure of itself would be torn down first."""

_SEARCH_PENALTIES = (1e2, 1e3, 1e4)

_SEARCH_ROWS = 3_000  # training rows on which features are compared; the last fit takes all

_RIDGE_PENALTIES = (1e5, 1e4, 1e3, 1e2, 1e1)

_MOST_VALUES = 250_000_000  # of a feature matrix: 1 GB


@dataclass(frozen=True)
class Probe:
    """A fitted head and how it was chosen."""

    features: Features
    head: TaskHead
    strength: float
    valid_score: float

    def logits(self, table: FeatureTable, rows: Rows) -> Matrix:
        """Logits, or values of a regression, of some rows; (len(rows), n_outputs)."""
        return logits_of(self.head, self.features, table, rows)


def logits_of(head: TaskHead, features: Features, table: FeatureTable, rows: Rows) -> Matrix:
    """What a head makes of some rows; (len(rows), n_outputs)."""
    with torch.inference_mode():
        logits: Matrix = head(torch.from_numpy(table.matrix(features, rows))).numpy()
    return logits


def score(labels: Labels, logits: Matrix, kind: str) -> float:
    """The validation score of logits: AUROC, or R2 of a regression; NaN counts as worst."""
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


def _logistic(
    x: Matrix, labels: Labels, n_outputs: int, strengths: tuple[float, ...], balanced: bool
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Weight (n_outputs, n_features) and bias (n_outputs,) for one C after another.

    ``strengths`` rise, and each fit begins where the one before ended.
    """
    present = np.unique(labels)
    if len(present) == 1:
        constant = np.zeros((1, x.shape[1])), np.zeros(1)
        for _ in strengths:
            yield _with_absent(*constant, present, n_outputs)
        return
    model = LogisticRegression(
        max_iter=200, tol=1e-3, warm_start=True, class_weight="balanced" if balanced else None
    )
    for strength in strengths:
        model.set_params(C=strength)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # validation decides
            model.fit(x, labels)
        weight, bias = model.coef_, model.intercept_
        if len(weight) == 1:  # one output for each of two classes here too: half the logit
            weight, bias = np.concatenate((-weight, weight)) / 2, np.concatenate((-bias, bias)) / 2
        yield _with_absent(weight, bias, model.classes_, n_outputs)


def _with_absent(
    weight: npt.NDArray[Any], bias: npt.NDArray[Any], present: Labels, n_outputs: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Weight and bias of all classes: one that is not among those present is never chosen."""
    full = np.zeros((n_outputs, weight.shape[1]))
    low = np.full(n_outputs, bias.min() - 20.0)
    full[present], low[present] = weight, bias
    return full, low


def _multilabel(
    x: Matrix, labels: Labels, strengths: tuple[float, ...], balanced: bool
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """As `_logistic`, one regression per label; a label that never varies keeps its value."""
    each = []
    for column in labels.T:
        if column.min() == column.max():
            constant = np.zeros((1, x.shape[1])), np.array([20.0 if column[0] else -20.0])
            each.append([constant] * len(strengths))
        else:
            found = _logistic(x, column.astype(np.int64), 2, strengths, balanced)
            each.append([(2 * weight[1:], 2 * bias[1:]) for weight, bias in found])
    for fits in zip(*each, strict=True):
        yield np.concatenate([w for w, _ in fits]), np.concatenate([b for _, b in fits])


def _ridge(
    x: Matrix, targets: npt.NDArray[Any], penalties: tuple[float, ...]
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Weight and bias of ridge regression on targets (n, n_outputs), in their units."""
    center = targets.mean(0)
    spread = np.maximum(targets.std(0), 1e-12)
    for penalty in penalties:
        model = Ridge(alpha=penalty, solver="cholesky").fit(x, (targets - center) / spread)
        weight = np.reshape(model.coef_, (targets.shape[1], -1))
        yield weight * spread[:, None], np.reshape(model.intercept_, -1) * spread + center


def _targets(labels: Labels, kind: str, n_outputs: int) -> npt.NDArray[Any]:
    """Labels as numbers for ridge regression, (n, n_outputs): classes as -1 and 1."""
    if kind == REGRESSION:
        return labels
    if kind == MULTILABEL:
        return 2 * labels - 1
    return 2 * np.eye(n_outputs, dtype=np.float32)[labels] - 1


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
    strengths: tuple[float, ...] = STRENGTHS

    def choose(self, candidates: Iterable[Features]) -> Probe:
        """The candidate whose ridge regression scores highest; the first of equals."""
        targets = _targets(self.labels[self.train], self.kind, self.n_outputs)
        best: Probe | None = None
        for features in candidates:
            found = list(self._judge(features, lambda x: _ridge(x, targets, _SEARCH_PENALTIES)))
            i = int(np.argmax([value for value, _ in found]))
            value, head = found[i]
            logger.info("probe: %s: %.4f", features, value)
            if best is None or value > best.valid_score:
                best = Probe(features, head, 1 / _SEARCH_PENALTIES[i], value)
        assert best is not None
        return best

    def surely_better(self, one: Probe, other: Probe) -> bool:
        """Whether the 95 % interval of the difference in score leaves no doubt."""
        if not one.valid_score > other.valid_score > -np.inf:
            return one.valid_score > other.valid_score
        first, second = (
            to_probabilities(probe.logits(self.table, self.valid), self.kind, 1.0)
            for probe in (one, other)
        )
        metric = PRIMARY[self.kind]
        interval = bootstrap_difference(self.labels[self.valid], first, second, self.kind, [metric])
        return interval[metric][0] > 0

    def fit(self, features: Features) -> Probe:
        """The head of the regularisation that scores highest."""
        labels = self.labels[self.train]
        strengths = self.strengths
        if self.kind == CLASSES:

            def fits(x: Matrix) -> Iterator[Any]:
                return _logistic(x, labels, self.n_outputs, strengths, self.balanced)

        elif self.kind == MULTILABEL:

            def fits(x: Matrix) -> Iterator[Any]:
                return _multilabel(x, labels, strengths, self.balanced)

        else:
            strengths = tuple(1 / penalty for penalty in _RIDGE_PENALTIES)

            def fits(x: Matrix) -> Iterator[Any]:
                return _ridge(x, labels, _RIDGE_PENALTIES)

        found = list(self._judge(features, fits))
        scores = [value for value, _ in found]
        best = int(np.argmax(scores))
        logger.info("probe: %s, C %g: %.4f", features, strengths[best], scores[best])
        return Probe(features, found[best][1], strengths[best], scores[best])

    def _judge(
        self, features: Features, fits: Callable[[Matrix], Iterator[Any]]
    ) -> Iterator[tuple[float, TaskHead]]:
        """Validation score and head of each fit on the training rows."""
        scaler = StandardScaler(copy=False)
        x = scaler.fit_transform(self.table.matrix(features, self.train))
        valid = torch.from_numpy(self.table.matrix(features, self.valid))
        for weight, bias in fits(x):
            head = _head(scaler, weight, bias)
            with torch.inference_mode():
                yield score(self.labels[self.valid], head(valid).numpy(), self.kind), head


def search_space(mode: str, kmers: bool) -> dict[str, Any]:
    """What to choose among for a probe of its own, or one that full training begins with."""
    if mode == "full":
        # the head stays where training can reach most of the encoder
        return {
            "readouts": (0,),
            "poolings": TRAINED_POOLINGS,
            "ks": (0,),
            "strengths": TRAINED_STRENGTHS,
        }
    return {} if kmers else {"ks": (0,)}


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
    readouts: tuple[int, ...] = READOUTS,
    poolings: Sequence[tuple[tuple[str, ...], int]] = POOLINGS,
    ks: tuple[int, ...] = KS,
    strengths: tuple[float, ...] = STRENGTHS,
) -> Probe:
    """Choose features and regularisation on validation rows and fit a head on training rows.

    For each readout strands are chosen first, then poolings, then k-mers: each on at most 3,000
    training rows. The features that score highest are then fitted on all of them; those of another
    readout than the first only if the 95 % bootstrap interval of what they gain is above 0.

    Parameters
    ----------
    labels : ndarray
        Of all rows of the table (`findna.labelled.sets.LabelledSet.labels`).
    balanced : bool
        Weight classes by the inverse of their frequency.
    readouts, poolings, ks, strengths
        Layers to read after (0: the encoder's own choice), poolings with bins, lengths of k-mers
        (0 is none) and C, rising, to choose from.
    """
    few = train
    if len(train) > _SEARCH_ROWS:
        few = np.random.default_rng(seed).choice(train, _SEARCH_ROWS, replace=False)
    search = _Search(table, labels, few, valid, kind, n_outputs, balanced, strengths)
    both = (True, False) if table.strands == 2 else (False,)
    chosen: Probe | None = None
    for readout in readouts:
        table.vectors(readout, np.concatenate((few, valid)))  # encoded in one go
        best = search.choose(Features((), 4, 0, strands, readout) for strands in both)
        seen = best.features
        best = search.choose(replace(seen, pools=pools, bins=bins) for pools, bins in poolings)
        with_kmers = [replace(best.features, k=k) for k in ks]
        affordable = [f for f in with_kmers if f.size(table.dim) * len(train) <= _MOST_VALUES]
        best = search.choose(affordable) if affordable else best
        if chosen is None or search.surely_better(best, chosen):
            chosen = best
    assert chosen is not None
    return replace(search, train=train).fit(chosen.features)
