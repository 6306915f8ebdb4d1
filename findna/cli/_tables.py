"""Tables and cards for people on a terminal, plain text in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click


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
