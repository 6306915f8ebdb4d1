"""The report on variants: VCF or BCF."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from findna.commands.validate.report import VARIANTS, Report
from findna.commands.validate.rows import Input, Sample
from findna.genome.encoding import N
from findna.genome.fasta import Genome
from findna.variants.alleles import WINDOW, Examiner
from findna.variants.haplotypes import Strands
from findna.variants.vcf import VcfRecord, VcfSource


def check_variants(source: Input, genome: Genome, window: int | None, max_n: float) -> Report:
    """Read every record of a VCF, and return the report."""
    report = source.report
    report.kind = VARIANTS
    if window is None:
        window = WINDOW
        if source.measured is not None:
            from findna.model.checkpoint import training_length

            window = min(WINDOW, training_length(source.measured[0]))
    examiner, sample = Examiner(genome, window, max_n=max_n), Sample[list[Strands]]()
    with VcfSource(source.path) as vcf:
        vcf.name = source.name
        for record in source.readable(_records(vcf, source)):
            source.order.add(record.chrom, record.start)
            source.add_digest(record.number, record.chrom, record.start, record.ref, *record.alts)
            problem = examiner.problem(record)
            examined = examiner.examine(record, problem[0] if problem else None)
            report.classes.update(examined.classes)
            location = f"{source.location(record.number)} ({record.chrom}:{record.start + 1})"
            if problem is None:
                report.readable()
            elif problem[0] == "unknown_contig":
                report.unknown_contig(record.chrom, location)
            else:
                report.problem(problem[0], f"{location}: {problem[1]}")
            for windows in filter(None, examined.windows):
                report.contigs[record.chrom] = None
                reference = windows[0][0][0].tokens
                report.sequence(len(reference), int(np.count_nonzero(reference == N)))
                sample.add(windows)
    source.estimate_variants(sample.items)
    return source.finish()


def _records(vcf: VcfSource, source: Input) -> Iterator[VcfRecord]:
    with vcf.open(on_malformed=partial(source.problem, "malformed")) as reader:
        yield from reader.records
