"""Measures with their intervals: a row for each thing that was measured, a mark for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from findna.outputs.pictures.figure import (
    MARKERS,
    PALETTE,
    Axis,
    Figure,
    Level,
    Line,
    Mark,
    Panel,
    Points,
)

_LONGEST = 80  # letters of a row's name
_WIDTH = 10.5  # inches


class Estimate(NamedTuple):
    """A measured value and its interval; NaN where there is none."""

    value: float
    low: float = np.nan
    high: float = np.nan


def estimates_figure(
    unit: str,
    rows: Sequence[str],
    methods: Mapping[str, Sequence[Estimate]],
    chance: float | None = None,
    ends: tuple[float | None, float | None] = (None, None),
) -> Figure:
    """Return a picture of each method's values, one for each of ``rows``, the first on top.

    Parameters
    ----------
    unit : str
        What was measured.
    chance : float, optional
        Value without any knowledge.
    ends : tuple of float
        Of the axis of values, where they are known.
    """
    marks: list[Mark] = [] if chance is None else [Level(chance, "chance", upright=True)]
    n = len(methods)
    for i, (name, values) in enumerate(methods.items()):
        colour, marker = PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)]
        value, low, high = np.array(values, float).reshape(-1, 3).T
        y = -np.arange(len(rows)) - (i - (n - 1) / 2) * 0.7 / n
        nothing = np.full(len(y), np.nan)
        x = np.stack([low, high, nothing], 1).ravel()
        marks.append(Line(x, np.stack([y, y, nothing], 1).ravel(), colour=colour))
        marks.append(Points(value, y, name if n > 1 else "", colour, marker))
    ticks = {float(-i): _short(name) for i, name in enumerate(rows)}
    y_axis = Axis("", 0.6 - len(rows), 0.6, ticks)
    height = 0.8 + len(rows) * (0.14 + 0.11 * n)
    return Figure("", [Panel(marks, Axis(unit, *ends), y_axis)], (_WIDTH, height))


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 3] + "..."
