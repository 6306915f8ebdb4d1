"""Predictions of tasks: of regions, and along contigs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from findna.api import inputs
from findna.api.inputs import AnyPath
from findna.api.loaded import LoadedTask, any_task_of, compute_of
from findna.commands.predict import PredictRun
from findna.commands.scan import STRANDS, ScanOptions, ScanRun
from findna.commands.scan_sites import Site, SiteScan
from findna.errors import ConfigError
from findna.genome.fasta import Genome
from findna.genome.regions import ON_ERROR, Placed
from findna.outputs.results import Call
from findna.outputs.tracks import Segment
from findna.tasks.sites import SiteTask, load_any_task, load_any_tasks, of_sites

_OPTIONS = (*inputs.PLACEMENT[:-1], *inputs.COMPUTE)  # predict has no --whole

_OF_WINDOWS = ("window", "step", "max_n")
_SCAN = (*_OF_WINDOWS, "strand", "on_error")

Prediction = tuple[Placed, dict[str, Call] | None]

AnyTask = AnyPath | LoadedTask


def predict(
    genome: AnyPath | Genome,
    regions: Any = None,
    *,
    task: AnyTask | Sequence[AnyTask],
    **options: Any,
) -> list[Prediction]:
    """Return a list of the rows that `predict_rows` yields, each with the calls of tasks.

    Parameters
    ----------
    genome, regions
        As for `embed`.
    task : str, path, LoadedTask, or a list of them
        Name of a task that ships or of your own, or a task folder.
    **options
        As for `embed`, without ``whole``.

    Raises
    ------
    FindnaError
        The input cannot be used; the message is that of the command line.

    Examples
    --------
    >>> rows = findna.predict("genome.fa", ["chrA:1,101-1,400"], task="promoter")
    >>> row, calls = rows[0]
    >>> row.interval.start, calls["promoter"].label
    (1100, 'promoter')
    """
    inputs.check_options("predict", options, _OPTIONS)
    return list(predict_rows(genome, regions, task=task, **options))


def predict_rows(
    genome: AnyPath | Genome,
    regions: Any = None,
    *,
    task: AnyTask | Sequence[AnyTask],
    **options: Any,
) -> Iterator[Prediction]:
    """Yield the rows, each with the calls of tasks; a few batches are held at a time.

    Parameters
    ----------
    genome, regions, task, **options
        As for `predict`.

    Yields
    ------
    row : Placed
        As of `embed_rows`.
    calls : dict of str to Call, or None
        By the name of the task: ``label`` (str), ``probability`` (float) and ``values``
        (n_classes,); of a task of single bases also ``place``, the ``start`` and ``strand`` of the
        most probable site. None where a row holds too many N (``row.status`` is no_sequence), or
        could not be read, which happens with ``on_error="null"`` only.

    Raises
    ------
    FindnaError
        The input cannot be used. The call checks every row before anything is computed.

    Examples
    --------
    >>> for row, calls in findna.predict_rows("genome.fa", [("chrA", 0, 300)], task="promoter"):
    ...     print(row.interval.end, calls["promoter"].values.shape)
    300 (2,)
    """
    inputs.check_options("predict_rows", options, _OPTIONS)
    tasks = inputs.one_or_more("task", task)
    with ExitStack() as stack:
        fasta, source = inputs.opened(stack, genome, regions)
        loaded = load_any_tasks([any_task_of(each) for each in tasks])
        names = [each.name for each in loaded]
        placement = inputs.placement(options)
        run = PredictRun(fasta, source, loaded, placement, compute_of(options, *tasks))
        rows = inputs.kept(run.calls(run.rows().read()), placement.on_error == "skip")
        named = (
            (row, None if calls is None else dict(zip(names, calls, strict=True)))
            for row, calls in rows
        )
        return inputs.until_done(named, stack.pop_all())


def scan(
    genome: AnyPath | Genome,
    regions: Any = None,
    *,
    task: AnyTask,
    class_name: str | None = None,
    **options: Any,
) -> Iterator[Segment]:
    """Yield a task's probability along contigs, as a track; a few batches are held at a time.

    Parameters
    ----------
    genome, regions
        As for `embed`; without regions every contig is scanned.
    task : str, path or LoadedTask
    class_name : str, optional
        Whose probability; by default that of the second of two classes, or of the only one.
    **options
        ``window`` and ``step`` (bp), ``max_n``, ``strand`` ("+", "-") and ``on_error``, as on the
        command line; ``device``, ``precision`` and ``max_tokens``, as for `load_model`.

    Yields
    ------
    Segment
        ``chrom``, ``start``, ``end`` (0-based, half-open, bp) and ``value``, the mean over the
        windows that cover these bases, or the probability of each base if the task tells single
        bases; sorted, not overlapping.

    Raises
    ------
    FindnaError
        The input cannot be used; the message is that of the command line.

    Examples
    --------
    >>> segments = list(findna.scan("genome.fa", [("chrA", 900, 1500)], task="promoter"))
    >>> segments[0].chrom, segments[0].start, segments[-1].end
    ('chrA', 900, 1500)
    """
    inputs.check_options("scan", options, (*_SCAN, *inputs.COMPUTE))
    options = inputs.with_numbers(options, {"window": 0, "step": 0})
    layout = ScanOptions(**{name: options[name] for name in _SCAN if name in options})
    inputs.chosen("strand", layout.strand, STRANDS)
    inputs.chosen("on_error", layout.on_error, ON_ERROR)
    compute = compute_of(options, task)
    with ExitStack() as stack:
        fasta, source = inputs.opened(stack, genome, regions)
        spans = None if regions is None else source
        loaded = load_any_task(any_task_of(task))
        if not isinstance(loaded, SiteTask):
            run = ScanRun(fasta, loaded, class_name, spans, layout, compute)
            return inputs.until_done(run.track(), stack.pop_all())
        idle = next((name for name in _OF_WINDOWS if name in options), None)
        if idle is not None:
            raise ConfigError(f"{idle} does nothing for a task of single bases; leave it out")
        found = SiteScan(fasta, loaded, spans, layout.on_error, compute)
        track = found.track(found.only_class(class_name), layout.strand)
        return inputs.until_done(track, stack.pop_all())


def sites(
    genome: AnyPath | Genome,
    regions: Any = None,
    *,
    task: AnyTask,
    class_name: str | None = None,
    least: float = 0.5,
    strand: str | None = None,
    **options: Any,
) -> Iterator[Site]:
    """Yield the sites of a genome that a task of single bases calls; a few batches are held.

    Parameters
    ----------
    genome, regions
        As for `embed`; without regions every contig is read.
    task : str, path or LoadedTask
    class_name : str, optional
        Of the sites; by default all classes.
    least : float
        Least probability of a site.
    strand : {"+", "-"}, optional
        Of the sites; by default both.
    **options
        ``on_error``, as on the command line; ``device``, ``precision`` and ``max_tokens``, as for
        `load_model`.

    Yields
    ------
    Site
        ``chrom``, ``start``, ``end`` (0-based, half-open, bp), ``class_name``, ``strand`` and
        ``probability``: neighbouring bases, and the highest of them; sorted by contig and start.

    Raises
    ------
    FindnaError
        The input cannot be used; the message is that of the command line.

    Examples
    --------
    >>> found = list(findna.sites("genome.fa", "chrA", task="sites", strand="-"))
    >>> {site.strand for site in found}
    {'-'}
    """
    inputs.check_options("sites", options, ("on_error", *inputs.COMPUTE))
    inputs.chosen("strand", strand, (None, *STRANDS))
    on_error = inputs.chosen("on_error", options.get("on_error", "stop"), ON_ERROR)
    if not 0 <= least <= 1:
        raise ConfigError(f"least: {least!r} is not a probability from 0 to 1")
    compute = compute_of(options, task)
    with ExitStack() as stack:
        fasta, source = inputs.opened(stack, genome, regions)
        loaded = of_sites(load_any_task(any_task_of(task)))
        run = SiteScan(fasta, loaded, None if regions is None else source, on_error, compute)
        strands = STRANDS if strand is None else (strand,)
        found = run.sites(least, run.classes(class_name), strands)
        return inputs.until_done(found, stack.pop_all())
