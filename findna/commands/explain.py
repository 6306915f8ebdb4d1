"""FASTA and regions in, the effect of replacing each of their bases out."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from findna import __version__
from findna.commands.rows import RegionRun, Summary
from findna.commands.tracks import check_track
from findna.console import progress
from findna.errors import ConfigError
from findna.genome.batching import read_window
from findna.genome.encoding import decode
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions, is_point, without_n
from findna.genome.sources import RegionSource
from findna.genome.windows import Region, Window
from findna.labelled.sets import REGRESSION
from findna.model.checkpoint import Checkpoint, load_checkpoint, training_length
from findna.model.devices import Compute
from findna.outputs.destination import Destination
from findna.outputs.files import check_output
from findna.outputs.hdf5 import EffectWriter
from findna.outputs.logos import (
    MOST_BASES,
    Draw,
    Picture,
    need_logos,
    open_logos,
    picture_paths,
    probability_of,
)
from findna.outputs.provenance import genome_facts, obs_columns, obs_row, origin
from findna.outputs.results import Effects, Place
from findna.outputs.tracks import Segment, joined, write_track
from findna.tasks.placement import TaskWindows
from findna.tasks.sites import AnyTask, SiteTask, load_any_task
from findna.tasks.task import Task
from findna.variants.mutagenesis import (
    SiteStretch,
    Stretch,
    masked_effects,
    site_effects,
    task_effects,
)

logger = logging.getLogger(__name__)

SITE_WINDOW = 41
"""Bases that are replaced about a point by default, if a task of sites reads it."""

_SITE_COLUMNS = {"site_start": "number", "site_strand": "category"}
"""Columns of ``obs`` about the base that a task of sites read, 0-based."""


@dataclass(frozen=True)
class ExplainOutputs:
    """Outputs of the effects; at least one is given.

    Parameters
    ----------
    effects : Destination, optional
        HDF5 file of all effects.
    track : Destination, optional
        bedGraph or bigWig of the importance of each base.
    plot : Path, optional
        Pictures.
    header : bool
        Begin bedGraph with the weights' digest and a track line.
    force : bool
        Replace pictures that exist.
    """

    effects: Destination | None = None
    track: Destination | None = None
    plot: Path | None = None
    header: bool = False
    force: bool = False

    def check(self, inputs: Sequence[Path | None]) -> None:
        """Raise unless every output can be written, under a name of its own."""
        if self.effects is None and self.track is None and self.plot is None:
            raise ConfigError("nothing to write: give an output, a track or a plot")
        paths: list[Path] = []
        if self.effects is not None:
            self.effects.check(inputs, instead="ask for --track -")
            paths.append(self.effects.file)
        if self.track is not None:
            check_track(self.track, inputs, self.header)
            paths += [self.track.path] if self.track.path else []
        if self.plot is not None:
            paths.append(self.plot)
        for i, path in enumerate(paths):
            if any(path.resolve() == other.resolve() for other in paths[:i]):
                raise ConfigError(f"{path}: two outputs with one name; name another file")
        if self.plot is not None:
            need_logos(self.plot)

    def check_plot(self, n_regions: int, inputs: Sequence[Path | None]) -> None:
        """Raise unless pictures of so many regions can be written: a file, or one for each."""
        if self.plot is None:
            return
        if n_regions == 0:
            raise ConfigError("--plot: there is no region to draw")
        for path in picture_paths(self.plot, n_regions):
            check_output(path, self.force, [path for path in inputs if path is not None])


@dataclass(frozen=True)
class ExplainedRow:
    """A row, and the stretch of it whose bases are replaced; None of a row without a region.

    Parameters
    ----------
    site : Place, optional
        The base that a task of sites reads; the region is then on its strand.
    """

    placed: Placed
    stretch: Stretch | None
    site: Place | None = None


@dataclass(frozen=True)
class Question:
    """Quantity to measure, and the window to read around each region.

    Parameters
    ----------
    task : str, Task or SiteTask, optional
        Name or folder, or a loaded one; its log-odds are measured, of a task of sites those at the
        most probable site of each row. By default the likelihood of masked bases, by ``model``.
    class_name : str, optional
        Class of a task with more than two, or of sites with more than one.
    model : str or Checkpoint
        Name or folder, or a loaded one.
    context : int, optional
        bp that are read around what is replaced; by default nothing but the region.
    both_strands : bool
        Average with the reverse complement.
    """

    task: str | AnyTask | None = None
    class_name: str | None = None
    model: str | Checkpoint = "tiny"
    context: int | None = None
    both_strands: bool = False

    def limit(self, options: RegionOptions) -> RegionOptions:
        """Return region options that refuse what cannot be read at once."""
        if self.context is not None and options.split:
            raise ConfigError("--split cannot be combined with --context")
        task = load_any_task(self.task) if self.task is not None else None
        if isinstance(task, SiteTask):
            return self._limit_sites(task, options)
        longest = None if options.whole else training_length(task.encoder if task else self.model)
        if self.context is not None and longest is not None and self.context > longest:
            raise ConfigError(
                f"--context {self.context}: the model was trained on at most {longest} bp; "
                "--whole reads longer windows all the same"
            )
        return replace(options, longest=self.context or longest)

    def _limit_sites(self, task: SiteTask, options: RegionOptions) -> RegionOptions:
        """Return region options that lay a window about points, and refuse what is long."""
        given = {
            "--context": self.context is not None,
            "--both-strands": self.both_strands,
            "--split": options.split,
            "--whole": options.whole,
        }
        for name in [name for name, is_given in given.items() if is_given]:
            raise ConfigError(
                f"{name} does nothing for a task of sites, which reads tiles of its own; leave it "
                "out (--window N replaces N bp)"
            )
        limited = replace(options, longest=task.config.tile)
        if options.resizes:
            return limited
        return replace(limited, points=replace(limited, window=SITE_WINDOW))


class ExplainRun(RegionRun):
    """Rows that were checked, and the loaded weights that measure the effects of their bases.

    Parameters
    ----------
    outputs : ExplainOutputs
        Rows that these cannot hold are refused.

    Attributes
    ----------
    n_explained : int
        Number of rows that have a region.
    quantity : str
        Name of what is measured.
    weights : str
        Name of what measures it.
    """

    def __init__(
        self,
        genome: Genome,
        source: RegionSource,
        question: Question,
        options: RegionOptions,
        compute: Compute,
        outputs: ExplainOutputs = ExplainOutputs(),
    ) -> None:
        utf8 = outputs.effects is not None
        self.task = None if question.task is None else load_any_task(question.task)
        asked = [self.task] if isinstance(self.task, Task) and question.context is None else []
        self.windows = TaskWindows(asked, question.limit(options))
        super().__init__(genome, source, self.windows.options, compute, utf8=utf8)
        self.question = question
        rows = self.checked(self.placed())
        self.n_explained = sum(row.region is not None for row in rows)
        outputs.check_plot(self.n_explained, [genome.path, source.path])
        if self.task is None:
            self.checkpoint = load_checkpoint(question.model)
            self.quantity = "mean log-likelihood"
            self.weights, self.digest = f"model {self.checkpoint.name}", self.checkpoint.digest
        else:
            self.checkpoint, config = self.task.checkpoint, self.task.config
            self.output = config.output(question.class_name)
            self.class_name = name = config.classes[self.output]
            self.quantity = name if config.kind == REGRESSION else f"log-odds of {name}"
            self.weights, self.digest = f"task {self.task.name}", self.task.digest

    @property
    def n_windows(self) -> int:
        """Number of windows that are read, unless there are N."""
        return 3 * self.survey.bases + (self.n_explained if self.task else 0)

    def metadata(self, command: str | None) -> dict[str, Any]:
        """Return what an HDF5 output records of its origin."""
        facts = {**origin(command), "target": self.quantity, "model": self.checkpoint.facts}
        if self.task is not None:
            facts["task"] = {"name": self.task.name, "digest": self.task.digest}
        options = {
            **self.options.facts(),
            "context": self.question.context,
            "both_strands": self.question.both_strands,
            "precision": self.compute.precision,
        }
        genome = genome_facts(self.genome, self.survey.contigs)
        return {**facts, "genome": genome, "options": options}

    @property
    def site_columns(self) -> dict[str, str]:
        """Types of the ``obs`` columns about the base that is read, if one is."""
        return _SITE_COLUMNS if isinstance(self.task, SiteTask) else {}

    @property
    def track_lines(self) -> list[str]:
        """Comment that names the weights, and track line for genome browsers."""
        shown = f"importance for {self.quantity}".replace('"', "'")
        weights, context = f"{self.weights} {self.digest[:12]}", self.question.context or "none"
        return [
            f"#findna {__version__} {weights}; {shown}; context={context}",
            f'track type=bedGraph name="{shown}" description="{shown}, {weights}"',
        ]

    def effects(
        self, advance: Callable[[float], object] = lambda windows: None
    ) -> Iterator[tuple[ExplainedRow, Effects | None]]:
        """Yield each row with the effects of replacing its bases; without a region it has none.

        Parameters
        ----------
        advance : callable
            Gets the number of windows read since it was called last.
        """
        if isinstance(self.task, SiteTask):
            sites = self._site_rows(self.task)
            return site_effects(sites, self.task, self.output, self.compute, advance=advance)
        rows = ((row, row.stretch) for row in self._rows())
        both_strands = self.question.both_strands
        if self.task is None:
            model = self.checkpoint.model
            return masked_effects(
                rows, model, self.compute, both_strands=both_strands, advance=advance
            )
        return task_effects(
            rows, self.task, self.output, self.compute, both_strands=both_strands, advance=advance
        )

    def with_sequence(self, placed: Placed) -> Placed:
        """Return a row; without its region if that holds too many N, or if its site is one."""
        row = super().with_sequence(placed)
        if row.region is None or not isinstance(self.task, SiteTask):
            return row
        sought = without_n(replace(row, region=self._sought(row)), self.genome, 1.0)
        return row if sought.region is not None else sought

    def _sought(self, row: Placed) -> Region | None:
        """Return where the site of a row is sought: a point itself, or else what is replaced."""
        if row.region is None or not is_point(row.interval):
            return row.region
        return replace(row.region, parts=((row.interval.start, row.interval.end),))

    def _site_rows(self, task: SiteTask) -> Iterator[tuple[ExplainedRow, SiteStretch | None]]:
        """Yield the rows, each with the tile of its most probable site."""
        asked = (
            (row, self._sought(row), self.options.of(row.interval).stranded)
            for row in self.checked(self.placed())
        )
        found = task.best_sites(asked, self.genome, self.compute, [self.class_name])
        for row, call in found:
            if row.region is None or call is None or call.place is None:
                yield ExplainedRow(row, None), None
                continue
            region = replace(row.region, reverse=call.place.strand == "-")
            stretch = read_site(self.genome, task, region, call.place.start)
            yield ExplainedRow(replace(row, region=region), stretch, call.place), stretch

    def _rows(self) -> Iterator[ExplainedRow]:
        """Yield the rows; warn once of one that is not as long as what the task was trained on."""
        context, pad = self.question.context, self.options.pad
        trained = self.task.config.window if isinstance(self.task, Task) else 0
        for row in self.windows.watch(self.checked(self.placed())):
            stretch = read_stretch(self.genome, row.region, context, pad) if row.region else None
            if trained and stretch is not None and len(stretch.tokens) != trained:
                logger.warning(
                    "%s is read as %d bp; %s was trained on %d bp: --anchor center lays its "
                    "windows about each region's middle, --context %d replaces the region alone",
                    *(row.row.place, len(stretch.tokens)),
                    *(f"{self.weights} {self.digest[:12]}", trained, trained),
                )
                trained = 0
            yield ExplainedRow(row, stretch)


Write = Callable[[ExplainedRow, Effects | None], None]
"""Writes one row; without effects it has missing values, or is left out."""


def explain(
    genome: Genome,
    source: RegionSource,
    outputs: ExplainOutputs,
    *,
    question: Question = Question(),
    options: RegionOptions = RegionOptions(),
    compute: Compute,
) -> Summary:
    """Write what replacing each base of each row by the three others changes.

    Parameters
    ----------
    options : RegionOptions
        ``whole`` allows windows longer than the model was trained on.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written; nothing is then left behind.
    """
    started = time.monotonic()
    outputs.check([genome.path, source.path])
    run = ExplainRun(genome, source, question, options, compute, outputs)
    counts = Counter(rows=run.survey.rows, explained=run.n_explained, mutants=0)
    track = _Track()
    with ExitStack() as stack:
        shown = outputs.track is not None and outputs.track.is_stdout
        bar = stack.enter_context(progress(run.n_windows, "mutants", "explain", beside_rows=shown))
        writers: list[Write] = []
        if outputs.effects is not None:
            metadata = run.metadata(outputs.effects.command)
            columns = obs_columns(run.survey.columns, run.survey.numeric_score)
            writer = EffectWriter(
                stack.enter_context(outputs.effects.published()),
                columns={**columns, "sequence": "str", **run.site_columns},
                value=run.quantity,
                metadata=metadata,
            )
            writers.append(partial(_write_effects, stack.enter_context(writer), run.options))
        if outputs.plot is not None:
            logos = open_logos(outputs.plot, run.n_explained, outputs.force)
            writers.append(partial(_draw, stack.enter_context(logos), run))
        if outputs.track is not None:
            writers.append(track.write)
        for row, effects in run.effects(bar.update):
            if row.stretch is None:
                counts[row.placed.status] += 1
            else:
                counts["mutants"] += 3 * len(row.stretch.known)
            for write in writers:
                write(row, effects)
        if outputs.track is not None:
            headers = run.track_lines if outputs.header else []
            write_track(outputs.track, joined(track.segments()), genome.contigs, headers)
    if outputs.track is not None:
        outputs.track.index()
    seconds, weights = time.monotonic() - started, {run.weights: run.digest}
    return Summary(counts, seconds, weights, compute.precision, run.quantity, str(run.windows))


def read_stretch(
    genome: Genome, region: Region, context: int | None = None, pad: bool = False
) -> Stretch:
    """Return a region with what is read around it.

    Parameters
    ----------
    context : int, optional
        Length of the window, bp, which has the region in its middle. If it would leave the contig
        it is moved inside, and is all of a contig that is shorter. By default the window is the
        region.
    pad : bool
        Fill what lies past the end of the contig with N instead.
    """
    start, end, longer = 0, len(region), len(region)
    window = region
    if context is not None:
        ((start, end),) = region.parts
        before = (context - (end - start)) // 2
        first = end + before - context if region.reverse else start - before
        last = first + context
        if not pad:
            length = genome.contigs[region.chrom]
            first = max(min(first, length - context), 0)
            last = min(first + context, length)
        window = Region(region.chrom, ((first, last),), region.reverse)
        start = last - end if region.reverse else start - first
        longer, end = last - first, start + len(region)
    return Stretch(read_window(genome, Window(window, 0, longer)), start, end)


def read_site(genome: Genome, task: SiteTask, region: Region, site: int) -> SiteStretch:
    """Return a region with the tile in which a task of sites reads a base of its strand."""
    (tile,) = task.tiles([(region.chrom, site, site + 1)], genome, region.reverse)
    ((start, end),) = region.parts
    if region.reverse:
        offset, at = tile.last - end, tile.last - 1 - site
    else:
        offset, at = start - tile.first, site - tile.first
    bases = read_window(genome, Window(region, 0, len(region)))
    letters = read_window(genome, Window(tile.region, 0, len(tile.region)))
    return SiteStretch(bases, 0, len(bases), letters, offset, at)


def positions(region: Region) -> npt.NDArray[np.int64]:
    """Return the positions of bases on their contig, in reading direction; shape (length,)."""
    bases = np.concatenate([np.arange(start, end) for start, end in region.parts])
    return bases[::-1] if region.reverse else bases


def _write_effects(
    writer: EffectWriter, options: RegionOptions, row: ExplainedRow, effects: Effects | None
) -> None:
    """Write one row to HDF5; without effects they are NaN, or the row is left out."""
    stranded = options.of(row.placed.interval).stranded
    site = dict(zip(_SITE_COLUMNS, map(str, row.site or ".."), strict=True))
    if row.stretch is None or effects is None:
        if options.on_error != "skip":
            writer.write({**obs_row(row.placed, stranded, 0, 0), "sequence": "", **site})
        return
    bases = row.stretch.bases
    n_unknown = len(bases) - len(row.stretch.known)
    obs = obs_row(row.placed, stranded, len(bases), n_unknown)
    writer.write({**obs, "sequence": decode(bases), **site}, effects.value, effects.changes)


def _draw(draw: Draw, run: ExplainRun, row: ExplainedRow, effects: Effects | None) -> None:
    """Draw one row, if it has effects and is not too long."""
    region = row.placed.region
    if row.stretch is None or region is None or effects is None:
        return
    letters = decode(row.stretch.bases)
    if len(letters) > MOST_BASES:
        logger.warning(
            "%s is %d bp and is not drawn: a picture holds %d",
            *(row.placed.row.place, len(letters), MOST_BASES),
        )
        return
    has_probability = run.task is not None and run.task.config.kind != REGRESSION
    value, bases = f"{run.quantity} {effects.value:.3g}", positions(region)
    at = None
    if row.site is not None:
        value = f"{value} at {row.site.start + 1:,}"
        at = int(np.flatnonzero(bases == row.site.start)[0])
    if has_probability:
        value += f", probability {probability_of(effects.value):.3g}"
    draw(
        Picture(
            f"{_title(row.placed)}\n{run.weights} {run.digest[:12]}: {value}",
            letters,
            bases + 1,
            f"{region.chrom}{', minus strand' * region.reverse} (1-based)",
            effects,
            run.quantity,
            has_probability,
            at,
        )
    )


def _title(item: Placed) -> str:
    """Return the name of a row, if it has one, and its place on the genome, 1-based."""
    region, columns = item.region, item.row.columns
    assert region is not None
    name = f"{columns[3]} " if len(columns) > 3 and columns[3] != "." else ""
    strand = " (-)" if region.reverse else ""
    return f"{name}{region.chrom}:{region.parts[0][0] + 1:,}-{region.parts[-1][1]:,}{strand}"


class _Track:
    """Importance of single bases; the mean of regions that overlap."""

    def __init__(self) -> None:
        self._values: dict[str, list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]] = {}

    def write(self, row: ExplainedRow, effects: Effects | None) -> None:
        """Add the importance of a row's bases; N has none."""
        region = row.placed.region
        if region is None or effects is None:
            return
        known = ~np.isnan(effects.importance)
        pair = positions(region)[known], effects.importance[known].astype(np.float64)
        self._values.setdefault(region.chrom, []).append(pair)

    def segments(self) -> Iterator[Segment]:
        """Yield the values, sorted and not overlapping."""
        for chrom in sorted(self._values, key=str.encode):
            starts, values = map(np.concatenate, zip(*self._values[chrom], strict=True))
            bases, inverse, n = np.unique(starts, return_inverse=True, return_counts=True)
            means = np.bincount(inverse, values) / n
            for base, value in zip(bases.tolist(), means.tolist(), strict=True):
                yield Segment(chrom, base, base + 1, value)
