"""Rows of embedding files by how alike they are to a vector: the cosine of whitened vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from findna.errors import EmbeddingError
from findna.genome.intervals import Interval
from findna.outputs.stored import StoredEmbeddings

Matrix = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

STEPS = 1_000_000
"""Similarities are ranked and written with six decimals: rows that are alike in them are ties."""

_BLOCK = 4096  # rows that are compared at once
_POWER = 0.25  # of variances: half of a whitening, see `Whitening`
_FLOOR = 1e-4  # of the mean variance: a direction without variance is noise
_SAMPLE = 2000  # rows whose pairs are the background
_ROW_BITS = 40
_LAST_ROW = (1 << _ROW_BITS) - 1


def union(interval: Interval, read: tuple[int, int]) -> tuple[int, int]:
    """Return the start and end of an interval together with what is read of it."""
    return min(interval.start, read[0]), max(interval.end, read[1])


class IndexedRow(NamedTuple):
    """A row, and where it lies with all that was read of it.

    ``contig`` is the MD5 of its contig's sequence, or its name without one.
    """

    interval: Interval
    contig: str
    start: int
    end: int


class IndexedRows:
    """Rows of several files of embeddings, numbered as if they were those of one.

    Parameters
    ----------
    resized : sequence of callable
        Gives the start and end of what was read of a row, for each file.

    Raises
    ------
    EmbeddingError
        There are no rows.
    """

    def __init__(
        self,
        files: Sequence[StoredEmbeddings],
        resized: Sequence[Callable[[Interval], tuple[int, int]]],
    ) -> None:
        self.files, self._resized = list(files), resized
        self._firsts = np.cumsum([0, *(file.rows for file in files)])
        self.total, self.dim = int(self._firsts[-1]), files[0].dim
        if not self.total:
            raise EmbeddingError(f"{files[0].path}: no rows to search")

    def blocks(self) -> Iterator[tuple[int, Matrix]]:
        """Yield the vectors of all rows, many at a time, with the number of the first.

        Where a file ends makes no difference.
        """
        for first in range(0, self.total, _BLOCK):
            yield first, self.vectors(np.arange(first, min(first + _BLOCK, self.total)))

    def vectors(self, rows: Integers) -> Matrix:
        """Return the vectors of rows, whose numbers ascend; NaN where there is none."""
        return np.concatenate([self.files[i].vectors(own) for i, own in self._by_file(rows)])

    def places(self, rows: Integers) -> list[IndexedRow]:
        """Return where rows lie, whose numbers ascend."""
        places = []
        for i, own in self._by_file(rows):
            digests = self.files[i].contigs
            for at in self.files[i].intervals(own):
                extent = union(at, self._resized[i](at))
                places.append(IndexedRow(at, digests.get(at.chrom, at.chrom), *extent))
        return places

    def _by_file(self, rows: Integers) -> Iterator[tuple[int, Any]]:
        """Yield the number of each file with those that its rows have in it."""
        cuts = np.searchsorted(rows, self._firsts)
        for i, first in enumerate(self._firsts[:-1]):
            yield i, rows[cuts[i] : cuts[i + 1]] - first


@dataclass(frozen=True)
class Whitening:
    """Centring, and half of a whitening: along each principal axis by the root of its deviation.

    Whole whitening makes all axes equal, and most of those of an encoder are noise; without any
    a few axes decide alone (docs/benchmarks/genome.md has all three).

    Parameters
    ----------
    mean : ndarray, shape (dim,)
    axes : ndarray, shape (dim, dim)
        By which a centred vector is multiplied.
    """

    mean: Matrix
    axes: Matrix

    @classmethod
    def of(cls, rows: IndexedRows) -> Whitening:
        """Return the whitening of all rows that have a vector, read once.

        Raises
        ------
        EmbeddingError
            None has one.
        """
        n, total, products = 0, np.zeros(rows.dim), np.zeros((rows.dim, rows.dim))
        origin = total
        for _, block in rows.blocks():
            block = block[np.isfinite(block).all(1)]
            if not len(block):
                continue
            if not n:
                origin = block[0]
            shifted = block - origin  # near 0, so that products lose no digits
            n, total = n + len(block), total + shifted.sum(0)
            products += shifted.T @ shifted
        if not n:
            raise EmbeddingError(f"{rows.files[0].path}: no row has a vector")
        mean = total / n
        variances, axes = np.linalg.eigh(products / n - np.outer(mean, mean))
        least = _FLOOR * max(variances.mean(), 0.0) or 1.0
        return cls(origin + mean, axes * np.maximum(variances, least) ** -_POWER)

    def __call__(self, vectors: Matrix) -> Matrix:
        """Return whitened vectors of length 1; NaN stays NaN, and the mean itself becomes 0."""
        whitened = (vectors - self.mean) @ self.axes
        lengths = np.linalg.norm(whitened, axis=1, keepdims=True)
        return whitened / np.where(lengths == 0, 1, lengths)


def ranked(similarities: Matrix, rows: Integers) -> Integers:
    """Return a number for each similarity that sorts as it: first by it, then the lower row.

    ``similarities`` are (n, n_rows); the number of a NaN is negative.
    """
    steps = np.rint(np.nan_to_num(similarities, nan=-2) * STEPS).astype(np.int64)
    return (steps + STEPS << _ROW_BITS) | (_LAST_ROW - rows)


def row_of(keys: Integers) -> Integers:
    """Return the rows in numbers of `ranked`."""
    return _LAST_ROW - (keys & _LAST_ROW)


def steps_of(keys: Integers) -> Integers:
    """Return the similarities in numbers of `ranked`, in steps of a millionth."""
    return (keys >> _ROW_BITS) - STEPS


def nearest(rows: IndexedRows, whitening: Whitening, queries: Matrix, most: int) -> Integers:
    """Compare whitened vectors with all rows, some at a time.

    Returns
    -------
    ndarray, shape (n, at most ``most``)
        The numbers of `ranked`, best first.
    """
    best = np.empty((len(queries), 0), np.int64)
    for first, block in rows.blocks():
        numbers = np.arange(first, first + len(block))
        keys = ranked(queries @ whitening(block).T, numbers)
        best = np.concatenate((best, keys), axis=1)
        if best.shape[1] > most:
            best = np.partition(best, -most, axis=1)[:, -most:]
    return np.sort(best, axis=1)[:, ::-1]


class Background:
    """Similarities of all pairs of a random sample of the rows; pairs that overlap are left out.

    The sample is the same at every call.
    """

    def __init__(self, rows: IndexedRows, whitening: Whitening) -> None:
        n = min(rows.total, _SAMPLE)
        sample = np.sort(np.random.default_rng(0).choice(rows.total, n, replace=False))
        vectors = whitening(rows.vectors(sample))
        there = np.isfinite(vectors).all(1)
        vectors, places = vectors[there], rows.places(sample[there])
        contigs = np.unique([place.contig for place in places], return_inverse=True)[1]
        starts = np.array([place.start for place in places])
        ends = np.array([place.end for place in places])
        i, j = np.triu_indices(len(places), 1)
        apart = (contigs[i] != contigs[j]) | (ends[i] <= starts[j]) | (ends[j] <= starts[i])
        similarities = (vectors @ vectors.T)[i[apart], j[apart]]
        self._steps = np.sort(np.rint(similarities * STEPS).astype(np.int64))

    def p_values(self, steps: Integers) -> Matrix:
        """Return the shares of pairs that are at least as alike as so many millionths; never 0."""
        n = len(self._steps)
        above = n - np.searchsorted(self._steps, steps)
        p_values: Matrix = (above + 1) / (n + 1)
        return p_values
