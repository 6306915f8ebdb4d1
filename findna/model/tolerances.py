"""How far apart two computations of the same vectors may lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SAME_MACHINE = 1e-5
"""Largest relative difference between fp32 vectors of one region on one device."""

OTHER_MACHINE = 1e-4
"""The same of two devices, machines or versions."""

BF16 = 2e-2
"""The same where one of them, or both, were computed in bf16."""


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
