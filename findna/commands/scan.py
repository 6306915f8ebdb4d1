"""A task's probability along contigs: windows in, their mean over every base out."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from findna import __version__
from findna.commands.rows import Summary
from findna.commands.tracks import check_track
from findna.console import counted, progress
from findna.errors import ConfigError
from findna.genome.batching import read_window
from findna.genome.encoding import N, Tokens
from findna.genome.fasta import Genome
from findna.genome.intervals import Interval, select
from findna.genome.regions import RegionOptions, has_sequence, place
from findna.genome.sources import RegionSource
from findna.genome.survey import survey
from findna.genome.windows import Region, Window
from findna.labelled.sets import REGRESSION
from findna.model.devices import Compute
from findna.model.inference import region_vectors
from findna.outputs.destination import Destination
from findna.outputs.tracks import Segment, joined, write_track
from findna.tasks.task import Task, TaskOutline, load_task

logger = logging.getLogger(__name__)

FORMS = ("bedgraph", "bigwig")

STRANDS = ("+", "-")

MAX_N = 0.5

STEPS = 6
"""Windows over a base, unless a step is given."""

BASES_AT_A_TIME = 1 << 20
"""Bases of a contig that are read at once, at least."""

WINDOWS_AT_A_TIME = 64
"""Windows whose probabilities are computed at once."""

Span = tuple[str, int, int]
"""Contig, start, end."""


@dataclass(frozen=True)
class ScanOptions:
    """Layout and reading of windows.

    Parameters
    ----------
    window, step : int
        Length of a window and distance between two, bp; 0 is the length of the task's training
        sequences, and a sixth of the window.
    max_n : float
        Windows with a larger share of N, or nothing but N, have no value.
    strand : {"+", "-"}
        With ``-`` windows are read as their reverse complement.
    on_error : {"stop", "skip", "null"}
        Treatment of regions that cannot be read.
    """

    window: int = 0
    step: int = 0
    max_n: float = MAX_N
    strand: str = "+"
    on_error: str = "stop"

    def for_task(self, task: TaskOutline) -> ScanOptions:
        """Return the options with the window and the step that a task has by default.

        Raises
        ------
        ConfigError
            The task has no window of its own, or the step would leave gaps.
        """
        own = task.config.window
        window = self.window or own
        if window < 1:
            raise ConfigError(
                f"task {task.name} was trained on sequences of several lengths; choose one with "
                "--window"
            )
        if own and window != own:
            logger.warning("task %s was trained on %d bp, not on %d", task.name, own, window)
        if self.strand == "-" and task.config.features.both_strands:
            logger.warning("task %s reads both strands; --strand changes nothing", task.name)
        step = self.step or max(window // STEPS, 1)
        if step > window:
            raise ConfigError(f"--step {step} is larger than the window ({window}): it leaves gaps")
        return replace(self, window=window, step=step)


@dataclass(frozen=True)
class ScanSummary(Summary):
    """Summary of a scan, and the window and step that it had."""

    options: ScanOptions = ScanOptions()


def windows(start: int, end: int, window: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield windows inside [start, end), every ``step`` bp, and one flush with the end.

    An interval that is shorter than a window gives one window, which is as long.
    """
    last = max(end - window, start)
    for first in range(start, last, step):
        yield first, first + window
    yield last, min(last + window, end)


def n_windows(length: int, window: int, step: int) -> int:
    """Return the number of windows inside an interval of ``length`` bp; see `windows`."""
    return len(range(0, length - window, step)) + 1


class WindowReader:
    """Windows along spans of a genome; their sequence is read a megabase at a time.

    A `findna.genome.batching.SequenceSource` for the region that was yielded last.

    Parameters
    ----------
    spans : sequence of (chrom, start, end)
        Sorted, not overlapping.
    advance : callable
        Gets the number of bases that each window adds to those before it.
    """

    def __init__(
        self,
        genome: Genome,
        spans: Sequence[Span],
        options: ScanOptions,
        advance: Callable[[int], object] = lambda bases: None,
    ) -> None:
        self._genome, self._spans, self._options = genome, spans, options
        self._advance = advance
        self._held: Span = ("", 0, 0)
        self._tokens: Tokens = np.empty(0, np.uint8)

    def regions(self) -> Iterator[Region]:
        """Yield the windows that do not hold too many N."""
        options = self._options
        for chrom, start, end in self._spans:
            reached = start
            for first, last in windows(start, end, options.window, options.step):
                self._read(chrom, first, last, end)
                n_unknown = int(np.count_nonzero(self.fetch(chrom, first, last) == N))
                if has_sequence(n_unknown, last - first, options.max_n):
                    yield Region(chrom, ((first, last),), options.strand == "-")
                self._advance(last - reached)
                reached = last

    def _read(self, chrom: str, start: int, end: int, limit: int) -> None:
        """Hold the sequence of [start, end) and of what comes next before ``limit``."""
        name, first, last = self._held
        if name != chrom or start < first or end > last:
            last = min(max(start + BASES_AT_A_TIME, end), limit)
            self._tokens = self._genome.fetch(chrom, start, last)
            self._held = (chrom, start, last)

    def fetch(self, chrom: str, start: int, end: int) -> Tokens:
        """Return token ids of part of the window that was yielded last."""
        first = self._held[1]
        return self._tokens[start - first : end - first]


def mean_track(scored: Iterable[Segment]) -> Iterator[Segment]:
    """Yield the mean of the windows that cover a base, from edge to edge of the windows.

    A piece is given out as soon as no later window can cover it.

    Parameters
    ----------
    scored : iterable of Segment
        Windows sorted by contig, start and end.
    """
    over: deque[Segment] = deque()  # windows that reach beyond ``position``
    position = 0

    def until(limit: float) -> Iterator[Segment]:
        nonlocal position
        while over and position < limit:
            chrom, _, end, _ = over[0]
            stop = int(min(end, limit))
            yield Segment(chrom, position, stop, sum(s.value for s in over) / len(over))
            position = stop
            while over and over[0].end <= position:
                over.popleft()

    for segment in scored:
        same_contig = over and over[0].chrom == segment.chrom
        yield from until(segment.start if same_contig else float("inf"))
        position = segment.start
        over.append(segment)
    yield from until(float("inf"))


def spans_of(genome: Genome, regions: RegionSource | None, on_error: str = "stop") -> list[Span]:
    """Return what is scanned, merged if it overlaps or touches; contigs in order of their bytes.

    Raises
    ------
    RegionError
        A region is malformed, or cannot be read and ``on_error`` is stop.
    MissingProgramError
        There are regions, and bedtools is not installed.
    """
    if regions is None:
        return sorted((name, 0, length) for name, length in genome.contigs.items() if length)
    options = RegionOptions(on_error=on_error)
    checked = survey(regions, genome, options)
    if checked.bad:
        logger.warning("%d of %s left out", checked.bad, counted(checked.rows, "region"))
    placed = (place(row, genome, options).region for row in regions.rows())
    wanted = (Interval(region.chrom, *region.parts[0]) for region in placed if region is not None)
    return select(genome.contigs, wanted, None)


class ScanRun:
    """Spans of a genome, and the loaded task that reads the windows along them.

    Attributes
    ----------
    output : int
        Number of the task's output that makes the track.
    counts : Counter
        ``bases`` that are scanned; so far, ``windows`` read and bases ``covered`` by a value.

    Raises
    ------
    FindnaError
        The input cannot be used.
    """

    def __init__(
        self,
        genome: Genome,
        task: str | Task,
        class_name: str | None,
        regions: RegionSource | None,
        options: ScanOptions,
        compute: Compute,
    ) -> None:
        self.genome, self.compute = genome, compute
        self.task = load_task(task)
        self.output = self.task.config.output(class_name)
        self.options = options.for_task(self.task)
        self.spans = spans_of(genome, regions, options.on_error)
        _ = self.task.checkpoint  # a wrong one is refused before the output is opened
        bases = sum(end - start for _, start, end in self.spans)
        self.counts = Counter(bases=bases, windows=0, covered=0)

    @property
    def headers(self) -> list[str]:
        """Comment that names the weights, and track line for genome browsers."""
        task, options, class_name = self.task, self.options, self.class_name
        shown = f"{task.name} {class_name}".replace('"', "'")
        limits = "" if task.config.kind == REGRESSION else " autoScale=off viewLimits=0:1"
        return [
            f"#findna {__version__} {task.name}={task.digest[:12]} class={class_name} "
            f"window={options.window} step={options.step} max_n={options.max_n:g} "
            f"strand={options.strand}",
            f'track type=bedGraph name="{shown}" description="{shown}, {options.window} bp windows '
            f'every {options.step} bp, strand {options.strand}"{limits}',
        ]

    @property
    def class_name(self) -> str:
        """Name of the output that makes the track."""
        return self.task.config.classes[self.output]

    def track(self, advance: Callable[[int], object] = lambda bases: None) -> Iterator[Segment]:
        """Yield the mean of the windows over each base; neighbours of one value are one segment.

        Parameters
        ----------
        advance : callable
            As for `WindowReader`.
        """
        reader = WindowReader(self.genome, self.spans, self.options, advance)
        for segment in joined(mean_track(self._windows(reader))):
            self.counts["covered"] += segment.end - segment.start
            yield segment

    def _windows(self, reader: WindowReader) -> Iterator[Segment]:
        """Yield each window with its value."""
        features = self.task.config.features

        def regions() -> Iterator[tuple[tuple[Region, Tokens | None], Region]]:
            for region in reader.regions():
                window = Window(region, 0, len(region))
                yield (region, read_window(reader, window) if features.k else None), region

        rows = region_vectors(regions(), reader, self.task.reader, features.pooling, self.compute)
        while block := list(islice(rows, WINDOWS_AT_A_TIME)):
            matrix = np.stack(
                [features.of(vectors, letters) for (_, letters), vectors in block if vectors]
            )
            values = self.task.probabilities(matrix)[:, self.output].tolist()
            self.counts["windows"] += len(block)
            for ((region, _), _), value in zip(block, values, strict=True):
                yield Segment(region.chrom, *region.parts[0], value)


def scan(
    genome: Genome,
    output: Destination,
    *,
    task: str | Task,
    class_name: str | None = None,
    regions: RegionSource | None = None,
    options: ScanOptions = ScanOptions(),
    header: bool = False,
    compute: Compute,
) -> ScanSummary:
    """Write a task's probability along a genome as a track.

    Parameters
    ----------
    output : Destination
        ``bedgraph`` or ``bigwig``.
    task : str or Task
        Name or folder, or a loaded one.
    class_name : str, optional
        Class of the probability; default the positive class of two.
    regions : RegionSource, optional
        Windows lie inside; default everywhere.
    header : bool
        Begin bedGraph with the weights' digest and a track line.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written.
    """
    started = time.monotonic()
    check_track(output, [genome.path, regions.path if regions else None], header)
    run = ScanRun(genome, task, class_name, regions, options, compute)
    with progress(run.counts["bases"], "bp", "scan", beside_rows=output.is_stdout) as bar:
        headers = run.headers if header else []
        write_track(output, run.track(bar.update), genome.contigs, headers)
    output.index()
    seconds = time.monotonic() - started
    weights = {f"task {run.task.name}": run.task.digest}
    precision, name = compute.precision, run.class_name
    return ScanSummary(run.counts, seconds, weights, precision, name, options=run.options)
