"""Temperature scaling of probabilities, so that they are as frequent as they say.

Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from findna.labelled.sets import CLASSES, REGRESSION
from findna.tasks.features import Matrix
from findna.tasks.task import to_probabilities

_RANGE = (-1.0, 5.0)
"""Bounds of the logarithm of the temperature, which would fall without end on a small validation
set that is separated without error."""


def log_loss(
    labels: npt.NDArray[Any], probabilities: Matrix, kind: str, *, balanced: bool = False
) -> float:
    """Return the mean negative log-likelihood of labels, in nats.

    With ``balanced`` every class weighs the same, and of several labels absence as much as
    presence.
    """
    p = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-12)
    if kind == CLASSES:
        losses = -np.log(p[np.arange(len(p)), labels])
        weights = 1 / np.bincount(labels)[labels]
    else:
        losses = -(labels * np.log(p) + (1 - labels) * np.log(1 - p))
        shares = np.where(labels, labels.mean(0), 1 - labels.mean(0))
        weights = 1 / shares
    return float(np.average(losses, weights=weights if balanced else None))


def fit_temperature(
    labels: npt.NDArray[Any], logits: Matrix, kind: str, *, balanced: bool = False
) -> float:
    """Return the temperature with the lowest log loss; 1 for a regression.

    Fit it on validation data: a head that separates its training data is too sure of itself.
    ``balanced`` is for a head that was trained so, whose probabilities hold for classes that are
    equally frequent.
    """
    if kind == REGRESSION:
        return 1.0

    def loss(log_temperature: float) -> float:
        temperature = float(np.exp(log_temperature))
        probabilities = to_probabilities(logits, kind, temperature)
        return log_loss(labels, probabilities, kind, balanced=balanced)

    return float(np.exp(minimize_scalar(loss, bounds=_RANGE, method="bounded").x))
