"""A track as an output, for scan and explain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from findna.errors import ConfigError
from findna.genome.fasta import Genome
from findna.outputs.destination import Destination
from findna.outputs.tracks import Segment, need_bigwig, write_bedgraph, write_bigwig


def check_track(output: Destination, inputs: Sequence[Path | None], header: bool) -> None:
    """Raise unless a bedGraph or bigWig file can be written; only bedGraph has header lines."""
    output.check(inputs)
    if output.form == "bigwig":
        if header:
            raise ConfigError("--header is for bedGraph; bigWig has no header lines")
        need_bigwig()


def write_track(
    output: Destination, segments: Iterable[Segment], genome: Genome, headers: Sequence[str]
) -> None:
    """Write segments, and the index that was asked for.

    Parameters
    ----------
    segments : iterable of Segment
        Contigs in the order of their bytes; sorted and not overlapping.
    headers : sequence of str
        Lines that come first in bedGraph.
    """
    if output.form == "bigwig":
        with output.published() as path:
            write_bigwig(path, segments, genome.contigs)
    else:
        with output.open_text() as file:
            write_bedgraph(file, segments, headers, output.is_live)
    output.index(max(genome.contigs.values(), default=0))
