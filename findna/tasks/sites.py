"""Tasks of sites: a probability for each class at every base, from tiles along a contig.

Tiles lie at the same places of a contig whatever is asked for, and only their middles are used, so
what a base gets depends on nothing but the sequence about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import expit

from findna.errors import CheckpointError, ConfigError
from findna.genome.batching import Batch, Contigs, Item, SequenceSource, batches
from findna.genome.encoding import N
from findna.genome.windows import Region
from findna.labelled.sites import MOST_CLASSES
from findna.model.checkpoint import Checkpoint
from findna.model.devices import Compute, sent
from findna.model.encoder import Encoder
from findna.model.folders import own_tensors, read_settings, read_tensors
from findna.model.heads import SiteHead
from findna.model.inference import Reads, read_batches
from findna.outputs.results import Call, Place, TaskColumns
from findna.settings import check
from findna.tasks.features import Matrix
from findna.tasks.task import (
    HEAD,
    MODES,
    SITES,
    TASK,
    Task,
    TaskConfig,
    TaskOutline,
    check_names,
    class_number,
    encoder_of,
    find_task,
    has_sites,
    is_class_name,
    load_task,
    not_of_regions,
    read_task,
    task_digest,
    trained_on,
)


@dataclass(frozen=True)
class SiteConfig:
    """All settings that decide a task's output. Stored: never rename a field.

    Parameters
    ----------
    classes : tuple of str
        Classes of sites; a base has any number of them.
    tile, margin : int
        bp that are read at once, and bp at either end of them of which the output is not used.
    reach : int
        Hidden states on either side of a base that the head reads.
    slopes, shifts : tuple of float
        Of the logits of each class, before they become probabilities.
    """

    mode: str
    classes: tuple[str, ...]
    tile: int
    margin: int
    reach: int
    encoder: str
    encoder_digest: str
    slopes: tuple[float, ...]
    shifts: tuple[float, ...]
    kind: str = SITES

    def __post_init__(self) -> None:
        check(self.kind == SITES and self.mode in MODES, f"unknown mode {self.mode!r} or kind")
        n = len(self.classes)
        check(0 < n <= MOST_CLASSES, f"{n} classes; a task of single bases has 1 to {MOST_CLASSES}")
        check(
            all(map(is_class_name, self.classes)) and len(set(self.classes)) == n,
            "a class name is empty, not printable, holds a comma, or is there twice",
        )
        check(
            0 <= 2 * self.margin < self.tile < 2**31 and 0 <= self.reach <= self.margin,
            f"impossible tile {self.tile}, margin {self.margin} or reach {self.reach}",
        )
        check(
            len(self.slopes) == len(self.shifts) == n
            and all(map(np.isfinite, (*self.slopes, *self.shifts))),
            "slopes and shifts are not one finite number per class",
        )

    @property
    def reads(self) -> str:
        """Return ``bases``, for a list of tasks."""
        return "bases"

    def output(self, name: str | None = None) -> int:
        """Return the index of the class that is named, or of the only one.

        Raises
        ------
        ConfigError
            There is no such class, or several and none was named.
        """
        return class_number(self.classes, name)


Span = tuple[str, int, int]
"""Contig, start, end."""


class Tile(NamedTuple):
    """Bases [first, last) of a contig, read at once; the output of [start, end) is used."""

    chrom: str
    first: int
    last: int
    start: int
    end: int
    reverse: bool = False

    @property
    def region(self) -> Region:
        """The region that is read."""
        return Region(self.chrom, ((self.first, self.last),), self.reverse)

    @property
    def used(self) -> tuple[int, int]:
        """The bases whose output is used: the first and the end, in reading direction."""
        before, after = self.start - self.first, self.last - self.end
        if self.reverse:
            before, after = after, before
        return before, self.last - self.first - after


class Bases(NamedTuple):
    """Values of neighbouring bases from ``start`` on, in the contig's order on either strand.

    Shape (n, n_classes); NaN where a base is N.
    """

    chrom: str
    start: int
    reverse: bool
    values: Matrix


def tiles(
    spans: Iterable[Span], lengths: dict[str, int], tile: int, margin: int, reverse: bool = False
) -> Iterator[Tile]:
    """Yield the tiles that cover spans, each span's own, in their order.

    Tile i of a contig gives the values of the bases from ``i * (tile - 2 * margin)`` on. What
    lies past an end of a contig is left out.
    """
    step = tile - 2 * margin
    for chrom, start, end in spans:
        start, end = max(start, 0), min(end, lengths[chrom])
        for low in range(start // step * step, end, step) if start < end else ():
            high = min(low + step, lengths[chrom])
            first, last = max(low - margin, 0), min(high + margin, lengths[chrom])
            yield Tile(chrom, first, last, max(low, start), min(high, end), reverse)


def n_tiles(start: int, end: int, tile: int, margin: int) -> int:
    """Return the number of tiles that cover [start, end) of a contig; see `tiles`."""
    step = tile - 2 * margin
    return (end - 1) // step - start // step + 1 if start < end else 0


@dataclass(frozen=True)
class SiteOutline:
    """Name, folder and configuration of a task of sites, without its weights."""

    name: str
    folder: Path
    config: SiteConfig

    @property
    def encoder(self) -> str:
        """Name or folder of the encoder."""
        return encoder_of(self.folder, self.config)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class SiteTask(SiteOutline):
    """A loaded task of sites."""

    head: SiteHead
    record: dict[str, Any]
    offsets: tuple[float, ...] = ()
    """Of the logits, for other frequencies of the classes (`findna.tasks.prior`)."""

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The encoder, loaded when it is first needed.

        Raises
        ------
        CheckpointError
            It is missing, or not the one the head was trained on.
        """
        checkpoint = trained_on(self.name, self.encoder, self.config.encoder_digest)
        if checkpoint.config.dim != len(self.head.mean):
            raise CheckpointError(
                f"{self.folder / HEAD}: made for {len(self.head.mean)} channels; the encoder has "
                f"{checkpoint.config.dim}"
            )
        return checkpoint

    @property
    def columns(self) -> TaskColumns:
        """Names of the task's columns in an output."""
        return TaskColumns(self.name, self.digest, self.config.classes, has_places=True)

    @property
    def digest(self) -> str:
        """SHA-256 over what decides the output for a sequence: configuration and head."""
        return task_digest(self.config, self.head, self.offsets)

    def tiles(self, spans: Iterable[Span], genome: Contigs, reverse: bool) -> Iterator[Tile]:
        """Yield the tiles of a strand that cover spans; see `tiles`."""
        return tiles(spans, genome.contigs, self.config.tile, self.config.margin, reverse)

    def log_odds(
        self, rows: Iterable[tuple[Item, Tile | None]], genome: SequenceSource, compute: Compute
    ) -> Iterator[tuple[Item, Bases | None]]:
        """Yield rows with the log-odds of every class at the bases of their tiles."""
        slopes, shifts = (np.array(v, np.float32) for v in (self.config.slopes, self.config.shifts))
        shifts += np.array(self.offsets or 0, np.float32)
        encoder = self.checkpoint.model.encoder
        for item, bases in site_logits(encoder, self.head, rows, genome, compute):
            if bases is not None:
                bases = bases._replace(values=bases.values * slopes + shifts)
            yield item, bases

    def read(
        self, rows: Iterable[tuple[Item, Tile | None]], genome: SequenceSource, compute: Compute
    ) -> Iterator[tuple[Item, Bases | None]]:
        """Yield rows with the probabilities of every class at the bases of their tiles."""
        for item, bases in self.log_odds(rows, genome, compute):
            if bases is not None:
                bases = bases._replace(values=expit(bases.values))
            yield item, bases

    def probabilities(
        self, spans: Iterable[Span], genome: Contigs, compute: Compute, reverse: bool = False
    ) -> Iterator[Bases]:
        """Yield the probabilities of every class at the bases of a strand, tile by tile."""
        rows = ((None, tile) for tile in self.tiles(spans, genome, reverse))
        return (bases for _, bases in self.read(rows, genome, compute) if bases is not None)

    def call(self, bases: Bases, classes: Sequence[str] | None = None) -> Call | None:
        """Return the most probable site of some bases, the first of equals; None if all are N.

        Given ``classes``, only sites of these count.
        """
        chosen = self.config.classes if classes is None else classes
        numbers = [self.config.classes.index(name) for name in chosen]
        values = np.where(np.isnan(bases.values), -1, bases.values)[:, numbers]
        at, number = divmod(int(values.argmax()), len(chosen))
        highest = float(values[at, number])
        if highest < 0:
            return None
        label = chosen[number] if highest >= 0.5 else "none"
        place = Place(bases.start + at, "-" if bases.reverse else "+")
        return Call(label, highest, values.max(0), place)

    def best_sites(
        self,
        rows: Iterable[tuple[Item, Region | None, bool]],
        genome: Contigs,
        compute: Compute,
        classes: Sequence[str] | None = None,
    ) -> Iterator[tuple[Item, Call | None]]:
        """Yield rows with the most probable site of their regions, which are read tile by tile.

        Parameters
        ----------
        rows : iterable of (item, Region or None, bool)
            True: on the strand on which the region is read, and not on both.
        classes : sequence of str, optional
            Only sites of these count.
        """

        def tiled() -> Iterator[tuple[Item, Tile | None]]:
            for item, region, by_strand in rows:
                if region is not None:
                    spans = [(region.chrom, start, end) for start, end in region.parts]
                    for reverse in (region.reverse,) if by_strand else (False, True):
                        yield from ((item, tile) for tile in self.tiles(spans, genome, reverse))
                yield item, None  # the end of the row

        call: Call | None = None
        for item, bases in self.read(tiled(), genome, compute):
            if bases is not None:
                call = _higher(call, self.call(bases, classes))
                continue
            yield item, call
            call = None


def _higher(call: Call | None, other: Call | None) -> Call | None:
    """Return the call on the bases of two calls, either of which may be missing."""
    if call is None or other is None:
        return call or other
    best = other if other.probability > call.probability else call
    return replace(best, values=np.maximum(call.values, other.values))


def site_logits(
    encoder: Encoder,
    head: SiteHead,
    rows: Iterable[tuple[Item, Tile | None]],
    genome: SequenceSource,
    compute: Compute,
) -> Iterator[tuple[Item, Bases | None]]:
    """Yield rows with the logits of their tiles; one without a tile keeps its place."""
    n_cls = encoder.config.n_cls
    pairs = (((item, tile), tile.region if tile else None) for item, tile in rows)
    packed = batches(pairs, genome, max_tokens=compute.budget, longest=None, n_cls=n_cls)
    head = head.to(compute.device)

    def asked() -> Iterator[tuple[Batch[tuple[Item, Tile | None]], Reads]]:
        for batch in packed:
            read, offsets = [np.empty(0, np.int64)], iter(batch.offsets.tolist())
            for piece in batch.pieces:
                if (tile := piece.item[1]) is not None:
                    offset, (first, end) = next(offsets), tile.used
                    low, high = max(first - head.reach, 0), min(end + head.reach, len(piece))
                    read.append(np.arange(offset + low, offset + high))
            yield batch, [(encoder.config.readout, np.concatenate(read))]

    for batch, ((_, read),), (hidden,) in read_batches(encoder, asked(), compute):
        assert read is not None
        windows = sent(batch.window_numbers(n_cls)[read], compute.device)
        logits = np.full((len(batch.tokens), head.n_classes), np.nan, np.float32)
        with torch.inference_mode():
            logits[read] = head(hidden, windows).cpu().numpy()
        logits[batch.tokens == N] = np.nan
        offsets = iter(batch.offsets.tolist())
        for piece in batch.pieces:
            item, tile = piece.item
            if tile is None:
                yield item, None
                continue
            offset, (first, end) = next(offsets), tile.used
            values = logits[offset + first : offset + end]
            values = values[::-1] if tile.reverse else values
            yield item, Bases(tile.chrom, tile.start, tile.reverse, values)


def of_sites(task: AnyTask) -> SiteTask:
    """Return a task that tells single bases; raise ConfigError if it tells regions."""
    if isinstance(task, Task):
        raise ConfigError(
            f"task {task.name} tells regions, not single bases; findna finetune --dense makes such "
            "a task"
        )
    return task


def read_any_task(folder: Path) -> tuple[TaskConfig | SiteConfig, dict[str, Any]]:
    """Read configuration and whole content of a folder's task.json, of either kind of task."""
    if has_sites(folder):
        return read_settings(folder / TASK, "task", "task", SiteConfig)
    return read_task(folder)


AnyTask = Task | SiteTask


def outline_tasks(names: Sequence[str]) -> list[TaskOutline | SiteOutline]:
    """Read the configurations of tasks, no weights; raise ConfigError if two have one name."""
    outlines: list[TaskOutline | SiteOutline] = []
    for folder in map(find_task, names):
        name, config = folder.resolve().name, read_any_task(folder)[0]
        if isinstance(config, SiteConfig):
            outlines.append(SiteOutline(name, folder, config))
        else:
            outlines.append(TaskOutline(name, folder, config))
    check_names([outline.name for outline in outlines])
    return outlines


def load_any_task(task: str | AnyTask) -> AnyTask:
    """Load a task of either kind; see `load_task` and `load_sites`."""
    if not isinstance(task, str):
        return task
    return load_sites(task) if has_sites(find_task(task)) else load_task(task)


def load_any_tasks(names: Sequence[str | AnyTask]) -> list[AnyTask]:
    """Load tasks of either kind; raise ConfigError if two have the same name."""
    tasks = [load_any_task(name) for name in names]
    check_names([task.name for task in tasks])
    return tasks


def of_regions(task: AnyTask) -> Task:
    """Return a task that tells regions; raise ConfigError if it tells single bases."""
    if isinstance(task, SiteTask):
        raise not_of_regions(task.name)
    return task


def load_sites(task: str | SiteTask) -> SiteTask:
    """Load a task of sites by name or folder, unless it is loaded.

    Raises
    ------
    CheckpointError
        The task is missing or malformed, of another kind, or its files are not those of one run.
    """
    if isinstance(task, SiteTask):
        return task
    folder = find_task(task)
    config, record = read_settings(folder / TASK, "task", "task", SiteConfig)
    path = folder / HEAD
    tensors = read_tensors(path)
    mean = tensors.get("mean")
    head = SiteHead(0 if mean is None else mean.numel(), config.reach, len(config.classes))
    expected = {name: tensor.shape for name, tensor in head.state_dict().items()}
    if not head.mean.numel() or expected != {name: t.shape for name, t in tensors.items()}:
        raise CheckpointError(f"{path}: its tensors do not fit {len(config.classes)} classes")
    tensors = own_tensors(tensors, path)
    if not bool((tensors["scale"] > 0).all()):
        raise CheckpointError(f"{path}: holds a scale that is not above 0")
    head.load_state_dict(tensors)
    name = folder.resolve().name
    loaded = SiteTask(name, folder, config, head.requires_grad_(False).eval(), record)
    if record.get("digest") != loaded.digest:
        raise CheckpointError(
            f"{folder}: {TASK} and {HEAD} are not what one run wrote; train the task again "
            "(findna finetune)"
        )
    return loaded
