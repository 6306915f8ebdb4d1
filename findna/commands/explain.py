"""FASTA and regions in, the effect of replacing each of their bases out."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from findna import __version__
from findna.commands.rows import place_all
from findna.console import progress
from findna.errors import ConfigError
from findna.genome.batching import read_window
from findna.genome.encoding import decode
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions, RegionSource, survey
from findna.genome.windows import Region, Window
from findna.labelled.sets import REGRESSION
from findna.model.checkpoint import Checkpoint, load_checkpoint, training_length
from findna.model.devices import Compute
from findna.outputs.files import (
    check_output,
    index_table,
    is_device,
    is_live,
    is_stdout,
    open_text_output,
    published,
)
from findna.outputs.hdf5 import EffectWriter
from findna.outputs.logos import MOST_BASES, LogoWriter, is_book, need_logos
from findna.outputs.provenance import genome_facts, obs_columns, obs_row
from findna.outputs.tracks import (
    Segment,
    is_bigwig,
    joined,
    need_bigwig,
    write_bedgraph,
    write_bigwig,
)
from findna.tasks.task import Task, load_task
from findna.variants.mutagenesis import Effects, Stretch, masked_effects, task_effects

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
class _Target:
    """What is measured: a task's output, or the likelihood of masked bases."""

    checkpoint: Checkpoint
    task: Task | None = None
    output: int = 0

    @property
    def quantity(self) -> str:
        if self.task is None:
            return "mean log-likelihood"
        of = self.task.config.classes[self.output]
        return of if self.task.config.kind == REGRESSION else f"log-odds of {of}"

    @property
    def weights(self) -> str:
        if self.task is None:
            return f"model {self.checkpoint.name} {self.checkpoint.digest[:12]}"
        return f"task {self.task.name} {self.task.digest[:12]}"


def read_stretch(
    genome: Genome, region: Region, context: int | None = None, pad: bool = False
) -> Stretch:
    """A region with what is read around it.

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
        window = Region(region.index, region.chrom, ((first, last),), region.reverse)
        start = last - end if region.reverse else start - first
        longer, end = last - first, start + len(region)
    return Stretch(read_window(genome, Window(window, 0, longer)), start, end)


def positions(region: Region) -> npt.NDArray[np.int64]:
    """Where each base of a region lies on its contig, in reading direction; shape (length,)."""
    found = np.concatenate([np.arange(start, end) for start, end in region.parts])
    return found[::-1] if region.reverse else found


class _Track:
    """Values of single bases; the mean where regions overlap."""

    def __init__(self) -> None:
        self._values: dict[str, list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]] = {}

    def add(self, region: Region, values: npt.NDArray[np.float32]) -> None:
        """Values of a region's bases, in reading direction; NaN is none."""
        known = ~np.isnan(values)
        pair = positions(region)[known], values[known].astype(np.float64)
        self._values.setdefault(region.chrom, []).append(pair)

    def segments(self) -> Iterator[Segment]:
        """Sorted, not overlapping."""
        for chrom in sorted(self._values, key=str.encode):
            where, values = map(np.concatenate, zip(*self._values[chrom], strict=True))
            bases, inverse, n = np.unique(where, return_inverse=True, return_counts=True)
            means = np.bincount(inverse, values) / n
            for base, value in zip(bases.tolist(), means.tolist(), strict=True):
                yield Segment(chrom, base, base + 1, value)


def _in_order(
    placed: Iterable[Placed],
    genome: Genome,
    target: _Target,
    context: int | None,
    pad: bool,
    run: Mapping[str, Any],
) -> Iterator[tuple[Placed, Stretch | None, Effects | None]]:
    """Each row with what was read and found of it; None where it has no region."""
    waiting: deque[tuple[Placed, Stretch | None]] = deque()  # read ahead of their effects

    def stretches() -> Iterator[Stretch]:
        for item in placed:
            if item.region is None:
                waiting.append((item, None))
            else:
                stretch = read_stretch(genome, item.region, context, pad)
                waiting.append((item, stretch))
                yield stretch

    if target.task is None:
        found = masked_effects(stretches(), target.checkpoint.model, **run)
    else:
        found = task_effects(stretches(), target.task, target.output, **run)
    for effects in found:
        while waiting[0][1] is None:
            yield *waiting.popleft(), None
        yield *waiting.popleft(), effects
    while waiting:
        yield *waiting.popleft(), None


def _title(item: Placed) -> str:
    """Name of a row, where it has one, and what is read of the genome."""
    region, columns = item.region, item.row.columns
    assert region is not None
    name = f"{columns[3]} " if len(columns) > 3 and columns[3] != "." else ""
    strand = " (-)" if region.reverse else ""
    return f"{name}{region.chrom}:{region.parts[0][0]}-{region.parts[-1][1]}{strand}"


def _check_outputs(
    genome: Genome,
    source: RegionSource,
    output: Path | None,
    track: Path | None,
    plot: Path | None,
    header: bool,
    write_index: bool,
    force: bool,
) -> None:
    inputs = [genome.path, *([source.path] if source.path else [])]
    files = [path for path in (output, track, plot) if path is not None]
    if output is not None and is_stdout(output):
        raise ConfigError("HDF5 cannot be streamed: name a file with -o, or ask for --track -")
    for i, path in enumerate(files):
        text = path is track and not is_bigwig(path)
        if not (text and (is_stdout(path) or is_device(path))):
            check_output(path, force, inputs)
        if any(path.resolve() == other.resolve() for other in files[:i]):
            raise ConfigError(f"{path}: two outputs with one name; name another file")
    if track is not None and is_bigwig(track):
        need_bigwig()
        if header:
            raise ConfigError("--header is for bedGraph; bigWig has no header lines")
    if write_index and (track is None or track.suffix not in (".gz", ".bgz")):
        raise ConfigError("--write-index needs compressed bedGraph: --track NAME.bedgraph.gz")
    if plot is not None:
        need_logos(plot)


def explain(
    genome: Genome,
    source: RegionSource,
    output: Path | None = None,
    *,
    task: str | None = None,
    class_name: str | None = None,
    model: str = "tiny",
    options: RegionOptions = RegionOptions(),
    context: int | None = None,
    both_strands: bool = False,
    track: Path | None = None,
    plot: Path | None = None,
    header: bool = False,
    write_index: bool = False,
    whole: bool = False,
    compute: Compute,
    force: bool = False,
    command: str = "",
) -> ExplainSummary:
    """Write what replacing each base of each row by the three others changes.

    Parameters
    ----------
    output, track, plot : Path, optional
        HDF5 file of all effects; bedGraph or bigWig (by its name) of the importance of each base,
        ``-`` for standard output; pictures. At least one.
    task : str, optional
        Name or folder; its log-odds are measured. By default the likelihood of masked bases, by
        ``model``.
    class_name : str, optional
        Class of a task with more than two.
    context : int, optional
        bp that are read around what is replaced; by default nothing but the region.
    both_strands : bool
        Average with the reverse complement.
    header : bool
        Begin bedGraph with the weights' digest and a track line.
    write_index : bool
        Make a tabix index beside a compressed bedGraph.
    whole : bool
        Allow windows longer than the model was trained on.
    command : str
        Command line to record in the HDF5 file.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written; nothing is then left behind.
    """
    started = time.monotonic()
    if output is None and track is None and plot is None:
        raise ConfigError("nothing to write: give an output, a track or a plot")
    _check_outputs(genome, source, output, track, plot, header, write_index, force)
    if context is not None and options.split:
        raise ConfigError("--split cannot be combined with --context")
    loaded = load_task(task) if task is not None else None
    number = loaded.config.output(class_name) if loaded else 0
    encoder = loaded.encoder if loaded else model
    longest = None if whole else training_length(encoder)
    if context is not None and longest is not None and context > longest:
        raise ConfigError(
            f"--context {context}: the model was trained on at most {longest} bp; --whole reads "
            "longer windows all the same"
        )
    options = replace(options, longest=context or longest)
    found = survey(source, genome, options, utf8=output is not None)
    n_explained = found.rows - found.bad
    logger.info("%d rows, %d bp in %d contigs", found.rows, found.bases, len(found.contigs))
    if plot is not None and n_explained == 0:
        raise ConfigError("--plot: there is no region to draw")
    if plot is not None and n_explained > 1 and not is_book(plot):
        raise ConfigError(
            f"--plot {plot}: one picture, but there are {n_explained} regions; name a .pdf, which "
            "gets a page for each"
        )
    target = _Target(loaded.checkpoint if loaded else load_checkpoint(model), loaded, number)
    n_mutants = 0
    importance = _Track()
    own = loaded.config.window if loaded else 0  # 0 where a warning is not, or no longer, due
    with ExitStack() as stack:
        n_windows = 3 * found.bases + (n_explained if loaded else 0)
        bar = stack.enter_context(progress(n_windows, "mutants", "explain"))
        writer = pictures = None
        if output is not None:
            facts = _metadata(
                target, options, context, both_strands, whole, compute.precision, command
            )
            writer = stack.enter_context(
                EffectWriter(
                    stack.enter_context(published(output, force)),
                    columns={**obs_columns(found.columns), "sequence": "str"},
                    value=target.quantity,
                    metadata=facts,
                )
            )
        if plot is not None:
            pictures = stack.enter_context(LogoWriter(plot, target.quantity, force))
        run = {
            "compute": compute,
            "both_strands": both_strands,
            "advance": bar.update,
        }
        placed = place_all(source, genome, options)
        for item, read, effects in _in_order(placed, genome, target, context, options.pad, run):
            if read is not None and own not in (0, len(read.tokens)):
                logger.warning(
                    "line %d is read as %d bp; %s was trained on %d bp: --context %d reads that "
                    "much around each region",
                    item.row.number, len(read.tokens), target.weights, own, own,
                )  # fmt: skip
                own = 0
            if effects is None or read is None or item.region is None:
                if writer is not None and options.on_error != "skip":
                    writer.write({**obs_row(item, options.stranded, 0, 0), "sequence": ""})
                continue
            n_mutants += 3 * len(read.known)
            letters = decode(read.bases)
            if writer is not None:
                n_unknown = len(read.bases) - len(read.known)
                row = obs_row(item, options.stranded, len(read.bases), n_unknown)
                writer.write({**row, "sequence": letters}, effects.value, effects.changes)
            if track is not None:
                importance.add(item.region, effects.importance)
            if pictures is not None and len(letters) > MOST_BASES:
                logger.warning(
                    "row %d is %d bp and is not drawn: a picture holds %d",
                    item.row.number, len(letters), MOST_BASES,
                )  # fmt: skip
            elif pictures is not None:
                title = f"{_title(item)}, {target.quantity} {effects.value:.3g}"
                pictures.draw(title, letters, effects.changes, effects.importance)
        if writer is not None:
            writer.update_metadata(genome=genome_facts(genome, found))
        if track is not None:
            _write_track(stack, track, importance, genome, header, target, context, force)
    if write_index:
        assert track is not None
        index_table(track)
    return ExplainSummary(
        found.rows,
        n_explained,
        found.bases,
        n_mutants,
        f"{target.quantity}, {target.weights}",
        time.monotonic() - started,
    )


def _metadata(
    target: _Target,
    options: RegionOptions,
    context: int | None,
    both_strands: bool,
    whole: bool,
    precision: str,
    command: str,
) -> dict[str, Any]:
    checkpoint, task = target.checkpoint, target.task
    facts: dict[str, Any] = {
        "findna_version": __version__,
        "command": command,
        "target": target.quantity,
        "model": {
            "name": checkpoint.name,
            "digest": checkpoint.digest,
            "max_length": checkpoint.config.max_length,
        },
        "options": {
            **options.facts(),
            "context": context,
            "both_strands": both_strands,
            "whole": whole,
            "precision": precision,
        },
    }
    if task is not None:
        facts["task"] = {"name": task.name, "digest": task.digest}
    return facts


def _write_track(
    stack: ExitStack,
    path: Path,
    track: _Track,
    genome: Genome,
    header: bool,
    target: _Target,
    context: int | None,
    force: bool,
) -> None:
    segments = joined(track.segments())
    if is_bigwig(path):
        write_bigwig(stack.enter_context(published(path, force)), segments, genome.contigs)
        return
    lines = []
    if header:
        shown = f"importance for {target.quantity}".replace('"', "'")
        lines = [
            f"#findna {__version__} {target.weights}; {shown}; context={context or 'none'}",
            f'track type=bedGraph name="{shown}" description="{shown}, {target.weights}"',
        ]
    file = stack.enter_context(open_text_output(path, force))
    write_bedgraph(file, segments, lines, is_live(path))
