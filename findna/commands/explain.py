"""FASTA and regions in, the effect of replacing each of their bases out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from findna import __version__
from findna.commands.rows import place_all
from findna.console import progress
from findna.errors import ConfigError
from findna.genome.batching import read_window
from findna.genome.encoding import decode
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions, RegionSource, Survey, survey
from findna.genome.windows import Region, Window
from findna.labelled.sets import REGRESSION
from findna.model.checkpoint import Checkpoint, load_checkpoint, training_length
from findna.model.devices import Compute
from findna.outputs.destination import Destination
from findna.outputs.files import check_output
from findna.outputs.hdf5 import EffectWriter
from findna.outputs.logos import MOST_BASES, Draw, is_book, need_logos, open_logos
from findna.outputs.provenance import genome_facts, obs_columns, obs_row, origin
from findna.outputs.results import Effects
from findna.outputs.tracks import Segment, joined, need_bigwig, write_track
from findna.tasks.task import Task, load_task
from findna.variants.mutagenesis import Stretch, masked_effects, task_effects

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExplainSummary:
    """What a run did; ``target`` names what was measured and the weights."""

    rows: int
    explained: int
    bases: int
    mutants: int
    target: str
    seconds: float


@dataclass(frozen=True)
class ExplainOutputs:
    """Where the effects go; at least one is given.

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
            self.track.check(inputs)
            paths += [self.track.path] if self.track.path else []
            if self.track.form == "bigwig":
                need_bigwig()
                if self.header:
                    raise ConfigError("--header is for bedGraph; bigWig has no header lines")
        if self.plot is not None:
            check_output(self.plot, self.force, [path for path in inputs if path is not None])
            paths.append(self.plot)
        for i, path in enumerate(paths):
            if any(path.resolve() == other.resolve() for other in paths[:i]):
                raise ConfigError(f"{path}: two outputs with one name; name another file")
        if self.plot is not None:
            need_logos(self.plot)


@dataclass(frozen=True)
class ExplainedRow:
    """A row, and what is read of it; nothing where it has no region."""

    placed: Placed
    stretch: Stretch | None


@dataclass(frozen=True)
class Target:
    """What is measured: a task's output, or the likelihood of masked bases."""

    checkpoint: Checkpoint
    task: Task | None = None
    output: int = 0

    @property
    def quantity(self) -> str:
        """Name of what is measured."""
        if self.task is None:
            return "mean log-likelihood"
        of = self.task.config.classes[self.output]
        return of if self.task.config.kind == REGRESSION else f"log-odds of {of}"

    @property
    def weights(self) -> str:
        """Name and digest of the weights."""
        if self.task is None:
            return f"model {self.checkpoint.name} {self.checkpoint.digest[:12]}"
        return f"task {self.task.name} {self.task.digest[:12]}"

    @property
    def facts(self) -> dict[str, Any]:
        """What the output records of the weights."""
        facts: dict[str, Any] = {"target": self.quantity, "model": self.checkpoint.facts}
        if self.task is not None:
            facts["task"] = {"name": self.task.name, "digest": self.task.digest}
        return facts

    def track_lines(self, context: int | None) -> list[str]:
        """Return a comment that names the weights, and a track line for genome browsers."""
        shown = f"importance for {self.quantity}".replace('"', "'")
        return [
            f"#findna {__version__} {self.weights}; {shown}; context={context or 'none'}",
            f'track type=bedGraph name="{shown}" description="{shown}, {self.weights}"',
        ]

    def effects(
        self, rows: Iterable[ExplainedRow], run: Mapping[str, Any]
    ) -> Iterator[tuple[ExplainedRow, Effects | None]]:
        """Yield each row with the effects of replacing its bases."""
        stretches = ((row, row.stretch) for row in rows)
        if self.task is None:
            return masked_effects(stretches, self.checkpoint.model, **run)
        return task_effects(stretches, self.task, self.output, **run)

    def watch(self, rows: Iterable[ExplainedRow]) -> Iterator[ExplainedRow]:
        """Warn once of a row that is not read as long as what the task was trained on."""
        trained = self.task.config.window if self.task else 0
        warned = trained == 0
        for row in rows:
            length = 0 if row.stretch is None else len(row.stretch.tokens)
            if not warned and length not in (0, trained):
                warned = True
                logger.warning(
                    "line %d is read as %d bp; %s was trained on %d bp: --context %d reads that "
                    "much around each region",
                    *(row.placed.row.number, length, self.weights, trained, trained),
                )
            yield row


@dataclass(frozen=True)
class Question:
    """What is measured, and what is read around it.

    Parameters
    ----------
    task : str or Task, optional
        Name or folder, or a loaded one; its log-odds are measured. By default the likelihood of
        masked bases, by ``model``.
    class_name : str, optional
        Class of a task with more than two.
    model : str or Checkpoint
        Name or folder, or a loaded one.
    context : int, optional
        bp that are read around what is replaced; by default nothing but the region.
    both_strands : bool
        Average with the reverse complement.
    """

    task: str | Task | None = None
    class_name: str | None = None
    model: str | Checkpoint = "tiny"
    context: int | None = None
    both_strands: bool = False

    def limit(self, options: RegionOptions) -> RegionOptions:
        """Return region options that refuse what cannot be read at once."""
        if self.context is not None and options.split:
            raise ConfigError("--split cannot be combined with --context")
        task = load_task(self.task) if self.task is not None else None
        longest = None if options.whole else training_length(task.encoder if task else self.model)
        if self.context is not None and longest is not None and self.context > longest:
            raise ConfigError(
                f"--context {self.context}: the model was trained on at most {longest} bp; "
                "--whole reads longer windows all the same"
            )
        return replace(options, longest=self.context or longest)

    def load(self) -> Target:
        """Load the weights."""
        if self.task is None:
            return Target(load_checkpoint(self.model))
        task = load_task(self.task)
        return Target(task.checkpoint, task, task.config.output(self.class_name))


@dataclass(frozen=True)
class ExplainRun:
    """Rows that were checked, and what measures the effects of their bases.

    Parameters
    ----------
    surveyed : Survey
        Of ``source`` under ``options``.
    options : RegionOptions
        They refuse what cannot be read at once.
    """

    genome: Genome
    source: RegionSource
    surveyed: Survey
    question: Question
    options: RegionOptions
    compute: Compute

    @classmethod
    def prepare(
        cls,
        genome: Genome,
        source: RegionSource,
        question: Question,
        options: RegionOptions,
        compute: Compute,
        *,
        for_hdf5: bool = False,
    ) -> ExplainRun:
        """Check every row; the weights follow when they are first needed.

        Parameters
        ----------
        for_hdf5 : bool
            Refuse rows that HDF5 cannot hold.

        Raises
        ------
        FindnaError
            The input cannot be used.
        """
        options = question.limit(options)
        surveyed = survey(source, genome, options, utf8=for_hdf5)
        logger.info(
            "%d rows, %d bp in %d contigs", surveyed.rows, surveyed.bases, len(surveyed.contigs)
        )
        return cls(genome, source, surveyed, question, options, compute)

    @cached_property
    def target(self) -> Target:
        """What is measured, with its weights."""
        return self.question.load()

    @property
    def n_explained(self) -> int:
        """Number of rows that have a region."""
        return self.surveyed.rows - self.surveyed.bad

    @property
    def n_windows(self) -> int:
        """Number of windows that are read, unless there are N."""
        return 3 * self.surveyed.bases + (self.n_explained if self.target.task else 0)

    def metadata(self, command: str | None) -> dict[str, Any]:
        """Return what an HDF5 output records of its origin."""
        return {
            **origin(command),
            **self.target.facts,
            "genome": genome_facts(self.genome, self.surveyed.contigs),
            "options": {
                **self.options.facts(),
                "context": self.question.context,
                "both_strands": self.question.both_strands,
                "precision": self.compute.precision,
            },
        }

    def effects(
        self, advance: Callable[[float], object] = lambda windows: None
    ) -> Iterator[tuple[ExplainedRow, Effects | None]]:
        """Yield each row with the effects of replacing its bases; without a region it has none."""
        placed = place_all(self.source, self.genome, self.options)
        rows = _rows(placed, self.genome, self.question.context, self.options.pad)
        run = {
            "compute": self.compute,
            "both_strands": self.question.both_strands,
            "advance": advance,
        }
        return self.target.effects(self.target.watch(rows), run)


def explain(
    genome: Genome,
    source: RegionSource,
    outputs: ExplainOutputs,
    *,
    question: Question = Question(),
    options: RegionOptions = RegionOptions(),
    compute: Compute,
) -> ExplainSummary:
    """Write what replacing each base of each row by the three others changes.

    Parameters
    ----------
    outputs : ExplainOutputs
    question : Question
    options : RegionOptions
        ``whole`` allows windows longer than the model was trained on.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written; nothing is then left behind.
    """
    started = time.monotonic()
    outputs.check([genome.path, source.path])
    for_hdf5 = outputs.effects is not None
    run = ExplainRun.prepare(genome, source, question, options, compute, for_hdf5=for_hdf5)
    if outputs.plot is not None:
        _check_plot(outputs.plot, run.n_explained)
    target, n_mutants = run.target, 0
    with ExitStack() as stack:
        bar = stack.enter_context(progress(run.n_windows, "mutants", "explain"))
        writers: list[_Writer] = []
        if outputs.effects is not None:
            metadata = run.metadata(outputs.effects.command)
            writer = EffectWriter(
                stack.enter_context(outputs.effects.published()),
                columns={**obs_columns(run.surveyed.columns), "sequence": "str"},
                value=target.quantity,
                metadata=metadata,
            )
            writers.append(_Hdf5Rows(stack.enter_context(writer), run.options))
        if outputs.plot is not None:
            logos = open_logos(outputs.plot, target.quantity, outputs.force)
            writers.append(_Pictures(stack.enter_context(logos), target.quantity))
        importance = _Track()
        if outputs.track is not None:
            writers.append(importance)
        for row, effects in run.effects(bar.update):
            if row.stretch is not None:
                n_mutants += 3 * len(row.stretch.known)
            for each in writers:
                each.write(row, effects)
        if outputs.track is not None:
            headers = target.track_lines(question.context) if outputs.header else []
            write_track(outputs.track, joined(importance.segments()), genome.contigs, headers)
    if outputs.track is not None:
        outputs.track.index(max(genome.contigs.values(), default=0))
    return ExplainSummary(
        run.surveyed.rows,
        run.n_explained,
        run.surveyed.bases,
        n_mutants,
        f"{target.quantity}, {target.weights}",
        time.monotonic() - started,
    )


def _check_plot(plot: Path, n_regions: int) -> None:
    if n_regions == 0:
        raise ConfigError("--plot: there is no region to draw")
    if n_regions > 1 and not is_book(plot):
        raise ConfigError(
            f"--plot {plot}: one picture, but there are {n_regions} regions; name a .pdf, which "
            "gets a page for each"
        )


def _rows(
    placed: Iterable[Placed], genome: Genome, context: int | None, pad: bool
) -> Iterator[ExplainedRow]:
    for row in placed:
        stretch = read_stretch(genome, row.region, context, pad) if row.region else None
        yield ExplainedRow(row, stretch)


def read_stretch(
    genome: Genome, region: Region, context: int | None = None, pad: bool = False
) -> Stretch:
    """Return a region with what is read around it.

    Parameters
    ----------
    context : int, optional
        Length of the window, bp, which has the region in its middle. Where it would leave the
        contig it is moved inside, and is all of a contig that is shorter. By default the window
        is the region.
    pad : bool
        What lies past the end of the contig is N instead.
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


def positions(region: Region) -> npt.NDArray[np.int64]:
    """Return where each base lies on its contig, in reading direction; shape (length,)."""
    bases = np.concatenate([np.arange(start, end) for start, end in region.parts])
    return bases[::-1] if region.reverse else bases


class _Writer(Protocol):
    """What writes rows with their effects."""

    def write(self, row: ExplainedRow, result: Effects | None) -> None: ...


class _Hdf5Rows:
    """All effects, to HDF5."""

    def __init__(self, writer: EffectWriter, options: RegionOptions) -> None:
        self._writer, self._options = writer, options

    def write(self, row: ExplainedRow, result: Effects | None) -> None:
        """Write one row; without effects they are NaN, or the row is left out."""
        stranded = self._options.stranded
        if row.stretch is None or result is None:
            if self._options.on_error != "skip":
                self._writer.write({**obs_row(row.placed, stranded, 0, 0), "sequence": ""})
            return
        bases = row.stretch.bases
        n_unknown = len(bases) - len(row.stretch.known)
        obs = obs_row(row.placed, stranded, len(bases), n_unknown)
        self._writer.write({**obs, "sequence": decode(bases)}, result.value, result.changes)


class _Pictures:
    """A picture per row."""

    def __init__(self, draw: Draw, quantity: str) -> None:
        self._draw, self._quantity = draw, quantity

    def write(self, row: ExplainedRow, result: Effects | None) -> None:
        """Draw one row, if it has effects and is not too long."""
        if row.stretch is None or result is None:
            return
        letters = decode(row.stretch.bases)
        if len(letters) > MOST_BASES:
            logger.warning(
                "row %d is %d bp and is not drawn: a picture holds %d",
                *(row.placed.row.number, len(letters), MOST_BASES),
            )
            return
        title = f"{_title(row.placed)}, {self._quantity} {result.value:.3g}"
        self._draw(title, letters, result.changes, result.importance)


def _title(item: Placed) -> str:
    """Name of a row, where it has one, and what is read of the genome."""
    region, columns = item.region, item.row.columns
    assert region is not None
    name = f"{columns[3]} " if len(columns) > 3 and columns[3] != "." else ""
    strand = " (-)" if region.reverse else ""
    return f"{name}{region.chrom}:{region.parts[0][0]}-{region.parts[-1][1]}{strand}"


class _Track:
    """Importance of single bases; the mean where regions overlap."""

    def __init__(self) -> None:
        self._values: dict[str, list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]] = {}

    def write(self, row: ExplainedRow, result: Effects | None) -> None:
        """Add the importance of a row's bases; N has none."""
        region = row.placed.region
        if region is None or result is None:
            return
        known = ~np.isnan(result.importance)
        pair = positions(region)[known], result.importance[known].astype(np.float64)
        self._values.setdefault(region.chrom, []).append(pair)

    def segments(self) -> Iterator[Segment]:
        """Yield the values, sorted and not overlapping."""
        for chrom in sorted(self._values, key=str.encode):
            where, values = map(np.concatenate, zip(*self._values[chrom], strict=True))
            bases, inverse, n = np.unique(where, return_inverse=True, return_counts=True)
            means = np.bincount(inverse, values) / n
            for base, value in zip(bases.tolist(), means.tolist(), strict=True):
                yield Segment(chrom, base, base + 1, value)
