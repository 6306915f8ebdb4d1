"""``findna predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import PATH, ROWS, SHARE, TASK, flag, option
from findna.cli._summary import note, note_rows, summarized


@click.command(short_help="Label and probability per region.")
@_options.genome
@click.argument("regions", required=False, type=ROWS)
@option(
    "-t --task=NAME[,NAME]",
    "Task or tasks, by name (findna tasks list) or folder; repeatable.",
    TASK,
    multiple=True,
    required=True,
)
@option("-o --output=FILE", "File to write; .gz is BGZF.  [default: standard output]", PATH)
@option(
    "-O --output-type form",
    "Rows as they were with new columns, the same with a header, or JSON lines.  [default: "
    "by the name of the output, else bed; tsv without REGIONS]",
    ["bed", "tsv", "jsonl"],
)
@flag(
    "--bed6",
    "Six columns for browsers: the row's name, or the label where it has none; as score 1000 "
    "times the probability. Of a site also its strand.",
)
@flag(
    "--bed9",
    "The same, a colour (itemRgb) by label, and the site as thick part; --header adds a track "
    "line for UCSC.",
)
@flag("--header", "Repeat header lines of REGIONS, and name the new columns and the weights.")
@flag("--all-classes", "Also the probability of every class.")
@option("--min-prob=P", "Only rows where a task gives at least this probability.", SHARE)
@_options.prior
@flag("--write-index", "Also a tabix index of -o NAME.bed.gz (sorted rows).")
@_options.region_options
@_options.multiqc
@_options.part_options
@_options.inference_options
@summarized("genome regions chrom_alias", "output")
def predict(genome: Path, regions: str | None, **given: Any) -> None:
    """Append label and probability to the rows of REGIONS (BED), from the sequence of GENOME.

    Rows come out as they went in, in their order, with two more columns per task: the label, and
    a probability of six decimals: that of the second class where there are two (findna tasks info
    names it), of the label where there are more. A task of single bases (findna finetune --dense)
    gives the most probable site of each region, and two columns more: its start, 0-based, and its
    strand (below a probability of 0.5 the label is none); without -s both strands are looked at.
    REGIONS may be plain, gzip or BGZF; a pipe (-) is answered while it is read. Without REGIONS
    (and without -r) every FASTA record is a row.

    Points, which are rows of 1 bp, get the window that the task was trained on, laid by strand
    where that matters; with --anchor alone every row does. Other rows are read as they are, and
    a task of single bases looks at a point alone.

    \b
    Examples:
      findna predict genome.fa peaks.bed --task promoter > peaks.promoter.bed
      findna predict genome.fa tss.bed --task promoter | bedtools intersect -a - -b peaks.bed
      findna predict genome.fa genes.bed --task promoter --anchor start --bed6 -o genes.bed.gz
      findna predict genome.fa peaks.bed --task promoter --bed9 --header -o for_ucsc.bed
      findna predict genes.fa --task promoter,splice --all-classes
      findna predict genome.fa windows.bed --task promoter --prior 0.02 > windows.promoter.bed
      findna predict genome.fa liver.bed --task promoter -o liver.out.bed --multiqc qc/liver
      findna predict genome.fa introns.bed --task my-sites -s -O tsv -o introns.tsv
    """
    options = _options.placement(given)
    records = regions is None and not given["region"]
    if given["bed6"] and given["bed9"]:
        raise click.UsageError("give --bed6 or --bed9, not both")
    browser = "--bed6" if given["bed6"] else "--bed9" if given["bed9"] else ""
    if browser and given["form"] not in (None, "bed"):
        raise click.UsageError(f"{browser} is BED; leave out -O")

    from findna.commands.predict import FORMS
    from findna.commands.predict import predict as run
    from findna.outputs.tables import PredictionFormat

    output = _options.destination(given, FORMS, "tsv" if records and not browser else "bed")
    if browser and output.form != "bed":
        raise click.UsageError(f"{browser} is BED; name a .bed file with -o")
    least = given["min_prob"]
    layout = _options.filled(
        PredictionFormat, given, form=output.form, records=records, min_probability=least
    )
    tasks = _options.with_prior(_options.listed(given["task"], "--task"), given["prior"])
    opened = _options.genome_and_rows(genome, regions, given, stream=not output.in_parts)
    with opened as (fasta, source):
        summary = _options.for_job(run, regions)(
            fasta,
            source,
            output,
            tasks=tasks,
            options=options,
            layout=layout,
            compute=_options.compute(given),
        )
    fate = "skipped" if options.on_error == "skip" else "without a prediction"
    counts = summary.counts
    note(weights=summary.weights)
    note_rows(counts, "predicted", counts["written"])
    _options.say(
        _options.regions_done(counts, "predicted", fate)
        + (f", {counts['written']} written" if layout.min_probability is not None else "")
        + _options.in_windows(summary)
        + f" in {summary.seconds:.1f} s, {summary.made_by}"
        + _options.arrow(output.path)
    )
