"""FASTA and regions in, the effect of replacing each of their bases out."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from findna.commands.replacing import SITE_COLUMNS, ExplainedRow, ExplainRun, Question, positions
from findna.commands.rows import Summary
from findna.commands.tracks import check_track
from findna.console import progress
from findna.errors import ConfigError
from findna.genome.encoding import decode
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions
from findna.genome.sources import RegionSource
from findna.labelled.sets import REGRESSION
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
from findna.outputs.provenance import obs_columns, obs_row
from findna.outputs.results import Effects
from findna.outputs.tracks import Segment, joined, write_track

logger = logging.getLogger(__name__)


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
    inputs = [genome.path, source.path]
    outputs.check(inputs)
    run = ExplainRun(
        *(genome, source, question, options, compute),
        utf8=outputs.effects is not None,
        check=lambda n: outputs.check_plot(n, inputs),
    )
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


def _write_effects(
    writer: EffectWriter, options: RegionOptions, row: ExplainedRow, effects: Effects | None
) -> None:
    """Write one row to HDF5; without effects they are NaN, or the row is left out."""
    stranded = options.of(row.placed.interval).stranded
    site = dict(zip(SITE_COLUMNS, map(str, row.site or ".."), strict=True))
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
