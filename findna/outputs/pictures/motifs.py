"""Sequence logos: the letters about sites or in windows, as high as they differ from all else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from findna.outputs.pictures.figure import (
    BLUE,
    PALETTE,
    RED,
    Array,
    Axis,
    Figure,
    Letters,
    Mark,
    Panel,
)

_COLOURS = {"A": PALETTE[2], "C": BLUE, "G": PALETTE[1], "T": RED}
_ON_A_LINE = 100  # bp
_WIDTH, _HEIGHT, _MARGIN = 10.5, 1.5, 0.35  # inches
_LEAST = 0.005  # of the axis: a lower letter is not seen


def motif_figure(
    counts: Mapping[str, Mapping[str, Sequence[int]]],
    background: Mapping[str, int | Sequence[int]],
    first: int,
    label: str,
) -> Figure:
    """Return logos one below the other, to be compared; long ones in lines of 100 bp.

    A position is as high as its relative entropy, in bits, and each letter has its share of that.

    Parameters
    ----------
    counts : mapping
        By title, counts of A, C, G and T by position.
    background : mapping
        Counts of the same letters that are expected: of all positions, or by position.
    first : int
        The first position.
    label : str
        Name of the positions, with their unit.
    """
    expected = _shares(background)
    heights = {}
    for title, letters in counts.items():
        shares = _shares(letters)
        known = (shares > 0) & (expected > 0)
        ratios = np.where(known, shares, 1) / np.where(known, expected, 1)
        heights[title] = shares * (shares * np.log2(ratios)).sum(1, keepdims=True)
    n = max(len(each) for each in heights.values())
    highest = max(float(each.sum(1).max()) for each in heights.values())
    top = max(1.05 * highest, 0.1)
    panels = []
    for start in range(0, n, _ON_A_LINE):
        low = first + start - 0.5
        x = Axis("", low, low + min(n, _ON_A_LINE))
        for title, each in heights.items():
            marks = _letters(each[start : start + _ON_A_LINE], first + start, _LEAST * top)
            panels.append(Panel(marks, x, Axis("bits", 0, top), title))
    panels[-1] = replace(panels[-1], x=replace(x, label=label))
    return Figure("", panels, (_WIDTH, _HEIGHT * len(panels) + _MARGIN))


def _shares(counts: Mapping[str, int | Sequence[int]]) -> Array:
    """Return the share of each letter, (4,) or (n, 4); 0 where there are none."""
    table = np.stack([np.array(counts[letter], float) for letter in _COLOURS], -1)
    shares: Array = table / np.maximum(table.sum(-1, keepdims=True), 1)
    return shares


def _letters(heights: Array, first: int, least: float) -> list[Mark]:
    """Return the letters of a logo, the highest of each position on top."""
    order = heights.argsort(1)
    stacked = np.take_along_axis(heights, order, 1).cumsum(1)
    tops = np.empty_like(heights)
    np.put_along_axis(tops, order, stacked, 1)
    marks: list[Mark] = []
    for i, (letter, colour) in enumerate(_COLOURS.items()):
        (at,) = np.nonzero(heights[:, i] > least)
        top = tops[at, i]
        if len(at):
            marks.append(Letters(letter, first + at, top - heights[at, i], top, colour))
    return marks
