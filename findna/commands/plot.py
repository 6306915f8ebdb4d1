"""Files of findna in, pictures out: maps, loci, curves and scores of variants."""

from __future__ import annotations

import logging
import math
import random
import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from findna.console import counted
from findna.errors import ConfigError, EmbeddingError, RegionError, VariantError, did_you_mean
from findna.genome.annotation import read_genes
from findna.genome.bed import read_bed, score_value, score_values
from findna.genome.intervals import Interval, parse_region
from findna.genome.text import display_name
from findna.outputs.destination import Destination
from findna.outputs.files import MISSING
from findna.outputs.pictures.embedding import FEWEST, Colouring, map_figure, need_method, projected
from findna.outputs.pictures.figure import MOST_POINTS, Axis, Figure, of_all, thinned
from findna.outputs.pictures.files import need_picture, write_picture
from findna.outputs.pictures.locus import Track, binned, locus_figure
from findna.outputs.pictures.scores import Score, scores_figure
from findna.outputs.stored import StoredEmbeddings
from findna.outputs.tracks import read_track
from findna.variants.header import Fields, defined
from findna.variants.indexed import Wanted
from findna.variants.vcf import VcfReader, VcfSource

logger = logging.getLogger(__name__)

_PREDICTED = re.compile(r"-?[0-9]+\.[0-9]{6}")  # a number of findna predict
_PREFIX = "FINDNA_"
_PARTS = ("_Q", "_REF", "_ALT", "_CTX", "_POS")  # ends of fields that belong to another
_MOST_PANELS = 6  # of scores that were not named
_LONGEST_ALLELE = 20  # letters that are shown
_LONGEST = (1 << 31) - 1  # bp, of a contig that the header gives no length


@dataclass(frozen=True)
class Picture:
    """Place and look of a picture: its title and size (inches), where they are given."""

    output: Destination
    title: str | None = None
    size: tuple[float, float] | None = None

    def check(self, *inputs: Path | None) -> None:
        """Raise unless it can be drawn and written."""
        need_picture(self.output.file)
        self.output.check(inputs)

    def write(self, figure: Figure) -> None:
        """Draw it."""
        title = figure.title if self.title is None else self.title
        write_picture(replace(figure, title=title, size=self.size or figure.size), self.output)


def plot_map(file: Path, picture: Picture, color: str | None = None, method: str = "pca") -> str:
    """Draw the regions of a file of embeddings as points; return what was drawn.

    Parameters
    ----------
    color : str, optional
        Column of ``obs``, or BED of `findna predict`.
    method : str
        ``pca`` or ``umap``.
    """
    bed = Path(color) if color and _is_file(color) else None
    picture.check(file, bed)
    need_method(method)
    with StoredEmbeddings(file) as stored:
        good = np.flatnonzero(stored.column("status") == "ok")
        if len(good) < FEWEST:
            raise EmbeddingError(
                f"{file}: vectors of {counted(len(good), 'region')}; a map needs at least {FEWEST}"
            )
        rows = good[thinned(len(good))]
        chroms, starts, ends, names = (stored.column(x) for x in ("chrom", "start", "end", "name"))
        colouring = None
        if bed is not None:
            colouring = _predicted(bed, zip(chroms, starts, ends, strict=True)).take(rows)
        elif color:
            colouring = Colouring(color, stored.column(color)).take(rows)
        places, axes = projected(stored.vectors(rows.tolist()), method)
        weights = stored.facts.get("model", {})
    labels = [f"{names[i]}\n{chroms[i]}:{starts[i] + 1:,.0f}-{ends[i]:,.0f}" for i in rows]
    said = of_all(len(rows), len(good), "region")
    if without := len(chroms) - len(good):
        said += f", {without:,} without a vector left out"
    made_by = f"model {weights.get('name', '?')} {str(weights.get('digest', ''))[:12]}"
    picture.write(
        map_figure(places, axes, labels, colouring, f"{said}; {method.upper()}; {made_by}")
    )
    return said


def _is_file(color: str) -> bool:
    """Return whether --color names a file: one that is there, or would be one by its name."""
    path = Path(color)
    return path.is_file() or "/" in color or ".bed" in color or ".tsv" in color


def _predicted(path: Path, regions: Iterator[tuple[str, float, float]]) -> Colouring:
    """Return what `findna predict` says of regions, found by their coordinates, in their order."""
    headers: list[str] = []
    rows = list(read_bed(path, on_header=headers.append))
    names = headers[-1].removeprefix("#").split("\t") if headers else []
    column, number = _label_columns(path, [row.columns for row in rows])
    labels = {row.columns[column] for row in rows} - {MISSING}
    alone = len(labels) == 1  # as the name of what a regression predicts
    shown = number if alone else column
    found: dict[tuple[str, float, float], deque[str]] = defaultdict(deque)
    for row in rows:
        interval = row.interval
        found[interval.chrom, interval.start, interval.end].append(row.columns[shown])
    values = []
    for key in regions:
        there = found.get(key, deque([MISSING]))
        values.append(there.popleft() if len(there) > 1 else there[0])
    if set(values) == {MISSING}:
        raise RegionError(
            f"{path}: none of its rows with a result is a region of the embeddings; predict the "
            "same BED"
        )
    title = labels.pop() if alone else path.name.split(".")[0]
    if len(names) > column:
        title = names[shown]
    numbers = score_values(values) if alone else None
    return Colouring(title, np.array(values, object) if numbers is None else numbers)


def _label_columns(path: Path, rows: Sequence[tuple[str, ...]]) -> tuple[int, int]:
    """Return the columns of the last task's label and of its number, from 0.

    Numbers of findna predict have six decimals; those of single classes follow that of the label.
    """
    width = min(map(len, rows), default=0)
    columns = [{row[i] for row in rows} - {MISSING} for i in range(width)]
    predicted = [bool(texts) and all(map(_PREDICTED.fullmatch, texts)) for texts in columns]
    for i in range(width - 1, 3, -1):
        if predicted[i] and not predicted[i - 1]:
            return i - 1, i
    raise RegionError(
        f"{path}: no label with a probability of six decimals; give the output of findna predict "
        "(without --bed6 and --bed9)"
    )


@dataclass(frozen=True)
class Locus:
    """A region, tracks by their names, and files of sites and of genes: all to be drawn."""

    region: str
    tracks: Mapping[str, Path]
    sites: Sequence[Path] = ()
    genes: Path | None = None
    quantity: str = ""

    @property
    def files(self) -> list[Path]:
        """All files that are read."""
        return [*self.tracks.values(), *self.sites, *([self.genes] if self.genes else [])]


def plot_locus(shown: Locus, picture: Picture) -> str:
    """Draw tracks, sites and genes of a locus; return what was drawn."""
    picture.check(*shown.files)
    if not shown.files:
        raise ConfigError("nothing to draw: give a track, --sites or --genes")
    locus = parse_region(shown.region, {})
    if not len(locus) or locus.end - locus.start > _LONGEST:
        raise RegionError(f"region {shown.region}: give both ends: {locus.chrom}:1,001-2,000")
    tracks = [_track(name, path, locus) for name, path in shown.tracks.items()]
    sites = {path.name: _within(path, locus) for path in shown.sites}
    genes = read_genes(shown.genes, locus) if shown.genes else []
    for path, there in (*zip(shown.sites, sites.values(), strict=True), (shown.genes, genes)):
        if path is not None and not there:
            logger.warning("%s: nothing in %s", path, shown.region)
    if not tracks and not genes and not any(sites.values()):
        raise RegionError(
            f"region {shown.region}: nothing to draw in it; are the names of contigs alike?"
        )
    picture.write(locus_figure(locus, tracks, sites, genes, shown.quantity))
    return (
        f"{locus.chrom}:{locus.start + 1}-{locus.end}: tracks {len(tracks)}, sites "
        f"{sum(map(len, sites.values()))}, genes {len(genes)}"
    )


def _track(name: str, path: Path, locus: Interval) -> Track:
    track = binned(name, read_track(path, locus), locus)
    if not np.isfinite(track.values).any():
        logger.warning("%s: no value in %s:%d-%d", path, locus.chrom, locus.start + 1, locus.end)
    return track


def _within(path: Path, locus: Interval) -> list[Interval]:
    rows = (row.interval for row in read_bed(path))
    return [
        x for x in rows if x.chrom == locus.chrom and x.start < locus.end and x.end > locus.start
    ]


def plot_curves(run: str, picture: Picture) -> str:
    """Draw the curves of a training: of a model, by name or folder, or metrics.jsonl."""
    from findna.pretraining.curves import curves  # torch is not loaded for the other pictures
    from findna.pretraining.history import find_run, read_history

    path = find_run(run)
    picture.check(path)
    history = read_history(path)
    picture.write(curves(history))
    return history.verdict


@dataclass
class _Alleles:
    """Alleles of a VCF file: all, or so many of them at random, the same ones every time."""

    rows: list[tuple[int, str, int, str, list[float]]] = field(default_factory=list)
    n: int = 0
    last: Counter[str] = field(default_factory=Counter)
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def add(self, chrom: str, start: int, text: str, values: list[float]) -> None:
        row = (self.n, chrom, start, text, values)
        if self.n < MOST_POINTS:
            self.rows.append(row)
        elif (i := self._random.randrange(self.n + 1)) < MOST_POINTS:
            self.rows[i] = row
        self.n += 1
        self.last[chrom] = max(self.last[chrom], start + 1)


def plot_variants(
    vcf: str, picture: Picture, region: str | None = None, fields: Sequence[str] = ()
) -> str:
    """Draw scores of variants along a locus, or along all contigs; return what was drawn.

    Parameters
    ----------
    region : str, optional
        As in samtools; found by the index, if the file has one.
    fields : sequence of str
        Of INFO, one value per alternate allele; by default the scores of `findna variants`.
    """
    path = Path(vcf)
    picture.check(path)
    indexed = any(path.with_name(path.name + end).is_file() for end in (".tbi", ".csi"))
    wanted = Wanted([region]) if region and indexed else None
    with VcfSource(vcf, wanted) as source, source.open() as reader:
        known = defined(reader.header, "INFO")
        shown = _score_fields(display_name(vcf), known, fields)
        ranks = {name: _rank_field(name, known) for name in shown}
        every = [*shown, *filter(None, ranks.values())]
        contigs = dict.fromkeys(defined(reader.header, "contig"), _LONGEST)
        locus = parse_region(region, contigs) if region else None
        alleles = _read_alleles(reader, locus, every)
    if not alleles.rows:
        where = f" in {region}" if region else ""
        raise VariantError(f"{display_name(vcf)}: no allele{where} has {' or '.join(shown)}")
    rows = sorted(alleles.rows)
    columns = dict(zip(every, np.array([row[4] for row in rows]).T, strict=True))
    nothing = np.full(len(rows), np.nan)
    scores = [
        Score(
            name,
            known[name].get("Description", "").strip('"'),
            columns[name],
            ranks[name],
            columns.get(ranks[name], nothing),
        )
        for name in shown
    ]
    offsets, axis, borders = _layout(alleles.last, locus)
    positions = np.array([offsets[chrom] + start + 1 for _, chrom, start, _, _ in rows], float)
    names = [f"{chrom}:{start + 1:,} {text}" for _, chrom, start, text, _ in rows]
    said = of_all(len(rows), alleles.n, "allele")
    title = f"Scores of variants, {display_name(vcf)}"
    picture.write(scores_figure(title, positions, axis, scores, names, borders, said))
    return said


def _score_fields(name: str, known: Mapping[str, Fields], asked: Sequence[str]) -> list[str]:
    """Return the fields to draw, or raise unless those that were asked for are there."""
    numeric = [x for x, fields in known.items() if fields.get("Type") in ("Float", "Integer")]
    for id_ in asked:
        if id_ not in numeric:
            hint = did_you_mean(id_, numeric) or f"; it has: {', '.join(numeric) or 'none'}"
            raise VariantError(f"{name}: INFO has no field of numbers {id_}{hint}")
    scores = [x for x in numeric if x.startswith(_PREFIX) and not x.endswith(_PARTS)]
    if not asked and not scores:
        raise VariantError(f"{name}: no scores of findna variants; name a field of INFO: --field")
    return list(dict.fromkeys(asked)) or scores[:_MOST_PANELS]


def _rank_field(name: str, known: Mapping[str, Fields]) -> str:
    """Return the field of the ranks of a score; empty if there is none."""
    for candidate in (f"{name}_Q", name.removesuffix("_DELTA") + "_Q"):
        if candidate in known and candidate != name:
            return candidate
    return ""


def _read_alleles(reader: VcfReader, locus: Interval | None, fields: Sequence[str]) -> _Alleles:
    """Return the alleles of a locus that have a value in one of the fields."""
    alleles = _Alleles()
    for record in reader.records:
        if locus is not None and (
            record.chrom != locus.chrom or not locus.start <= record.start < locus.end
        ):
            continue
        items = (item.partition("=") for item in record.line.split("\t", 8)[7].split(";"))
        info = {name: value.split(",") for name, _, value in items}
        for i, alt in enumerate(record.alts):
            values = [_number(info.get(name, ()), i) for name in fields]
            if not all(map(math.isnan, values)):
                alleles.add(
                    record.chrom, record.start, f"{_short(record.ref)}>{_short(alt)}", values
                )
    return alleles


def _short(allele: str) -> str:
    return allele if len(allele) <= _LONGEST_ALLELE else f"{allele[:_LONGEST_ALLELE]}..."


def _number(texts: Sequence[str], i: int) -> float:
    """Return the value of an allele; one alone is that of the record. NaN where there is none."""
    text = texts[i] if i < len(texts) else texts[0] if len(texts) == 1 else "."
    value = score_value(text)
    return math.nan if value is None else value


def _layout(
    last: Mapping[str, int], locus: Interval | None
) -> tuple[dict[str, int], Axis, list[float]]:
    """Return where each contig begins on the axis, the axis, and the places between contigs.

    Several lie end to end, each as long as its last variant says.
    """
    if len(last) == 1:
        (chrom,) = last
        label = f"{chrom}, bp (1-based)"
        if locus is not None and locus.end < _LONGEST:
            return {chrom: 0}, Axis(label, locus.start + 0.5, locus.end + 0.5, whole=True), []
        return {chrom: 0}, Axis(label, whole=True), []
    ends = np.cumsum(list(last.values())).tolist()
    starts = [0, *ends[:-1]]
    ticks = {(start + end) / 2: chrom for chrom, start, end in zip(last, starts, ends, strict=True)}
    return dict(zip(last, starts, strict=True)), Axis("contig", 0, ends[-1], ticks), ends[:-1]
