"""Figures of a task on a set: measures, their intervals, and how far probabilities hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from findna.labelled.metrics import bootstrap, expected_calibration_error, measure, reliability
from findna.labelled.sets import CLASSES, LabelledSet
from findna.tasks.features import Matrix
from findna.tasks.task import to_probabilities


def finite(value: float) -> float | None:
    """Return None for what JSON has no number for."""
    return value if np.isfinite(value) else None


def set_figures(data: LabelledSet, probabilities: Matrix) -> dict[str, float | None]:
    """Return the measures of a set, rounded; None for one that is undefined."""
    measured = measure(data.labels, probabilities, data.kind)
    return {key: finite(round(value, 4)) for key, value in measured.items()}


def set_intervals(data: LabelledSet, probabilities: Matrix, seed: int) -> dict[str, list[float]]:
    """Return the 95 % intervals (bootstrap over rows) of the measures that are defined."""
    figures = set_figures(data, probabilities)
    defined = [key for key, value in figures.items() if value is not None]
    intervals = bootstrap(data.labels, probabilities, data.kind, defined, seed=seed)
    return {key: [round(bound, 4) for bound in bounds] for key, bounds in intervals.items()}


def set_calibration(
    data: LabelledSet, logits: Matrix, temperature: float, measured_on: str
) -> dict[str, Any]:
    """Return how far probabilities hold, with the temperature and without; of classes only.

    ``measured_on`` is what the card calls the set, ``valid`` or ``test``.
    """
    if data.kind != CLASSES:
        return {}
    before, after = (to_probabilities(logits, data.kind, value) for value in (1.0, temperature))
    bins = [
        {"confidence": round(b.confidence, 4), "accuracy": round(b.accuracy, 4), "n": b.n}
        for b in reliability(data.labels, after)
        if b.n
    ]
    return {
        "measured_on": measured_on,
        "temperature": round(temperature, 4),
        "ece_before": round(expected_calibration_error(data.labels, before), 4),
        "ece_after": round(expected_calibration_error(data.labels, after), 4),
        "reliability": bins,
    }
