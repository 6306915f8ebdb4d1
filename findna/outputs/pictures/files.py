"""Pictures by the names of their files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from findna.errors import ConfigError, MissingProgramError
from findna.outputs.destination import Destination
from findna.outputs.pages import plain
from findna.outputs.pictures import image
from findna.outputs.pictures.figure import Figure
from findna.outputs.pictures.page import page

SUFFIXES = (".html", ".pdf", ".png", ".svg")


def kind_of(path: Path, suffixes: Sequence[str] = SUFFIXES) -> str:
    """Return the kind of picture that a name asks for: ``html``, ``pdf``, ``png`` or ``svg``.

    Raises
    ------
    ConfigError
        The name ends in none of ``suffixes``.
    """
    if path.suffix.lower() not in suffixes:
        raise ConfigError(f"{path}: name a {', '.join(suffixes[:-1])} or {suffixes[-1]} file")
    return path.suffix.lower()[1:]


def need_matplotlib(what: str) -> None:
    """Raise MissingProgramError unless matplotlib is there."""
    try:
        import matplotlib  # noqa: F401  can it be imported?
    except ImportError as error:
        raise MissingProgramError(f"{what} needs matplotlib: pip install 'findna[plot]'") from error


def need_picture(path: Path) -> None:
    """Raise unless a picture of the kind that a name asks for can be made.

    Raises
    ------
    ConfigError
        The name ends in none of SUFFIXES.
    MissingProgramError
        The library is not installed.
    """
    if kind_of(path) != "html":
        need_matplotlib("a picture")
        return
    try:
        import plotly  # noqa: F401  can it be imported?
    except ImportError as error:
        raise MissingProgramError(
            "an HTML picture needs plotly: pip install 'findna[plot]'; or write .png, .svg or .pdf"
        ) from error


class Drawing(NamedTuple):
    """A picture of a report: its title there, and what is said below it."""

    title: str
    figure: Figure
    caption: str = ""
    wide: bool = False


def inlined(drawings: Iterable[Drawing]) -> str:
    """Return pictures as elements of a report, no two of one title; nothing without matplotlib."""
    if picture_remark():
        return ""
    figures = "".join(
        f"<figure{' class=wide' * each.wide}><b>{plain(each.title)}</b>"
        f"{image.inline(each.figure, each.title)}"
        f"<figcaption>{plain(each.caption)}</figcaption></figure>"
        for each in drawings
    )
    return f'<div class="panels">{figures}</div>' * bool(figures)


def picture_remark() -> str:
    """Return a paragraph on pictures that a report lacks for want of matplotlib, or nothing."""
    try:
        need_matplotlib("a report with pictures")
    except MissingProgramError as error:
        return f"<p>Tables only: {plain(str(error))}.</p>"
    return ""


def write_picture(figure: Figure, output: Destination) -> None:
    """Draw a figure; the file appears once it is complete."""
    kind = kind_of(output.file)
    with output.published() as path:
        if kind == "html":
            path.write_text(page(figure), "utf-8", "replace")
        else:
            image.save(image.draw(figure), path, kind)
