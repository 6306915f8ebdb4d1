"""Tables for people on a terminal, tab-separated text in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

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
