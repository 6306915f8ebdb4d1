"""``findna merge``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from findna.cli import _options
from findna.cli._options import PATH, flag, option
from findna.cli._summary import note, summarized
from findna.console import counted


@click.command(short_help="Shards of a run to one output.")
@click.argument("parts", nargs=-1, required=True, metavar="PART...", type=PATH)
@option(
    "-o --output=FILE", "File to write; .gz is BGZF, .bcf BCF.  [default: standard output]", PATH
)
@flag("--write-index", "Also an index of sorted rows: .tbi of .bed.gz and .vcf.gz, .csi of .bcf.")
@_options.force
@_options.verbosity
@summarized("parts", "output")
def merge(parts: tuple[Path, ...], output: Path | None, force: bool, write_index: bool) -> None:
    """Join what runs with --shard I/N wrote to what one run would have written.

    PARTs may come in any order. Beside each lies its note (PART.shard.json); parts of different
    inputs, weights or options, missing ones and altered ones are refused.

    \b
    Examples:
      for i in 1 2 3 4; do findna embed genome.fa peaks.bed --shard $i/4 -o peaks.$i.h5; done
      findna merge peaks.?.h5 -o peaks.h5
      findna merge promoters.*.bed.gz -o promoters.bed.gz
    """
    from findna.commands.merge import merge as run
    from findna.outputs.destination import FORMATS, Destination

    _options.begin()
    name = output.name.lower().removesuffix(".gz").removesuffix(".bgz") if output else ""
    indexed = (form for form in ("bed", "vcf", "bcf") if name.endswith(FORMATS[form].suffixes))
    form = next(indexed, "tsv")
    command = shlex.join(["findna", *sys.argv[1:]])
    summary = run(parts, Destination(output, form, force, write_index, command=command))
    note(
        rows={"in": summary.rows, "out": summary.rows},
        inputs=[
            {"name": "parts", "path": str(path), "sha256": digest}
            for path, digest in summary.digests.items()
        ],
    )
    merged = f"{counted(summary.rows, 'row')} of {counted(summary.parts, 'part')} merged"
    _options.say(merged + _options.arrow(output))
