"""Features of GTF and GFF3 files, and genes with their blocks, of these or of BED."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from findna.errors import LabelError
from findna.genome.bed import read_bed
from findna.genome.intervals import Interval
from findna.genome.text import display_name, numbered_lines, open_input

Spans = tuple[tuple[int, int], ...]

_ANNOTATIONS = (".gtf", ".gff", ".gff3")
_COLUMNS = 9  # of GTF and GFF
_POSITION = re.compile("[0-9]{1,13}")
_SEQUENCE = ("##FASTA", ">")  # begins the sequence at the end of GFF3
_ATTRIBUTE = re.compile(r'\s*([^\s=;]+)(?:=|\s+)(?:"([^"]*)"|([^;]*))\s*(?:;|$)')
_NAMES = ("gene_name", "Name", "gene", "gene_id", "ID")
"""Attributes that name a gene; the first that is there counts."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A line of GTF or GFF3; the interval is 0-based, its name is the feature's kind."""

    interval: Interval
    attributes: str

    def values(self) -> dict[str, str]:
        """Return the attributes by their names; of several with one name the first."""
        found: dict[str, str] = {}
        for name, quoted, plain in _ATTRIBUTE.findall(self.attributes):
            found.setdefault(name, quoted or plain.strip())
        return found


@dataclass(frozen=True)
class Gene:
    """A gene: its span, name and strand, its exons or blocks, and the coding parts of them."""

    interval: Interval
    exons: Spans
    coding: Spans = ()


def is_annotation(path: Path) -> bool:
    """Return whether a name is that of a GTF or GFF3 file, plain or compressed."""
    return path.name.lower().removesuffix(".gz").removesuffix(".bgz").endswith(_ANNOTATIONS)


def read_features(path: Path) -> Iterator[Feature]:
    """Yield the lines of a GTF or GFF3 file, up to the sequence that may follow in GFF3.

    Raises
    ------
    LabelError
        A line has not the nine columns of these.
    """
    name = display_name(path)
    with open_input(path) as file:
        for number, line in numbered_lines(file, name):
            if line.startswith(_SEQUENCE):
                break
            if line.startswith("#") or not line.strip():
                continue
            columns = line.split("\t")
            if len(columns) < _COLUMNS or not all(map(_POSITION.fullmatch, columns[3:5])):
                raise LabelError(f"{name}:{number}: not a line of GTF or GFF (9 columns)")
            chrom, feature, strand = columns[0], columns[2], columns[6]
            interval = Interval(chrom, int(columns[3]) - 1, int(columns[4]), feature, strand)
            yield Feature(interval, columns[8])


def read_genes(path: Path, locus: Interval) -> list[Gene]:
    """Return the genes that overlap a locus, sorted by start; of a gene all transcripts are one.

    Parameters
    ----------
    path : Path
        GTF or GFF3, by its ending, or BED, whose blocks (BED12) are the exons and whose thick
        part is coding.

    Raises
    ------
    LabelError, RegionError
        A line is malformed.
    """
    genes = _annotated(path, locus) if is_annotation(path) else _listed(path, locus)
    return sorted(genes, key=lambda gene: (gene.interval.start, gene.interval.end))


def _overlaps(interval: Interval, locus: Interval) -> bool:
    same = interval.chrom == locus.chrom
    return same and interval.start < locus.end and interval.end > locus.start


def _listed(path: Path, locus: Interval) -> Iterator[Gene]:
    for row in read_bed(path):
        if not _overlaps(row.interval, locus):
            continue
        exons = tuple(row.blocks() or [(row.interval.start, row.interval.end)])
        thick = row.columns[6:8]
        coding: Spans = ()
        if len(row.columns) >= 12 and all(text.isdecimal() for text in thick):
            low, high = map(int, thick)
            inside = ((max(start, low), min(end, high)) for start, end in exons)
            coding = tuple((start, end) for start, end in inside if start < end)
        yield Gene(row.interval, exons, coding)


def _annotated(path: Path, locus: Interval) -> Iterator[Gene]:
    """Yield the genes of GTF, by gene_id, or of GFF3, by the first of the parents.

    Features that name none are one where they have one place.
    """
    features = []
    parents, names = dict[str, str](), dict[str, str]()
    for feature in read_features(path):
        if feature.interval.chrom != locus.chrom:
            continue
        values = feature.values()
        parent = values.get("Parent", "").split(",")[0]
        key = values.get("ID") or parent or values.get("gene_id") or _place(feature.interval)
        if parent and parent != key:
            parents[key] = parent
        features.append((key, feature.interval))
        names.setdefault(key, next((values[name] for name in _NAMES if values.get(name)), key))
    members: dict[str, list[Interval]] = defaultdict(list)
    for key, interval in features:
        seen = {key}
        while key in parents and parents[key] not in seen:
            key = parents[key]
            seen.add(key)
        members[key].append(interval)
    for key, intervals in members.items():
        start, end = min(x.start for x in intervals), max(x.end for x in intervals)
        whole = Interval(locus.chrom, start, end, names.get(key, key), intervals[0].strand)
        if _overlaps(whole, locus) and any(x.name in ("exon", "CDS", "gene") for x in intervals):
            coding = _spans(intervals, "CDS")
            yield Gene(whole, _spans(intervals, "exon") or coding or ((start, end),), coding)


def _place(interval: Interval) -> str:
    return f"{interval.chrom}:{interval.start + 1}-{interval.end}"


def _spans(intervals: list[Interval], kind: str) -> Spans:
    return tuple(sorted({(x.start, x.end) for x in intervals if x.name == kind}))
