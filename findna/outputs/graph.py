"""An approximate index of the rows of embedding files, kept beside the first of them.

The only user of usearch. docs/formats.md describes the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from findna.console import progress
from findna.outputs.claims import claimed
from findna.outputs.files import file_digest, published_folder
from findna.outputs.similarity import IndexedRows, Integers, Matrix, Whitening, ranked
from findna.places import cache_folder

_FORMAT = 1
_FACTS, _GRAPH, _WHITENING = "facts.json", "graph.usearch", "whitening.f64"
_SHAPE = {"metric": "ip", "dtype": "f16", "connectivity": 16, "expansion_add": 128}
_BREADTH = 512  # rows that a search keeps in view
_TOGETHER = 64  # queries whose candidates are read at once


def has_usearch() -> bool:
    """Return whether the library of approximate indexes is installed."""
    return find_spec("usearch") is not None


def folder_of(rows: IndexedRows) -> Path:
    """Return the folder of an index: beside the first file, or in the user's cache."""
    path = rows.files[0].path.resolve()
    folder = path.with_name(path.name + ".search")
    if os.access(folder if folder.is_dir() else path.parent, os.W_OK):
        return folder
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    return cache_folder() / "searches" / f"{path.name}.{digest}"


class Graph:
    """A graph of whitened vectors that finds most of the nearest rows without reading all.

    It is built by one thread, so that the same files give the same graph.

    Parameters
    ----------
    folder : Path
        Where it is kept; it is built again unless it was made of files with the same bytes.
    """

    def __init__(self, rows: IndexedRows, folder: Path) -> None:
        from usearch.index import Index

        self._rows = rows
        files = [file_digest(file.path) for file in rows.files]
        facts = {"format": _FORMAT, "files": files, "rows": rows.total, "shape": _SHAPE}
        if not self._load(folder, facts):
            with claimed(folder), published_folder(folder, _FACTS) as made:
                whitening = Whitening.of(rows)
                graph = Index(ndim=rows.dim, **_SHAPE)
                with progress(rows.total, "rows", "index") as bar:
                    for numbers, vectors, n in _present(rows, whitening):
                        graph.add(numbers, vectors, threads=1)
                        bar.update(n)
                graph.save(str(made / _GRAPH))
                np.vstack((whitening.mean, whitening.axes)).astype(np.float64).tofile(
                    made / _WHITENING
                )
                digests = {name: file_digest(made / name) for name in (_GRAPH, _WHITENING)}
                (made / _FACTS).write_text(json.dumps(facts | digests) + "\n")
            if not self._load(folder, facts):
                raise OSError(f"{folder}: the index that was written cannot be read")

    def _load(self, folder: Path, facts: dict[str, Any]) -> bool:
        """Load an index of these facts; return whether there was one."""
        from usearch.index import Index

        try:
            digests = {name: file_digest(folder / name) for name in (_GRAPH, _WHITENING)}
            if json.loads((folder / _FACTS).read_text()) != facts | digests:
                return False
            graph = Index.restore(str(folder / _GRAPH), view=True)
            mean, *axes = np.fromfile(folder / _WHITENING).reshape(-1, graph.ndim)
        except (OSError, ValueError, RuntimeError):  # none, or of another version of usearch
            return False
        graph.expansion_search = _BREADTH
        self._graph, self.whitening = graph, Whitening(mean, np.array(axes))
        return True

    def nearest(self, queries: Matrix, most: int) -> Integers:
        """Return what `similarity.nearest` does, of rows that the graph finds.

        Their similarities are exact.
        """
        starts = range(0, len(queries), _TOGETHER)
        parts = [self._nearest(queries[start : start + _TOGETHER], most) for start in starts]
        return np.concatenate(parts)

    def _nearest(self, queries: Matrix, most: int) -> Integers:
        wanted = min(most, len(self._graph))
        found = [
            self._graph.search(query, wanted, threads=1).keys.astype(np.int64)
            for query in queries.astype(np.float32)
        ]
        rows = np.unique(np.concatenate(found))
        vectors = self.whitening(self._rows.vectors(rows))
        keys = np.full((len(queries), most), -1)
        for i, own in enumerate(found):
            near = vectors[np.searchsorted(rows, own)]
            keys[i, : len(own)] = ranked(queries[i : i + 1] @ near.T, own)[0]
        return np.sort(keys, axis=1)[:, ::-1]


def _present(
    rows: IndexedRows, whitening: Whitening
) -> Iterator[tuple[Integers, np.ndarray[Any, np.dtype[np.float32]], int]]:
    """Yield numbers and whitened vectors of the rows that have one, and how many were read."""
    for first, block in rows.blocks():
        there = np.flatnonzero(np.isfinite(block).all(1))
        yield there + first, whitening(block[there]).astype(np.float32), len(block)
