"""``findna search``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import BP, FILE, MODEL, PATH, ROWS, choice, flag, option
from findna.cli._summary import note, note_rows, summarized
from findna.console import counted


@click.command(short_help="Regions like these, among embedded ones.")
@click.argument("genome", metavar="GENOME|QUERIES.h5", type=PATH)
@click.argument("regions", required=False, type=ROWS)
@option(
    "--in=FILE.h5 index",
    "File of findna embed to search; repeatable, then searched as if one.",
    FILE,
    multiple=True,
    required=True,
)
@option("-o --output=FILE", "File to write; .gz is BGZF.  [default: standard output]", PATH)
@option(
    "-O --output-type form",
    "BED, or the same with a header.  [default: by the name of the output, else bed]",
    ["bed", "tsv"],
)
@flag("--header", "Name the model and the columns.")
@option("-k --hits=N most", "Hits of a query, at most.", (1, 100_000), default=20)
@option("--min-sim=S least", "Only hits of at least this similarity.", click.FloatRange(-1, 1))
@flag("--own", "Also rows that overlap the query itself.")
@flag("--overlapping", "Also rows that overlap a better hit of the query.")
@flag("--exact", "Compare with every row, also where there are more than a million.")
@option(
    "-r --region=CHROM:START-END",
    "Query as in samtools, 1-based and inclusive; repeatable.",
    multiple=True,
)
@option(
    "-m --model=NAME|FOLDER", "Model that made the index.  [default: the name in the file]", MODEL
)
@option("--window=N", "Encode N bp around the middle of each query, not what the index has.", BP)
@choice(
    "--out-of-bounds",
    "Sequence past the end of a contig: refuse it, unless the index does not, or fill with N.",
    "error pad",
)
@choice(
    "--on-error",
    "Queries that cannot be read: stop before any work, leave them out, or keep a row for each.",
    "stop skip null",
)
@_options.chrom_alias
@_options.device
@_options.threads
@_options.force
@_options.verbosity
@summarized("genome regions index chrom_alias", "output")
def search(genome: Path, regions: str | None, **given: Any) -> None:
    """Find the rows of embedding files that are most like each query.

    Queries are the regions of REGIONS (BED; - is standard input) or of -r, with the sequence of
    GENOME (FASTA); without them every FASTA record. They are embedded as the index was: its model,
    pooling, strands and windows are in the file. Or they are the rows of QUERIES.h5, a file of
    findna embed; no model is loaded then.

    Similarity is the cosine of vectors that are centred and half-whitened by the rows of the
    index. Rows come out as BED6 of the hit and query, rank, similarity, p-value and place of the
    query: by query, best first. The p-value is the share of random pairs of rows that are at least
    as alike. A query without a vector keeps a row without a place. Up to a million rows every one
    is compared; of more an index is made once and kept beside the first file (findna[search]).

    \b
    Examples:
      bedtools makewindows -g genome.fa.fai -w 300 | findna embed genome.fa - -o genome.h5
      findna search genome.fa -r chr2:1,001-1,300 --in genome.h5
      findna search genome.fa peaks.bed --window 300 --in genome.h5 -k 50 -o like_peaks.bed.gz
      findna search elements.fa --in genome.h5 --min-sim 0.5 -O tsv
      findna search queries.h5 --in human.h5 --in mouse.h5 | sort -k8,8n -k9,9gr | head
    """
    from findna.commands.search import FORMS, Queries
    from findna.commands.search import search as run
    from findna.model.devices import Compute, describe, resolve_device
    from findna.outputs.hdf5 import is_hdf5
    from findna.outputs.hits import SearchOptions
    from findna.outputs.stored import StoredEmbeddings

    output = _options.destination(given, FORMS)
    device = resolve_device(given["device"])
    note(device=describe(device))
    with ExitStack() as stack:
        index = [stack.enter_context(StoredEmbeddings(path)) for path in given["index"]]
        rows: Any
        if is_hdf5(genome):
            if regions is not None or given["region"]:
                raise click.UsageError(f"{genome} holds vectors; give the FASTA of regions")
            _options.refuse(["model", "window", "chrom_alias"], "is for queries that are embedded")
            _options.begin()
            rows = stack.enter_context(StoredEmbeddings(genome))
        else:
            rows = stack.enter_context(_options.genome_and_rows(genome, regions, given))
        queries = _options.filled(
            Queries,
            given,
            rows=rows,
            whole=regions is None and not given["region"],
            pad=given["out_of_bounds"] == "pad",
        )
        summary = run(
            index,
            queries,
            output,
            options=_options.filled(SearchOptions, given),
            header=given["header"],
            compute=Compute(device),
        )
    counts = summary.counts
    note(weights=summary.weights, precision=summary.precision)
    note_rows(counts, "searched")
    fate = "skipped" if given["on_error"] == "skip" else "kept without a hit"
    _options.say(
        _options.regions_done(counts, "searched", fate)
        + f" among {counted(counts['index'], 'row')}, {counted(counts['hits'], 'hit')}"
        + (f", {counts['unlike']} without one" if counts["unlike"] else "")
        + f" in {summary.seconds:.1f} s, {summary.made_by}"
        + _options.arrow(output.path)
    )
