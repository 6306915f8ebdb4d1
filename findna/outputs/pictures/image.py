"""Pictures as PNG, SVG and PDF, by matplotlib."""

from __future__ import annotations

import io
import re
from html import escape
from pathlib import Path
from typing import Any
from warnings import catch_warnings, filterwarnings

import numpy as np

from findna.console import printable
from findna.errors import ConfigError
from findna.outputs.pictures.figure import (
    Axis,
    Boxes,
    Figure,
    Letters,
    Level,
    Line,
    Mark,
    Panel,
    Points,
    Steps,
    Words,
)

STYLE = Path(__file__).with_name("pictures.mplstyle")

_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.2, 1.5, 1.2)))
_MANY = 5_000  # points from which on SVG and PDF hold an image of them
_WIDE = 6  # inches from which on a legend has a place beside a panel
_INK = "#1d2733"
_ON_A_PAGE = {
    "#ffffff": "var(--paper)",
    "#000000": "var(--ink)",
    _INK: "var(--ink)",
    "#4a5560": "var(--quiet)",
    "#c4cad1": "var(--axis)",
    "#e8ebee": "var(--grid)",
    "#0072b2": "var(--blue)",
    "#56b4e9": "var(--sky)",
}
"""Colours that differ between light and dark screens, by those of a file."""


def draw(figure: Figure) -> Any:
    """Draw a figure.

    Returns
    -------
    matplotlib Figure
    """
    from matplotlib import figure as library
    from matplotlib import style

    panels = figure.panels
    n_rows = -(-len(panels) // figure.columns)
    wide = figure.columns == 1 and figure.size[0] >= _WIDE
    with style.context(STYLE):
        drawn = library.Figure(figure.size, layout="constrained")
        grid = drawn.subplots(
            n_rows,
            figure.columns,
            squeeze=False,
            sharex=figure.shared,
            height_ratios=[p.height for p in panels] if figure.columns == 1 else None,
        )
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for i, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
            draw_panel(axes, panel, beside=wide and panel.scale is None)
            pad = 6 if figure.columns == 1 else 18  # above a legend
            axes.set_title(_plain(panel.title), fontsize=9.5, loc="left", color=_INK, pad=pad)
            if figure.shared and i < len(panels) - 1:
                axes.set_xlabel("")
        if figure.title:
            drawn.suptitle(_plain(figure.title), fontsize=11, x=0.01, ha="left", color=_INK)
        if figure.note:
            note = _plain(figure.note)
            drawn.supxlabel(note, fontsize=7.5, x=0.01, ha="left", color="#4a5560")
    return drawn


def draw_panel(axes: Any, panel: Panel, beside: bool = False) -> None:
    """Draw a panel; its legend lies above the axes, or beside them."""
    for mark in panel.marks:
        _draw(axes, mark, panel)
    axes.margins(x=0.02)
    for axis, name in ((panel.x, "x"), (panel.y, "y")):
        _set_axis(axes, axis, name)
    if panel.equal:
        axes.set_aspect("equal", adjustable="datalim")
    if panel.scale is not None:
        points = next(c for c in axes.collections if c.get_array() is not None)
        bar = axes.figure.colorbar(points, ax=axes, pad=0.01, aspect=30)
        bar.set_label(_plain(panel.scale.label))
        bar.outline.set_visible(False)
    if not panel.has_legend:
        return
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    if not beside:
        place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 4}
        place |= {"borderpad": 0.0, "borderaxespad": 0.3, "columnspacing": 1.2, "handlelength": 2.2}
    legend = axes.legend(**place)
    for handle in legend.legend_handles:
        if hasattr(handle, "set_sizes"):  # of points, which may be small
            handle.set_sizes([24])
            handle.set_alpha(1)


def _set_axis(axes: Any, axis: Axis, name: str) -> None:
    getattr(axes, f"set_{name}label")(_plain(axis.label))
    if axis.log:
        getattr(axes, f"set_{name}scale")("log")
    if axis.low is not None or axis.high is not None:
        getattr(axes, f"set_{name}lim")(axis.low, axis.high)
    if axis.ticks is not None:
        words = [_plain(word) for word in axis.ticks.values()]
        getattr(axes, f"set_{name}ticks")(list(axis.ticks), words)
    if axis.whole:
        getattr(axes, f"{name}axis").set_major_formatter("{x:,.0f}")


def _draw(axes: Any, mark: Mark, panel: Panel) -> None:
    """Draw a mark."""
    name = _plain(getattr(mark, "name", "")) or None
    if name is not None and name.startswith("_"):  # to matplotlib not for a legend
        name = f" {name}"
    match mark:
        case Points():
            many = panel.n_points > _MANY
            size = float(np.clip(24_000 / max(panel.n_points, 1), 3, 22))
            size *= 1.8 if mark.marker != "o" else 1  # which look smaller
            settings: dict[str, Any] = {"color": mark.colour}
            if mark.values is not None and panel.scale is not None:
                low, high = panel.scale.low, panel.scale.high
                settings = {"c": mark.values, "cmap": "viridis", "vmin": low, "vmax": high}
            axes.scatter(
                *(mark.x, mark.y, size),
                marker=mark.marker,
                label=name,
                linewidths=0,
                alpha=0.6 if many else 0.8,
                rasterized=many,
                zorder=2.5,
                **settings,
            )
        case Line():
            axes.plot(
                *(mark.x, mark.y),
                color=mark.colour,
                label=name,
                linestyle=_DASHES[mark.dash % len(_DASHES)],
                linewidth=0.8 if mark.faint else 1.6,
                alpha=0.25 if mark.faint else 1,
                marker="o" if mark.dots else None,
                markersize=2.5,
            )
        case Steps():
            edge = {"edgecolor": mark.colour, "linewidth": 0.7}  # one base is a hairline
            axes.stairs(
                *(mark.values, mark.edges), fill=True, facecolor=mark.colour, label=name, **edge
            )
        case Boxes():
            from matplotlib.collections import PolyCollection

            bottom, top = mark.middle - mark.height / 2, mark.middle + mark.height / 2
            x = np.stack([mark.left, mark.right, mark.right, mark.left], 1)
            y = np.stack([bottom, bottom, top, top], 1)
            boxes = PolyCollection(
                list(np.stack([x, y], 2)),
                facecolor=mark.colour,
                edgecolor=mark.colour,
                linewidth=0.5,
                label=name,
            )
            axes.add_collection(boxes)
        case Words():
            for x, y, text in zip(mark.x, mark.y, mark.texts, strict=True):
                axes.text(x, y, _plain(text), ha="center", va="center", fontsize=7.5, clip_on=True)
        case Letters():
            from matplotlib.font_manager import FontProperties
            from matplotlib.patches import PathPatch
            from matplotlib.path import Path as Outline
            from matplotlib.textpath import TextPath

            glyph = TextPath((0, 0), mark.letter, prop=FontProperties(weight="bold"))
            box = glyph.get_extents()
            unit = (glyph.vertices - box.min) / box.size  # from 0 to 1
            x = mark.x[:, None] + 0.92 * (unit[:, 0] - 0.5)
            y = mark.bottom[:, None] + (mark.top - mark.bottom)[:, None] * unit[:, 1]
            codes = np.tile(glyph.codes, len(mark.x))
            outline = Outline(np.stack([x, y], 2).reshape(-1, 2), codes)
            axes.add_patch(PathPatch(outline, facecolor=mark.colour, linewidth=0))
        case Level():
            across = axes.axvline if mark.upright else axes.axhline
            style = {"linewidth": 1.1, "linestyle": "-" if mark.upright else (0, (4, 3))}
            across(mark.at, color=mark.colour, label=name, **style)


def save(drawn: Any, to: Any, kind: str, salt: str = "") -> None:
    """Write a figure of matplotlib, without a date: the same input gives the same bytes."""
    from matplotlib import style

    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    with style.context([STYLE, {"svg.hashsalt": f"findna {salt}"}]), catch_warnings():
        filterwarnings("ignore", "Glyph .* missing")  # of a name in a script without a font here
        filterwarnings("error", "constrained_layout not applied")
        try:
            drawn.savefig(to, format=kind, dpi=150, metadata=metadata)
        except UserWarning as error:
            width, height = drawn.get_size_inches()
            raise ConfigError(
                f"the picture does not fit into {width:g} x {height:g} inches: enlarge --size"
            ) from error


def inline(figure: Figure, name: str) -> str:
    """Return a figure as an element of a page, in the colours of `findna.outputs.pages.report`.

    ``name``, its own on the page, says what it shows, and keeps its ids from those of others.
    """
    buffer = io.StringIO()
    save(draw(figure), buffer, "svg", salt=name)
    text = buffer.getvalue()
    text = re.sub("<metadata>.*</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub('<g id="[^"]*"', "<g", text)  # not its own on a page with several
    text = re.sub("#[0-9a-f]{6}", lambda found: _ON_A_PAGE.get(found[0], found[0]), text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(name)}" ', 1)


def _plain(text: str) -> str:
    r"""Return a text that means itself: ``$`` begins no formula."""
    return printable(text, keep="\n").replace("$", r"\$")
