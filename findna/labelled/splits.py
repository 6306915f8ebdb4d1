"""Divide labelled sets: hold validation rows out, and find sequences that two sets share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from findna.console import counted
from findna.errors import LabelError
from findna.genome.encoding import reverse_complement
from findna.labelled.sets import CLASSES, MULTILABEL, REGRESSION, LabelledSet, Rows

_FEW_CONTIGS = 12  # up to here every choice of contigs is tried
_TRIES = 200  # choices of contigs that are tried where there are more
_LEAST_SHARE = 0.25  # of the rows of a class asked for that either side must have


def hold_out(data: LabelledSet, fraction: float = 0.2, seed: int = 0) -> tuple[Rows, Rows]:
    """Return rows to train on and rows to validate on; the same at every call.

    Whole contigs are held out if contigs are known and a choice of them leaves on both sides at
    least a quarter of the rows of every class (or label) asked for; of such choices, the one
    nearest to ``fraction``. Otherwise rows are drawn at random, of each class in proportion.

    Raises
    ------
    LabelError
        There is only one row.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction {fraction}")
    if len(data) < 2:
        raise LabelError(
            f"{data.name}: {counted(len(data), 'row')} cannot be divided; give at least 2"
        )
    rng = np.random.default_rng(seed)
    held = None if data.contigs is None else _whole_contigs(data, data.contigs, fraction, rng)
    if held is None:
        held = _stratified(data, fraction, rng)
    return np.flatnonzero(~held), np.flatnonzero(held)


def _whole_contigs(
    data: LabelledSet, contigs: Sequence[str], fraction: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_] | None:
    """Return a mask of the rows held out; None if no choice of contigs will do."""
    names, of_row = np.unique(np.array(contigs), return_inverse=True)
    if len(names) < 2:
        return None
    n_labels = 0 if data.kind == REGRESSION else len(data.classes)
    counts = np.zeros((len(names), n_labels + 1), np.int64)  # the last column: all rows
    np.add.at(counts[:, -1], of_row, 1)
    if data.kind == CLASSES:
        np.add.at(counts, (of_row, data.labels), 1)
    elif data.kind == MULTILABEL:
        np.add.at(counts[:, :-1], of_row, data.labels.astype(np.int64))
    target = fraction * len(data)
    if len(names) <= _FEW_CONTIGS:
        choices = np.arange(1, 2 ** len(names) - 1)[:, None] >> rng.permutation(len(names)) & 1
    else:
        choices = np.array([_choose(counts[:, -1].tolist(), target, rng) for _ in range(_TRIES)])
    held = choices @ counts
    total = counts.sum(axis=0)
    # of every class, and of the rows as a whole
    enough = (held >= _LEAST_SHARE * fraction * total) & (
        total - held >= _LEAST_SHARE * (1 - fraction) * total
    )
    divided = (held > 0) & (held < total) & enough
    usable = (divided | (total < 2)).all(axis=1)  # one row cannot be on both sides
    if not usable.any():
        return None
    distance = np.where(usable, np.abs(held[:, -1] - target), np.inf)
    chosen: npt.NDArray[np.bool_] = choices[distance.argmin()] > 0
    return chosen[of_row]


def _choose(sizes: Sequence[int], target: float, rng: np.random.Generator) -> list[int]:
    """Take each contig, in random order, that brings the sum of sizes nearer the target."""
    chosen, total = [0] * len(sizes), 0
    for i in rng.permutation(len(sizes)).tolist():
        if not total or abs(total + sizes[i] - target) < abs(total - target):
            chosen[i] = 1
            total += sizes[i]
    return chosen


def _stratified(
    data: LabelledSet, fraction: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows held out: a share of each class, at least one of two rows."""
    strata: Rows = np.zeros(len(data), np.int64)
    if data.kind == CLASSES:
        strata = data.labels
    elif data.kind == MULTILABEL:
        _, strata, sizes = np.unique(data.labels, axis=0, return_inverse=True, return_counts=True)
        strata = strata.reshape(-1)
        strata = np.where(sizes[strata] < 2, -1, strata)  # rare combinations together
    held = np.zeros(len(data), bool)
    for stratum in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == stratum))
        held[rows[: min(max(round(fraction * len(rows)), 1), len(rows) - 1)]] = True
    if not held.any():  # every class has one row
        held[rng.integers(len(data))] = True
    return held


def overlap(train: LabelledSet, test: LabelledSet) -> tuple[Rows, Rows]:
    """Return the rows of ``test`` that ``train`` has too, and those it has only reversed.

    Sequences must be equal; a reversed row is the reverse complement of a sequence of ``train``.
    """
    seen = {sequence.tobytes() for sequence in train.sequences}
    identical, reverse = [], []
    for row, sequence in enumerate(test.sequences):
        if sequence.tobytes() in seen:
            identical.append(row)
        elif reverse_complement(sequence).tobytes() in seen:
            reverse.append(row)
    return np.array(identical, np.int64), np.array(reverse, np.int64)
