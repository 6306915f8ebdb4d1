"""Classes of single bases: intervals or points with a class and a strand, from BED, GTF or GFF."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from findna.console import counted
from findna.errors import LabelError
from findna.genome.annotation import is_annotation, read_features
from findna.genome.bed import problem, read_bed
from findna.genome.fasta import Genome
from findna.genome.intervals import Interval
from findna.genome.text import display_name

logger = logging.getLogger(__name__)

SPLICE_SITES = ("donor", "acceptor")
"""Sites that are derived from exons: the first and the last base of each intron."""

MOST_CLASSES = 8

_AT_A_TIME = 1 << 16  # bases
_MOST_NAMES = 1_000  # of unknown contigs that are looked at for a likely fix

_TRANSCRIPT = re.compile(r'(?:^|;)\s*(?:transcript_id "([^"]+)"|Parent=([^;]+))')


@dataclass(frozen=True)
class _Sites:
    """Sites of a contig, sorted by start; each array has shape (n,)."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    reverse: npt.NDArray[np.bool_]
    longest: int


class SiteLabels:
    """Classes of the bases of a genome, by strand.

    Memory depends on the number of sites alone.

    Parameters
    ----------
    sites : iterable of Interval
        On contigs of the genome; ``name`` is the class. A site without a strand is one of both.
    classes : sequence of str, optional
        Order of the classes; by default that of the alphabet.

    Raises
    ------
    LabelError
        There are none, or too many classes, or a site has another class.
    """

    def __init__(self, sites: Iterable[Interval], classes: Sequence[str] | None = None) -> None:
        held = list(sites)
        found = sorted({site.name for site in held})
        self.classes = tuple(classes or found)
        if not 0 < len(self.classes) <= MOST_CLASSES:
            raise LabelError(
                f"{len(self.classes)} classes of sites; 1 to {MOST_CLASSES} can be trained: "
                "column 4 of BED, or the feature of GTF, is the class"
            )
        unknown = sorted(set(found) - set(self.classes))
        if unknown:
            raise LabelError(
                f"a site has class {unknown[0]!r}; known: {', '.join(self.classes)}: column 4 of "
                "BED, or the feature of GTF, is the class"
            )
        number = {name: i for i, name in enumerate(self.classes)}
        rows: dict[str, set[tuple[int, int, int, bool]]] = defaultdict(set)
        for site in held:
            for reverse in (False, True):
                if site.strand != "+-"[not reverse]:
                    rows[site.chrom].add((site.start, site.end, number[site.name], reverse))
        self._sites = {}
        for chrom, each in rows.items():
            columns = np.array(sorted(each), np.int64).T
            longest = int((columns[1] - columns[0]).max())
            starts, ends, numbers, strands = columns
            self._sites[chrom] = _Sites(starts, ends, numbers, strands > 0, longest)

    def of(self, chrom: str, start: int, end: int, reverse: bool) -> npt.NDArray[np.bool_]:
        """Return the classes of the bases of one strand, in the contig's order.

        Returns
        -------
        ndarray, shape (end - start, n_classes)
        """
        labels = np.zeros((end - start, len(self.classes)), bool)
        sites = self._sites.get(chrom)
        if sites is None:
            return labels
        first = np.searchsorted(sites.starts, start - sites.longest)
        last = np.searchsorted(sites.starts, end)
        for i in range(int(first), int(last)):
            if sites.reverse[i] == reverse and sites.ends[i] > start:
                low, high = max(sites.starts[i] - start, 0), sites.ends[i] - start
                labels[low:high, sites.classes[i]] = True
        return labels

    def fill(self, spans: Iterable[tuple[str, int, int]], name: str) -> bool:
        """Return whether every base of some spans, on both strands, has a class."""
        number = self.classes.index(name)
        return all(
            self.of(chrom, low, min(low + _AT_A_TIME, end), reverse)[:, number].all()
            for chrom, start, end in spans
            for low in range(start, end, _AT_A_TIME)
            for reverse in (False, True)
        )

    def within(self, spans: Iterable[tuple[str, int, int]]) -> list[tuple[str, int, int, bool]]:
        """Return the sites of some spans: contig, middle base, class and strand (True: minus)."""
        inside: list[tuple[str, int, int, bool]] = []
        for chrom, start, end in spans:
            sites = self._sites.get(chrom)
            if sites is None:
                continue
            middles = (sites.starts + sites.ends) // 2
            chosen = np.flatnonzero((middles >= start) & (middles < end))
            columns = (x[chosen].tolist() for x in (middles, sites.classes, sites.reverse))
            inside += [(chrom, *row) for row in zip(*columns, strict=True)]
        return inside


def read_sites(
    path: Path, genome: Genome, names: Sequence[str] = (), classes: Sequence[str] | None = None
) -> SiteLabels:
    """Read the sites of a file, as far as the genome holds them.

    Those on contigs that it has not are passed over; that others are none is a warning.

    Parameters
    ----------
    path : Path
        BED: column 4 is the class, column 6 the strand. GTF or GFF3, by the file's ending.
    names : sequence of str
        Of GTF and GFF: features whose bases are labelled, or `SPLICE_SITES`, which are derived
        from the exons of each transcript.

    Raises
    ------
    LabelError
        The file is malformed, or holds no site on a contig of the genome.
    RegionError
        A line is not BED.
    """
    name = display_name(path)
    if is_annotation(path):
        if not names:
            raise LabelError(f"{name}: choose --features of it, or --sites donor,acceptor")
        found = _annotated(path, names)
    elif names:
        raise LabelError(
            f"{name}: --sites and --features are for GTF and GFF; of BED column 4 is the class"
        )
    else:
        found = _listed(path, name)
    kept, reason, n_refused = list[Interval](), "", 0
    unknown = dict[str, None]()
    for site in found:
        chrom = genome.resolve(site.chrom)
        if chrom is None:
            if len(unknown) < _MOST_NAMES:
                unknown[site.chrom] = None
        elif refusal := problem(site, genome):
            reason, n_refused = reason or refusal[1], n_refused + 1
        else:
            kept.append(Interval(chrom, site.start, site.end, site.name, site.strand))
    if not kept:
        if unknown and not reason:
            reason = genome.unknown(*unknown)
        reason = reason or f"it holds no {' or '.join(names) or 'site'}"
        raise LabelError(f"{name}: no site lies in {genome.path.name}: {reason}")
    if n_refused:
        logger.warning("%s: %s left out: %s", name, counted(n_refused, "site"), reason)
    return SiteLabels(kept, classes)


def _listed(path: Path, name: str) -> Iterator[Interval]:
    for row in read_bed(path):
        if not row.interval.name:
            raise LabelError(f"{name}:{row.number}: no class in column 4")
        yield row.interval


def _annotated(path: Path, names: Sequence[str]) -> Iterator[Interval]:
    """Yield the features of a GTF or GFF file that are named, and the splice sites of exons."""
    exons: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    n_strandless = 0
    for feature in read_features(path):
        interval = feature.interval
        if interval.name in names:
            yield interval
        if interval.name == "exon" and set(names) & set(SPLICE_SITES):
            if interval.strand not in ("+", "-"):  # which end of an intron is the donor?
                n_strandless += 1
                continue
            for match in _TRANSCRIPT.finditer(feature.attributes):
                for transcript in (match[1] or match[2]).split(","):
                    key = interval.chrom, interval.strand, transcript
                    exons[key].append((interval.start, interval.end))
    if n_strandless:
        logger.warning(
            "%s: %s without a strand left out: column 7 says which end of an intron is the donor",
            display_name(path),
            counted(n_strandless, "exon"),
        )
    for (chrom, strand, _), pieces in exons.items():
        for (_, left), (right, _) in pairwise(sorted(pieces)):
            if left >= right:
                continue
            sites = (left, left + 1), (right - 1, right)  # the first and last base of an intron
            kinds = SPLICE_SITES if strand == "+" else SPLICE_SITES[::-1]
            for (start, end), kind in zip(sites, kinds, strict=True):
                if kind in names:
                    yield Interval(chrom, start, end, kind, strand)
