"""Rows of a genome with the effects of replacing their bases; `findna explain` writes them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from findna import __version__
from findna.commands.rows import RegionRun
from findna.errors import ConfigError
from findna.genome.batching import read_window
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions, is_point, without_n
from findna.genome.sources import RegionSource
from findna.genome.windows import Region, Window
from findna.labelled.sets import REGRESSION
from findna.model.checkpoint import Checkpoint, load_checkpoint, training_length
from findna.model.devices import Compute
from findna.outputs.provenance import genome_facts, origin
from findna.outputs.results import Effects, Place
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

SITE_COLUMNS = {"site_start": "number", "site_strand": "category"}
"""Columns of ``obs`` about the base that a task of sites read, 0-based."""


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
                f"{name} does nothing for a task of single bases, which reads tiles of its own; "
                "leave it out (--window N replaces N bp)"
            )
        limited = replace(options, longest=task.config.tile)
        if options.resizes:
            return limited
        return replace(limited, points=replace(limited, window=SITE_WINDOW))


class ExplainRun(RegionRun):
    """Rows that were checked, and the loaded weights that measure the effects of their bases.

    Parameters
    ----------
    utf8 : bool
        Refuse rows whose text is no UTF-8, which HDF5 cannot hold.
    check : callable
        Gets the number of rows that have a region, before weights are loaded.

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
        *,
        utf8: bool = False,
        check: Callable[[int], object] = lambda n: None,
    ) -> None:
        self.task = None if question.task is None else load_any_task(question.task)
        asked = [self.task] if isinstance(self.task, Task) and question.context is None else []
        self.windows = TaskWindows(asked, question.limit(options))
        super().__init__(genome, source, self.windows.options, compute, utf8=utf8)
        self.question = question
        rows = self.checked(self.placed())
        self.n_explained = sum(row.region is not None for row in rows)
        check(self.n_explained)
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
        return SITE_COLUMNS if isinstance(self.task, SiteTask) else {}

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
