"""Pictures of effects: a logo over a map of every replacement. The only user of logomaker."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from warnings import catch_warnings, filterwarnings

import numpy as np
import numpy.typing as npt

from findna.errors import ConfigError, MissingProgramError
from findna.outputs.destination import Destination
from findna.outputs.results import Effects

SUFFIXES = (".pdf", ".png", ".svg")

MOST_BASES = 2_000
"""Longest region that is drawn, bp."""

_BASES_PER_LINE = 100
_WIDTH, _LINE_HEIGHT = 14.0, 2.4  # inches
_LEAST_WIDTH = 0.55  # of that, which titles need
_LEAST_DISTANCE = 7  # bases between the labels of two positions
_LETTERS = "ACGT"


@dataclass(frozen=True)
class Picture:
    """Effects on one region, to be drawn.

    Parameters
    ----------
    title : str
    letters : str
        Bases of the region in reading direction.
    positions : ndarray, shape (length,), int64
        Of the bases on their contig, 1-based.
    axis : str
        Name of the positions.
    effects : Effects
        Of the bases.
    quantity : str
        Name of what was measured.
    has_probability : bool
        The quantity is the log-odds of a probability.
    at : int, optional
        Number of the base that the quantity is of.
    """

    title: str
    letters: str
    positions: npt.NDArray[np.int64]
    axis: str
    effects: Effects
    quantity: str
    has_probability: bool
    at: int | None = None


Draw = Callable[[Picture], None]


def probability_of(log_odds: float) -> float:
    """Return the probability of some log-odds."""
    return (1 + math.tanh(log_odds / 2)) / 2  # no exponential that could overflow


def picture_paths(path: Path, n_regions: int) -> list[Path]:
    """Return the files for pictures of so many regions; several PNG or SVG files are numbered."""
    if n_regions <= 1 or path.suffix.lower() == ".pdf":
        return [path]
    width = len(str(n_regions))
    return [path.with_suffix(f".{i:0{width}}{path.suffix}") for i in range(1, n_regions + 1)]


def need_logos(path: Path) -> None:
    """Raise unless pictures can be drawn, and of the kind that a name asks for.

    Raises
    ------
    ConfigError
        The name ends in none of SUFFIXES.
    MissingProgramError
        The libraries are not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"--plot {path}: name a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file"
        )
    if find_spec("logomaker") is None:
        raise MissingProgramError("pictures need logomaker: pip install 'findna[plot]'")


@contextmanager
def open_logos(path: Path, n_regions: int, force: bool = False) -> Iterator[Draw]:
    """Give a function that draws a region; the files appear once all regions are drawn.

    A PDF gets a page per region; PNG and SVG are a file each (`picture_paths`).
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import PdfPages

    form = path.suffix.lower()[1:]
    # without a date the same input gives the same bytes
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(form, {})
    with ExitStack() as stack:
        files = (
            stack.enter_context(Destination(name, force=force).published())
            for name in picture_paths(path, n_regions)
        )
        book = None
        if form == "pdf":
            book = stack.enter_context(PdfPages(next(files), metadata=metadata))

        def draw(picture: Picture) -> None:
            figure = draw_figure(picture)
            if book is not None:
                book.savefig(figure)
                return
            with rc_context({"svg.hashsalt": "findna"}):
                figure.savefig(next(files), format=form, dpi=150, metadata=metadata)

        yield draw


def draw_figure(picture: Picture) -> Any:
    """Draw lines of 100 bases, or a shorter one: the importance of each, over all replacements.

    A dot marks the base that is there, a triangle the one that the quantity is of; N is grey.

    Returns
    -------
    matplotlib Figure
    """
    import logomaker
    import pandas as pd
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    letters, changes = picture.letters, picture.effects.changes
    n_lines = -(-len(letters) // _BASES_PER_LINE)
    on_line = min(_BASES_PER_LINE, len(letters))
    width = _WIDTH * max(on_line / _BASES_PER_LINE, _LEAST_WIDTH)
    figure = Figure((width, _LINE_HEIGHT * n_lines + 1.2), layout="constrained")
    figure.suptitle(picture.title)
    heights = np.nan_to_num(picture.effects.importance)
    table = pd.DataFrame(
        {letter: np.where([x == letter for x in letters], heights, 0) for letter in _LETTERS}
    )
    low, high = min(heights.min(), 0.0), max(heights.max(), 0.0)
    margin = 0.05 * (high - low) or 1.0
    strongest = float(np.nan_to_num(np.abs(changes)).max()) or 1.0
    colours = colormaps["RdBu_r"].with_extremes(bad="0.85")  # N
    axes = figure.subplots(2 * n_lines, 1, height_ratios=[2, 1] * n_lines, squeeze=False)[:, 0]
    for line, (logo, grid) in enumerate(zip(axes[::2], axes[1::2], strict=True)):
        first = line * _BASES_PER_LINE
        last = min(first + _BASES_PER_LINE, len(letters))
        part = table.iloc[first:last].set_axis(np.arange(first + 1, last + 1))
        with catch_warnings():  # of its own limits, where all letters are flat; ours follow
            filterwarnings("ignore", "Attempting to set identical low and high ylims")
            logomaker.Logo(part, ax=logo, color_scheme="classic")
        logo.set_xlim(first + 0.5, first + on_line + 0.5)
        logo.set_ylim(low - margin, high + margin)
        logo.spines[["top", "right", "bottom"]].set_visible(False)
        logo.set_xticks([])
        logo.set_ylabel("importance")
        image = grid.imshow(
            changes[first:last].T,
            cmap=colours,
            vmin=-strongest,
            vmax=strongest,
            aspect="auto",
            interpolation="nearest",
            extent=(first + 0.5, last + 0.5, 3.5, -0.5),
        )
        there = [i for i in range(first, last) if letters[i] in _LETTERS]
        rows = [_LETTERS.index(letters[i]) for i in there]
        grid.plot([i + 1 for i in there], rows, ".", color="black", markersize=2.5)
        if picture.at is not None and first <= picture.at < last:
            grid.plot(picture.at + 1, -0.5, "v", color="black", clip_on=False)
        grid.set_xlim(first + 0.5, first + on_line + 0.5)
        grid.set_yticks(range(4), _LETTERS)
        ticks = [i for i in range(first, last) if i == first or picture.positions[i] % 10 == 0]
        if len(ticks) > 1 and ticks[1] - first < _LEAST_DISTANCE:
            del ticks[0]
        grid.set_xticks([i + 1 for i in ticks], [f"{picture.positions[i]:,}" for i in ticks])
        grid.spines[:].set_visible(False)
    axes[-1].set_xlabel(picture.axis)
    bar = figure.colorbar(image, ax=list(axes), shrink=0.8, pad=0.01)
    bar.set_label(f"change of {picture.quantity}")
    if picture.has_probability:
        _add_probabilities(bar.ax, picture.effects.value)
    return figure


def _add_probabilities(scale: Any, log_odds: float) -> None:
    """Show beside the changes of log-odds the probabilities that they lead to."""
    low, high = scale.get_ylim()
    changes = [tick for tick in scale.get_yticks() if low <= tick <= high]
    probabilities = scale.secondary_yaxis("left")
    probabilities.set_yticks(
        changes, [f"{probability_of(log_odds + change):.3g}" for change in changes]
    )
    probabilities.set_ylabel("probability with the replacement")
