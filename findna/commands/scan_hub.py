"""A scan as a track hub: every track of it in one folder, with a page about each."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from findna import __version__
from findna.commands.rows import Summary
from findna.commands.scan import STRANDS, ScanOptions, ScanRun, ScanSummary
from findna.commands.scan_sites import Site, SiteOptions, SiteScan
from findna.console import counted, progress
from findna.genome.fasta import Genome
from findna.genome.sources import RegionSource
from findna.labelled.sets import REGRESSION
from findna.model.devices import Compute
from findna.outputs.claims import claimed
from findna.outputs.files import check_folder, published_folder
from findna.outputs.hubs import HUB, Hub, HubTrack, write_hub
from findna.outputs.tracks import Segment, need_bigwig, write_bigwig
from findna.tasks.sites import AnyTask, SiteTask
from findna.tasks.task import Task

logger = logging.getLogger(__name__)

_CARD = "README.md"


@contextmanager
def _checked(hub: Hub, genome: Genome) -> Iterator[None]:
    """Keep others out of the folder, if a hub can be written there."""
    need_bigwig()
    if not (hub.assembly.startswith("GC") or any(c.startswith("chr") for c in genome.contigs)):
        logger.warning(
            "no contig of %s begins with chr, as those of %s do at UCSC; the browser will show "
            "nothing of contigs that it has other names for",
            *(genome.path.name, hub.assembly),
        )
    with claimed(hub.folder):
        check_folder(hub.folder, hub.force, HUB)
        yield


def _facts(task: AnyTask, genome: Genome, compute: Compute, read: str) -> dict[str, str]:
    """Return what every page of a hub says."""
    config = task.config
    return {
        "Task": f"{task.name}, sha256 {task.digest}",
        "Encoder": f"{config.encoder}, sha256 {config.encoder_digest}",
        "Arithmetic": compute.precision,
        "Read": read,
        "Sequence": genome.path.name,
        "Made by": f"findna {__version__}",
    }


def _card(task: AnyTask) -> str:
    path = task.folder / _CARD
    return path.read_text("utf-8", "replace") if path.is_file() else "The task has no card."


def hub_of_windows(
    genome: Genome,
    hub: Hub,
    *,
    task: str | Task,
    class_name: str | None = None,
    regions: RegionSource | None = None,
    options: ScanOptions = ScanOptions(),
    compute: Compute,
) -> ScanSummary:
    """Write a task's probability along a genome as a hub of one track; see `scan.scan`.

    Raises
    ------
    FindnaError
        The input cannot be used or the hub not written.
    """
    started = time.monotonic()
    with _checked(hub, genome):
        run = ScanRun(genome, task, class_name, regions, options, compute)
        is_value = run.task.config.kind == REGRESSION
        size, step = run.options.window, run.options.step
        track = HubTrack(
            *(run.class_name, run.output, run.options.strand),
            f"mean {'value' if is_value else 'probability'} of the {size} bp windows over a base",
            facts=_facts(
                *(run.task, genome, compute),
                f"windows of {size} bp every {step} bp, strand {run.options.strand}; those with "
                f"more than {run.options.max_n:.0%} N have no value",
            ),
            ends=None if is_value else (0, 1),
        )
        with published_folder(hub.folder, HUB) as folder:
            with progress(run.counts["bases"], "bp", "scan") as bar:
                path = folder / f"{track.name}.bw"
                write_bigwig(path, run.track(bar.update), genome.contigs)
            write_hub(folder, hub.assembly, run.task.name, [track], _card(run.task))
    seconds, weights = time.monotonic() - started, {f"task {run.task.name}": run.task.digest}
    precision, name = compute.precision, run.class_name
    return ScanSummary(run.counts, seconds, weights, precision, name, options=run.options)


def hub_of_sites(
    genome: Genome,
    hub: Hub,
    *,
    task: str | SiteTask,
    regions: RegionSource | None = None,
    options: SiteOptions = SiteOptions(),
    compute: Compute,
) -> Summary:
    """Write a track of every class on each strand as a hub, with ``options.call`` of sites too.

    Raises
    ------
    FindnaError
        The input cannot be used or the hub not written.
    """
    started = time.monotonic()
    with _checked(hub, genome):
        run = SiteScan(genome, task, regions, options.on_error, compute)
        classes = run.classes(options.class_name)
        strands = STRANDS if options.strand is None else (options.strand,)
        facts = _facts(run.task, genome, compute, "every base that is not N")
        bases = run.counts["bases"]
        with (
            published_folder(hub.folder, HUB) as folder,
            TemporaryDirectory(dir=folder) as kept,
            progress(len(strands) * bases, "bp", "scan") as bar,
        ):
            run.keep_in(Path(kept))
            tracks, found = list[HubTrack](), defaultdict[tuple[str, str], list[Site]](list)
            for number, name in enumerate(classes):
                for strand in strands:
                    advance = bar.update if number == 0 else _unseen  # others are there by then
                    track = _track(run, facts, name, strand)
                    segments = run.track(name, strand, advance)
                    write_bigwig(folder / f"{track.name}.bw", segments, genome.contigs)
                    tracks.append(track)
            covered = run.counts["covered"] // len(tracks)  # each track has counted it
            if options.call is not None:
                for site in run.sites(options.call, classes, strands):
                    found[site.class_name, site.strand].append(site)
            for (name, strand), sites in found.items():
                track = _track(run, facts, name, strand, options.call)
                values = (Segment(*site[:3], site.probability) for site in sites)
                write_bigwig(folder / f"{track.name}.bw", values, genome.contigs)
                tracks.append(track)
            write_hub(folder, hub.assembly, run.task.name, tracks, _card(run.task))
    run.counts["covered"] = covered
    quantity = counted(len(tracks), "track")
    if options.call is not None:
        quantity += f", {counted(run.counts['sites'], 'site')}"
    seconds, weights = time.monotonic() - started, {f"task {run.task.name}": run.task.digest}
    return Summary(run.counts, seconds, weights, compute.precision, quantity)


def _unseen(bases: int) -> None:
    """Show no progress."""


def _track(
    run: SiteScan, facts: Mapping[str, str], name: str, strand: str, call: float | None = None
) -> HubTrack:
    """Return the track of a class on a strand, of its sites if ``call`` is given."""
    meaning = f"probability that a base is {name}"
    if call is not None:
        meaning = f"highest probability of neighbouring bases of {call:g} or more"
    number = run.task.config.classes.index(name)
    return HubTrack(name, number, strand, meaning, call, facts)
