"""Prediction of labels from the length of a sequence alone.

If that works, a model may have learned the length and nothing of the sequence: lengths of regions
often depend on how the regions were drawn.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.tree import DecisionTreeRegressor

from findna.labelled.metrics import NAMES, PRIMARY, measure
from findna.labelled.sets import CLASSES, LabelledSet

SUSPICIOUS = {"auroc": 0.7, "r2": 0.2}
"""Scores from which on a user is warned."""

_LEAST_ROWS = 10  # of a leaf: what fewer sequences of a length have in common is chance


def length_score(train: LabelledSet, test: LabelledSet) -> float | None:
    """Return the AUROC on a test set (R2 of a regression) of a decision tree on lengths alone.

    None if all lengths are the same, or the figure is undefined.
    """
    lengths, unseen = (
        np.array([[len(sequence)] for sequence in data.sequences]) for data in (train, test)
    )
    if len(np.unique(np.concatenate((lengths, unseen)))) == 1:
        return None
    # the mean of ones and zeros in a leaf is the frequency of a class there
    targets: npt.NDArray[np.float64] = (
        np.eye(len(train.classes))[train.labels] if train.kind == CLASSES else train.labels
    )
    tree = DecisionTreeRegressor(min_samples_leaf=_LEAST_ROWS, random_state=0)
    predictions = tree.fit(lengths, targets).predict(unseen).reshape(len(test), -1)
    score = measure(test.labels, predictions, train.kind)[PRIMARY[train.kind]]
    return float(score) if np.isfinite(score) else None


def length_warning(train: LabelledSet, test: LabelledSet) -> str:
    """Return a warning if the length predicts the label well, else an empty text."""
    score = length_score(train, test)
    metric = PRIMARY[train.kind]
    if score is None or score < SUSPICIOUS[metric]:
        return ""
    shortest = min(len(sequence) for data in (train, test) for sequence in data.sequences)
    return (
        f"{train.name}: the length of a sequence by itself tells its label ({NAMES[metric]} "
        f"{score:.2f} on validation rows), and a task may learn nothing else; --window N reads N "
        f"bp about the middle of each (the shortest has {shortest})"
    )
