"""Tables, cards and checks for people on a terminal, plain text in a pipe."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from findna.cli._summary import note
from findna.console import printable
from findna.errors import OutputError

if TYPE_CHECKING:
    from findna.commands.checks import Check


def is_terminal() -> bool:
    """Return whether standard output is a terminal; raise OutputError if it is closed."""
    if sys.stdout is None:
        raise OutputError("standard output is closed; nothing can be shown")
    return sys.stdout.isatty()


def print_text(text: str) -> None:
    """Print a text that may come from a file; nothing in it can command a terminal."""
    is_terminal()  # and not closed
    click.echo(printable(text, keep="\n\t"))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows to standard output; in a pipe the header begins with ``#``."""
    if not is_terminal():
        print_text("#" + "\t".join(header))
        for row in rows:
            print_text("\t".join(map(printable, row)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name in header:
        whole = name in (header[0], "digest")  # what people copy is not cut
        table.add_column(name.replace("_", " "), no_wrap=whole)
    for row in rows:
        table.add_row(*map(printable, row))
    Console().print(table)


def print_facts(sections: Mapping[str, Mapping[str, str]]) -> None:
    """Print section, name and value of each fact; on a terminal as a table."""
    rows = [(section, *fact) for section, facts in sections.items() for fact in facts.items()]
    if not is_terminal():
        for row in rows:
            print_text("\t".join(map(printable, row)))
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column(style="bold"), "", Column(overflow="fold"), box=None, show_header=False)
    for i, (section, name, value) in enumerate(rows):
        first = i == 0 or rows[i - 1][0] != section
        if first and i:
            table.add_row()
        table.add_row(section if first else "", name, printable(value))
    Console(highlight=False).print(table)
    click.echo()


def purpose(note: Any) -> str:
    """Return a note cut to a line, for a list; a dot where there is none."""
    return shorten(str(note or ""), 80, placeholder=" ...") or "."


def print_card(card: Path, name: str) -> None:
    """Print the card of a model or task; its name alone where there is no card."""
    text = f"# {name}\n\nThis folder has no card."
    if card.is_file():
        text = card.read_text("utf-8", "replace")
    if not is_terminal():
        print_text(text.rstrip())
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(printable(text, keep="\n\t")))


def print_checks(about: Mapping[str, Any], checks: Iterable[Check], as_json: bool) -> None:
    """Print each check as it comes, or all as one JSON object; exit with 1 if one failed."""
    rows, passed = [], True
    is_terminal()  # and not closed
    for check in checks:
        passed = passed and check.passed is not False
        measured = check.measured
        if not as_json:
            marks = {True: ("ok", "green"), False: ("FAILED", "red"), None: ("-", "yellow")}
            word, colour = marks[check.passed]
            numbers = (
                f"{measured:.1e} (at most {check.tolerance:.0e})  " if measured is not None else ""
            )
            said = printable(f"{check.name:12}  {numbers}{check.message}")
            click.echo(f"{click.style(f'{word:6}', fg=colour)}  {said}")
        if measured is not None and not math.isfinite(measured):
            measured = None  # JSON has no such number
        rows.append({**asdict(check), "measured": measured})
    fates = Counter({True: "passed", False: "failed", None: "not_done"}[r["passed"]] for r in rows)
    note(statuses=fates, checks=rows)
    if as_json:
        click.echo(json.dumps({**about, "checks": rows, "passed": passed}))
    if not passed:
        click.get_current_context().exit(1)
