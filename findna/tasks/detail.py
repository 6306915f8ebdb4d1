"""Figures of a task for its report, measured when it is trained: curves, errors, contigs.

What is kept in task.json is small: at most `MOST_POINTS` points of a curve, and nothing by class
of a task with more than `MOST_CLASSES`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from findna.labelled.metrics import binned, confusion, measure, operating_points
from findna.labelled.sets import CLASSES, REGRESSION, LabelledSet
from findna.tasks.features import Matrix
from findna.tasks.motifs import window_motifs
from findna.tasks.site_training import Measured

MOST_CLASSES = 20
MOST_CONTIGS = 100

Booleans = npt.NDArray[np.bool_]


def region_detail(
    data: LabelledSet, classes: Sequence[str], probabilities: Matrix, upstream: int | None = None
) -> Any:
    """Return the detail of a task of regions: curves, confusion matrix, motifs, figures of contigs.

    ``classes`` are the task's names of the classes of ``data``; ``upstream`` is where the point of
    its windows lies (None: in the middle).
    """
    found: dict[str, Any] = {}
    few = len(classes) <= MOST_CLASSES
    if data.kind == CLASSES and few:
        found["confusion"] = confusion(data.labels, probabilities).tolist()
    if data.kind != REGRESSION and few:
        members = data.labels
        if data.kind == CLASSES:
            members = data.labels[:, None] == np.arange(len(classes))
        first = 1 if data.kind == CLASSES and len(classes) == 2 else 0  # one curve tells of both
        told = classes[first:], members[:, first:].astype(bool), probabilities[:, first:]
        found["curves"] = _curves(*told)
        if motifs := window_motifs(data.sequences, *told, upstream):
            found["motifs"] = motifs
    rows = Counter(data.contigs or ())
    if len(rows) > 1:
        assert data.contigs is not None
        contig_of = np.array(data.contigs)
        found["contigs"] = {}
        for contig, n in rows.most_common(MOST_CONTIGS):
            own = contig_of == contig
            values = measure(data.labels[own], probabilities[own], data.kind)
            rounded = {key: _rounded(value) for key, value in values.items()}
            found["contigs"][contig] = {"rows": n, **rounded}
    return found


def site_detail(
    seen: Measured, classes: Sequence[str], slopes: Sequence[float], shifts: Sequence[float]
) -> dict[str, Any]:
    """Return the detail of a task of sites: curves, how far probabilities hold, contigs."""
    if len(classes) > MOST_CLASSES:
        return {}
    curves = _curves(classes, seen.labels, seen.logits)
    found: dict[str, Any] = {"curves": curves, "reliability": {}}
    lines = list(zip(classes, seen.labels.T, seen.logits.T, slopes, shifts, strict=True))
    for name, present, logits, slope, shift in lines:
        points = curves[name]
        log_odds = slope * np.array(points["threshold"]) + shift
        points["threshold"] = [float(f"{p:.4g}") for p in expit(log_odds)]
        found["reliability"][name] = [
            {"probability": round(p, 4), "share": round(share, 4), "n": n}
            for p, share, n in binned(expit(slope * logits + shift), present)
            if n
        ]
    if len({contig for contig, _ in seen.runs}) > 1:
        found["contigs"] = _site_contigs(seen, classes)
    return found


def _site_contigs(seen: Measured, classes: Sequence[str]) -> dict[str, Any]:
    """Return figures of the contigs with most bases, class by class."""
    bases: Counter[str] = Counter()
    for contig, n in seen.runs:
        bases[contig] += n
    numbers = {contig: i for i, contig in enumerate(bases)}
    contig_of = np.repeat([numbers[contig] for contig, _ in seen.runs], [n for _, n in seen.runs])
    found: dict[str, Any] = {}
    for contig, n in bases.most_common(MOST_CONTIGS):
        own = contig_of == numbers[contig]
        found[contig] = {"bases": n, "classes": {}}
        for name, labels, logits in zip(classes, seen.labels.T, seen.logits.T, strict=True):
            present, scores = labels[own], logits[own]
            both = present.any() and not present.all()
            found[contig]["classes"][name] = {
                "sites": int(present.sum()),
                "auprc": round(average_precision_score(present, scores), 4) if both else None,
                "auroc": round(roc_auc_score(present, scores), 4) if both else None,
            }
    return found


def _curves(classes: Sequence[str], members: Booleans, scores: Matrix) -> Mapping[str, Any]:
    """Return the curve of each class that some rows have, and others have not."""
    pairs = zip(classes, members.T, scores.T, strict=True)
    return {
        name: operating_points(present, column)
        for name, present, column in pairs
        if present.any() and not present.all()
    }


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
