"""Results of a row: the plain arrays and numbers that every writer takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RegionVectors:
    """Vectors of one region.

    Parameters
    ----------
    length, n_unknown : int
        Bases encoded, and how many of them were N.
    pooled : dict of str to ndarray, shape (dim,), float32
    bins : ndarray, shape (n_bins, dim), float32
    per_base : ndarray, shape (length, dim), float16; or None
    """

    length: int
    n_unknown: int
    pooled: dict[str, Array]
    bins: Array
    per_base: npt.NDArray[np.float16] | None


@dataclass(frozen=True)
class Call:
    """Call of a task on a row.

    Parameters
    ----------
    label : str
        The most probable class; the labels above one half, joined by commas; or the target.
    probability : float
        Of the positive class where there are two; of the label where there are more; the highest
        of several labels; the value of a regression's first target.
    values : ndarray, shape (n_outputs,)
        Probability of every class, or value of every target.
    """

    label: str
    probability: float
    values: Array


@dataclass(frozen=True)
class TaskColumns:
    """Names of the columns of a task: its name, its digest, and its classes or targets.

    Parameters
    ----------
    is_value : bool
        Rows get a value, not a probability.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    is_value: bool = False


@dataclass(frozen=True)
class Effects:
    """Effects of replacing the bases of a stretch.

    Parameters
    ----------
    value : float
        Of the window as it is: log-odds, or the mean log-likelihood of the bases.
    changes : ndarray, shape (n, 4), float32
        Value with a base replaced by A, C, G, T, less the value with the base that is there: 0 for
        that base; NaN where it is N.
    """

    value: float
    changes: Array

    @property
    def importance(self) -> Array:
        """Minus the mean change over the three other bases, of each base; shape (n,)."""
        mean = -self.changes.sum(1, dtype=np.float32) / np.float32(3)
        importance: Array = mean + np.float32(0)  # of -0.0, 0.0
        return importance
