"""Measures of predictions on a labelled set, and how far chance may move them.

Every measure is computed under integer weights of the rows: all 1 for the set itself, the
number of times each row was drawn for a bootstrap resample. A measure that is undefined, such as
the AUROC of a set with one class, is NaN.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from findna.labelled.sets import CLASSES, MULTILABEL, REGRESSION

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

METRICS: dict[str, tuple[str, ...]] = {
    CLASSES: ("accuracy", "mcc", "auroc", "auprc", "macro_f1"),
    MULTILABEL: ("auroc", "auprc", "micro_f1", "exact_match"),
    REGRESSION: ("r2", "pearson", "spearman", "rmse"),
}
"""Measures by the kind of label. AUROC and AUPRC are those of class 1 for two classes, else the
mean over classes or labels that can be measured; so are the measures of a regression over its
targets. Accuracy is the share of rows whose most probable class is right, ``exact_match`` the
share whose labels are all right at a threshold of 0.5."""

NAMES = {
    "accuracy": "accuracy",
    "mcc": "MCC",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "exact_match": "exact match",
    "r2": "R2",
    "pearson": "Pearson r",
    "spearman": "Spearman rho",
    "rmse": "RMSE",
}
"""How metrics are written for people."""

PRIMARY = {CLASSES: "auroc", MULTILABEL: "auroc", REGRESSION: "r2"}
"""The measure by which choices are made and tables are sorted."""

MOST_POINTS = 200
"""Points of a curve that `operating_points` keeps."""

_CHUNK = 2_000_000  # values of a (resamples, rows) array held at a time


def measure(labels: Array, probabilities: Array, kind: str) -> dict[str, float]:
    """Return every measure of a kind of label.

    Parameters
    ----------
    labels : ndarray
        Class indices, shape (n,), for "classes"; 0 and 1, shape (n, m), for "multilabel";
        numbers, shape (n, m), for "regression".
    probabilities : ndarray
        Shape (n, n_classes) for "classes", two classes included; else that of ``labels``.
    kind : str
        A key of METRICS.
    """
    labels, probabilities = _checked(labels, probabilities, kind)
    weights = np.ones((1, len(labels)))
    values = _weighted(labels, probabilities, kind, METRICS[kind], weights)
    return {name: float(value[0]) for name, value in values.items()}


def bootstrap(
    labels: Array,
    probabilities: Array,
    kind: str,
    metrics: Collection[str],
    n: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return 95 % percentile intervals over ``n`` resamples of the rows: (low, high) by measure.

    ``metrics`` are names out of ``METRICS[kind]``; all else is as in ``measure``. The seed alone
    decides which rows are drawn, so two sets of predictions of the same rows are resampled alike.
    Resamples in which a measure is undefined are left out of its interval.
    """
    values = _resampled(labels, probabilities, kind, metrics, n, seed)
    return {name: _interval(resampled) for name, resampled in values.items()}


def bootstrap_difference(
    labels: Array,
    first: Array,
    second: Array,
    kind: str,
    metrics: Collection[str],
    n: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return intervals, as in ``bootstrap``, of the measure of ``first`` less that of ``second``.

    Both are measured on the same resamples, so what makes rows hard for both cancels.
    """
    a, b = (_resampled(labels, x, kind, metrics, n, seed) for x in (first, second))
    return {name: _interval(a[name] - b[name]) for name in metrics}


def _resampled(
    labels: Array, probabilities: Array, kind: str, metrics: Collection[str], n: int, seed: int
) -> dict[str, Floats]:
    """Return measures of each resample, shape (n,)."""
    labels, probabilities = _checked(labels, probabilities, kind)
    unknown = sorted(set(metrics) - set(METRICS[kind]))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no measure of {kind}")
    blocks = [
        _weighted(labels, probabilities, kind, metrics, weights)
        for weights in _resamples(len(labels), n, seed)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in metrics}


def _interval(values: Floats) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _resamples(n_rows: int, n: int, seed: int) -> Iterator[Floats]:
    """Yield how often each row is drawn, in blocks of shape (resamples, rows)."""
    rng = np.random.default_rng(seed)
    block = max(1, _CHUNK // max(n_rows, 1))
    for start in range(0, n, block):
        size = min(block, n - start)
        rows = rng.integers(0, max(n_rows, 1), (size, n_rows)) + n_rows * np.arange(size)[:, None]
        counts = np.bincount(rows.ravel(), minlength=size * n_rows)
        yield counts.reshape(size, n_rows).astype(np.float64)


def _checked(labels: Array, probabilities: Array, kind: str) -> tuple[Array, Array]:
    if kind not in METRICS:
        raise ValueError(f"{kind!r} is none of {', '.join(METRICS)}")
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    wanted = (len(labels), probabilities.shape[-1]) if kind == CLASSES else labels.shape
    if labels.ndim != (1 if kind == CLASSES else 2) or probabilities.shape != wanted:
        raise ValueError(
            f"labels of shape {labels.shape} do not fit predictions of shape "
            f"{probabilities.shape} for {kind}"
        )
    if not np.isfinite(probabilities).all():
        raise ValueError("a prediction is not a finite number")
    return labels.astype(np.float64 if kind == REGRESSION else np.int64), probabilities


def _weighted(
    labels: Array, predictions: Array, kind: str, metrics: Collection[str], weights: Floats
) -> dict[str, Floats]:
    """Return measures under each row of ``weights``, which has shape (resamples, rows)."""
    measures = {CLASSES: _classes, MULTILABEL: _multilabel, REGRESSION: _regression}[kind]
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 is NaN: undefined
        return measures(labels, predictions, metrics, weights)


def _classes(
    labels: Array, probabilities: Array, metrics: Collection[str], weights: Floats
) -> dict[str, Floats]:
    n_classes = probabilities.shape[1]
    members = (labels[:, None] == np.arange(n_classes)).astype(np.float64)  # (rows, classes)
    values = {}
    if {"accuracy", "mcc", "macro_f1"} & set(metrics):
        guesses = np.eye(n_classes)[probabilities.argmax(1)]
        total = weights.sum(1)
        hits, actual, guessed = (weights @ x for x in (members * guesses, members, guesses))
        right = hits.sum(1)
        values["accuracy"] = right / total
        # the multi-class coefficient of Gorodkin (2004); 0 if all labels or guesses are alike
        spread = (total**2 - (actual**2).sum(1)) * (total**2 - (guessed**2).sum(1))
        covariance = right * total - (actual * guessed).sum(1)
        mcc = np.where(spread > 0, covariance / np.sqrt(spread), 0.0)
        values["mcc"] = np.where(total > 0, mcc, np.nan)
        # a class that neither occurs nor is predicted has no F1
        values["macro_f1"] = _mean_defined(2 * hits / (actual + guessed))
    columns = [1] if n_classes == 2 else range(n_classes)
    values |= _curves(members[:, columns], probabilities[:, columns], metrics, weights)
    return {name: values[name] for name in metrics}


def _multilabel(
    labels: Array, probabilities: Array, metrics: Collection[str], weights: Floats
) -> dict[str, Floats]:
    guesses = probabilities >= 0.5
    hits, either = (guesses & (labels == 1)).sum(1), guesses.sum(1) + labels.sum(1)
    right = (guesses == labels).all(1)
    values = {
        "micro_f1": 2 * (weights @ hits) / (weights @ either),
        "exact_match": weights @ right.astype(np.float64) / weights.sum(1),
        **_curves(labels, probabilities, metrics, weights),
    }
    return {name: values[name] for name in metrics}


def _curves(
    members: Array, scores: Array, metrics: Collection[str], weights: Floats
) -> dict[str, Floats]:
    """Return AUROC and AUPRC, means over the columns in which they are defined."""
    values: dict[str, list[Floats]] = {name: [] for name in ("auroc", "auprc") if name in metrics}
    for member, score in zip(members.T, scores.T, strict=True) if values else ():
        order, starts = _ties(-score)
        drawn = weights[:, order]
        true = _group_sums(drawn * member[order], starts)
        both = _group_sums(drawn, starts)
        n_true, true_so_far = true.sum(1), true.cumsum(1)
        if "auroc" in values:  # pairs of a positive above a negative; equal scores count one half
            pairs = ((true_so_far - true / 2) * (both - true)).sum(1)
            values["auroc"].append(pairs / (n_true * (both.sum(1) - n_true)))
        if "auprc" in values:  # average precision: the mean of precision over positives
            precision = true_so_far / both.cumsum(1)
            values["auprc"].append(np.where(true > 0, precision * true, 0).sum(1) / n_true)
    return {name: _mean_defined(np.stack(parts, 1)) for name, parts in values.items()}


def _regression(
    labels: Array, predictions: Array, metrics: Collection[str], weights: Floats
) -> dict[str, Floats]:
    values: dict[str, list[Floats]] = {name: [] for name in metrics}
    for label, guess in zip(labels.T, predictions.T, strict=True):
        middle = label.mean() if len(label) else 0.0  # sums of squares stay accurate
        label, guess = label - middle, guess - middle
        error = weights @ (label - guess) ** 2 / weights.sum(1)
        for name, parts in values.items():
            if name == "r2":
                parts.append(1 - error / _covariance(label, label, weights))
            elif name == "pearson":
                parts.append(_correlation(label, guess, weights))
            elif name == "spearman":
                ranks = _ranks(label, weights), _ranks(guess, weights)
                parts.append(_correlation(*ranks, weights))
            else:
                parts.append(np.sqrt(error))
    return {name: _mean_defined(np.stack(parts, 1)) for name, parts in values.items()}


def _ties(scores: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the ascending order of the rows, and the start in it of each group of equal scores."""
    order = np.argsort(scores, kind="stable")
    new = np.ones(len(scores), dtype=bool)
    new[1:] = scores[order][1:] != scores[order][:-1]
    return order, np.flatnonzero(new)


def _group_sums(values: Floats, starts: npt.NDArray[np.int64]) -> Floats:
    """Sum neighbouring columns; (resamples, rows) -> (resamples, groups)."""
    if len(starts) == values.shape[1]:
        return values
    sums: Floats = np.add.reduceat(values, starts, axis=1)
    return sums


def _ranks(values: Floats, weights: Floats) -> Floats:
    """Return the rank of every row among the rows drawn (the mean of equal values), centred."""
    order, starts = _ties(values)
    drawn = _group_sums(weights[:, order], starts)
    middle = drawn.cumsum(1) - (drawn + weights.sum(1)[:, None]) / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = np.repeat(middle, np.diff([*starts, len(values)]), axis=1)
    return ranks


def _covariance(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Return the covariance under each row of weights; NaN for the variance of a constant."""
    total = weights.sum(1)
    square = (weights * (x * y)).sum(1) / total
    covariance: Floats = square - (weights * x).sum(1) / total * ((weights * y).sum(1) / total)
    if x is y:
        covariance = np.where(covariance > 1e-12 * square, covariance, np.nan)
    return covariance


def _correlation(x: Floats, y: Floats, weights: Floats) -> Floats:
    spread = _covariance(x, x, weights) * _covariance(y, y, weights)
    return _covariance(x, y, weights) / np.sqrt(spread)


def _mean_defined(values: Floats) -> Floats:
    """Average the columns that are not NaN; (resamples, columns) -> (resamples,)."""
    defined = ~np.isnan(values)
    mean: Floats = np.where(defined, values, 0).sum(1) / defined.sum(1)
    return mean


class Bin(NamedTuple):
    """Mean confidence of a bin, the share of its rows that are right, and their number.

    The first two are NaN for an empty bin.
    """

    confidence: float
    accuracy: float
    n: int


def reliability(labels: Array, probabilities: Array, n_bins: int = 15) -> list[Bin]:
    """Return how often the most probable class is right, by its probability.

    Bins are equally wide and include their upper edge. ``labels`` are class indices, shape
    (n,); ``probabilities`` has shape (n, n_classes).
    """
    labels, probabilities = _checked(labels, probabilities, CLASSES)
    return binned(probabilities.max(1), probabilities.argmax(1) == labels, n_bins)


def binned(confidence: Array, right: Array, n_bins: int = 15) -> list[Bin]:
    """Return how often something is right by the probability that it is; see `reliability`."""
    bins = (np.ceil(confidence * n_bins) - 1).clip(0, n_bins - 1).astype(np.int64)
    counts = np.bincount(bins, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        means = np.bincount(bins, confidence, n_bins) / counts
        accuracies = np.bincount(bins, right, n_bins) / counts
    return [
        Bin(*row) for row in zip(means.tolist(), accuracies.tolist(), counts.tolist(), strict=True)
    ]


def confusion(labels: Array, probabilities: Array) -> npt.NDArray[np.int64]:
    """Return how many rows of each class (rows) have which most probable class (columns)."""
    labels, probabilities = _checked(labels, probabilities, CLASSES)
    n = probabilities.shape[1]
    cells = labels * n + probabilities.argmax(1)
    return np.bincount(cells, minlength=n * n).reshape(n, n)


def operating_points(
    present: Array, scores: Array, most: int = MOST_POINTS
) -> dict[str, list[int] | list[float]]:
    """Return thresholds, and how many rows of a class and of others score at least as much.

    ROC and precision-recall curves are made of these. Of many thresholds those are kept that divide
    the rows of the class, and those of others, evenly; the first and the last are among them.

    Parameters
    ----------
    present : ndarray of bool, shape (n,)
        Rows of the class; some are, some are not.
    scores : ndarray, shape (n,)

    Returns
    -------
    dict
        ``threshold``, descending; ``true`` and ``false``, the numbers of rows.
    """
    order, starts = _ties(-scores)
    ends = np.append(starts[1:], len(order))
    true = present[order].cumsum()[ends - 1]
    false = ends - true
    evenly = [np.searchsorted(n, np.linspace(0, n[-1], most // 2)) for n in (true, false)]
    chosen = np.unique(np.concatenate([*evenly, [0, len(ends) - 1]]))
    threshold = scores[order][starts][chosen].astype(float)
    return {
        "threshold": [float(f"{value:.4g}") for value in threshold],
        "true": true[chosen].tolist(),
        "false": false[chosen].tolist(),
    }


def expected_calibration_error(labels: Array, probabilities: Array, n_bins: int = 15) -> float:
    """Return the mean distance of confidence and accuracy over the bins of ``reliability``."""
    bins = reliability(labels, probabilities, n_bins)
    total = sum(row.n for row in bins)
    if total == 0:
        return float("nan")
    return sum(row.n * abs(row.confidence - row.accuracy) for row in bins if row.n) / total
