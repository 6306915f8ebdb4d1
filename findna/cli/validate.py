"""``findna validate``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from findna.cli import _options
from findna.cli._options import MODEL, PATH, TASK, choice, flag, option
from findna.cli._output import is_terminal, print_text
from findna.cli._summary import note, summarized
from findna.console import printable

if TYPE_CHECKING:
    from findna.commands.validate import Report
    from findna.commands.validate.report import TaskUse

_BAR = 30  # letters of the longest bar
_MOST_CLASSES = 20  # in the list


@click.command(short_help="What a run would do, and all that is wrong with its input.")
@click.argument("genome", type=PATH)
@click.argument("data", required=False, metavar="[REGIONS|VCF|LABELLED]", type=PATH)
@_options.placement_options
@_options.chrom_alias
@flag("--labelled", "These are labelled sequences, also if they look like BED or a FASTA.")
@choice("--kind", "Of the labels, as for findna finetune.", "auto classes multilabel regression")
@option("--label-column=NAME", "Column of the label, as for findna finetune.")
@option(
    "-t --task=NAME[,NAME]",
    "Say what findna predict and findna scan would take with a task; repeatable. Loads no "
    "weights and estimates nothing.",
    TASK,
    multiple=True,
)
@option("-m --model=NAME|FOLDER", "Model to estimate time and memory of.", MODEL, default="tiny")
@flag("--no-estimate", "No estimate of time and memory; loads no model.")
@_options.device
@_options.threads
@flag("--json as_json", "One JSON object (docs/formats.md).")
@_options.multiqc
@_options.force
@_options.verbosity
@summarized("genome data chrom_alias")
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
      findna validate genome.fa tss.bed --task promoter
      findna validate genome.fa calls.vcf.gz --no-estimate
      findna validate labelled.csv --json | jq .labels
      findna validate genome.fa liver.bed --no-estimate --multiqc qc/liver
      findna validate genome.fa regions.bed --no-estimate -q && findna embed genome.fa ...
    """
    options = _options.placement(given)
    tasks = _options.listed(given["task"], "--task")

    from findna.commands.validate import report_sections
    from findna.commands.validate import validate as run
    from findna.labelled.rows import TABLE, suffix
    from findna.outputs.multiqc import check_multiqc, write_sections

    fasta_path: Path | None = genome
    if data is None and (labelled or genome.is_dir() or suffix(genome) in TABLE):
        fasta_path, data = None, genome
    multiqc = given["multiqc"]
    if multiqc is not None:
        check_multiqc(multiqc, "validate", given["force"])
    measured = None if given["no_estimate"] or tasks else (given["model"], given["device"])
    with _options.opened_genome(fasta_path, given["chrom_alias"]) as fasta:
        report = run(
            fasta,
            data,
            options=options,
            labelled=labelled,
            kind=given["kind"],
            label_column=given["label_column"],
            tasks=tasks,
            measured=measured,
        )
    note(
        rows={"in": report.rows, "out": None},
        statuses=dict(report.statuses),
        verdict=report.verdict,
    )
    if multiqc is not None:
        write_sections(multiqc, report_sections(report))
    if as_json:
        print_text(json.dumps(report.facts()))
    elif is_terminal():
        print_report(report)
    else:
        for line in _lines(report):
            print_text(line.as_text())
    if report.stops:
        click.get_current_context().exit(1)


class _Line(NamedTuple):
    """A line of the report; ``share`` is drawn as a bar, ``text`` may have lines of its own."""

    section: str
    name: str
    value: str
    text: str = ""
    share: float = 0.0

    def as_text(self) -> str:
        """Return section, name, value and, where there is one, what is said or the share."""
        share = f"{100 * self.share:.3g}%" if self.share else ""
        said = self.text.replace("\n", "; ") or share
        fields = [self.section, self.name, self.value, *([said] if said else [])]
        return "\t".join(map(printable, fields))


def _lines(report: Report) -> Iterator[_Line]:
    from findna.genome.survey import hint_once

    of_variants = report.kind == "variants"
    yield _Line("file", report.kind, report.file)
    if report.genome:
        yield _Line("file", "genome", report.genome)
    for status, n in report.statuses.most_common():
        found = hint_once(report.examples.get(status, []))
        reasons = [_short(reason, report) for reason in found]
        if status == "unknown_contig":
            reasons.append(report.unknown_reason)
        yield _Line("rows", status, str(n), "\n".join(reasons), n / report.rows)
    classes = report.classes.most_common()
    section, total = "alleles" if of_variants else "labels", report.classes.total()
    for name, n in classes[:_MOST_CLASSES]:
        yield _Line(section, name, str(n), share=n / total)
    if others := [n for _, n in classes[_MOST_CLASSES:]]:
        yield _Line(section, f"{len(others)} more", str(sum(others)), share=sum(others) / total)
    if report.labels and not report.classes:
        yield _Line("labels", "kind", report.labels)
    if report.lengths.rows:
        yield from _length_lines(report, "alleles" if of_variants else "sequences")
    duplicates = report.duplicates
    if duplicates.compared:
        limit = [f"among the first {duplicates.compared} rows"] * duplicates.limited
        examples = _short("; ".join([*limit, *duplicates.examples]), report)
        yield _Line("more", "duplicates", str(duplicates.rows), examples)
    if duplicates.conflicts:
        examples = _short("; ".join(duplicates.conflict_examples), report)
        yield _Line("more", "conflicting labels", str(duplicates.conflicts), examples)
    if report.contigs:
        yield _Line("more", "contigs", str(len(report.contigs)))
    if report.kind != "labelled" and duplicates.compared:
        yield _Line("more", "sorted", "yes" if report.in_order else "no")
    for task in report.tasks:
        yield from _task_lines(task)
    estimate = report.estimate
    if estimate is not None:
        run = f"findna {estimate.command}, model {estimate.model} on {estimate.device}"
        yield _Line("estimate", "time", _duration(estimate.seconds), f"{run}; an estimate")
        yield _Line("estimate", "memory", _size(estimate.memory), "whatever the number of rows")
        if estimate.gpu_memory is not None:
            yield _Line("estimate", "GPU memory", _size(estimate.gpu_memory))
    yield _Line("verdict", "stop" if report.stops else "ok", report.verdict)


def _length_lines(report: Report, unit: str) -> Iterator[_Line]:
    lengths = report.lengths
    for part in lengths.bins():
        name = str(part.first) if part.first == part.last else f"{part.first}-{part.last}"
        yield _Line("bp", name, str(part.rows), share=part.rows / lengths.rows)
    if lengths.shortest == lengths.longest:
        span = f"{lengths.shortest} each"
    else:
        mean = lengths.total / lengths.rows
        span = f"{lengths.shortest} to {lengths.longest}, mean {mean:.0f}"
    yield _Line("bp", "total", str(lengths.total), span)
    rows = f"in {report.n_rows} {unit}" if report.n_rows else ""
    if report.n_rows_half:
        rows += f", above half in {report.n_rows_half}, nothing else in {report.n_rows_all}"
    yield _Line("bp", "N", f"{100 * report.n_bases / lengths.total:.3g}%", rows)


def _task_lines(task: TaskUse) -> Iterator[_Line]:
    n_rows = task.windows + task.as_given
    section = f"task {task.name}"
    if task.windows:
        yield _Line(section, "windows", str(task.windows), task.geometry)
    if task.points:
        yield _Line(section, "points", str(task.points), "one base each")
    if others := task.as_given - (task.points or 0):
        said = "as they are" if task.windows else task.geometry
        yield _Line(section, "others", str(others), said)
    if task.window:
        trained = f"than the {task.window} bp it was trained on"
        yield _Line(section, "shorter", str(task.shorter), trained)
        yield _Line(section, "longer", str(task.longer), trained)
    if task.without_strand is not None:
        yield _Line(section, "without strand", str(task.without_strand), "read forward")
    if n_rows:
        mean = f"{task.tiles / n_rows:.3g} a row, at most {task.most_tiles}"
        yield _Line(section, "tiles", str(task.tiles), mean)
    said = f"; {task.scan_message}" if task.scan and task.scan_message else task.scan_message
    if task.scan is not None:
        scan, of_sites = task.scan, task.points is not None
        said = (
            f"{'tiles' if of_sites else 'windows'} of {scan.window} bp every {scan.step} bp, in "
            f"{scan.bases} bp of {scan.regions} joined regions, "
            + ("for each strand" if of_sites else f"{scan.shorter} of them shorter")
            + said
        )
    yield _Line(section, "scan", str(task.scan.windows) if task.scan else "", said)


def _short(text: str, report: Report) -> str:
    """Return a text without the name of the file, which the report begins with."""
    return text.replace(f"{report.file}:", "line ")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 0.1):.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _size(n: int) -> str:
    return f"{n / 1e6:.0f} MB" if n < 1e9 else f"{n / 1e9:.1f} GB"


def print_report(report: Report) -> None:
    """Print a report as a table for a terminal."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    columns = Column(style="bold"), Column(), Column(justify="right"), Column(overflow="fold")
    table = Table(*columns, box=None, show_header=False, pad_edge=False)
    console = Console(highlight=False)
    section = ""
    *lines, verdict = _lines(report)
    for line in lines:
        if line.section == "file":
            console.print(Text(printable(f"{line.name:9} {line.value}")))
            continue
        if line.section != section:
            table.add_row()
        left = line.section if line.section != section else ""
        bar = "\u2588" * max(round(_BAR * line.share), 1) if line.share else ""
        said = "\n".join(part for part in (bar, printable(line.text, keep="\n")) if part)
        table.add_row(left, Text(printable(line.name)), line.value, Text(said))
        section = line.section
    console.print(table)
    console.print()
    style = "bold red" if report.stops else "bold green"
    console.print(Text(printable(verdict.value), style=style))
