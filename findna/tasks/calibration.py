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


def log_loss(labels: npt.NDArray[Any], probabilities: Matrix, kind: str) -> float:
    """Return the mean negative log-likelihood of labels, in nats."""
    p = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-12)
    if kind == CLASSES:
        return float(-np.log(p[np.arange(len(p)), labels]).mean())
    return float(-(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean())


def fit_temperature(labels: npt.NDArray[Any], logits: Matrix, kind: str) -> float:
    """Return the temperature with the lowest log loss; 1 for a regression.

    Fit it on validation data: a head that separates its training data is too sure of itself.
    """
    if kind == REGRESSION:
        return 1.0

    def loss(log_temperature: float) -> float:
        temperature = float(np.exp(log_temperature))
        return log_loss(labels, to_probabilities(logits, kind, temperature), kind)

    return float(np.exp(minimize_scalar(loss, bounds=_RANGE, method="bounded").x))
