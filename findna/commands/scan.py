"""A task's probability along contigs: windows in, their mean over every base out."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

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
from findna.outputs.files import (
    check_output,
    index_table,
    is_device,
    is_live,
    is_stdout,
    open_text_output,
    published,
)
from findna.outputs.tracks import Segment, joined, need_bigwig, write_bedgraph, write_bigwig
from findna.tasks.task import Task, load_task

logger = logging.getLogger(__name__)

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
        Length of a window and distance between two, bp.
    max_n : float
        Windows with a larger share of N have no value.
    strand : {"+", "-"}
        With ``-`` windows are read as their reverse complement.
    """

    window: int
    step: int
    max_n: float = MAX_N
    strand: str = "+"


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
        """Windows that are not mostly N, numbered from 0."""
        options, index = self._options, 0
        for chrom, start, end in self._spans:
            reached = start
            for first, last in windows(start, end, options.window, options.step):
                self._read(chrom, first, last, end)
                unknown = np.count_nonzero(self.fetch(chrom, first, last) == N)
                if unknown <= options.max_n * (last - first):
                    yield Region(index, chrom, ((first, last),), options.strand == "-")
                    index += 1
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
    reader: WindowReader,
    task: Task,
    output: int,
    compute: Compute,
) -> Iterator[Segment]:
    """Each window with one of the task's outputs, in order."""
    features = task.config.features
    waiting: deque[tuple[Region, Tokens | None]] = deque()  # read ahead of their vectors

    def regions() -> Iterator[Region]:
        for region in reader.regions():
            whole = Window(region, 0, len(region))
            waiting.append((region, read_window(reader, whole) if features.k else None))
            yield region

    found = region_vectors(regions(), reader, task.reader, features.pooling, compute)
    while rows := list(islice(found, WINDOWS_AT_A_TIME)):
        read = [waiting.popleft() for _ in rows]
        matrix = np.stack(
            [features.of(row, tokens) for row, (_, tokens) in zip(rows, read, strict=True)]
        )
        values = task.probabilities(matrix)[:, output].tolist()
        for (region, _), value in zip(read, values, strict=True):
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


def options_for(
    task: Task, window: int | None, step: int | None, max_n: float = MAX_N, strand: str = "+"
) -> ScanOptions:
    """Options with the task's own window, and a sixth of the window as step.

    Raises
    ------
    ConfigError
        The task has no window of its own, or the step would leave gaps.
    """
    own = task.config.window
    window = window or own
    if window < 1:
        raise ConfigError(
            f"task {task.name} was trained on sequences of several lengths; choose one with "
            "--window"
        )
    if own and window != own:
        logger.warning("task %s was trained on %d bp, not on %d", task.name, own, window)
    if strand == "-" and task.config.features.both_strands:
        logger.warning("task %s reads both strands; --strand changes nothing", task.name)
    step = step or max(window // STEPS, 1)
    if step > window:
        raise ConfigError(f"--step {step} is larger than the window ({window}): it leaves gaps")
    return ScanOptions(window, step, max_n, strand)


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
    placed = (place(row, i, genome, options).region for i, row in enumerate(regions.rows()))
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


def scan(
    genome: Genome,
    output: Path | None,
    *,
    task: str,
    regions: RegionSource | None = None,
    class_name: str | None = None,
    window: int | None = None,
    step: int | None = None,
    max_n: float = MAX_N,
    strand: str = "+",
    on_error: str = "stop",
    form: str = "bedgraph",
    header: bool = False,
    write_index: bool = False,
    compute: Compute,
    force: bool = False,
) -> ScanSummary:
    """Write a task's probability along a genome as a track.

    Parameters
    ----------
    output : Path, optional
        File to write; None or ``-`` is standard output.
    task : str
        Name or folder.
    regions : RegionSource, optional
        Where to scan; default everywhere. Windows lie inside.
    class_name : str, optional
        Whose probability; default the positive class of two.
    window, step : int, optional
        bp; default the task's training window, and a sixth of the window.
    max_n, strand
        See `ScanOptions`.
    form : {"bedgraph", "bigwig"}
    header : bool
        Begin bedGraph with the weights' digest and a track line.
    write_index : bool
        Make a tabix index beside a compressed bedGraph.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written.
    """
    started = time.monotonic()
    to_stdout = is_stdout(output)
    bigwig = form == "bigwig"
    if bigwig:
        if to_stdout:
            raise ConfigError("bigWig cannot be written to standard output; name a file with -o")
        if header:
            raise ConfigError("--header is for bedGraph; bigWig has no header lines")
        need_bigwig()
    if write_index and (
        bigwig or output is None or to_stdout or output.suffix not in (".gz", ".bgz")
    ):
        raise ConfigError("--write-index needs compressed bedGraph: -o NAME.bedgraph.gz")
    if output is not None and not to_stdout and (bigwig or not is_device(output)):
        inputs = [genome.path, *([regions.path] if regions and regions.path else [])]
        check_output(output, force, inputs)
    loaded = load_task(task)
    column = loaded.config.output(class_name)
    options = options_for(loaded, window, step, max_n, strand)
    spans = spans_of(genome, regions, on_error)
    bases = sum(end - start for _, start, end in spans)
    assert loaded.checkpoint  # loaded before the output is opened
    n_windows = covered = 0

    def counted(scored: Iterator[Segment]) -> Iterator[Segment]:
        nonlocal n_windows
        for one in scored:
            n_windows += 1
            yield one

    def measured(pieces: Iterator[Segment]) -> Iterator[Segment]:
        nonlocal covered
        for piece in pieces:
            covered += piece.end - piece.start
            yield piece

    with ExitStack() as stack:
        bar = stack.enter_context(progress(bases, "bp", "scan"))
        scored = window_values(
            WindowReader(genome, spans, options, bar.update), loaded, column, compute
        )
        pieces = measured(joined(mean_track(counted(scored))))
        if bigwig:
            assert output is not None
            write_bigwig(stack.enter_context(published(output, force)), pieces, genome.contigs)
        else:
            file = stack.enter_context(open_text_output(output, force))
            headers = track_header(loaded, column, options) if header else []
            write_bedgraph(file, pieces, headers, is_live(output))
    if write_index:
        assert output is not None
        index_table(output)
    return ScanSummary(
        bases,
        covered,
        n_windows,
        options,
        loaded.config.classes[column],
        loaded.name,
        loaded.digest,
        time.monotonic() - started,
    )
