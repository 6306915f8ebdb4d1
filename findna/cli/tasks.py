"""``findna tasks``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import PATH, TASK, flag, option
from findna.cli._output import print_card, print_table, print_text, purpose
from findna.console import printable


@click.group()
def tasks() -> None:
    """List tasks for findna predict, look at one, or make its report.

    \b
    Examples:
      findna tasks list
      findna tasks info promoter
      findna tasks report promoter -o promoter.html
    """


@tasks.command("list")
@_options.verbosity
def list_tasks() -> None:
    """Show the tasks that there are.

    They ship, or lie in $FINDNA_HOME/tasks or in tasks/ of a folder of $FINDNA_PATH, a list divided
    by colons. One's own go before those of the path, in its order, and these before one of the
    same name that ships; -v says which are hidden.

    \b
    Examples:
      findna tasks list
      FINDNA_PATH=/lab/findna:/cluster/findna findna tasks list -v
    """
    from findna import places
    from findna.errors import CheckpointError
    from findna.tasks.sites import read_any_task

    rows = []
    for name, folders in places.every(places.TASKS).items():
        places.say_hidden(name, folders)
        try:
            config, record = read_any_task(folders[0])
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
                places.where(folders[0]),
                str(record.get("digest", ""))[:12],
                str(record.get("species") or "."),
                purpose(record.get("note")),
            )
        )
    header = ("task", "classes", "window", "mode", "encoder", "figure", "where", "digest")
    print_table((*header, "species", "purpose"), rows)


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
@click.argument("task", type=TASK)
@flag("--json as_json", "Print task.json as it is.")
@_options.verbosity
def info(task: str, as_json: bool) -> None:
    """Show the card of TASK, a name or a folder."""
    from findna.model.folders import to_json
    from findna.tasks.sites import load_any_task, read_any_task
    from findna.tasks.task import CARD, find_task

    folder = find_task(task)
    if as_json:
        print_text(to_json(read_any_task(folder)[1]))
        return
    print_card(folder / CARD, load_any_task(task).name)


@tasks.command(short_help="Write the report of a task: its card with pictures.")
@click.argument("task", type=TASK)
@option("-o --output=FILE", "HTML file to write.", PATH, default="report.html", show_default=True)
@_options.force
@_options.verbosity
def report(task: str, output: Path, force: bool) -> None:
    """Write the report of TASK, a name or a folder: its card with pictures, as one HTML file.

    It has what was measured when the task was trained: metrics with intervals, ROC and
    precision-recall curves, how far probabilities hold, the confusion matrix, figures by contig,
    baselines. It needs no network. findna finetune writes one beside the card. Pictures need
    findna[plot]; without it there are tables only.
    """
    from findna.errors import ConfigError
    from findna.outputs.files import check_output
    from findna.tasks.report import write_report
    from findna.tasks.task import CARD, find_task
    from findna.tasks.task import TASK as RECORD

    if output.suffix.lower() != ".html":
        raise ConfigError(f"{output}: name a .html file")
    folder = find_task(task)
    check_output(output, force, [folder / RECORD, folder / CARD])
    write_report(folder, output)
    _options.say(f"{folder.resolve().name} -> {output}")
