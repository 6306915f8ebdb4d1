"""The report on regions: BED, or the records of a FASTA."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from findna.commands.validate.report import Report
from findna.commands.validate.rows import Input, Sample
from findna.genome.bed import BedBlock, BedRow
from findna.genome.fasta import Genome
from findna.genome.regions import (
    NO_SEQUENCE,
    RegionOptions,
    count_n,
    has_sequence,
    lies_within,
    place,
)
from findna.genome.sources import ragged
from findna.genome.text import is_text
from findna.genome.windows import Region

if TYPE_CHECKING:
    from findna.commands.validate.tasks import TaskRows


def check_regions(
    source: Input,
    genome: Genome,
    blocks: Iterable[BedBlock | list[BedRow]],
    options: RegionOptions,
    tasks: TaskRows | None = None,
) -> Report:
    """Read every row of a BED file, and return the report.

    Given ``tasks``, rows are read as these would read them, and told to them.
    """
    report = source.report
    if tasks is not None:
        options = tasks.options
    sample = Sample[Region]()
    n_columns = 0
    for block in source.readable(blocks):
        if isinstance(block, BedBlock) and tasks is None:
            n_columns = n_columns or len(block.columns[0])
            alike = len(block.columns[0]) == n_columns
            if alike and _add_all(source, genome, block, options, sample):
                continue
        for row in block:
            n_columns = n_columns or len(row.columns)
            interval, location = row.interval, source.location(row.number)
            source.order.add(interval.chrom, interval.start)
            strand = interval.strand if options.of(interval).stranded else "."
            source.add_digest(row.number, interval.chrom, interval.start, interval.end, strand)
            placed = place(row, genome, options)
            if tasks is not None:
                tasks.note(row, genome)
            if len(row.columns) != n_columns:
                report.problem("ragged", ragged(location, len(row.columns), n_columns))
            elif not all(map(is_text, row.columns)):
                report.problem("not_text", f"{location}: not UTF-8 text, which HDF5 needs")
            elif placed.status == "unknown_contig":
                report.unknown_contig(interval.chrom, location)
            elif placed.region is None:
                report.problem(placed.status, f"{location}: {placed.reason}")
            else:
                n_unknown, length = count_n(genome, placed.region), len(placed.region)
                if has_sequence(n_unknown, length, options.max_n):
                    report.readable()
                    if tasks is not None:
                        tasks.add(placed)
                else:
                    report.problem(NO_SEQUENCE, f"{location}: {n_unknown} of its {length} bp are N")
                report.contigs[placed.region.chrom] = None
                report.sequence(length, n_unknown)
                sample.add(placed.region)
    if tasks is not None:
        report.tasks, report.unusable = tasks.finish()
    else:
        report.unusable = options.idle
    source.estimate_embed(sample.items, genome)
    return source.finish()


def _add_all(
    source: Input, genome: Genome, block: BedBlock, options: RegionOptions, sample: Sample[Region]
) -> bool:
    """Report rows that can all be read as they stand, and return True; or return False.

    Nothing is reported if one of them lies elsewhere or holds too many N.
    """
    if not lies_within(block, genome, options):
        return False
    report, names = source.report, block.names(genome)
    contigs, starts = [names[chrom] for chrom in block.chroms], block.starts.tolist()
    places = list(zip(contigs, starts, block.ends.tolist(), strict=True))
    unknown = np.array([genome.count_n(*place) for place in places])
    lengths = block.ends - block.starts
    if (unknown == lengths).any() or (unknown > options.max_n * lengths).any():
        return False
    source.order.first_lost(block.chroms, starts)
    strands = block.strands if options.stranded else ["."] * len(block)
    rows = zip(block.chroms, places, strands, strict=True)
    keys = (f"{chrom}\t{start}\t{end}\t{strand}" for chrom, (_, start, end), strand in rows)
    source.digests.add(map(str.encode, keys), block.first)
    report.contigs |= dict.fromkeys(names.values())
    report.add_readable(lengths, unknown)
    for contig, start, end in places if source.measured else ():
        sample.add(Region(contig, ((start, end),)))
    return True
