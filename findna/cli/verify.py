"""``findna verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import MODEL, PATH, flag, option
from findna.cli._output import print_checks
from findna.cli._summary import note, summarized


@click.command(short_help="Do rows of an embedding file come out the same again?")
@click.argument("embeddings", metavar="OUT.h5", type=PATH)
@_options.genome
@option(
    "-m --model=NAME|FOLDER", "Model that made the file.  [default: the name in the file]", MODEL
)
@option("--rows=N", "Rows to compute again, spread evenly over the file.", (1,), default=100)
@flag("--all every", "Compute every row again.")
@_options.chrom_alias
@_options.device
@_options.threads
@_options.as_json
@_options.verbosity
@summarized("embeddings genome chrom_alias")
def verify(embeddings: Path, genome: Path, as_json: bool, **given: Any) -> None:
    """Hold OUT.h5, a file of findna embed, against GENOME (FASTA) and the weights it names.

    Checks its structure, the digest of the weights, the MD5 of every contig that was read, and
    rows computed again with the options that the file records. It ends with 1 if something
    differs. docs/checks.md has the tolerances.

    \b
    Examples:
      findna verify regions.h5 genome.fa
      findna verify regions.h5 genome.fa -m model/ --all --json > report.json
    """
    from findna.commands.verify import verify as run
    from findna.model.devices import describe, resolve_device

    note(device=describe(resolve_device(given["device"])))
    rows = None if given["every"] else given["rows"]
    with _options.opened_genome(genome, given["chrom_alias"]) as fasta:
        checks = run(embeddings, fasta, model=given["model"], rows=rows, device=given["device"])
        print_checks({"file": str(embeddings), "genome": str(genome)}, checks, as_json)
