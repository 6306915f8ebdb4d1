"""A task of single bases along contigs: a track of one class, or the sites above a probability."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from findna import __version__
from findna.commands.rows import Summary
from findna.commands.scan import STRANDS, spans_of
from findna.commands.tracks import check_track
from findna.console import counted, progress
from findna.errors import ConfigError
from findna.genome.fasta import Genome
from findna.genome.sources import RegionSource
from findna.model.devices import Compute
from findna.outputs.destination import Destination
from findna.outputs.results import Array
from findna.outputs.tracks import Segment, joined, write_track
from findna.tasks.sites import Bases, SiteTask, load_sites

logger = logging.getLogger(__name__)

TRACK_DECIMALS = 3
"""Of the probabilities of a track: neighbours that have the same are one segment."""


class Site(NamedTuple):
    """Neighbouring bases of one class, [start, end), with the highest probability of them."""

    chrom: str
    start: int
    end: int
    class_name: str
    strand: str
    probability: float


@dataclass(frozen=True)
class SiteOptions:
    """Options that decide what is written of a task of sites.

    Parameters
    ----------
    class_name : str, optional
        Class of the track, or of the sites; without, all sites.
    strand : {"+", "-"}, optional
        Of the track (default plus), or of the sites (default both).
    call : float, optional
        List the sites of at least this probability.
    on_error : {"stop", "skip", "null"}
        Treatment of regions that cannot be read.
    """

    class_name: str | None = None
    strand: str | None = None
    call: float | None = None
    on_error: str = "stop"


class SiteScan:
    """Spans of a genome, and the loaded task of sites that reads them.

    Attributes
    ----------
    counts : Counter
        ``bases`` that are scanned; so far, bases ``covered`` by a value and ``sites`` found.

    Raises
    ------
    FindnaError
        The input cannot be used.
    """

    def __init__(
        self,
        genome: Genome,
        task: str | SiteTask,
        regions: RegionSource | None,
        on_error: str,
        compute: Compute,
    ) -> None:
        self.genome, self.compute = genome, compute
        self.task = load_sites(task)
        self.spans = spans_of(genome, regions, on_error)
        _ = self.task.checkpoint  # a wrong one is refused before the output is opened
        bases = sum(end - start for _, start, end in self.spans)
        self.counts = Counter(bases=bases, covered=0, sites=0)
        self._folder: Path | None = None
        self._kept: dict[str, list[tuple[str, int, tuple[int, ...]]]] = {}

    def classes(self, class_name: str | None) -> tuple[str, ...]:
        """Return the class that is named, or all; raise ConfigError if there is none."""
        classes = self.task.config.classes
        if class_name not in (None, *classes):
            raise ConfigError(f"--class {class_name}: the task's classes are {', '.join(classes)}")
        return classes if class_name is None else (class_name,)

    def only_class(self, class_name: str | None) -> str:
        """Return the class that is named, or the only one; raise ConfigError without one."""
        chosen = self.classes(class_name)
        if len(chosen) > 1:
            raise ConfigError(
                f"a track has one class: choose it with --class ({', '.join(chosen)})"
            )
        return chosen[0]

    def keep_in(self, folder: Path) -> None:
        """Keep the probabilities of each strand in a folder, so that they are computed once."""
        self._folder = folder

    def _read(self, strand: str) -> Iterator[Bases]:
        """Yield the probabilities of a strand, or those that were kept."""
        computed = self.task.probabilities(self.spans, self.genome, self.compute, strand == "-")
        if self._folder is None:
            yield from computed
            return
        path = self._folder / f"{strand}.float32"
        if strand not in self._kept:
            places = []
            with path.open("wb") as file:
                for bases in computed:
                    places.append((bases.chrom, bases.start, bases.values.shape))
                    file.write(bases.values.astype(np.float32).tobytes())
                    yield bases
            self._kept[strand] = places
            return
        with path.open("rb") as file:
            for chrom, start, shape in self._kept[strand]:
                values = np.fromfile(file, np.float32, math.prod(shape)).reshape(shape)
                yield Bases(chrom, start, strand == "-", values)

    def track(
        self, class_name: str, strand: str, advance: Callable[[int], object] = lambda bases: None
    ) -> Iterator[Segment]:
        """Yield the probability of a class; bases that are N have none."""
        for segment in joined(self._segments(class_name, strand, advance)):
            self.counts["covered"] += segment.end - segment.start
            yield segment

    def _segments(
        self, class_name: str, strand: str, advance: Callable[[int], object]
    ) -> Iterator[Segment]:
        number = self.task.config.classes.index(class_name)
        for chrom, start, _, values in self._read(strand):
            column = np.round(values[:, number], TRACK_DECIMALS)
            changes = np.flatnonzero(column[1:] != column[:-1]) + 1  # NaN differs from NaN
            edges = [0, *changes.tolist(), len(column)]
            for low, high in pairwise(edges):
                if not np.isnan(column[low]):
                    yield Segment(chrom, start + low, start + high, float(column[low]))
            advance(len(column))

    def sites(
        self,
        least: float,
        classes: Iterable[str],
        strands: Iterable[str],
        advance: Callable[[int], object] = lambda bases: None,
    ) -> Iterator[Site]:
        """Yield the sites whose probability is at least ``least``, sorted by contig and start."""
        numbers = {name: self.task.config.classes.index(name) for name in classes}
        found: list[Site] = []  # sites that a later one may precede
        for pieces in zip(*map(self._read, strands), strict=True):
            chrom, start, end = pieces[0].chrom, pieces[0].start, 0
            for bases in pieces:
                end = start + len(bases.values)
                for name, number in numbers.items():
                    for site in _runs(bases, name, bases.values[:, number], least):
                        _add(found, site)
            growing = [site.start for site in found if (site.chrom, site.end) == (chrom, end)]
            settled = min(growing, default=end)
            found.sort()
            done = [s for s in found if s.chrom != chrom or s.start < settled]
            found = found[len(done) :]
            self.counts["sites"] += len(done)
            self.counts["covered"] += int((~np.isnan(pieces[0].values[:, 0])).sum())
            yield from done
            advance(end - start)
        self.counts["sites"] += len(found)
        yield from sorted(found)


def _runs(bases: Bases, class_name: str, values: Array, least: float) -> Iterator[Site]:
    """Yield runs of bases whose probability of a class is high enough."""
    strand = "-" if bases.reverse else "+"
    edges = np.flatnonzero(np.diff(values >= least, prepend=False, append=False))
    for low, high in edges.reshape(-1, 2).tolist():
        place = bases.chrom, bases.start + low, bases.start + high
        yield Site(*place, class_name, strand, float(values[low:high].max()))


def _add(found: list[Site], site: Site) -> None:
    """Append a site, or lengthen one that ends where it starts."""
    for i, other in enumerate(found):
        same = (other.chrom, other.end, other.class_name, other.strand)
        if same == (site.chrom, site.start, site.class_name, site.strand):
            highest = max(other.probability, site.probability)
            found[i] = other._replace(end=site.end, probability=highest)
            return
    found.append(site)


def scan_sites(
    genome: Genome,
    output: Destination,
    *,
    task: str | SiteTask,
    regions: RegionSource | None = None,
    options: SiteOptions = SiteOptions(),
    header: bool = False,
    compute: Compute,
) -> Summary:
    """Write a class' probability along a genome as a track, or the sites above a probability.

    Parameters
    ----------
    output : Destination
        ``bedgraph`` or ``bigwig``; with ``options.call`` ``bed``.
    task : str or SiteTask
        Name or folder, or a loaded one.
    regions : RegionSource, optional
        Bases that are read; default all.
    header : bool
        Begin text with the weights' digest, and bedGraph with a track line.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written.
    """
    started = time.monotonic()
    inputs = [genome.path, regions.path if regions else None]
    if options.call is None:
        check_track(output, inputs, header)
    else:
        output.check(inputs)
    run = SiteScan(genome, task, regions, options.on_error, compute)
    chosen = run.classes(options.class_name)
    name = run.only_class(options.class_name) if options.call is None else ""
    facts = f"#findna {__version__} {run.task.name}={run.task.digest[:12]}"
    with progress(run.counts["bases"], "bp", "scan", beside_rows=output.is_stdout) as bar:
        if options.call is None:
            one = options.strand or "+"
            shown = f"{run.task.name} {name} {one}".replace('"', "'")
            headers = [
                f"{facts} class={name} strand={one}",
                f'track type=bedGraph name="{shown}" description="{shown}" autoScale=off '
                "viewLimits=0:1",
            ]
            track = run.track(name, one, bar.update)
            write_track(output, track, genome.contigs, headers if header else [])
            quantity = name
        else:
            strands = STRANDS if options.strand is None else (options.strand,)
            with output.open_text() as file:
                if header:
                    file.write(f"{facts} call={options.call:g}\n".encode())
                for site in run.sites(options.call, chosen, strands, bar.update):
                    columns = *site[:4], round(1000 * site.probability), site.strand
                    line = "\t".join(map(str, columns)) + "\n"
                    file.write(line.encode("utf-8", "surrogateescape"))
            quantity = counted(run.counts["sites"], "site")
    output.index()
    weights = {f"task {run.task.name}": run.task.digest}
    seconds = time.monotonic() - started
    return Summary(run.counts, seconds, weights, compute.precision, quantity)
