"""``findna scan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import BP, PATH, REACH, ROWS, SHARE, TASK, flag, option
from findna.cli._summary import note, summarized
from findna.console import counted

_OF_WINDOWS = ("window", "upstream", "downstream", "step", "max_n")
"""Options that do nothing for a task of sites."""


@click.command(
    short_help="A task's probability along the genome, as a track.",
    context_settings={"allow_extra_args": True},  # refused below, with a hint
)
@_options.genome
@option("-t --task=NAME", "Task, by name (findna tasks list) or folder.", TASK, required=True)
@option("-o --output=FILE", "File to write; .gz is BGZF.  [default: standard output]", PATH)
@option(
    "-O --output-type form",
    "Format of the track.  [default: bigwig for .bw and .bigWig, else bedgraph]",
    ["bedgraph", "bigwig"],
)
@option("--regions=BED", "Scan only these intervals; - is standard input.", ROWS)
@option(
    "-r --region=CHROM:START-END",
    "Scan only this region, as in samtools, 1-based and inclusive; without -END to the end of the "
    "contig; repeatable.",
    multiple=True,
)
@option(
    "--class=NAME class_name",
    "Class whose probability makes the track, or whose sites are listed.  [default: the second of "
    "two; of single bases all]",
)
@option(
    "--window=N", "Length of a window, bp.  [default: that of the task's training sequences]", BP
)
@option("--upstream=N", "With --downstream M: windows of N + 1 + M bp.", REACH)
@option("--downstream=N", "See --upstream.", REACH)
@option("--step=N", "From one window to the next, bp.  [default: a sixth of the window]", BP)
@option(
    "--strand",
    "Read windows as they are, or as their reverse complement.  [default: +; with --call both]",
    ["+", "-"],
)
@option(
    "--call=P",
    "For a task of single bases: list the sites of at least this probability as BED6, by strand; "
    "neighbouring bases of a class above it are one site, with score 1000 times the highest.",
    SHARE,
)
@option(
    "--max-n=SHARE",
    "Windows with more N than this, or nothing but N, have no value.",
    SHARE,
    default=0.5,
)
@option(
    "--on-error",
    "Regions that cannot be read: stop before any work, or leave a gap (skip and null).",
    ["stop", "skip", "null"],
    default="stop",
)
@option(
    "--hub=FOLDER",
    "Write a UCSC track hub in place of -o: hub.txt, bigWig and a page about each track. A task of "
    "sites has a track of every class and strand, with --call of the sites too.",
    PATH,
)
@option("--assembly=NAME", "UCSC's name of the genome, for --hub: hg38, ce11, GCF_000146045.2.")
@_options.chrom_alias
@_options.prior
@_options.track_header
@flag("--write-index", "Also a tabix index of -o NAME.bedgraph.gz.")
@_options.inference_options
@summarized("genome regions chrom_alias", "output hub")
def scan(genome: Path, task: str, regions: str | None, **given: Any) -> None:
    """Write a task's probability along GENOME (FASTA) as a track: bedGraph or bigWig.

    Windows slide over every contig, or over the regions that are given; the value of a base is
    the mean over the windows that cover it. A task of single bases (findna finetune --dense) has a
    value of its own at each base, and --call lists its sites. A track is sorted and does not
    overlap; bases without a value (mostly N) are gaps. Text comes out while it is computed. Windows
    that hold a start of transcription where promoter expects it have their middle 100 bp upstream.

    \b
    Examples:
      findna scan genome.fa --task promoter -r chr21:33,000,001-33,200,000 > promoter.bedgraph
      findna scan genome.fa --task ctcf --regions genes.bed -o ctcf.bw
      findna scan genome.fa --task splice --class donor --strand - -o donor.minus.bw
      findna scan genome.fa --task my-sites --call 0.5 | bedtools intersect -a - -b genes.bed
      findna scan hg38.fa --task splice --call 0.5 -r chr20:1M-1.1M --hub hub --assembly hg38
      findna scan genome.fa --task ctcf | awk '$4 > 0.9' | bedtools merge -c 4 -o max
    """
    if extra := click.get_current_context().args:
        raise click.UsageError(
            f"Got unexpected extra argument ({extra[0]}); regions to scan: --regions {extra[0]}"
        )

    from findna.commands.scan import FORMS, ScanOptions
    from findna.commands.scan import scan as run
    from findna.commands.scan_hub import hub_of_windows
    from findna.outputs.hubs import HUB
    from findna.tasks.task import find_task, has_sites

    hub = _hub(given)
    if has_sites(find_task(task)):
        _scan_sites(genome, task, regions, given, hub)
        return
    if given["call"] is not None:
        raise click.UsageError(
            f"--call is for tasks of single bases; {task} has a value for each region: "
            "leave it out, and cut the track (| awk '$4 > 0.9' | bedtools merge -c 4 -o max)"
        )
    output = _options.destination(given, FORMS)
    reach = [given[name] for name in ("upstream", "downstream") if given[name] is not None]
    if reach and given["window"]:
        raise click.UsageError("--upstream and --downstream cannot be combined with --window")
    window = 1 + sum(reach) if reach else given["window"] or 0
    step = given["step"] or 0
    opened = _options.genome_and_rows(genome, regions, given, name="--regions")
    with opened as (fasta, source):
        common: dict[str, Any] = {
            "task": _options.with_prior([task], given["prior"])[0],
            "class_name": given["class_name"],
            "regions": source if regions is not None or given["region"] else None,
            "options": _options.filled(
                ScanOptions, given, window=window, step=step, strand=given["strand"] or "+"
            ),
            "compute": _options.compute(given),
        }
        if hub is None:
            summary = run(fasta, output, header=given["header"], **common)
        else:
            summary = hub_of_windows(fasta, hub, **common)
    counts, options = summary.counts, summary.options
    note(weights=summary.weights, counts=counts)
    _options.say(
        f"{summary.quantity} over {counts['covered']} of {counts['bases']} bp in "
        f"{counted(counts['windows'], 'window')} of {options.window} bp every {options.step} bp in "
        f"{summary.seconds:.1f} s, {summary.made_by}"
        + _options.arrow(output.path if hub is None else hub.folder / HUB)
    )


def _hub(given: dict[str, Any]) -> Any:
    """Return the hub that is asked for, if one is."""
    if given["hub"] is None:
        if given["assembly"] is not None:
            raise click.UsageError("--assembly is for --hub FOLDER")
        return None
    for name in ("output", "form", "header", "write_index"):
        if given[name]:
            shown = {"form": "output-type", "write_index": "write-index"}.get(name, name)
            raise click.UsageError(f"--{shown} cannot be combined with --hub, which writes bigWig")
    if given["assembly"] is None:
        raise click.UsageError("--hub needs UCSC's name of the genome: --assembly hg38")

    from findna.outputs.hubs import Hub

    return Hub(given["hub"], given["assembly"], given["force"])


def _scan_sites(
    genome: Path, task: str, regions: str | None, given: dict[str, Any], hub: Any
) -> None:
    """Scan with a task of sites."""
    from findna.commands.scan import FORMS
    from findna.commands.scan_hub import hub_of_sites
    from findna.commands.scan_sites import SiteOptions, scan_sites
    from findna.outputs.hubs import HUB

    _options.refuse(_OF_WINDOWS, "does nothing for a task of single bases; leave it out")
    calls = given["call"] is not None
    if calls and given["form"] is not None:
        raise click.UsageError("--call writes BED; leave out -O")
    output = _options.destination(given, ("bed",) if calls else FORMS)
    opened = _options.genome_and_rows(genome, regions, given, name="--regions")
    with opened as (fasta, source):
        common: dict[str, Any] = {
            "task": _options.with_prior([task], given["prior"])[0],
            "regions": source if regions is not None or given["region"] else None,
            "options": _options.filled(SiteOptions, given),
            "compute": _options.compute(given),
        }
        if hub is None:
            summary = scan_sites(fasta, output, header=given["header"], **common)
        else:
            summary = hub_of_sites(fasta, hub, **common)
    counts = summary.counts
    note(weights=summary.weights, counts=counts)
    _options.say(
        f"{summary.quantity} over {counts['covered']} of {counts['bases']} bp in "
        f"{summary.seconds:.1f} s, {summary.made_by}"
        + _options.arrow(output.path if hub is None else hub.folder / HUB)
    )
