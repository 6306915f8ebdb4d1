"""Temperature scaling: probabilities that mean what they say.

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
"""Of the logarithm of the temperature. A small validation set that is separated without error would
have it fall without bound."""


def log_loss(labels: npt.NDArray[Any], probabilities: Matrix, kind: str) -> float:
    """Mean negative log-likelihood of labels, in nats."""
    p = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-12)
    if kind == CLASSES:
        return float(-np.log(p[np.arange(len(p)), labels]).mean())
    return float(-(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean())


def fit_temperature(labels: npt.NDArray[Any], logits: Matrix, kind: str) -> float:
    """The temperature with the lowest log loss; 1 for a regression.

    Fit it on validation data: a head that separates its training data is too sure of itself.
    """
    if kind == REGRESSION:
        return 1.0

    def loss(log_temperature: float) -> float:
        return log_loss(
            labels, to_probabilities(logits, kind, float(np.exp(log_temperature))), kind
        )

    return float(np.exp(minimize_scalar(loss, bounds=_RANGE, method="bounded").x))
