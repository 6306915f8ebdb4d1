"""The result of a check, and the distance of two sets of vectors: for verify and selftest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

OTHER_MACHINE = 1e-4
"""Largest relative difference between fp32 vectors of two devices, machines or versions."""

BF16 = 2e-2
"""The same where one of them, or both, were computed in bf16."""


@dataclass(frozen=True)
class Check:
    """Result of a check.

    Parameters
    ----------
    passed : bool or None
        None: it could not be checked here.
    message : str
        Object of the check, or its fault.
    measured, tolerance : float, optional
        The number that decides, and the largest one that passes.
    """

    name: str
    passed: bool | None
    message: str
    measured: float | None = None
    tolerance: float | None = None

    @classmethod
    def within(cls, name: str, measured: float, tolerance: float, message: str) -> Check:
        """Return a check that passes up to a tolerance; NaN fails."""
        return cls(name, measured <= tolerance, message, measured, tolerance)


def relative(vectors: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Return the Euclidean distance of two arrays of one shape relative to the size of the second.

    NaN if one of them has a NaN.
    """
    a, b = vectors.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    distance, size = np.linalg.norm(a - b), np.linalg.norm(b)
    if distance == 0:
        return 0.0
    return float(distance / size) if size else float("inf")


def largest(vectors: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Return the largest relative difference of a row; shape (n, ...), at least one row."""
    return float(np.max([relative(a, b) for a, b in zip(vectors, expected, strict=True)]))
