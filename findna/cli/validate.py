"""``findna validate``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from findna.cli import _options
from findna.cli._options import PATH, flag, option

if TYPE_CHECKING:
    from findna.commands.validate import Report

_BAR = 30  # letters of the longest bar
_MOST_CLASSES = 20  # that are listed


@click.command(short_help="What a run would do, and all that is wrong with its input.")
@click.argument("genome", type=PATH)
@click.argument("data", required=False, metavar="[REGIONS|VCF|LABELLED]", type=PATH)
@_options.placement_options
@_options.chrom_alias
@flag("--labelled", "These are labelled sequences, also if they look like BED or a FASTA.")
@option(
    "--kind",
    "Of the labels, as for findna finetune.",
    ["auto", "classes", "multilabel", "regression"],
    default="auto",
)
@option("--label-column=NAME", "Column of the label, as for findna finetune.")
@option("-m --model=NAME|FOLDER", "Model to estimate time and memory of.", default="tiny")
@flag("--no-estimate", "No estimate of time and memory; loads no model.")
@_options.device
@_options.threads
@flag("--json as_json", "One JSON object (docs/formats.md).")
@_options.verbosity
def validate(genome: Path, data: Path | None, labelled: bool, as_json: bool, **given: Any) -> None:
    """Read regions (BED), a VCF or a labelled set against GENOME (FASTA), and report.

    Says how many rows could be read and why others could not, what contigs were meant, which
    rows are there twice, how long the sequences are, and what embed (for a VCF: variants) would
    take. All that is wrong is counted. What the second file is, is seen from its content and
    name. Without one every FASTA record is a region; a labelled set that is no BED may stand
    alone. It ends with 1 if a run with the default options would stop.

    \b
    Examples:
      findna validate genome.fa peaks.bed --window 500
      findna validate genome.fa calls.vcf.gz --no-estimate
      findna validate labelled.csv --json | jq .labels
      findna validate genome.fa regions.bed --no-estimate -q && findna embed genome.fa ...
    """
    options = _options.placement(given)

    from findna.commands.validate import validate as run
    from findna.labelled.rows import TABLE, suffix

    first: Path | None = genome
    if data is None and (labelled or genome.is_dir() or suffix(genome) in TABLE):
        first, data = None, genome
    with _options.opened_genome(first, given["chrom_alias"]) as fasta:
        report = run(
            fasta,
            data,
            options=options,
            labelled=labelled,
            kind=given["kind"],
            label_column=given["label_column"],
            model=None if given["no_estimate"] else given["model"],
            device=given["device"],
        )
    if as_json:
        click.echo(json.dumps(report.facts()))
    elif sys.stdout.isatty():
        print_report(report)
    else:
        for line in _lines(report):
            click.echo("\t".join(field or "." for field in line[:4]))
    if report.stops:
        click.get_current_context().exit(1)


class _Line(NamedTuple):
    """One thing to say; ``share`` is drawn as a bar."""

    section: str
    name: str
    value: str
    text: str = ""
    share: float = 0.0


def _lines(report: Report) -> Iterator[_Line]:
    yield _Line("file", report.kind, report.file)
    if report.genome:
        yield _Line("file", "genome", report.genome)
    for status, n in report.statuses.most_common():
        reasons = [_short(said, report) for said in report.examples.get(status, [])]
        if status == "unknown_contig":
            reasons.append(report.unknown_reason)
        yield _Line("rows", status, str(n), reasons[0] if reasons else "", n / report.rows)
        for said in reasons[1:]:
            yield _Line("rows", status, "", said)
    lengths, unit = report.lengths, "alleles" if report.kind == "variants" else "sequences"
    for name, n in report.classes.most_common(_MOST_CLASSES):
        section = "alleles" if report.kind == "variants" else "labels"
        yield _Line(section, name, str(n), share=n / report.classes.total())
    if len(report.classes) > _MOST_CLASSES:
        yield _Line("labels", f"{len(report.classes) - _MOST_CLASSES} more", "")
    if report.labels and not report.classes:
        yield _Line("labels", "kind", report.labels)
    if lengths.rows:
        for part in lengths.bins():
            name = str(part.first) if part.first == part.last else f"{part.first}-{part.last}"
            yield _Line("bp", name, str(part.rows), share=part.rows / lengths.rows)
        mean = f"{lengths.shortest} to {lengths.longest}, mean {lengths.total / lengths.rows:.0f}"
        same = lengths.shortest == lengths.longest
        yield _Line("bp", "total", str(lengths.total), f"{mean.split()[0]} each" if same else mean)
        share = f"{100 * report.n_bases / lengths.total:.3g}%"
        more = f"in {report.n_rows} {unit}" if report.n_rows else ""
        if report.n_rows_half:
            more += f", above half in {report.n_rows_half}, nothing else in {report.n_rows_all}"
        yield _Line("bp", "N", share, more)
    found = report.duplicates
    if found.compared:
        limit = [f"among the first {found.compared} rows"] * found.limited
        said = _short("; ".join([*limit, *found.examples]), report)
        yield _Line("more", "duplicates", str(found.rows), said)
        if found.conflicts:
            said = _short("; ".join(found.conflict_examples), report)
            yield _Line("more", "conflicting labels", str(found.conflicts), said)
    if report.contigs:
        yield _Line("more", "contigs", str(len(report.contigs)))
    if report.kind != "labelled" and found.compared:
        yield _Line("more", "sorted", "yes" if report.in_order else "no")
    guess = report.estimate
    if guess is not None:
        on = f"findna {guess.command}, model {guess.model} on {guess.device}; an estimate"
        yield _Line("estimate", "time", _duration(guess.seconds), on)
        yield _Line("estimate", "memory", _size(guess.memory), "whatever the number of rows")
        if guess.gpu_memory is not None:
            yield _Line("estimate", "GPU memory", _size(guess.gpu_memory))
    yield _Line("verdict", "stop" if report.stops else "ok", "", report.verdict)


def _short(said: str, report: Report) -> str:
    """Without the name of the file, which was said."""
    return said.replace(f"{report.file}:", "line ")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 0.1):.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _size(n: int) -> str:
    return f"{n / 1e6:.0f} MB" if n < 1e9 else f"{n / 1e9:.1f} GB"


def print_report(report: Report) -> None:
    """Print a report as a table for a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    section, name = "", ""
    *lines, verdict = _lines(report)
    for line in lines:
        if line.section == "file":
            console.print(Text(f"{line.name:9} {line.value}"))
            continue
        if line.section != section:
            table.add_row()
        left = "" if line.section == section else line.section
        shown = Text("" if (line.section, line.name) == (section, name) else line.name)
        section, name = line.section, line.name
        bar = "\u2588" * max(round(_BAR * line.share), 1) if line.share else line.text
        table.add_row(left, shown, line.value, Text(bar))
        if line.share and line.text:
            table.add_row("", "", "", Text(line.text))
    console.print(table)
    console.print()
    console.print(Text(verdict.text, style="bold red" if report.stops else "bold green"))
