"""Reports of a pretraining run: its curves as a page (HTML) or a picture. Needs matplotlib."""

from __future__ import annotations

import html
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from findna.errors import ConfigError, MissingProgramError
from findna.outputs.files import replaced
from findna.pretraining.history import PANELS, History, Panel

SUFFIXES = (".html", ".pdf", ".png", ".svg")

_COLOURS = ("#2563a8", "#d9822b", "#3f8f5f", "#8a4f9e")
_GREY = "#8b95a1"
_MANY = 80  # values from which on a curve is drawn thin, its running mean over it

STYLE = Path(__file__).with_name("report.mplstyle")
_CSS = Path(__file__).with_name("report.css")


def need_curves(path: Path) -> None:
    """Raise unless a report of the kind that a name asks for can be made.

    Raises
    ------
    ConfigError
        The name ends in none of SUFFIXES.
    MissingProgramError
        matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: name a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file")
    try:
        import matplotlib  # noqa: F401  can it be imported?
    except ImportError as error:
        raise MissingProgramError(
            "a report needs matplotlib: pip install 'findna[plot]'"
        ) from error


def write_report(history: History, path: Path) -> None:
    """Draw every curve of a run that was logged; the file appears once it is complete."""
    kind = path.suffix.lower()[1:]
    with replaced(path) as temporary:
        if kind == "html":
            temporary.write_text(_page(history), "utf-8", "replace")
            return
        _save(_figure(history, _logged(history)), temporary, kind)


def draw_panel(axes: Any, panel: Panel, history: History) -> None:
    """Draw the curves of a panel, its bound, and where the run failed."""
    names = [name for name in panel.curves if history.finite(name)]
    for name, colour in zip(names, _COLOURS, strict=False):
        steps, values = map(np.array, history.series(name))
        if len(values) > _MANY:
            axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            values = _running_mean(values, len(values) // 30)
        style = {"color": colour, "marker": "o" if len(values) <= 30 else None}
        axes.plot(steps, values, linewidth=1.6, markersize=2.5, label=panel.curves[name], **style)
    bound = panel.line(history)
    if bound is not None:
        axes.axhline(bound, color=_GREY, linewidth=1, linestyle=(0, (4, 3)), label=panel.limit)
    if history.ended is not None:
        axes.axvline(history.ended["step"], color="#c0392b", linewidth=1.2)
    if panel.log and any(value > 0 for name in names for value in history.series(name)[1]):
        axes.set_yscale("log")
    if len(names) > 1 or bound is not None:
        axes.legend(loc="best")
    axes.margins(x=0.02)
    axes.set_xlim(left=0)


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


def _figure(history: History, panels: list[Panel]) -> Any:
    """Draw one picture of several panels, three in a row."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(STYLE):
        single = len(panels) == 1
        n_rows = -(-len(panels) // 3)
        size = (4.6, 2.5) if single else (13.5, 2.7 * n_rows + 0.6)
        figure = Figure(size, layout="constrained")
        grid = figure.subplots(n_rows, 1 if single else 3, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            draw_panel(axes, panel, history)
            if not single:
                axes.set_title(panel.title, fontsize=9.5, loc="left", color="#1d2733")
        if not single:
            figure.suptitle(f"{history.name}: {history.verdict}", fontsize=11, x=0.01, ha="left")
    return figure


def _save(figure: Any, to: Any, kind: str, salt: str = "") -> None:
    from matplotlib import style

    # without a date the same input gives the same bytes
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    with style.context([STYLE, {"svg.hashsalt": f"findna {salt}"}]):
        figure.savefig(to, format=kind, dpi=130, metadata=metadata, transparent=kind == "svg")


def _inline(history: History, panel: Panel) -> str:
    """Return a panel as an element of a page; its ids differ from those of the others."""
    buffer = io.StringIO()
    _save(_figure(history, [panel]), buffer, "svg", salt=panel.title)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


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
    from findna import __version__

    escape, failed = html.escape, history.ended
    badge = "failed" if failed else "worse" if history.fallen else "healthy"
    remedy = (failed or {}).get("remedy") or ""
    if remedy:
        remedy = f'<p class="remedy">What to change: {escape(str(remedy))}.</p>'
    tiles = "".join(
        f'<div class="tile"><b>{form.format(value)}</b><span>{word}</span></div>'
        for name, word, form in _TILES
        if (value := history.last(name)) is not None
    )
    panels = "".join(
        f"<figure><b>{escape(panel.title)}</b>{_inline(history, panel)}"
        f"<figcaption>{escape(panel.caption(history))}</figcaption></figure>"
        for panel in _logged(history)
    )
    settings = "".join(
        f"<div><span>{escape(name)}</span> {escape(value)}</div>"
        for name, value in _flat(history.settings)
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(history.name)}: pretraining</title><style>
{_CSS.read_text("utf-8")}</style></head>
<body><main>
<h1>{escape(history.name)}: pretraining</h1>
<p><span class="verdict {badge}">{escape(history.verdict)}</span></p>
{remedy}
<div class="tiles">{tiles}</div>
<div class="panels">{panels}</div>
{f'<h2>Settings</h2><div class="settings">{settings}</div>' if settings else ""}
<footer>findna {__version__}. By step; held-out figures are of the teacher on the same windows,
masks and views at every evaluation. docs/training.md says how to read the curves.</footer>
</main></body></html>
"""


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
