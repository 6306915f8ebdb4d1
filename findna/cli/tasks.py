"""``findna tasks``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import BP, EXISTING, FILE, PATH, REACH, TASK, flag, option
from findna.cli._output import print_card, print_table, print_text, purpose
from findna.cli._summary import note, summarized
from findna.console import printable

_OF_REGIONS = ("label_column", "stranded", "window", "upstream", "downstream", "anchor")
_OF_BASES = ("sites", "features", "regions")
"""Options of findna tasks measure for tasks of one kind only."""


@click.group()
def tasks() -> None:
    """List tasks, look at one, make its report, or measure it.

    \b
    Examples:
      findna tasks list
      findna tasks info promoter
      findna tasks report promoter -o promoter.html
      findna tasks measure promoter --data my_promoters.csv
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


@tasks.command(short_help="Measure a task on labelled data of yours.")
@click.argument("task", type=TASK)
@click.argument("genome", type=PATH, required=False)
@option(
    "--data=FILE|FOLDER",
    "Labelled sequences: CSV, TSV, BED (with GENOME), FASTA, or a folder; of a task of single "
    "bases BED, GTF or GFF.",
    EXISTING,
    required=True,
)
@option(
    "--label-column=NAME",
    "Column of the label.  [default: label; of BED the name; of several targets theirs]",
)
@flag("-s --stranded", "Read intervals on the minus strand as reverse complement.")
@option("--window=N", "Read N bp about the anchor of each interval instead of the task's.", BP)
@option("--upstream=N", "Read the anchor's base and N bp before it, by the row's strand.", REACH)
@option("--downstream=N", "... and N bp after it.", REACH)
@_options.anchor
@option("--sites=A,B", "Of GTF or GFF, for a task of single bases: donor, acceptor or both.")
@option("--features=A,B,...", "Of GTF or GFF, likewise: the bases of these features.")
@option("--regions=BED", "Of a task of single bases: measure inside these intervals only.", FILE)
@option("-o --output=FILE", "Also write a report with pictures: a .html file.", PATH)
@_options.chrom_alias
@_options.device
@_options.precision
@_options.threads
@_options.force
@_options.verbosity
@summarized("genome data regions", "output")
def measure(task: str, genome: Path | None, output: Path | None, **options: Any) -> None:
    """Measure TASK, a name or a folder, on labelled data that it was not trained on.

    The table has every measure with its 95 % interval (bootstrap over rows), and what GC content
    and counting CpG tell of two classes, or of single bases. Classes have the task's names, or are
    numbered from 0 in its order. Intervals of 1 bp, and with --anchor all, get the windows of the
    task, as in findna predict; others are read as they are. A task of single bases is measured on
    every base of GENOME, or of --regions, on both strands: what --data does not list counts as no
    site.

    \b
    Examples:
      findna tasks measure promoter --data my_promoters.csv
      findna tasks measure promoter hg38.fa --data tss.bed -o promoter.html
      findna tasks measure ctcf hg38.fa --data peaks.narrowPeak --anchor summit
      findna tasks measure splice chr21.fa --data genes.gtf --sites donor,acceptor
    """
    from findna.errors import ConfigError
    from findna.outputs.files import check_output, replaced
    from findna.tasks.sites import load_any_task

    if output is not None and output.suffix.lower() != ".html":
        raise ConfigError(f"{output}: name a .html file")
    _options.begin()
    inputs = [path for path in (genome, options["data"], options["regions"]) if path is not None]
    if output is not None:
        check_output(output, options["force"], inputs)
    loaded = load_any_task(task)
    with _options.opened_genome(genome, options["chrom_alias"]) as fasta:
        measured = _measured(loaded, fasta, options)
    note(weights={f"task {loaded.name}": loaded.digest}, metrics=measured.record["metrics"])
    print_table(*_rows(measured))
    if output is not None:
        with replaced(output) as temporary:
            temporary.write_text(measured.page(), "utf-8", "replace")
    _options.say(f"{loaded.name} on {options['data']}{_options.arrow(output)}")


def _measured(task: Any, genome: Any, options: dict[str, Any]) -> Any:
    """Return what is measured of a loaded task of either kind."""
    from findna.commands.measure import measure_bases, measure_regions, read_measured
    from findna.genome.regions import RegionOptions
    from findna.tasks.sites import SiteTask

    compute = _options.compute(options)
    if isinstance(task, SiteTask):
        _options.refuse(_OF_REGIONS, f"is for regions, and {task.name} tells single bases")
        if genome is None:
            raise click.UsageError(f"{task.name} tells single bases: give GENOME, the FASTA")
        names = _options.site_names(options)
        data, regions = options["data"], options["regions"]
        return measure_bases(task, genome, data, names, regions, compute=compute)
    _options.refuse(_OF_BASES, f"is for single bases, and {task.name} tells regions")
    region = _options.filled(RegionOptions, options)
    if region.conflict:
        raise click.UsageError(region.conflict)
    data = read_measured(task, options["data"], genome, region, options["label_column"])
    return measure_regions(task, data, compute, region)


def _rows(measured: Any) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the header and the rows of the table of what was measured."""
    from findna.labelled.metrics import NAMES
    from findna.tasks.sites import SiteTask

    if isinstance(measured.task, SiteTask):
        keys = ("auprc", "auroc", "precision_at_half_recall")
        measures = ("AUPRC", "AUROC", "precision_at_half_recall")
        return ("class", "sites", "bases", "told_by", *measures), [
            (name, str(own["sites"]), str(own["bases"]), title, *(f"{values[k]:.4f}" for k in keys))
            for name, own in measured.figures.items()
            for title, values in ((measured.task.name, own), *own["baselines"].items())
        ]
    rows = []
    for key, value in measured.figures.items():
        bounds = [f"{bound:.4f}" for bound in measured.intervals.get(key, ())] or [".", "."]
        rows.append(
            (measured.task.name, NAMES[key], "." if value is None else f"{value:.4f}", *bounds)
        )
    for title, values in measured.baselines.items():
        rows += [(title, NAMES[key], f"{value:.4f}", ".", ".") for key, value in values.items()]
    return ("score", "metric", "value", "low", "high"), rows
