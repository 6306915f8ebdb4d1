"""Tables, cards and checks for people on a terminal, plain text in a pipe."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from findna.commands.checks import Check


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows to standard output; in a pipe the header begins with ``#``."""
    if not sys.stdout.isatty():
        click.echo("#" + "\t".join(header))
        for row in rows:
            click.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*(name.replace("_", " ") for name in header))
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def print_card(card: Path, name: str) -> None:
    """Print the card of a model or task; its name alone where there is no card."""
    text = f"# {name}\n\nThis folder has no card."
    if card.is_file():
        text = card.read_text("utf-8", "replace")
    if not sys.stdout.isatty():
        click.echo(text.rstrip())
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


def print_checks(about: Mapping[str, Any], checks: Iterable[Check], as_json: bool) -> None:
    """Print each check as it comes, or all as one JSON object; exit with 1 if one failed."""
    rows, passed = [], True
    for check in checks:
        passed = passed and check.passed is not False
        measured = check.measured
        if not as_json:
            marks = {True: ("ok", "green"), False: ("FAILED", "red"), None: ("-", "yellow")}
            word, colour = marks[check.passed]
            numbers = (
                f"{measured:.1e} (at most {check.tolerance:.0e})  " if measured is not None else ""
            )
            click.echo(
                f"{click.style(f'{word:6}', fg=colour)}  {check.name:12}  {numbers}{check.said}"
            )
        if measured is not None and not math.isfinite(measured):
            measured = None  # JSON has no such number
        rows.append({**asdict(check), "measured": measured})
    if as_json:
        click.echo(json.dumps({**about, "checks": rows, "passed": passed}))
    if not passed:
        click.get_current_context().exit(1)
