"""Train a task of sites: a genome with annotated bases in, a task folder out."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from findna.errors import LabelError, RegionError
from findna.genome.bed import read_intervals
from findna.genome.encoding import N
from findna.genome.fasta import Genome
from findna.genome.intervals import select
from findna.labelled.sites import SiteLabels, read_sites
from findna.model.checkpoint import Model, digest_of, is_named, load_checkpoint
from findna.model.devices import Compute, describe
from findna.outputs.claims import claimed
from findna.outputs.files import check_folder, file_digest
from findna.outputs.pages import add_page
from findna.tasks.detail import site_detail
from findna.tasks.duration import FEW_BASES, Rates, tell_duration
from findna.tasks.features import Matrix
from findna.tasks.motifs import site_motifs
from findna.tasks.recipe import FineTuneConfig
from findna.tasks.report import REPORT, read_report
from findna.tasks.resuming import KeptTraining
from findna.tasks.site_baselines import SiteBaselines
from findna.tasks.site_card import site_card
from findna.tasks.site_training import (
    Layout,
    Measured,
    SiteData,
    calibrate,
    measure_sites,
    train_sites,
)
from findna.tasks.sites import SiteConfig, Span, tiles
from findna.tasks.task import TASK, save_task

logger = logging.getLogger(__name__)

VALID_FRACTION = 0.2
_MANY_CONTIGS = 20  # from here on whole contigs are held out for validation
_LEAST_SITES = 10  # of a class, in training and in validation
_MARGINS = 8  # margins in a tile
_REACH = 5  # hidden states on either side of a base that the head reads
_TIMED = 100  # tiles, at most, by which it is guessed how long training takes
_LONG_RUN = 100  # of N, bp; nothing is drawn from it


@dataclass(frozen=True)
class SiteInput:
    """A genome, its sites, and what is done with which part of it.

    Parameters
    ----------
    train : Path
        BED, GTF or GFF with the sites.
    names : sequence of str
        Features, or sites derived from exons, of GTF and GFF.
    regions : Path, optional
        BED: bases elsewhere are neither trained on nor measured.
    holdout : sequence of str
        Contigs to measure on, once, at the end.
    """

    genome: Genome
    train: Path
    names: Sequence[str] = ()
    regions: Path | None = None
    holdout: Sequence[str] = ()


@dataclass(frozen=True)
class SiteOptions:
    """Options that decide a task of sites, beside data and model.

    Parameters
    ----------
    mode : {"probe", "full"}
        A head on the frozen encoder, or the encoder along with it.
    config : FineTuneConfig
        Training; its ``layer_decay`` and ``weight_decay`` are those of mode ``full``.
    about_sites : float
        Share of the tiles of training that are drawn about sites.
    """

    mode: str = "probe"
    config: FineTuneConfig = field(default_factory=FineTuneConfig)
    about_sites: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class SiteSummary:
    """Summary of a run: the task it made, and the figures of each set."""

    folder: Path
    digest: str
    metrics: dict[str, Any]
    seconds: float


def divide(spans: Sequence[Span], seed: int) -> tuple[list[Span], list[Span]]:
    """Return the spans to train on and those to validate on, about a fifth.

    Where there are many contigs, whole ones are held out, by their names; otherwise the last fifth
    of the spans of each.
    """
    contigs = {chrom for chrom, _, _ in spans}
    if len(contigs) >= _MANY_CONTIGS:
        share = {c: zlib.crc32(f"{seed}:{c}".encode("utf-8", "replace")) / 2**32 for c in contigs}
        held = {chrom for chrom, value in share.items() if value < VALID_FRACTION}
        return [s for s in spans if s[0] not in held], [s for s in spans if s[0] in held]
    train, valid = [], []
    for contig in sorted(contigs):
        own = [span for span in spans if span[0] == contig]
        left = round((1 - VALID_FRACTION) * sum(end - start for _, start, end in own))
        for chrom, start, end in own:
            cut = min(max(start + left, start), end)
            left -= cut - start
            train += [(chrom, start, cut)] if cut > start else []
            valid += [(chrom, cut, end)] if end > cut else []
    return train, valid


def _spans(data: SiteInput) -> tuple[list[Span], list[Span]]:
    """Return what to learn from, and what to measure on."""
    genome = data.genome
    for contig in data.holdout:
        if contig not in genome.contigs:
            raise RegionError(f"--holdout: {genome.unknown(contig)}")
    spans = [(name, 0, length) for name, length in genome.contigs.items() if length]
    if data.regions is not None:
        spans = select(genome.contigs, read_intervals(data.regions, genome), None)
    held = set(data.holdout)
    known = [piece for span in spans for piece in known_spans(genome, span)]
    return [s for s in known if s[0] not in held], [s for s in known if s[0] in held]


def known_spans(genome: Genome, span: Span) -> list[Span]:
    """Return a span without its long runs of N."""
    chrom, start, end = span
    is_known = genome.fetch(chrom, start, end) != N
    edges = np.flatnonzero(np.diff(is_known, prepend=False, append=False))
    pieces: list[Span] = []
    for low, high in (edges.reshape(-1, 2) + start).tolist():
        if pieces and low - pieces[-1][2] < _LONG_RUN:
            low = pieces.pop()[1]
        pieces.append((chrom, low, high))
    return pieces


def _check_classes(
    labels: SiteLabels, genome: Genome, spans: Sequence[Span], what: str, least: int
) -> list[int]:
    """Return how many sites of each class lie in spans; one with N in its middle is none.

    Raises
    ------
    LabelError
        They are too few, or every base is one.
    """
    within = labels.within(spans)
    known = [number for chrom, at, number, _ in within if genome.fetch(chrom, at, at + 1)[0] != N]
    numbers = np.array(known, np.int64)
    counts: list[int] = np.bincount(numbers, minlength=len(labels.classes)).tolist()
    for name, count in zip(labels.classes, counts, strict=True):
        if count < least:
            raise LabelError(
                f"{what}: {count} sites of class {name}; at least {least} are needed: give more "
                "contigs, or leave the class out"
            )
        if labels.fill(spans, name):
            raise LabelError(
                f"{what}: every base, on both strands, is {name}, so that nothing can be told "
                "apart: give more sequence about the sites"
            )
    return counts


def finetune_sites(
    data: SiteInput,
    folder: Path,
    options: SiteOptions = SiteOptions(),
    *,
    model: str = "tiny",
    compute: Compute,
    about: Mapping[str, str] = {},
    force: bool = False,
    resume: bool = False,
) -> SiteSummary:
    """Train a task of sites and write its folder; ``resume`` goes on after the last epoch.

    Raises
    ------
    FindnaError
        The data or the model cannot be used, or the folder not written.
    """
    with claimed(folder):
        check_folder(folder, force, TASK)
        return _train(data, folder, options, model, compute, about, resume)


def _train(
    data: SiteInput,
    folder: Path,
    options: SiteOptions,
    model: str,
    compute: Compute,
    texts: Mapping[str, str],
    resume: bool,
) -> SiteSummary:
    """Train a task in a folder of its own; ``texts`` are kept in the record."""
    started = time.monotonic()
    checkpoint = load_checkpoint(model)
    genome = data.genome
    labels = read_sites(data.train, genome, data.names)
    learned, held = _spans(data)
    train, valid = divide(learned, options.seed)
    counts = {
        "train": _check_classes(labels, genome, train, "training", _LEAST_SITES),
        "valid": _check_classes(labels, genome, valid, "validation", _LEAST_SITES),
    }
    measured_on = {"valid": valid}
    if held:
        counts["test"] = _check_classes(labels, genome, held, "--holdout", 1)
        measured_on["test"] = held
    frozen, start = options.mode == "probe", checkpoint.model
    if not frozen:  # every layer is trained and read
        start.encoder = start.encoder.read_after(checkpoint.config.n_layers)
    tile = checkpoint.config.max_length
    reach = min(_REACH, tile // _MARGINS)
    layout = Layout(tile, tile // _MARGINS, reach, options.about_sites)
    parts = SiteData(data.genome, labels, train, valid)
    facts = _facts(data, labels, {"train": train, **measured_on}, counts)
    decided = {
        **asdict(options.config),
        "mode": options.mode,
        "about_sites": options.about_sites,
        "seed": options.seed,
        "precision": compute.precision,
        "model": checkpoint.digest,
        "data": facts,
        "regions": [train, valid],
    }
    _tell_duration(start, parts, held, layout, options, compute)
    tuned = train_sites(
        start,
        parts,
        layout,
        options.config,
        compute,
        frozen=frozen,
        seed=options.seed,
        kept=KeptTraining(folder, decided, resume),
    )
    network = tuned.model if frozen else tuned.model.half().float()  # as it will be stored
    exact, baselines = replace(compute, precision="fp32"), SiteBaselines(parts, options.seed)
    metrics = {}
    for name, spans in measured_on.items():
        seen = measure_sites(network.encoder, tuned.head, layout, parts, spans, exact)
        if name == "valid":
            slopes, shifts = calibrate(seen)
        metrics[name] = site_figures(seen, labels.classes, baselines.scores(spans))
    detail = {"measured_on": name, **site_detail(seen, labels.classes, slopes, shifts)}
    detail["motifs"] = site_motifs(seen, labels.classes, data.genome, spans)
    named = not frozen or is_named(checkpoint)
    settings = SiteConfig(
        mode=options.mode,
        classes=labels.classes,
        tile=layout.tile,
        margin=layout.margin,
        reach=layout.reach,
        encoder=checkpoint.name if named else str(checkpoint.folder.resolve()),
        encoder_digest=digest_of(network.encoder.config, network.state_dict()),
        slopes=slopes,
        shifts=shifts,
    )
    record = {
        "data": facts,
        "metrics": metrics,
        "detail": detail,
        "training": {
            "best_epoch": tuned.epoch,
            "history": tuned.history,
            "seed": options.seed,
            "about_sites": options.about_sites,
            "hardware": describe(compute.device),
            "seconds": round(time.monotonic() - started, 1),
        },
        **texts,
    }
    card = site_card(folder.resolve().name, settings, record)
    digest = save_task(folder, settings, tuned.head, record, card, None if frozen else network)
    add_page(folder / REPORT, lambda: read_report(folder))
    return SiteSummary(folder, digest, metrics, time.monotonic() - started)


def _tell_duration(
    model: Model,
    data: SiteData,
    held: Sequence[Span],
    layout: Layout,
    options: SiteOptions,
    compute: Compute,
) -> None:
    """Say how long training will take, unless there is little of it."""
    train, valid, test = (
        sum(end - start for _, start, end in part) for part in (data.train, data.valid, held)
    )
    epochs = options.config.epochs
    if train * epochs < FEW_BASES:
        return
    places = tiles(data.train, data.genome.contigs, layout.tile, layout.margin)
    sample = [data.genome.fetch(x.chrom, x.first, x.last) for x in islice(places, _TIMED)]
    rates = Rates(model, sample, compute)
    exact = rates if compute.precision == "fp32" else Rates(model, sample, Compute(compute.device))
    frozen = options.mode == "probe"
    of_base = rates.encoding(strands=1) if frozen else rates.training(options.config)
    overlap = layout.tile / (layout.tile - 2 * layout.margin)
    seconds = epochs * (train * of_base + valid * overlap * rates.encoding())
    seconds += (valid + test) * overlap * exact.encoding()
    tell_duration(f"{(train + valid + test) / 1e6:.1f} Mb", seconds, epochs)


def _facts(
    data: SiteInput,
    labels: SiteLabels,
    spans: Mapping[str, Sequence[Span]],
    counts: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """Return the facts of the data that the task and its card record."""
    return {
        "file": data.train.name,
        "sha256": file_digest(data.train),
        "genome": data.genome.path.name,
        "genome_sha256": file_digest(data.genome.path),
        "holdout": list(data.holdout),
        "parts": {
            name: {
                "bases": sum(end - first for _, first, end in part),
                "sites": dict(zip(labels.classes, counts[name], strict=True)),
            }
            for name, part in spans.items()
        },
    }


def site_figures(
    seen: Measured, classes: Sequence[str], baselines: Iterable[tuple[str, Matrix]]
) -> dict[str, dict[str, Any]]:
    """Return the figures of each class on every base, beside those of its baselines."""
    figures: dict[str, dict[str, Any]] = {
        name: {"sites": int(present.sum()), "bases": len(present), "baselines": {}}
        for name, present in zip(classes, seen.labels.T, strict=True)
    }
    for title, scores in chain([("", seen.logits)], baselines):  # of a genome each takes much
        for name, present, column in zip(classes, seen.labels.T, scores.T, strict=True):
            precision, recall, _ = precision_recall_curve(present, column)
            measured = {
                "auprc": average_precision_score(present, column),
                "auroc": roc_auc_score(present, column),
                "precision_at_half_recall": precision[recall >= 0.5].max(),
            }
            rounded = {key: round(float(value), 4) for key, value in measured.items()}
            if title:
                figures[name]["baselines"][title] = rounded
            else:
                figures[name] |= rounded
    return figures
