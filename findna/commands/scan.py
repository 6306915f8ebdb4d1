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
from findna.console import progress
from findna.errors import ConfigError
from findna.genome.batching import read_window
from findna.genome.encoding import N, Tokens
from findna.genome.fasta import Genome
from findna.genome.intervals import Interval, select
from findna.genome.regions import RegionOptions, RegionSource, place, survey
from findna.genome.windows import Region, Window
from findna.labelled.sets import REGRESSION
from findna.model.devices import Compute
from findna.model.inference import region_vectors
from findna.outputs.destination import Destination
from findna.outputs.tracks import Segment, joined, need_bigwig, write_track
from findna.tasks.task import Task, load_task

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
    """How windows lie and are read.

    Parameters
    ----------
    window, step : int
        Length of a window and distance between two, bp; 0 is the length of the task's training
        sequences, and a sixth of the window.
    max_n : float
        Windows with a larger share of N have no value.
    strand : {"+", "-"}
        With ``-`` windows are read as their reverse complement.
    on_error : {"stop", "skip", "null"}
        What to do with regions that cannot be read.
    """

    window: int = 0
    step: int = 0
    max_n: float = MAX_N
    strand: str = "+"
    on_error: str = "stop"

    def for_task(self, task: Task) -> ScanOptions:
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
class ScanSummary:
    """What a run did; bases are those that were asked for, ``covered`` those with a value."""

    bases: int
    covered: int
    windows: int
    options: ScanOptions
    output: str
    task: str
    digest: str
    seconds: float


def windows(start: int, end: int, window: int, step: int) -> Iterator[tuple[int, int]]:
    """Windows inside [start, end), every ``step`` bp, and one flush with the end.

    Where the interval is shorter than a window, it is the only one.
    """
    last = max(end - window, start)
    for first in range(start, last, step):
        yield first, first + window
    yield last, min(last + window, end)


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
        """Yield the windows that are not mostly N."""
        options = self._options
        for chrom, start, end in self._spans:
            reached = start
            for first, last in windows(start, end, options.window, options.step):
                self._read(chrom, first, last, end)
                unknown = np.count_nonzero(self.fetch(chrom, first, last) == N)
                if unknown <= options.max_n * (last - first):
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
        """Token ids of part of the window that was yielded last."""
        first = self._held[1]
        return self._tokens[start - first : end - first]


def window_values(
    reader: WindowReader, task: Task, output: int, compute: Compute
) -> Iterator[Segment]:
    """Yield each window with one of the task's outputs, in order."""
    features = task.config.features

    def windows_read() -> Iterator[tuple[tuple[Region, Tokens | None], Region]]:
        for region in reader.regions():
            whole = Window(region, 0, len(region))
            letters = read_window(reader, whole) if features.k else None
            yield (region, letters), region

    rows = region_vectors(windows_read(), reader, task.reader, features.pooling, compute)
    while block := list(islice(rows, WINDOWS_AT_A_TIME)):
        matrix = np.stack(
            [features.of(vectors, letters) for (_, letters), vectors in block if vectors]
        )
        values = task.probabilities(matrix)[:, output].tolist()
        for ((region, _), _), value in zip(block, values, strict=True):
            ((start, end),) = region.parts
            yield Segment(region.chrom, start, end, value)


def mean_track(scored: Iterable[Segment]) -> Iterator[Segment]:
    """Mean of the windows that cover a base, from edge to edge of the windows.

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
            yield Segment(chrom, position, stop, sum(one.value for one in over) / len(over))
            position = stop
            while over and over[0].end <= position:
                over.popleft()

    for one in scored:
        yield from until(one.start if over and over[0].chrom == one.chrom else float("inf"))
        position = one.start
        over.append(one)
    yield from until(float("inf"))


def spans_of(genome: Genome, regions: RegionSource | None, on_error: str = "stop") -> list[Span]:
    """What is scanned, merged where it overlaps or touches; contigs in the order of their bytes.

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
    found = survey(regions, genome, options)
    if found.bad:
        logger.warning("%d of %d regions left out", found.bad, found.rows)
    placed = (place(row, genome, options).region for row in regions.rows())
    wanted = (Interval(one.chrom, *one.parts[0]) for one in placed if one is not None)
    return select(genome.contigs, wanted, None)


def track_header(task: Task, output: int, options: ScanOptions) -> list[str]:
    """A comment that names the weights, and a track line for genome browsers."""
    config = task.config
    shown = f"{task.name} {config.classes[output]}".replace('"', "'")
    limits = "" if config.kind == REGRESSION else " autoScale=off viewLimits=0:1"
    return [
        f"#findna {__version__} {task.name}={task.digest[:12]} class={config.classes[output]} "
        f"window={options.window} step={options.step} max_n={options.max_n:g} "
        f"strand={options.strand}",
        f'track type=bedGraph name="{shown}" description="{shown}, {options.window} bp windows '
        f'every {options.step} bp, strand {options.strand}"{limits}',
    ]


@dataclass(frozen=True)
class ScanRun:
    """Spans of a genome, and the loaded task that reads the windows along them."""

    genome: Genome
    spans: Sequence[Span]
    task: Task
    output: int
    options: ScanOptions
    compute: Compute

    @classmethod
    def prepare(
        cls,
        genome: Genome,
        task: str | Task,
        class_name: str | None,
        regions: RegionSource | None,
        options: ScanOptions,
        compute: Compute,
    ) -> ScanRun:
        """Load a task, and find what is scanned.

        Raises
        ------
        FindnaError
            The input cannot be used.
        """
        loaded = load_task(task)
        output = loaded.config.output(class_name)
        options = options.for_task(loaded)
        spans = spans_of(genome, regions, options.on_error)
        _ = loaded.checkpoint  # a wrong one is said before the output is opened
        return cls(genome, spans, loaded, output, options, compute)

    @property
    def bases(self) -> int:
        """Number of bases that are scanned."""
        return sum(end - start for _, start, end in self.spans)

    def windows(self, advance: Callable[[int], object] = lambda bases: None) -> Iterator[Segment]:
        """Yield each window with its value; `track` makes a track of them."""
        reader = WindowReader(self.genome, self.spans, self.options, advance)
        return window_values(reader, self.task, self.output, self.compute)


def track(scored: Iterable[Segment]) -> Iterator[Segment]:
    """Yield the mean of the windows over each base; neighbours of one value are one segment."""
    return joined(mean_track(scored))


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
    task : str
        Name or folder.
    class_name : str, optional
        Whose probability; default the positive class of two.
    regions : RegionSource, optional
        Where to scan; default everywhere. Windows lie inside.
    header : bool
        Begin bedGraph with the weights' digest and a track line.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written.
    """
    started = time.monotonic()
    output.check([genome.path, regions.path if regions else None])
    if output.form == "bigwig":
        if header:
            raise ConfigError("--header is for bedGraph; bigWig has no header lines")
        need_bigwig()
    run = ScanRun.prepare(genome, task, class_name, regions, options, compute)
    counts = Counter(windows=0, covered=0)

    def counted(scored: Iterator[Segment]) -> Iterator[Segment]:
        for window in scored:
            counts["windows"] += 1
            yield window

    def measured(pieces: Iterator[Segment]) -> Iterator[Segment]:
        for piece in pieces:
            counts["covered"] += piece.end - piece.start
            yield piece

    with progress(run.bases, "bp", "scan") as bar:
        pieces = measured(track(counted(run.windows(bar.update))))
        headers = track_header(run.task, run.output, run.options) if header else []
        write_track(output, pieces, genome.contigs, headers)
    output.index(max(genome.contigs.values(), default=0))
    return ScanSummary(
        run.bases,
        counts["covered"],
        counts["windows"],
        run.options,
        run.task.config.classes[run.output],
        run.task.name,
        run.task.digest,
        time.monotonic() - started,
    )
