"""Letters about the strongest sites of a task, or in its strongest windows, for its report.

What is kept in task.json are counts of A, C, G and T by position, beside those of all that truly
belongs to a class, and those of everything that was measured: the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from findna.genome.batching import SequenceSource, read_window
from findna.genome.encoding import ALPHABET, NUCLEOTIDES, N, Tokens
from findna.genome.windows import Region, Window
from findna.tasks.features import Matrix
from findna.tasks.site_training import Measured
from findna.tasks.sites import Span

STRONGEST = 200  # sites or windows of a motif, at most as many as belong to the class
REACH = 20  # bp on either side of a site; stronger ones are no nearer to each other
MOST_BASES = 300  # of a window, about its point
MOST_MOTIFS = 8  # classes

Booleans = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


def site_motifs(
    seen: Measured, classes: Sequence[str], genome: SequenceSource, spans: Sequence[Span]
) -> dict[str, Any]:
    """Return the letters about the strongest bases of each class, and about its sites.

    ``spans`` are those that ``seen`` was measured on.
    """
    chosen = [_strongest(*pair) for pair in zip(seen.labels.T, seen.logits.T, strict=True)]
    held = [np.flatnonzero(present) for present in seen.labels.T]
    counts, background = _count(genome, spans, [*chosen, *held])
    motifs = {
        name: _motif(rows, present, about, of_all)
        for name, rows, present, about, of_all in zip(
            classes, chosen, seen.labels.T, counts, counts[len(chosen) :], strict=False
        )
    }
    return {"first": -REACH, "background": _by_letter(background), "classes": motifs}


def window_motifs(
    sequences: Sequence[Tokens],
    classes: Sequence[str],
    members: Booleans,
    scores: Matrix,
    upstream: int | None,
) -> dict[str, Any]:
    """Return the letters of the strongest windows of each class, and of all that belong to it.

    Parameters
    ----------
    sequences : sequence of Tokens
        All that was measured; if they differ in length nothing is returned.
    members, scores : ndarray, shape (n, n_classes)
    upstream : int, optional
        bp of a window before the point that it is about; None if that is its middle.
    """
    lengths = {len(sequence) for sequence in sequences}
    if len(lengths) != 1:
        return {}
    (length,) = lengths
    point = length // 2 if upstream is None else upstream
    start = max(min(point - MOST_BASES // 2, length - MOST_BASES), 0)
    table = np.stack([sequence[start : start + MOST_BASES] for sequence in sequences])

    def count(rows: Any) -> Counts:
        return np.stack([(table[rows] == letter).sum(0) for letter in NUCLEOTIDES], 1)

    motifs: dict[str, Any] = {}
    for name, present, column in zip(classes, members.T, scores.T, strict=True):
        if present.any() and len(motifs) < MOST_MOTIFS:
            rows = np.argsort(-column, kind="stable")[: min(STRONGEST, int(present.sum()))]
            motifs[name] = _motif(rows, present, count(rows), count(present))
    background = {"n": len(table), **_by_letter(count(slice(None)))}
    return {"first": start - point, "background": background, "classes": motifs}


def _strongest(present: Booleans, scores: npt.NDArray[Any]) -> Counts:
    """Return the numbers of the bases with the highest scores that are not neighbours."""
    n = min(STRONGEST, int(present.sum()))
    free = np.ones(len(scores), bool)
    chosen: list[int] = []
    for i in np.argsort(-scores, kind="stable")[: n * (2 * REACH + 1)].tolist():
        if free[i] and len(chosen) < n:
            chosen.append(i)
            free[max(i - REACH, 0) : i + REACH + 1] = False
    return np.array(chosen, np.int64)


def _count(
    genome: SequenceSource, spans: Sequence[Span], chosen: Sequence[Counts]
) -> tuple[Counts, Counts]:
    """Return counts about the bases that are chosen, and of all bases of both strands.

    Bases have the order of `findna.tasks.site_training.measure_sites`. Counts have the shapes
    (len(chosen), positions, 4) and (4,).
    """
    counts = np.zeros((len(chosen), 2 * REACH + 1, len(ALPHABET)), np.int64)
    background, before = np.zeros(len(ALPHABET), np.int64), 0
    for reverse in (False, True):
        for chrom, start, end in spans:
            region = Region(chrom, ((start - REACH, end + REACH),), reverse)
            tokens = read_window(genome, Window(region, 0, len(region)))
            known = np.flatnonzero(tokens[REACH:-REACH] != N)[:: -1 if reverse else 1]
            background += np.bincount(tokens[REACH:-REACH], minlength=len(ALPHABET))
            for rows, table in zip(chosen, counts, strict=True):
                own = rows[(rows >= before) & (rows < before + len(known))] - before
                for i in range(len(table) if len(own) else 0):
                    table[i] += np.bincount(tokens[known[own] + i], minlength=len(ALPHABET))
            before += len(known)
    return counts[..., list(NUCLEOTIDES)], background[list(NUCLEOTIDES)]


def _motif(rows: Counts, present: Booleans, about: Counts, of_all: Counts) -> dict[str, Any]:
    strongest = {"n": len(rows), "right": int(present[rows].sum()), **_by_letter(about)}
    return {"strongest": strongest, "members": {"n": int(present.sum()), **_by_letter(of_all)}}


def _by_letter(counts: Counts) -> dict[str, Any]:
    """Return counts, (..., 4), by letter: lists, so that each is one line of task.json."""
    return dict(zip("ACGT", np.moveaxis(counts, -1, 0).tolist(), strict=True))
