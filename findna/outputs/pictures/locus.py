"""A locus: tracks, sites and genes below each other, on one axis of positions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from findna.genome.annotation import Gene
from findna.genome.intervals import Interval
from findna.outputs.pictures.figure import (
    MARKERS,
    PALETTE,
    Array,
    Axis,
    Boxes,
    Figure,
    Line,
    Mark,
    Panel,
    Points,
    Steps,
    Words,
)
from findna.outputs.tracks import Segment

MOST_BINS = 4_000
"""Values of a track that are drawn; a longer locus has one for several bases."""

_WIDTH = 10.0  # inches
_LETTER = 0.0085  # width of a letter of a gene's name, of the locus
_MOST_NAMED = 60  # genes in a locus from which on they have no names
_INK = "#1d2733"


@dataclass(frozen=True)
class Track:
    """Values of a locus: ``edges`` (n + 1,) are 0-based positions, NaN a gap; bins of some bp."""

    name: str
    edges: Array
    values: Array
    bin_size: int


def binned(name: str, segments: Iterable[Segment], locus: Interval) -> Track:
    """Return a track of a locus, by bins of equal size.

    A bin has the value that is farthest from 0 among those of its bases, so that no peak is lost;
    of up to MOST_BINS bases each is a bin.
    """
    size = -(-len(locus) // MOST_BINS)
    n = -(-len(locus) // size)
    values = np.full(n, np.nan)
    for _, start, end, value in segments:
        first = max(start - locus.start, 0) // size
        last = -(-(min(end, locus.end) - locus.start) // size)
        there = values[first:last]
        there[~(np.abs(there) >= abs(value))] = value
    edges = np.minimum(locus.start + size * np.arange(n + 1), locus.end)
    return Track(name, edges, values, size)


def locus_figure(
    locus: Interval,
    tracks: Sequence[Track],
    sites: Mapping[str, Sequence[Interval]],
    genes: Sequence[Gene],
    quantity: str = "",
) -> Figure:
    """Return the picture of a locus.

    Parameters
    ----------
    sites : mapping
        Sites of the locus, by the name of their file; the name of a site is its class.
    genes : sequence of Gene
        Sorted by start.
    quantity : str
        Of the tracks; by default probability where every value is one, else value.
    """
    x = Axis(f"{locus.chrom}, bp (1-based)", locus.start + 0.5, locus.end + 0.5, whole=True)
    panels = [_track_panel(track, x, quantity) for track in tracks]
    if any(sites.values()):
        panels.append(_site_panel(sites, x))
    if genes:
        panels.append(_gene_panel(genes, locus, x))
    height = 0.9 + 1.15 * sum(panel.height for panel in panels)
    size = max((track.bin_size for track in tracks), default=1)
    note = f"{len(locus):,} bp"
    if size > 1:
        note += f"; tracks: of each {size:,} bp the value farthest from 0"
    title = f"{locus.chrom}:{locus.start + 1:,}-{locus.end:,}"
    return Figure(title, panels, (_WIDTH, min(height, 40)), note, shared=True)


def _track_panel(track: Track, x: Axis, quantity: str) -> Panel:
    there = track.values[np.isfinite(track.values)]
    low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 1.0)
    if low >= 0 and high <= 1:
        y = Axis(quantity or "probability", 0, 1.02)
    else:
        margin = 0.05 * (max(high, 0) - min(low, 0))
        bottom = low - margin if low < 0 else 0.0
        y = Axis(quantity or "value", bottom, high + margin if high > 0 else 0.0)
    return Panel([Steps(track.edges + 0.5, track.values)], x, y, track.name)


def _site_panel(sites: Mapping[str, Sequence[Interval]], x: Axis) -> Panel:
    """Return a row per class and file, or, of sites with names of their own, a row per file."""
    files = {file: there for file, there in sites.items() if there}
    classes = sorted({site.name for there in files.values() for site in there})
    marks: list[Mark] = []
    ticks: dict[float, str] = {}
    if len(classes) > len(PALETTE):
        rows = [(file, 0, there) for file, there in files.items()]
    else:
        rows = [
            (
                f"{name or 'site'}, {file}" if len(files) > 1 else name or "site",
                number,
                [site for site in there if site.name == name],
            )
            for number, name in enumerate(classes)
            for file, there in files.items()
        ]
    for title, number, there in rows:
        if there:
            row = float(-len(ticks))
            ticks[row] = title
            marks += _row_of_sites(there, row, PALETTE[number])
    y = Axis("", -len(ticks) + 0.5, 0.5, ticks)
    title = "Sites; triangles point along the strand"
    return Panel(marks, x, y, title, height=0.25 + 0.2 * len(ticks))


def _row_of_sites(sites: Sequence[Interval], row: float, colour: str) -> Iterator[Mark]:
    """Yield the points of sites, by strand."""
    for strand, marker in (("+", ">"), ("-", "<"), (".", MARKERS[0])):
        there = [site for site in sites if site.strand == strand]
        if there:
            places = np.array([(site.start + 1 + site.end) / 2 for site in there])
            hover = [_site_text(site) for site in there]
            yield Points(places, np.full(len(there), row), "", colour, marker, hover=hover)


def _site_text(site: Interval) -> str:
    return f"{site.name or 'site'} {site.chrom}:{site.start + 1:,}-{site.end:,} ({site.strand})"


def _gene_panel(genes: Sequence[Gene], locus: Interval, x: Axis) -> Panel:
    """Return genes in as few rows as keep them and their names apart."""
    named = len(genes) <= _MOST_NAMED
    names = [_gene_name(gene) for gene in genes]
    rows: list[float] = []  # of each row where it ends
    level, centres = [], []
    for gene, name in zip(genes, names, strict=True):
        start, end = max(gene.interval.start, locus.start), min(gene.interval.end, locus.end)
        half = _LETTER * len(locus) * len(name) / 2 if named else 0.0
        centre = min(max((start + end) / 2, locus.start + half), locus.end - half)
        left = min(start, centre - half)
        row = next((i for i, end in enumerate(rows) if end < left), len(rows))
        rows[row : row + 1] = [max(end, centre + half) + _LETTER * len(locus)]
        level.append(-float(row))
        centres.append(centre)
    levels = np.array(level)
    marks: list[Mark] = []
    spans = [(gene.interval.start, gene.interval.end) for gene in genes]
    line = np.array([(start, end, np.nan) for start, end in spans]).ravel() + 0.5
    marks.append(Line(line, np.repeat(levels, 3), colour=_INK, faint=False))
    for kind, height in (("exons", 0.22), ("coding", 0.44)):
        boxes = [(i, span) for i, gene in enumerate(genes) for span in getattr(gene, kind)]
        if boxes:
            left, right = np.array([span for _, span in boxes]).T + 0.5
            hover = [names[i] for i, _ in boxes]
            middle = levels[[i for i, _ in boxes]]
            marks.append(Boxes(left, right, middle, height, colour=_INK, hover=hover))
    if named:
        marks.append(Words(np.array(centres) + 0.5, levels - 0.45, names))
    title = "Genes; boxes are exons, high ones coding"
    y = Axis("", -len(rows) + 0.2, 0.5, {})
    return Panel(marks, x, y, title, height=min(0.3 + 0.35 * len(rows), 6))


def _gene_name(gene: Gene) -> str:
    arrow = {"+": " →", "-": " ←"}.get(gene.interval.strand, "")
    return (gene.interval.name or "gene") + arrow
