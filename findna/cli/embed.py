"""``findna embed``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import PATH, ROWS, choice, flag, option
from findna.cli._summary import note, note_rows, summarized


@click.command(short_help="One vector per region, to HDF5 or a table.")
@_options.genome
@click.argument("regions", required=False, type=ROWS)
@option("-o --output=FILE", "HDF5 file to write, or a table (-O tsv); - is standard output.", PATH)
@option(
    "-O --output-type form",
    "HDF5 that opens in AnnData, or a table.  [default: by the name of the output, else h5]",
    ["h5", "tsv"],
)
@_options.model
@_options.region_options
@option(
    "--pool kinds",
    "Pooling over the region; repeatable: the first is X, others go to obsm.",
    ["mean", "max", "std", "cls", "center"],
    default=["mean"],
    multiple=True,
)
@option("--bins=N", "Also the means of N equal bins, in reading direction.", (0, 10000), default=0)
@flag("--per-base", "Also one vector per base (float16).")
@flag("--cls", "Append the CLS positions of pretraining where the model is an imported one.")
@flag(
    "--both-strands", "Average with the reverse complement; then both strands give the same vector."
)
@flag(
    "--whole", "Encode regions longer than the model's training length in one piece, not in tiles."
)
@choice("--dtype", "Of the stored vectors.", "float32 float16")
@_options.part_options
@_options.inference_options
@summarized("genome regions chrom_alias", "output")
def embed(genome: Path, regions: str | None, **given: Any) -> None:
    """Write one vector per region of REGIONS (BED) with the sequence of GENOME (FASTA).

    Rows come out as they went in: same number, same order, every column. REGIONS may be plain,
    gzip or BGZF; - is standard input. Without REGIONS (and without -r) every FASTA record is a
    region. The file opens in anndata.read_h5ad and in h5py; docs/formats.md describes it.

    \b
    Examples:
      findna embed genome.fa regions.bed -o regions.h5
      findna embed genome.fa -r chr2:1,001-2,000 -O tsv
      findna embed genome.fa peaks.narrowPeak --window 500 --both-strands -o peaks.h5
      bedtools makewindows -g genome.fa.fai -w 1000 | findna embed genome.fa - -o windows.h5
      findna embed genes.fa -o genes.h5 --pool mean --pool max --bins 8
      findna embed genome.fa regions.bed -o regions.h5 --summary run.json; jq .statuses run.json
    """
    options = _options.placement(given)

    from findna.commands.embed import FORMS
    from findna.commands.embed import embed as run
    from findna.model.checkpoint import load_checkpoint
    from findna.model.pooling import Pooling

    output = _options.destination(given, FORMS)
    with _options.genome_and_rows(genome, regions, given) as (fasta, source):
        summary = _options.for_job(run, regions)(
            fasta,
            source,
            output,
            model=load_checkpoint(given["model"], cls=True) if given["cls"] else given["model"],
            options=options,
            pooling=_options.filled(Pooling, given, kinds=tuple(dict.fromkeys(given["kinds"]))),
            dtype=given["dtype"],
            compute=_options.compute(given),
        )
    counts = summary.counts
    note(weights=summary.weights)
    note_rows(counts, "embedded")
    fate = "skipped" if counts["skipped"] else "kept without a vector"
    _options.say(
        _options.regions_done(counts, "embedded", fate)
        + (f", {counts['resumed']} of them before" if counts["resumed"] else "")
        + f" in {summary.seconds:.1f} s"
        + _options.speed(counts["rows"] - counts["resumed"], summary.seconds)
        + f", {summary.made_by}"
        + _options.arrow(output.path)
    )
