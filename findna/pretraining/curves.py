"""Reports of a pretraining run: its curves as a page (HTML) or a picture. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from findna.outputs.files import replaced
from findna.outputs.pages import plain, report
from findna.outputs.pictures import image
from findna.outputs.pictures.figure import PALETTE, RED, Axis, Figure, Level, Line, Mark
from findna.outputs.pictures.figure import Panel as Drawing
from findna.outputs.pictures.files import Drawing as Drawn
from findna.outputs.pictures.files import inlined, kind_of, need_matplotlib
from findna.pretraining.history import PANELS, History, Panel

_MANY = 80  # values from which on a curve is drawn thin, its running mean over it


def need_curves(path: Path) -> None:
    """Raise unless a report of the kind that a name asks for can be made.

    Raises
    ------
    ConfigError
        The name has none of the endings of pictures.
    MissingProgramError
        matplotlib is not installed.
    """
    kind_of(path)
    need_matplotlib("a report")


def write_report(history: History, path: Path) -> None:
    """Draw every curve of a run that was logged; the file appears once it is complete."""
    kind = kind_of(path)
    with replaced(path) as temporary:
        if kind == "html":
            temporary.write_text(_page(history), "utf-8", "replace")
        else:
            image.save(image.draw(curves(history)), temporary, kind)


def curves(history: History) -> Figure:
    """Return the picture of every curve of a run that was logged, three in a row."""
    panels = [drawing(panel, history) for panel in _logged(history)]
    n_rows = -(-len(panels) // 3)
    title = f"{history.name}: {history.verdict}"
    thin = any(isinstance(mark, Line) and mark.faint for panel in panels for mark in panel.marks)
    note = "Thin: every value that was logged; thick: their running mean." if thin else ""
    return Figure(title, panels, (13.5, 2.9 * n_rows + 0.7), note, columns=3)


def drawing(panel: Panel, history: History) -> Drawing:
    """Return the curves of a panel, its bound, and where the run failed, as they are drawn."""
    names = [name for name in panel.curves if history.finite(name)]
    marks: list[Mark] = []
    for i, (name, colour) in enumerate(zip(names, cycle(PALETTE), strict=False)):
        steps, values = map(np.array, history.series(name))
        if len(values) > _MANY:
            marks.append(Line(steps, values, colour=colour, faint=True))
            values = _running_mean(values, len(values) // 30)
        word = panel.curves[name]
        marks.append(Line(steps, values, word, colour, dash=i, dots=len(values) <= 30))
    bound = panel.line(history)
    if bound is not None:
        marks.append(Level(bound, panel.limit))
    if history.ended is not None:
        marks.append(Level(history.ended["step"], colour=RED, upright=True))
    log = panel.log and any(value > 0 for name in names for value in history.series(name)[1])
    return Drawing(
        marks,
        Axis("step", 0, max(history.step, 1), whole=True),
        Axis(panel.unit, log=log),
        panel.title,
    )


def _running_mean(values: Any, width: int) -> Any:
    """Return the mean over a window that is cut at the ends; NaN counts as absent."""
    finite = np.isfinite(values)
    kernel = np.ones(2 * (width // 2) + 1)
    total = np.convolve(np.where(finite, values, 0.0), kernel, "same")
    number = np.convolve(finite.astype(float), kernel, "same")
    with np.errstate(invalid="ignore"):
        return np.where(finite, total / number, np.nan)


def _logged(history: History) -> list[Panel]:
    """Return the panels for which a run has values."""
    return [panel for panel in PANELS if any(map(history.finite, panel.curves))]


def _alone(history: History, panel: Panel) -> Figure:
    """Return the picture of one panel, whose title the page has."""
    return Figure("", [replace(drawing(panel, history), title="")], (4.6, 2.7), columns=1)


_TILES = (
    ("accuracy", "masked accuracy", "{:.1%}"),
    ("accuracy_repeat", "in repeats", "{:.1%}"),
    ("accuracy_unique", "elsewhere", "{:.1%}"),
    ("perplexity", "perplexity", "{:.3f}"),
    ("rank", "effective rank", "{:.1f}"),
    ("agreement", "agreement", "{:.1%}"),
    ("probe_auroc", "probe AUROC", "{:.3f}"),
)


def _page(history: History) -> str:
    """Return the report as one HTML file that needs nothing else."""
    escape, failed = plain, history.ended
    badge = "failed" if failed else "worse" if history.fallen else "healthy"
    remedy = (failed or {}).get("remedy") or ""
    if remedy:
        remedy = f'<p class="remedy">What to change: {escape(str(remedy))}.</p>'
    tiles = "".join(
        f'<div class="tile"><b>{form.format(value)}</b><span>{word}</span></div>'
        for name, word, form in _TILES
        if (value := history.last(name)) is not None
    )
    panels = inlined(
        Drawn(panel.title, _alone(history, panel), panel.caption(history))
        for panel in _logged(history)
    )
    settings = "".join(
        f"<div><span>{escape(name)}</span> {escape(value)}</div>"
        for name, value in _flat(history.settings)
    )
    body = f"""<h1>{escape(history.name)}: pretraining</h1>
<p><span class="verdict {badge}">{escape(history.verdict)}</span></p>
{remedy}
<div class="tiles">{tiles}</div>
{panels}
{f'<h2>Settings</h2><div class="settings">{settings}</div>' if settings else ""}"""
    footer = (
        "By step; held-out figures are of the teacher on the same windows, masks and views at "
        "every evaluation. docs/training.md says how to read the curves."
    )
    return report(f"{history.name}: pretraining", body, footer)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield names and values of nested settings; figures that are curves already are left out."""
    curves = {name for panel in PANELS for name in (*panel.curves, panel.bound)} - {"lr"}
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, "" if name == "recipe" else f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for item in value:
                yield from _flat(item, f"{prefix}{name}.")
        elif name not in curves and value not in ("", [], None):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield f"{prefix}{name}", shown
