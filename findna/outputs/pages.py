"""Pages: HTML files that load nothing, and what of Markdown findna's own texts have in HTML."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from findna import __version__
from findna.console import printable
from findna.outputs.files import replaced

logger = logging.getLogger(__name__)

_CSS = Path(__file__).with_name("report.css")
_NUMBER = re.compile(r"[-+.\d]")


def document(title: str, body: str, style: str) -> str:
    """Return a whole HTML file; ``title`` is plain text, ``body`` HTML, ``style`` CSS."""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{plain(title)}</title><style>
{style}</style></head>
<body>
{body}
</body></html>
"""


def report(title: str, body: str, footer: str = "") -> str:
    """Return a report: a document in findna's style, for light and dark screens and for print."""
    foot = f"<footer>findna {__version__}. {plain(footer)}</footer>"
    return document(title, f"<main>\n{body}\n{foot}</main>", _CSS.read_text("utf-8"))


def add_page(path: Path, make: Callable[[], str]) -> None:
    """Write a page that comes with other results; what goes wrong with it is a warning."""
    path.unlink(missing_ok=True)  # of results that were here before
    try:
        text = make()
        with replaced(path) as temporary:
            temporary.write_text(text, "utf-8", "replace")
    except Exception as error:
        logger.warning("%s: left out, all else is written: %s", path, error)


def plain(text: str) -> str:
    """Return a text that means itself in HTML, in which nothing is markup."""
    return escape(printable(text, keep="\n"))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """Return a table; columns of numbers are set to the right. Cells are lines of Markdown."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    marks = [
        ' class="number"' * all(_NUMBER.match(cell) for cell in column if cell)
        for column in columns
    ]
    lines = [f"<div class='table'><table><caption>{_line(caption)}</caption>"] if caption else []
    lines = lines or ["<div class='table'><table>"]
    for name, cells in (("th", header), *(("td", row) for row in rows)):
        shown = "".join(
            f"<{name}{mark}>{_line(cell)}</{name}>" for cell, mark in zip(cells, marks, strict=True)
        )
        lines.append(f"<tr>{shown}</tr>")
    return "\n".join([*lines, "</table></div>"])


def from_markdown(text: str) -> str:
    """Return HTML of the Markdown that findna writes.

    It has headings, paragraphs, lists, tables and code in a line; all else means itself.
    """
    return "\n".join(_block(block) for block in _blocks(text))


def _blocks(text: str) -> list[list[str]]:
    """Return runs of lines that are of one kind."""
    blocks: list[list[str]] = [[]]
    before = ""
    for line in text.splitlines():
        kind = next((mark for mark in ("#", "- ", "|") if line.startswith(mark)), "")
        if kind != before or kind == "#" or not line.strip():
            blocks.append([])
        if line.strip():
            blocks[-1].append(line)
        before = kind
    return [block for block in blocks if block]


def _block(lines: list[str]) -> str:
    first = lines[0]
    if heading := re.match(r"(#{1,4}) ", first):
        level = len(heading[1])
        return f"<h{level}>{_line(first[level + 1 :])}</h{level}>"
    if first.startswith("- "):
        return "<ul>" + "".join(f"<li>{_line(line[2:])}</li>" for line in lines) + "</ul>"
    if first.startswith("|") and len(lines) > 1:
        cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
        header, _, *rows = cells
        if all(len(row) == len(header) for row in rows):
            return table(header, rows)
    return "<p>" + "\n".join(_line(line) + "<br>" * line.endswith("  ") for line in lines) + "</p>"


def _line(text: str) -> str:
    r"""Return a line of Markdown as HTML: ``code``, and ``\*`` for a star."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", plain(text).replace("\\*", "*"))
