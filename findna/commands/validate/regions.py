"""The report on regions: BED, or the records of a FASTA."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from findna.commands.validate.report import Report
from findna.commands.validate.rows import Input, Sample
from findna.genome.bed import BedRow
from findna.genome.encoding import N
from findna.genome.fasta import Genome
from findna.genome.regions import RegionOptions, is_text, place, ragged
from findna.genome.windows import Region

_PIECE = 1 << 22  # bp that are read at a time


def check_regions(
    source: Input, genome: Genome, rows: Iterable[BedRow], options: RegionOptions
) -> Report:
    """Read every row of a BED file, and return the report."""
    report = source.report
    sample = Sample[Region]()
    n_columns = 0
    for row in source.readable(rows):
        n_columns = n_columns or len(row.columns)
        interval, location = row.interval, source.location(row.number)
        source.order.add(interval.chrom, interval.start)
        strand = interval.strand if options.stranded else "."
        source.add_digest(row.number, interval.chrom, interval.start, interval.end, strand)
        placed = place(row, genome, options)
        if len(row.columns) != n_columns:
            report.problem("ragged", ragged(location, len(row.columns), n_columns))
        elif not all(map(is_text, row.columns)):
            report.problem("not_text", f"{location}: not UTF-8 text, which HDF5 needs")
        elif placed.status == "unknown_contig":
            report.unknown_contig(interval.chrom, location)
        elif placed.region is None:
            report.problem(placed.status, f"{location}: {placed.reason}")
        else:
            report.readable()
            report.contigs[placed.region.chrom] = None
            report.sequence(len(placed.region), _count_n(genome, placed.region))
            sample.add(placed.region)
    source.estimate_embed(sample.items, genome)
    return source.finish()


def _count_n(genome: Genome, region: Region) -> int:
    """Return the number of N in a region, which may be a whole contig."""
    return sum(
        int(np.count_nonzero(genome.fetch(region.chrom, first, min(first + _PIECE, end)) == N))
        for start, end in region.parts
        for first in range(start, end, _PIECE)
    )
