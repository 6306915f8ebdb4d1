"""A map of embeddings: regions as points in two dimensions, by PCA or UMAP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import numpy.typing as npt

from findna.errors import MissingProgramError
from findna.outputs.pictures.figure import (
    GREY,
    MARKERS,
    PALETTE,
    Axis,
    Figure,
    Mark,
    Panel,
    Points,
    Scale,
)

METHODS = ("pca", "umap")
FEWEST = 3
"""Regions with a vector that a map needs."""

_NEIGHBOURS = 15  # of UMAP; its own default
_MISSING = ("", ".")
_NO_VALUE = "no value"


@dataclass(frozen=True)
class Colouring:
    """A value of each region, by which its point is coloured: numbers (float64) or words."""

    title: str
    values: npt.NDArray[Any]

    def take(self, rows: npt.NDArray[np.int64]) -> Colouring:
        """Return the values of some rows."""
        return Colouring(self.title, self.values[rows])


def need_method(method: str) -> None:
    """Raise MissingProgramError unless a map can be made by a method."""
    if method == "umap" and find_spec("umap") is None:
        raise MissingProgramError(
            "--method umap needs umap-learn: pip install 'findna[umap]'; pca needs nothing"
        )


def projected(
    vectors: npt.NDArray[np.float64], method: str
) -> tuple[npt.NDArray[np.float64], tuple[str, str]]:
    """Return vectors in two dimensions, shape (n, 2), and the names of these; PCA or UMAP."""
    if method == "umap":
        import umap

        neighbours = min(_NEIGHBOURS, len(vectors) - 1)
        with catch_warnings():
            simplefilter("ignore")  # of threads and of numba
            reducer = umap.UMAP(
                n_neighbors=neighbours,
                random_state=0,
                n_jobs=1,
                init="spectral" if len(vectors) > 2 * _NEIGHBOURS else "random",
            )
            places = np.asarray(reducer.fit_transform(vectors), np.float64)
        return places, ("UMAP 1 (no unit)", "UMAP 2 (no unit)")
    centred = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    first = directions[:, :-3:-1]  # of the largest variances, which come last
    strongest = first[np.abs(first).argmax(0), range(first.shape[1])]
    places = centred @ (first * np.where(strongest < 0, -1, 1))
    shares = variances[:-3:-1] / max(variances.sum(), np.finfo(float).tiny)
    one, two = (f"PC {i} ({share:.1%} of variance)" for i, share in enumerate(shares, 1))
    return places, (one, two)


def map_figure(
    places: npt.NDArray[np.float64],
    axes: tuple[str, str],
    labels: Sequence[str],
    colouring: Colouring | None = None,
    note: str = "",
) -> Figure:
    """Return the map of regions.

    Parameters
    ----------
    places : ndarray, shape (n, 2)
    axes : tuple of str
        Names of the two dimensions.
    labels : sequence of str
        What a page says of each region.
    """
    marks, scale = _coloured(places, labels, colouring)
    axis = [Axis(label) for label in axes]
    panel = Panel(marks, axis[0], axis[1], scale=scale, equal=True)
    title = "Map of embeddings" + (f", coloured by {colouring.title}" if colouring else "")
    return Figure(title, [panel], (8.0, 5.6), note)


def _coloured(
    places: npt.NDArray[np.float64], labels: Sequence[str], colouring: Colouring | None
) -> tuple[list[Mark], Scale | None]:
    """Return the points, the most numerous class lowest, and the scale of numbers."""
    x, y = places.T

    def points(chosen: npt.NDArray[np.bool_], **settings: Any) -> Points:
        hover = [label for label, is_one in zip(labels, chosen, strict=True) if is_one]
        return Points(x[chosen], y[chosen], hover=hover, **settings)

    if colouring is None:
        return [points(np.ones(len(x), bool))], None
    values = colouring.values
    if values.dtype.kind == "f":
        there = np.isfinite(values)
        labels = [f"{a}\n{colouring.title} {v:.6g}" for a, v in zip(labels, values, strict=True)]
        marks: list[Mark] = []
        if not there.all():
            name = f"{_NO_VALUE} ({(~there).sum():,})"
            marks.append(points(~there, name=name, colour=GREY))
        if not there.any():
            return marks, None
        marks.append(points(there, values=values[there]))
        low, high = float(values[there].min()), float(values[there].max())
        return marks, Scale(colouring.title, low, high if high > low else low + 1)
    words = np.array([_NO_VALUE if str(v) in _MISSING else str(v) for v in values], object)
    labels = [f"{label}\n{word}" for label, word in zip(labels, words, strict=True)]
    names, counts = np.unique(words.astype(str), return_counts=True)
    order = [names[i] for i in np.lexsort((names, -counts)) if names[i] != _NO_VALUE]
    few = order if len(order) <= len(PALETTE) else order[: len(PALETTE) - 1]
    marks = []
    rest = ~np.isin(words.astype(str), few)
    if rest.any():
        n_other = len(order) - len(few)
        name = f"{n_other} others" if n_other else _NO_VALUE
        marks.append(points(rest, name=f"{name} ({rest.sum():,})", colour=GREY))
    for word, colour, marker in zip(few, PALETTE, MARKERS, strict=False):
        chosen = words == word
        name = f"{word} ({chosen.sum():,})"
        marks.append(points(chosen, name=name, colour=colour, marker=marker))
    return marks, None
