"""``findna explain``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import BP, MODEL, PATH, ROWS, TASK, flag, option
from findna.cli._summary import note, note_rows, summarized


@click.command(short_help="Which bases matter: the effect of replacing each.")
@_options.genome
@click.argument("regions", required=False, type=ROWS)
@option(
    "-t --task=NAME", "Measure the log-odds of a task, by name (findna tasks list) or folder.", TASK
)
@option(
    "--target", "Instead of a task: the likelihood of each base, masked, by the model.", ["mnm"]
)
@option(
    "-m --model=NAME|FOLDER", "For --target: name or folder of a model.  [default: tiny]", MODEL
)
@option(
    "--class=NAME class_name",
    "Class whose log-odds are measured.  [default: the second of two; of single bases the only "
    "one]",
)
@option("-o --output=FILE", "HDF5 file to write: the effect of every replacement.", PATH)
@option(
    "--track=FILE",
    "Importance of each base: .bedgraph, .bedgraph.gz (BGZF) or .bw; - is standard output."
    "  [default: -, unless -o or --plot is given]",
    PATH,
)
@option(
    "--plot=FILE", "Draw it: .png or .svg, a file for each region; .pdf with a page for each.", PATH
)
@_options.region_options
@option(
    "--context=N",
    "Read N bp with each region in their middle, and replace only the region's bases.",
    BP,
)
@flag("--both-strands", "Average with the reverse complement.")
@_options.whole
@_options.track_header
@flag("--write-index", "Also a tabix index of --track NAME.bedgraph.gz.")
@_options.inference_options
@summarized("genome regions chrom_alias", "output track plot")
def explain(genome: Path, regions: str | None, **given: Any) -> None:
    """Replace each base of REGIONS (BED) by the three others, and write what that changes.

    With a task, its log-odds are measured (in-silico saturation mutagenesis); with --target mnm,
    the log-likelihood of each base, masked, against the three others. The importance of a base is
    minus the mean change over the three: above 0, the base speaks for the class. Without REGIONS
    (and without -r) every FASTA record is a region. Regions of 1 bp, or with --anchor alone all,
    get the window that the task was trained on. docs/explain.md has the definitions.

    A task of single bases (findna finetune --dense) is measured at one base of each region: its
    most probable site of --class, or the region itself if it is 1 bp, about which 41 bp are
    replaced (--window N: others). Results follow the strand of that site.

    \b
    Examples:
      findna explain genome.fa -r chr21:33,000,001-33,000,300 --task promoter --plot logo.png
      findna explain genome.fa tss.bed --task promoter -o tss.h5 --track tss.bw
      findna explain genome.fa motifs.bed --context 300 --task promoter --plot motifs.pdf
      findna explain genome.fa loci.bed --target mnm --both-strands > loci.bedgraph
      findna explain genome.fa donors.bed -t splice-worm --class donor -s --plot donors.pdf
    """
    task, target = given["task"], given["target"]
    if (task is None) == (target is None):
        raise click.UsageError("give --task NAME (findna tasks list) or --target mnm")
    if task is not None and given["model"] is not None:
        raise click.UsageError("-m/--model is for --target mnm; a task has its own encoder")
    if task is None and given["class_name"] is not None:
        raise click.UsageError("--class is for --task")
    options = _options.placement(given)
    if options.split and given["context"] is not None:
        raise click.UsageError("--split cannot be combined with --context")

    from findna.commands.explain import explain as run
    from findna.commands.replacing import Question

    with _options.genome_and_rows(genome, regions, given) as (fasta, source):
        summary = run(
            fasta,
            source,
            _outputs(given),
            question=_options.filled(Question, given, model=given["model"] or "tiny"),
            options=options,
            compute=_options.compute(given),
        )
    fate = "skipped" if options.on_error == "skip" else "without effects"
    counts = summary.counts
    note(weights=summary.weights)
    note_rows(counts, "explained", counts["explained"] if fate == "skipped" else None)
    _options.say(
        _options.regions_done(counts, "explained", fate)
        + f": {counts['mutants']} replacements in {summary.seconds:.1f} s"
        + _options.speed(counts["mutants"], summary.seconds)
        + f", {summary.quantity}{_options.in_windows(summary)}, {summary.made_by}"
        + _options.arrow(given["output"], given["track"], _pictures(given["plot"], counts))
    )


def _pictures(plot: Path | None, counts: Mapping[str, int]) -> str | None:
    """Return the name of the picture, or the first and the last of several."""
    from findna.outputs.logos import picture_paths

    if plot is None:
        return None
    paths = picture_paths(plot, counts["explained"])
    return str(plot) if len(paths) == 1 else f"{paths[0]} to {paths[-1]}"


def _outputs(given: Mapping[str, Any]) -> Any:
    """Return the outputs of effects, track and pictures; by default a track on stdout."""
    from findna.commands.explain import ExplainOutputs

    output, track, plot = given["output"], given["track"], given["plot"]
    if output is None and plot is None and track is None:
        track = Path("-")
    if given["write_index"] and track is None:
        raise click.UsageError("--write-index needs a track: --track NAME.bedgraph.gz")
    if output is not None:
        output = _options.destination({**given, "form": "h5", "write_index": False}, ("h5",))
    if track is not None:
        track = _options.destination({**given, "output": track}, ("bedgraph", "bigwig"))
    return _options.filled(ExplainOutputs, given, effects=output, track=track)
