"""Pictures as one HTML file with zoom and hover, by plotly; it fetches nothing."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from findna.console import printable
from findna.outputs.pages import document
from findna.outputs.pictures.figure import (
    Array,
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

_SYMBOLS = {
    "o": "circle",
    "^": "triangle-up",
    "s": "square",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    ">": "triangle-right",
    "<": "triangle-left",
    "|": "line-ns-open",
}
"""Shapes of points as plotly names them, by their names of matplotlib."""

_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "scrollZoom": True,
    "showSendToCloud": False,  # no button that sends the data away
}
_DASHES = ("solid", "dash", "dot", "dashdot")
_MANY = 3_000  # points from which on the graphics card draws them
_PIXELS = 96  # of an inch
_ABOVE, _BELOW, _LEFT, _RIGHT = 80, 70, 80, 30  # margins, pixels
_STYLE = "body { font: 13px/1.5 system-ui, sans-serif; color: #4a5560; margin: 12px auto }\n"


def page(figure: Figure) -> str:
    """Return a figure as one HTML file."""
    from plotly.subplots import make_subplots

    panels = figure.panels
    n_rows = -(-len(panels) // figure.columns)
    width, height = (round(inches * _PIXELS) for inches in figure.size)
    height = max(height, 110 * n_rows) + _ABOVE + _BELOW
    gap = (95 if figure.columns > 1 else 34) / (height - _ABOVE - _BELOW)
    drawn = make_subplots(
        n_rows,
        figure.columns,
        shared_xaxes="all" if figure.shared else False,
        row_heights=[panel.height for panel in panels] if figure.columns == 1 else None,
        vertical_spacing=gap if n_rows > 1 else 0.0,
        horizontal_spacing=0.07 if figure.columns > 1 else 0.0,
        subplot_titles=[_plain(panel.title) for panel in panels],
    )
    titled = [i for i, panel in enumerate(panels) if panel.title]
    for i, title in zip(titled, drawn.layout.annotations, strict=True):
        x, _ = drawn.get_subplot(i // figure.columns + 1, i % figure.columns + 1)
        shift = 20 if figure.columns > 1 else 2  # above a legend
        title.update(font_size=13, x=x.domain[0], xanchor="left", yshift=shift)
    for i, panel in enumerate(panels):
        at = {"row": i // figure.columns + 1, "col": i % figure.columns + 1}
        is_last = i == len(panels) - 1
        _draw_panel(drawn, panel, at, i + 1, show_x=not figure.shared or is_last)
    text = _plain(figure.title)
    drawn.update_layout(
        template="plotly_white",
        title={"text": text, "x": 0.01, "y": 0.99, "yanchor": "top", "font_size": 16},
        height=height,
        margin={"l": _LEFT, "r": _RIGHT, "t": _ABOVE, "b": _BELOW},
        hovermode="closest",
        font={"family": "system-ui, sans-serif", "size": 12},
    )
    body = drawn.to_html(full_html=False, include_plotlyjs=True, div_id="picture", config=_CONFIG)
    how = "Drag to zoom, double-click to see all, point at a mark to read it."
    style = _STYLE + f"body {{ max-width: {max(width, 480)}px }}\n"
    return document(figure.title, f"{body}\n<p>{_plain(figure.note)}<br>\n{how}</p>", style)


def _draw_panel(drawn: Any, panel: Panel, at: dict[str, int], number: int, show_x: bool) -> None:
    """Draw a panel in its cell; its legend, by its number, lies above it or at its right."""
    legend = f"legend{number}" if number > 1 else "legend"
    for mark in panel.marks:
        _draw(drawn, mark, panel, at, legend)
    x, y = drawn.get_subplot(**at)
    drawn.update_xaxes(_axis(panel.x, show_x), **at)
    drawn.update_yaxes(_axis(panel.y), **at)
    if panel.equal:
        drawn.update_yaxes(scaleanchor=y.anchor, scaleratio=1, **at)
    place = {"x": 1.01, "y": y.domain[1], "xanchor": "left", "yanchor": "top"}
    if (
        x.domain[1] - x.domain[0] < 0.9 or panel.scale is not None
    ):  # what is beside it has its place
        place = {"x": x.domain[0], "y": y.domain[1], "xanchor": "left", "yanchor": "bottom"}
        place["orientation"] = "h"
    drawn.update_layout({legend: {**place, "font": {"size": 11}}})


def _axis(axis: Axis, shown: bool = True) -> dict[str, Any]:
    """Return what plotly has for an axis."""
    settings: dict[str, Any] = {"title": {"text": _plain(axis.label), "font": {"size": 12}}}
    if not shown:
        settings = {}
    settings |= {"exponentformat": "none", "zeroline": False}  # not 600µ
    if axis.log:
        settings["type"] = "log"
    if axis.low is not None or axis.high is not None:
        settings["range"] = [axis.low, axis.high]
    if axis.ticks is not None:
        words = [_plain(word) for word in axis.ticks.values()]
        settings |= {"tickvals": list(axis.ticks), "ticktext": words}
    if axis.whole:
        settings["tickformat"] = ",d"
    return settings


def _draw(drawn: Any, mark: Mark, panel: Panel, at: dict[str, int], legend: str) -> None:
    """Draw a mark in a cell."""
    from plotly.graph_objects import Bar, Scatter, Scattergl

    name = _plain(getattr(mark, "name", ""))
    shown = bool(name) and panel.has_legend
    settings: dict[str, Any] = {"name": name, "legend": legend, "showlegend": shown}
    kind: Any = Scatter
    match mark:
        case Points():
            kind = Scattergl if panel.n_points > _MANY else Scatter
            point: dict[str, Any] = {"color": mark.colour}
            if mark.values is not None and panel.scale is not None:
                low, high, label = panel.scale.low, panel.scale.high, _plain(panel.scale.label)
                point = {"color": mark.values, "colorscale": "Viridis", "cmin": low, "cmax": high}
                _, y = drawn.get_subplot(**at)
                point["colorbar"] = {
                    "title": {"text": label, "side": "right", "font": {"size": 11}},
                    "thickness": 14,
                    "len": y.domain[1] - y.domain[0],
                    "y": y.domain[0],
                    "yanchor": "bottom",
                }
            size = 6 if panel.n_points <= 1_000 else 4 if panel.n_points <= 20_000 else 2
            size += 2 * (mark.marker != "o")  # which look smaller
            point |= {"symbol": _SYMBOLS[mark.marker], "size": size}
            settings |= {"x": mark.x, "y": mark.y, "mode": "markers", "marker": point}
            settings |= {"opacity": 0.7, **_hover(mark.hover)}
        case Line():
            line = {"color": mark.colour, "width": 1 if mark.faint else 2}
            line["dash"] = _DASHES[mark.dash % len(_DASHES)]
            settings |= {"x": mark.x, "y": mark.y, "line": line, "opacity": 1 - 0.7 * mark.faint}
            settings["mode"] = "lines+markers" if mark.dots else "lines"
        case Steps():
            x, y = mark.edges, np.append(mark.values, mark.values[-1])
            line = {"shape": "hv", "color": mark.colour, "width": 1}
            settings |= {"x": x, "y": y, "line": line, "fill": "tozeroy", "mode": "lines"}
            settings["hovertemplate"] = "%{x:,.0f}: %{y:.3f}<extra></extra>"
        case Boxes():
            bottom, top = mark.middle - mark.height / 2, mark.middle + mark.height / 2
            nothing = np.full(len(bottom), np.nan)
            left, right = mark.left, mark.right
            settings |= {
                "x": _woven(left, right, right, left, left, nothing),
                "y": _woven(bottom, bottom, top, top, bottom, nothing),
                "mode": "lines",
                "fill": "toself",
                "fillcolor": mark.colour,
                "line": {"color": mark.colour, "width": 0.5},
                "hoveron": "points",
                **_hover([text for text in mark.hover for _ in range(6)]),
            }
        case Words():
            texts = [_plain(text) for text in mark.texts]
            settings |= {"x": mark.x, "y": mark.y, "mode": "text", "text": texts}
            settings |= {"textfont": {"size": 11}, "hoverinfo": "skip"}
        case Letters():
            kind, bar = Bar, {"width": 0.92, "offset": -0.46, "marker": {"color": mark.colour}}
            settings |= {"x": mark.x, "y": mark.top - mark.bottom, "base": mark.bottom, **bar}
            settings |= {"text": [mark.letter] * len(mark.x), "textposition": "inside"}
            settings["hovertemplate"] = "%{text}<extra></extra>"
        case Level():
            across = drawn.add_vline if mark.upright else drawn.add_hline
            style = {"color": mark.colour, "width": 1, "dash": "solid" if mark.upright else "dash"}
            across(mark.at, line=style, exclude_empty_subplots=False, **at)
            settings |= {"x": [None], "y": [None], "mode": "lines", "line": style}
    drawn.add_trace(kind(**settings), **at)


def _woven(*columns: Array) -> Array:
    return np.stack(columns, 1).ravel()


def _hover(texts: Any) -> dict[str, Any]:
    """Return what plotly shows of each point."""
    if not len(texts):
        return {}
    return {"text": [_plain(text) for text in texts], "hovertemplate": "%{text}<extra></extra>"}


def _plain(text: str) -> str:
    """Return a text that means itself, in which nothing is markup."""
    return escape(printable(text, keep="\n"), quote=False).replace("\n", "<br>")
