"""Hits of queries among the rows of embedding files: the most alike that do not overlap."""

from __future__ import annotations

import logging
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from findna.console import counted
from findna.outputs.graph import Graph, folder_of, has_usearch
from findna.outputs.results import Hit, Query
from findna.outputs.similarity import (
    STEPS,
    Background,
    IndexedRow,
    IndexedRows,
    Integers,
    Matrix,
    Whitening,
    nearest,
    row_of,
    steps_of,
)

logger = logging.getLogger(__name__)

MOST_EXACT = 1_000_000
"""Rows of an index that are all compared with a query; of more a graph is kept."""

_MOST_KEYS = 1 << 23  # candidates that are held at once, of all queries


@dataclass(frozen=True)
class SearchOptions:
    """Options that decide which rows are hits of a query.

    Parameters
    ----------
    most : int
        Hits of a query.
    least : float, optional
        Their least similarity.
    own : bool
        Keep rows that overlap the query itself.
    overlapping : bool
        Keep rows that overlap a better hit.
    exact : bool
        Compare with every row, however many there are.
    """

    most: int = 20
    least: float | None = None
    own: bool = False
    overlapping: bool = False
    exact: bool = False


class HitFinder:
    """Rows that are searched; what all queries need is computed at once, or loaded.

    Raises
    ------
    EmbeddingError
        No row has a vector.
    """

    def __init__(self, rows: IndexedRows, options: SearchOptions) -> None:
        self._rows, self._options = rows, options
        self._graph: Graph | None = None
        if rows.total > MOST_EXACT and not options.exact:
            if has_usearch():
                folder = folder_of(rows)
                logger.info("approximate index of %s: %s", counted(rows.total, "row"), folder)
                self._graph = Graph(rows, folder)
            else:
                logger.warning(
                    "%s are compared with each query; pip install 'findna[search]' keeps an "
                    "index, which is faster",
                    counted(rows.total, "row"),
                )
        self._whitening = self._graph.whitening if self._graph else Whitening.of(rows)
        self._background = Background(rows, self._whitening)

    def __call__(self, queries: Sequence[Query]) -> Iterator[list[Hit]]:
        """Yield the hits of each query, which has a vector; best first."""
        vectors = self._whitening(np.array([query.vector for query in queries], np.float64))
        hits: dict[int, list[Hit]] = {}
        waiting, most = list(range(len(queries))), 4 * self._options.most + 32
        while waiting:  # of ever more candidates, until there are enough hits
            most = min(most, self._rows.total)
            together = max(_MOST_KEYS // most, 1)
            unfinished = []
            for first in range(0, len(waiting), together):
                some = waiting[first : first + together]
                candidates = self._nearest(vectors[some], most)
                rows = np.unique(row_of(candidates[candidates >= 0]))
                places = dict(zip(rows.tolist(), self._rows.places(rows), strict=True))
                for i, keys in zip(some, candidates, strict=True):
                    chosen, complete = self._choose(queries[i], keys, places)
                    hits[i] = self._hits(chosen, places)
                    if not complete and most < self._rows.total:
                        unfinished.append(i)
            waiting, most = unfinished, 8 * most
        return (hits[i] for i in range(len(queries)))

    def _nearest(self, vectors: Matrix, most: int) -> Integers:
        if self._graph is not None:
            return self._graph.nearest(vectors, most)
        return nearest(self._rows, self._whitening, vectors, most)

    def _choose(
        self, query: Query, keys: Integers, places: dict[int, IndexedRow]
    ) -> tuple[Integers, bool]:
        """Return the candidates that are hits, and whether no further candidate can be one."""
        options, kept = self._options, list[int]()
        least = -2.0 if options.least is None else options.least
        taken: dict[str, list[tuple[int, int]]] = {}
        for i, (key, row, step) in enumerate(
            zip(keys.tolist(), row_of(keys).tolist(), steps_of(keys).tolist(), strict=True)
        ):
            if key < 0 or step < least * STEPS or len(kept) == options.most:
                return keys[kept], True
            place = places[row]
            apart = place.end <= query.extent[0] or query.extent[1] <= place.start
            if not options.own and place.contig in query.contigs and not apart:
                continue
            near = taken.setdefault(place.contig, [])
            if options.overlapping or _add(near, place.start, place.end):
                kept.append(i)
        return keys[kept], len(kept) == options.most

    def _hits(self, keys: Integers, places: dict[int, IndexedRow]) -> list[Hit]:
        steps = steps_of(keys)
        columns = zip(
            [places[row].interval for row in row_of(keys).tolist()],
            range(1, len(keys) + 1),
            (steps / STEPS).tolist(),
            self._background.p_values(steps).tolist(),
            strict=True,
        )
        return [Hit(*values) for values in columns]


def _add(taken: list[tuple[int, int]], start: int, end: int) -> bool:
    """Add a stretch to sorted ones, none of which overlap; return False if it overlaps one."""
    i = bisect(taken, (start, end))
    before, after = taken[i - 1 : i], taken[i : i + 1]
    if (before and before[0][1] > start) or (after and after[0][0] < end):
        return False
    taken.insert(i, (start, end))
    return True
