"""Pictures of effects: a logo over a map of every replacement. The only user of logomaker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from warnings import catch_warnings, filterwarnings

import numpy as np
import numpy.typing as npt

from findna.errors import ConfigError, MissingProgramError
from findna.outputs.destination import Destination

Changes = npt.NDArray[np.float32]
Draw = Callable[[str, str, Changes, Changes], None]
"""Draws a region from a title, bases, changes and importance; see `draw_figure`."""

SUFFIXES = (".pdf", ".png", ".svg")

MOST_BASES = 2_000
"""Longest region that is drawn, bp."""

_BASES_PER_LINE = 100
_WIDTH, _LINE_HEIGHT = 14.0, 2.4  # inches
_LETTERS = "ACGT"


def is_book(path: Path) -> bool:
    """Return whether a file can hold several pictures: a page for each."""
    return path.suffix.lower() == ".pdf"


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
    try:
        import logomaker  # noqa: F401  can it be imported?
    except ImportError as error:
        raise MissingProgramError("pictures need logomaker: pip install 'findna[plot]'") from error


@contextmanager
def open_logos(path: Path, quantity: str, force: bool = False) -> Iterator[Draw]:
    """Give a function that draws one picture per region; the file appears once all are drawn.

    Parameters
    ----------
    path : Path
        A PDF gets a page per region; PNG and SVG hold one.
    quantity : str
        What was measured, for the axes.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import PdfPages

    form = path.suffix.lower()[1:]
    # without a date the same input gives the same bytes
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(form, {})
    with (
        Destination(path, force=force).published() as temporary,
        PdfPages(temporary, metadata=metadata) if is_book(path) else nullcontext() as book,
    ):

        def draw(title: str, letters: str, changes: Changes, importance: Changes) -> None:
            figure = draw_figure(title, letters, changes, importance, quantity)
            if book is not None:
                book.savefig(figure)
                return
            with rc_context({"svg.hashsalt": "findna"}):
                figure.savefig(temporary, format=form, dpi=150, metadata=metadata)

        yield draw


def draw_figure(
    title: str, letters: str, changes: Changes, importance: Changes, quantity: str
) -> Any:
    """Draw lines of 100 bases: the importance of each as a logo, over all replacements.

    Parameters
    ----------
    letters : str
        Bases of the region in reading direction.
    changes : ndarray, shape (length, 4)
        Effect of replacing each base by A, C, G, T; NaN where the base is N.
    importance : ndarray, shape (length,)
        Height of each letter; NaN where the base is N.

    Returns
    -------
    matplotlib Figure
    """
    import logomaker
    import pandas as pd
    from matplotlib.figure import Figure

    n_lines = -(-len(letters) // _BASES_PER_LINE)
    figure = Figure((_WIDTH, _LINE_HEIGHT * n_lines + 1), layout="constrained")
    figure.suptitle(title)
    heights = np.nan_to_num(importance)
    table = pd.DataFrame(
        {letter: np.where([x == letter for x in letters], heights, 0) for letter in _LETTERS}
    )
    low, high = min(heights.min(), 0.0), max(heights.max(), 0.0)
    margin = 0.05 * (high - low) or 1.0
    strongest = float(np.nan_to_num(np.abs(changes)).max()) or 1.0
    axes = figure.subplots(2 * n_lines, 1, height_ratios=[2, 1] * n_lines, squeeze=False)[:, 0]
    for line, (logo, grid) in enumerate(zip(axes[::2], axes[1::2], strict=True)):
        first = line * _BASES_PER_LINE
        last = min(first + _BASES_PER_LINE, len(letters))
        part = table.iloc[first:last].set_axis(np.arange(first + 1, last + 1))
        with catch_warnings():  # of its own limits, where all letters are flat; ours follow
            filterwarnings("ignore", "Attempting to set identical low and high ylims")
            logomaker.Logo(part, ax=logo, color_scheme="classic")
        logo.set_xlim(first + 0.5, first + _BASES_PER_LINE + 0.5)
        logo.set_ylim(low - margin, high + margin)
        logo.spines[["top", "right", "bottom"]].set_visible(False)
        logo.set_xticks([])
        image = grid.imshow(
            changes[first:last].T,
            cmap="RdBu_r",
            vmin=-strongest,
            vmax=strongest,
            aspect="auto",
            interpolation="nearest",
            extent=(first + 0.5, last + 0.5, 3.5, -0.5),
        )
        grid.set_facecolor("0.85")  # N
        grid.set_xlim(first + 0.5, first + _BASES_PER_LINE + 0.5)
        grid.set_yticks(range(4), _LETTERS)
        grid.set_xticks(
            [1, *range(10, _BASES_PER_LINE + 1, 10)]
            if not line
            else range(first + 10, first + _BASES_PER_LINE + 1, 10)
        )
        grid.spines[:].set_visible(False)
    axes[0].set_ylabel("importance")
    axes[-1].set_xlabel("base of the region, in reading direction")
    figure.colorbar(image, ax=list(axes), label=f"change of {quantity}", shrink=0.8, pad=0.01)
    return figure
