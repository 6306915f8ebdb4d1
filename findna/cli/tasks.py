"""``findna tasks``."""

from __future__ import annotations

import json
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import flag
from findna.cli._output import print_card, print_table, print_text
from findna.console import printable


@click.group()
def tasks() -> None:
    """List tasks for findna predict, or look at one.

    \b
    Examples:
      findna tasks list
      findna tasks info promoter
    """


@tasks.command("list")
@_options.verbosity
def list_tasks() -> None:
    """Show the tasks that ship and those in $FINDNA_HOME/tasks.

    A task of one's own goes before one of the same name that ships.
    """
    from findna.errors import CheckpointError
    from findna.tasks.sites import read_any_task
    from findna.tasks.task import SHIPPED, known_tasks

    rows = []
    for name, folder in sorted(known_tasks().items()):
        try:
            config, record = read_any_task(folder)
        except CheckpointError as error:  # the others can be used all the same
            click.echo(printable(f"findna: {name} left out: {error}"), err=True)
            continue
        rows.append(
            (
                name,
                ",".join(config.classes),
                config.reads,
                config.mode,
                config.encoder,
                _figure(record.get("metrics")),
                "shipped" if folder.parent == SHIPPED else str(folder),
                str(record.get("digest", ""))[:12],
            )
        )
    header = ("task", "classes", "window", "mode", "encoder", "figure", "where", "digest")
    print_table(header, rows)


def _mean_auprc(measured: Any) -> float | None:
    """Return the mean over the classes of a task of sites; None of other figures."""
    each = list(measured.values()) if isinstance(measured, dict) else []
    values = [value.get("auprc") for value in each if isinstance(value, dict)]
    scores = [value for value in values if isinstance(value, float)]
    return sum(scores) / len(scores) if scores and len(scores) == len(each) else None


def _figure(metrics: Any) -> str:
    """Return a task's AUROC or R2 from its record, which may hold anything; of sites AUPRC."""
    for split in ("test", "valid") if isinstance(metrics, dict) else ():
        measured = metrics.get(split)
        if isinstance(mean := _mean_auprc(measured), float):
            return f"AUPRC {mean:.3f} ({split})"
        for metric in ("auroc", "r2") if isinstance(measured, dict) else ():
            if isinstance(measured.get(metric), float):
                return f"{metric.upper()} {measured[metric]:.3f} ({split})"
    return "."


@tasks.command()
@click.argument("task")
@flag("--json as_json", "Print task.json as it is.")
@_options.verbosity
def info(task: str, as_json: bool) -> None:
    """Show the card of TASK, a name or a folder."""
    from findna.tasks.sites import load_any_task, read_any_task
    from findna.tasks.task import CARD, find_task

    folder = find_task(task)
    if as_json:
        print_text(json.dumps(read_any_task(folder)[1], indent=2))
        return
    print_card(folder / CARD, load_any_task(task).name)
