"""Scores of variants along a locus, or along all contigs end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from textwrap import shorten

import numpy as np

from findna.outputs.pictures.figure import (
    BLUE,
    GREY,
    Array,
    Axis,
    Figure,
    Level,
    Mark,
    Panel,
    Points,
    Scale,
)

_WIDTH, _HEIGHT = 10.0, 2.6  # inches, of a panel
_LONGEST = 125  # letters of a panel's title
_BORDER = "#c4cad1"


@dataclass(frozen=True)
class Score:
    """Values of alleles, NaN where there is none, and their ranks among common SNPs, 0 to 1.

    ``rank_field`` is empty if there are no ranks.
    """

    field: str
    meaning: str
    values: Array
    rank_field: str
    ranks: Array


def scores_figure(
    title: str,
    positions: Array,
    axis: Axis,
    scores: Sequence[Score],
    names: Sequence[str],
    borders: Sequence[float] = (),
    note: str = "",
) -> Figure:
    """Return a panel per score; points are coloured by the rank where there is one.

    Parameters
    ----------
    positions : ndarray, shape (n,)
        Of the alleles on the axis.
    names : sequence of str
        What a page says of each allele.
    borders : sequence of float
        Places between contigs.
    """
    panels = [_panel(positions, axis, score, names, borders) for score in scores]
    return Figure(title, panels, (_WIDTH, 0.9 + _HEIGHT * len(panels)), note, shared=True)


def _panel(
    positions: Array, axis: Axis, score: Score, names: Sequence[str], borders: Sequence[float]
) -> Panel:
    values, ranks = score.values, score.ranks
    there, ranked = np.isfinite(values), np.isfinite(ranks)
    marks: list[Mark] = [Level(border, colour=_BORDER, upright=True) for border in borders]
    if there.any() and values[there].min() < 0 < values[there].max():
        marks.append(Level(0.0))
    scale = None
    if (there & ranked).any():
        scale = Scale(f"{score.rank_field}: rank\namong common SNPs", 0, 1)
    for with_rank in (False, True):
        chosen = np.flatnonzero(there & (ranked == with_rank)).tolist()
        if not len(chosen):
            continue
        hover = [f"{names[i]}\n{score.field} {values[i]:.6g}" for i in chosen]
        if with_rank:
            said = zip(hover, ranks[chosen], strict=True)
            hover = [f"{text}\n{score.rank_field} {rank:.4g}" for text, rank in said]
        name = f"without a rank ({len(chosen):,})" if scale and not with_rank else ""
        points = Points(positions[chosen], values[chosen], name, GREY if name else BLUE)
        points = replace(points, values=ranks[chosen] if with_rank else None, hover=hover)
        marks.append(points)
    title = shorten(score.meaning.partition(";")[0], _LONGEST, placeholder=" ...")
    return Panel(marks, axis, Axis(score.field), title, scale)
