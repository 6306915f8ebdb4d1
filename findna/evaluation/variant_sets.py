"""Labelled variants of VCF files, and how far they are from starts of transcription.

The unit is the allele: one row each, however many records, tissues or studies speak of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from findna.errors import FindnaError, LabelError, RegionError
from findna.genome.bed import read_bed
from findna.genome.fasta import Genome
from findna.genome.text import display_name
from findna.variants.alleles import SAME_ASSEMBLY, SCORED, Examiner, survey_alleles
from findna.variants.header import defined
from findna.variants.vcf import VcfRecord, VcfSource, info_value

VARIANTS = "variants"
"""Name of the suite."""

_SUFFIXES = (".vcf", ".vcf.gz", ".vcf.bgz", ".bcf")
_FAR = 1e12  # bp to the nearest start of transcription where the contig has none
_MOST_NAMES = 1_000  # of unknown contigs that are looked at for a likely fix

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Starts = dict[str, Ints]
"""Sorted positions, 0-based, by contig."""


@dataclass(frozen=True)
class LabelledVariants:
    """Alleles with a label that can be scored, in the order of the genome."""

    records: list[VcfRecord]  # one alternate allele each
    labels: Ints  # (n,); 1 for an effect, 0 for none
    places: Ints  # (n, 2); number of the contig, and position on it
    n_records: int  # of the file
    left_out: dict[str, int]  # number of records or alleles that are not used, by reason


def find_variant_sets(data: Path, label: str) -> tuple[list[Path], list[str]]:
    """Return the VCF and BCF files of a folder that define the label, and why others do not."""
    sets, missing = [], []
    for path in sorted(data.iterdir()):
        if not path.name.lower().endswith(_SUFFIXES) or not path.is_file():
            continue
        try:
            with VcfSource(path) as source, source.open() as reader:
                if label in defined(reader.header, "INFO"):
                    sets.append(path)
                else:
                    missing.append(f"{path.name} (its header defines no INFO/{label})")
        except FindnaError as error:
            missing.append(f"{path.name} ({error})")
    return sets, missing


def read_variants(path: Path, genome: Genome, label: str, window: int) -> LabelledVariants:
    """Read the labelled alleles of a file.

    A record may hold several labels, as of several tissues, and an allele may have several
    records: its label is the one that all of them give. Alleles of which they disagree are left
    out, as are records of several alternate alleles, whose labels could be of any of them.

    ``window`` is the shortest that any score reads, bp: it decides which alleles are too long.

    Raises
    ------
    LabelError
        A label is neither 0 nor 1, or not both occur.
    VariantError
        The file is malformed, or does not fit the genome.
    """
    labels_of: dict[tuple[int, int, str, str], set[str]] = {}
    records: dict[tuple[int, int, str, str], VcfRecord] = {}
    left_out = Counter[str]()
    contigs = {name: i for i, name in enumerate(genome.contigs)}
    examiner = Examiner(genome, window)
    with VcfSource(path) as source:
        n_records = survey_alleles(source, examiner, remedy=SAME_ASSEMBLY)
        with source.open() as reader:
            for record in reader.records:
                given = _labels(record, label, path.name)
                reason = _unusable(record, given, examiner)
                if reason is not None:
                    left_out[reason] += 1
                    continue
                chrom = genome.resolve(record.chrom)
                assert chrom is not None  # the survey has checked it
                (alt,) = record.alts
                key = contigs[chrom], record.start, record.ref.upper(), alt.upper()
                labels_of.setdefault(key, set()).update(given)
                records.setdefault(key, record)
    kept = [key for key in sorted(labels_of) if len(labels_of[key]) == 1]
    left_out["labels_disagree"] = len(labels_of) - len(kept)
    counts = {reason: n for reason, n in left_out.items() if n}
    labels = np.array([labels_of[key] == {"1"} for key in kept], np.int64)
    if len(np.unique(labels)) < 2:
        which = f"INFO/{label} is {labels[0]} of all" if kept else "no label of any"
        raise LabelError(
            f"{path.name}: {which} that can be used; 0 and 1 are both needed"
            + "".join(f"; {n} {reason.replace('_', ' ')}" for reason, n in counts.items())
        )
    places = np.array([key[:2] for key in kept], np.int64)
    return LabelledVariants([records[key] for key in kept], labels, places, n_records, counts)


def _labels(record: VcfRecord, label: str, name: str) -> set[str]:
    """Return the labels of a record, 0 or 1; those that are missing are none."""
    labels = set((info_value(record, label) or ".").split(",")) - {"."}
    wrong = sorted(labels - {"0", "1"})
    if wrong:
        raise LabelError(f"{name}:{record.number}: INFO/{label} is {wrong[0][:40]!r}, not 0 or 1")
    return labels


def _unusable(record: VcfRecord, labels: Collection[str], examiner: Examiner) -> str | None:
    """Return why a record cannot be used, in one word; None if it can."""
    if not labels:
        return "no_label"
    if len(record.alts) > 1:
        return "several_alleles"
    (kind,) = examiner.examine(record).classes
    return None if kind in SCORED else kind


def read_starts(path: Path, genome: Genome) -> Starts:
    """Read starts of transcription: the 5' end of each BED row, on contigs of the genome.

    Those past the end of a contig stay: a FASTA may hold less of it than the annotation.

    Raises
    ------
    RegionError
        A line is not BED, or no row is on a contig of the genome.
    """
    starts: dict[str, list[int]] = {}
    unknown: dict[str, None] = {}
    for row in read_bed(path):
        chrom, interval = genome.resolve(row.interval.chrom), row.interval
        if chrom is not None:
            at = interval.end - 1 if interval.strand == "-" else interval.start
            starts.setdefault(chrom, []).append(at)
        elif len(unknown) < _MOST_NAMES:
            unknown[interval.chrom] = None
    if not starts:
        reason = genome.unknown(*unknown) if unknown else "holds no rows"
        raise RegionError(f"{display_name(path)}: {reason}")
    return {chrom: np.sort(np.array(at, np.int64)) for chrom, at in starts.items()}


def distances(starts: Starts, contigs: Sequence[str], places: Ints) -> Floats:
    """Return the distance of each place to the nearest start on its contig, bp; shape (n,)."""
    result = np.full(len(places), _FAR)
    for number, chrom in enumerate(contigs):
        rows = np.flatnonzero(places[:, 0] == number)
        if chrom in starts and len(rows):
            at, known = places[rows, 1], starts[chrom]
            after = np.searchsorted(known, at)
            nearest = [known[(after + step).clip(0, len(known) - 1)] for step in (-1, 0)]
            result[rows] = np.min([abs(at - start) for start in nearest], axis=0)
    return result
