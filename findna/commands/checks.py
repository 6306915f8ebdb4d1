"""What a check found, and how far apart two sets of vectors are: for verify and selftest."""

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
    """One thing that was checked.

    Parameters
    ----------
    passed : bool or None
        None: it could not be checked here.
    said : str
        What was looked at, or what is wrong.
    measured, tolerance : float, optional
        The number that decides, and the largest one that passes.
    """

    name: str
    passed: bool | None
    said: str
    measured: float | None = None
    tolerance: float | None = None

    @classmethod
    def within(cls, name: str, measured: float, tolerance: float, said: str) -> Check:
        """A check that passes up to a tolerance; NaN fails."""
        return cls(name, measured <= tolerance, said, measured, tolerance)


def relative(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Euclidean distance of two arrays of one shape relative to the size of the second.

    Not a number where one of them has a value that is none.
    """
    a, b = found.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    distance, size = np.linalg.norm(a - b), np.linalg.norm(b)
    if distance == 0:
        return 0.0
    return float(distance / size) if size else float("inf")


def largest(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """The largest relative difference of a row; shape (n, ...), at least one row."""
    return float(np.max([relative(a, b) for a, b in zip(found, expected, strict=True)]))
