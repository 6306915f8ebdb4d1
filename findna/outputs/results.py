"""Results of a row: the plain arrays and numbers that every writer takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from findna.genome.intervals import Interval

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


class Place(NamedTuple):
    """A base of a strand, "+" or "-"; ``start`` is 0-based."""

    start: int
    strand: str


@dataclass(frozen=True)
class Call:
    """Call of a task on a row.

    Parameters
    ----------
    label : str
        The most probable class; the labels above one half, joined by commas; or the target. Of
        sites the class of the most probable one, ``none`` if that is below one half.
    probability : float
        Of the positive class where there are two; of the label where there are more; the highest
        of several labels; the value of a regression's first target; of the most probable site.
    values : ndarray, shape (n_outputs,)
        Probability of every class, or value of every target; of sites the highest of each class.
    place : Place, optional
        Of the most probable site.
    """

    label: str
    probability: float
    values: Array
    place: Place | None = None


@dataclass(frozen=True)
class Query:
    """A region, or a sequence, that similar ones are searched for.

    Parameters
    ----------
    contigs : frozenset of str
        The MD5 of its contig's sequence, if it is known, and names of that contig.
    extent : (int, int)
        Start and end of the interval and of what is read of it.
    vector : ndarray, shape (dim,), or None
        None of a row that has none; ``status`` says why.
    """

    interval: Interval
    contigs: frozenset[str]
    extent: tuple[int, int]
    vector: npt.NDArray[np.float64] | None
    status: str


class Hit(NamedTuple):
    """A row of an index that is like a query.

    Parameters
    ----------
    interval : Interval
    rank : int
        From 1, among the hits of the query.
    similarity, p_value : float
    """

    interval: Interval
    rank: int
    similarity: float
    p_value: float


@dataclass(frozen=True)
class TaskColumns:
    """Names of the columns of a task: its name, its digest, and its classes or targets.

    Parameters
    ----------
    is_value : bool
        Rows get a value, not a probability.
    has_places : bool
        Rows also get the place of a site.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    is_value: bool = False
    has_places: bool = False


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
