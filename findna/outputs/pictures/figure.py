"""The description of a picture, apart from the library that draws it.

A `Figure` holds panels, a `Panel` holds marks. `image` draws one with matplotlib, `page` with
plotly; what is said in a picture is said here alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from findna.console import counted
from findna.outputs.tables import COLOURS, NO_COLOUR

Array = npt.NDArray[Any]


def _hex(colour: str) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in colour.split(","))


PALETTE = tuple(_hex(COLOURS[i]) for i in (0, 4, 2, 3, 5, 1, 7))
"""Of Okabe and Ito, without yellow; neighbours differ in brightness, for print in grey."""

BLUE, GREY, RED = PALETTE[0], _hex(NO_COLOUR), _hex(COLOURS[1])

MARKERS = ("o", "^", "s", "D", "v", "P", "X")
"""Shapes of points, as matplotlib names them; one for each colour."""

MOST_POINTS = 100_000
"""Points that a picture holds; of more, so many are drawn at random."""


@dataclass(frozen=True)
class Points:
    """Points; with ``values`` they are coloured by the scale of the panel.

    ``hover`` is what a page says of each.
    """

    x: Array
    y: Array
    name: str = ""
    colour: str = BLUE
    marker: str = "o"
    values: Array | None = None
    hover: Sequence[str] = ()


@dataclass(frozen=True)
class Line:
    """A line through points; ``dash`` is the number of its pattern, 0 a whole line."""

    x: Array
    y: Array
    name: str = ""
    colour: str = BLUE
    dash: int = 0
    faint: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Steps:
    """An area below values that are constant from one of n + 1 edges to the next; NaN is a gap."""

    edges: Array
    values: Array
    name: str = ""
    colour: str = BLUE


@dataclass(frozen=True)
class Boxes:
    """Filled boxes about ``middle``, as high as ``height``; all of one colour."""

    left: Array
    right: Array
    middle: Array
    height: float
    name: str = ""
    colour: str = BLUE
    hover: Sequence[str] = ()


@dataclass(frozen=True)
class Words:
    """Texts, each centred at its point."""

    x: Array
    y: Array
    texts: Sequence[str]


@dataclass(frozen=True)
class Letters:
    """One letter at several places, 1 wide, stretched from ``bottom`` to ``top``."""

    letter: str
    x: Array
    bottom: Array
    top: Array
    colour: str = BLUE


@dataclass(frozen=True)
class Level:
    """A line across the panel: a level, or a place if it is ``upright``."""

    at: float
    name: str = ""
    colour: str = GREY
    upright: bool = False


Mark = Points | Line | Steps | Boxes | Words | Letters | Level


@dataclass(frozen=True)
class Scale:
    """A scale of colours (viridis), its ends, and its name."""

    label: str
    low: float
    high: float


@dataclass(frozen=True)
class Axis:
    """An axis.

    Parameters
    ----------
    label : str
        Name, with the unit.
    low, high : float, optional
        Its ends.
    ticks : mapping, optional
        Words at values; without any there are no ticks.
    whole : bool
        Values are whole numbers, which are shown with commas.
    log : bool
    """

    label: str = ""
    low: float | None = None
    high: float | None = None
    ticks: Mapping[float, str] | None = None
    whole: bool = False
    log: bool = False


@dataclass(frozen=True)
class Panel:
    """Marks on two axes; ``height`` is relative to other panels, ``equal`` is for maps."""

    marks: Sequence[Mark]
    x: Axis
    y: Axis
    title: str = ""
    scale: Scale | None = None
    height: float = 1.0
    equal: bool = False

    @property
    def has_legend(self) -> bool:
        """True if names tell marks apart; one line alone is what the axis says."""
        named = [mark for mark in self.marks if getattr(mark, "name", "")]
        return len(named) > 1 or any(isinstance(mark, Points) for mark in named)

    @property
    def n_points(self) -> int:
        """Points of all marks, by which their size is chosen."""
        return sum(len(mark.x) for mark in self.marks if isinstance(mark, Points))


@dataclass(frozen=True)
class Figure:
    """Panels, one below the other or in columns.

    Parameters
    ----------
    title : str
    panels : sequence of Panel
    size : tuple of float
        Width and height, inches.
    note : str
        Small print: how many there are, what was left out, which weights.
    columns : int
    shared : bool
        All panels have the same x axis, which the last one shows.
    """

    title: str
    panels: Sequence[Panel]
    size: tuple[float, float]
    note: str = ""
    columns: int = 1
    shared: bool = field(default=False, kw_only=True)


def thinned(n: int, most: int = MOST_POINTS) -> npt.NDArray[np.int64]:
    """Return the numbers of the points that are drawn, ascending; the same ones every time."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def of_all(drawn: int, n: int, noun: str) -> str:
    """Return how many points are drawn, and of how many."""
    if drawn == n:
        return counted(n, noun, ",")
    return f"{drawn:,} of {counted(n, noun, ',')}, drawn at random"
