"""Measure a trained task on other labelled data than its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from findna.commands.finetune_sites import known_spans, site_figures
from findna.console import counted
from findna.errors import LabelError
from findna.genome.bed import read_intervals
from findna.genome.encoding import C, G, Tokens
from findna.genome.fasta import Genome
from findna.genome.intervals import select
from findna.genome.regions import RegionOptions
from findna.genome.text import display_name
from findna.labelled.rows import RowOptions
from findna.labelled.sets import CLASSES, REGRESSION, LabelledSet, labelled_set, read_rows
from findna.labelled.sites import read_sites
from findna.model.devices import Compute
from findna.outputs.files import file_digest
from findna.tasks.detail import region_detail, site_detail
from findna.tasks.features import FeatureTable, Matrix
from findna.tasks.figures import set_calibration, set_figures, set_intervals
from findna.tasks.measured_card import measured_card
from findna.tasks.motifs import site_motifs
from findna.tasks.placement import TaskWindows
from findna.tasks.report import task_report
from findna.tasks.site_baselines import LetterCounts
from findna.tasks.site_training import Layout, SiteData, measure_sites
from findna.tasks.sites import AnyTask, SiteTask, Span
from findna.tasks.task import Task, to_probabilities

logger = logging.getLogger(__name__)

_SEED = 0  # of the bootstrap, as in training
_AT_A_TIME = 10_000  # sequences; the vectors of one take up to 30 kB


@dataclass(frozen=True)
class Measurement:
    """Figures of a task on a set, in the form of the task's own record (``test``)."""

    task: AnyTask
    record: dict[str, Any]

    @property
    def figures(self) -> dict[str, Any]:
        """Measures by name, or of a task of sites by class."""
        figures: dict[str, Any] = self.record["metrics"]["test"]
        return figures

    @property
    def intervals(self) -> dict[str, list[float]]:
        """95 % intervals of the measures; of regions only."""
        intervals: dict[str, list[float]] = self.record["metrics"].get("test_interval_95", {})
        return intervals

    @property
    def baselines(self) -> dict[str, dict[str, float]]:
        """AUROC and AUPRC of counting letters, where there are two classes."""
        baselines: dict[str, dict[str, float]] = self.record.get("baselines", {})
        return baselines

    def page(self) -> str:
        """Return the report of what was measured, as HTML."""
        card = measured_card(self.task.name, self.task.config, self.record)
        return task_report(self.task.name, card, self.task.config, self.record)


def read_measured(
    task: Task,
    path: Path,
    genome: Genome | None,
    region: RegionOptions = RegionOptions(),
    label_column: str | None = None,
) -> LabelledSet:
    """Read a set with the windows of a task.

    Points, and with an anchor all intervals, get them, as in findna predict.

    Raises
    ------
    LabelError
        The set cannot be read.
    """
    config = task.config
    region = TaskWindows([task], region).options
    known = None if config.kind == CLASSES else config.classes
    how = RowOptions(label_column, region)
    raw, kind = read_rows(path, genome, how, kind=config.kind, classes=known)
    data = labelled_set(raw, display_name(path), kind, known)
    lengths = sorted({len(sequence) for sequence in data.sequences})
    if config.window and lengths != [config.window]:
        span = f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 1 else str(lengths[0])
        remedy = "give such sequences"
        if data.contigs is not None:
            remedy = "--anchor center lays its windows about the middle of each region"
        logger.warning(
            "%s: sequences of %s bp; %s was trained on %d bp: %s",
            *(data.name, span, task.name, config.window, remedy),
        )
    return data


def _places(data: LabelledSet, classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the place of each class of a set among those of a task."""
    numbers = {name: i for i, name in enumerate(classes)}
    if not set(data.classes) <= set(numbers):
        numbers = {str(i): i for i in range(len(classes))}
    if unknown := [name for name in data.classes if name not in numbers]:
        raise LabelError(
            f"{data.name}: class {unknown[0]!r}; the task tells {', '.join(classes)}: call them "
            f"so, or 0 to {len(classes) - 1} in this order"
        )
    return np.array([numbers[name] for name in data.classes], np.int64)


def measure_regions(
    task: Task, data: LabelledSet, compute: Compute, region: RegionOptions = RegionOptions()
) -> Measurement:
    """Measure a task of regions on a set as `read_measured` reads it.

    Classes have the names of the task's, or are their numbers from 0. Of two classes, counting
    letters is measured beside it: GC content and CpG by length.

    Parameters
    ----------
    region : RegionOptions
        With which the set was read.

    Raises
    ------
    LabelError
        The set has other classes.
    """
    config, digest = task.config, data.digest
    if data.kind == CLASSES:
        labels = _places(data, config.classes)[data.labels]
        data = replace(data, classes=config.classes, labels=labels)
    logits = _logits(task, data.sequences, compute)
    probabilities = to_probabilities(logits, config.kind, config.temperature, task.offsets)
    facts: dict[str, Any] = {"file": Path(data.name).name, "sha256": digest}
    facts["rows"] = len(data)
    if data.kind != REGRESSION:
        facts["classes"] = data.class_counts
    if digest in _learnt(task):
        logger.warning("%s: %s was trained on it: its figures flatter", data.name, task.name)
    upstream = config.upstream if not region.resizes else region.reach and region.reach[0]
    detail = region_detail(data, config.classes, probabilities, upstream)
    record = {
        "data": {"test": facts},
        "metrics": {
            "test": set_figures(data, probabilities),
            "test_interval_95": set_intervals(data, probabilities, _SEED),
        },
        "calibration": set_calibration(data, logits, config.temperature, "test"),
        "detail": {"measured_on": "test", **detail},
        "digest": task.digest,
    }
    if config.positive and len(set(data.labels.tolist())) == 2:
        record["baselines"] = {
            name: {
                "auroc": round(float(roc_auc_score(data.labels, scores)), 4),
                "auprc": round(float(average_precision_score(data.labels, scores)), 4),
            }
            for name, scores in _counted(data).items()
        }
    return Measurement(task, record)


def _logits(task: Task, sequences: list[Tokens], compute: Compute) -> Matrix:
    """Return what a task's head gives; the vectors of some sequences are held at a time."""
    features, encoder = task.config.features, task.checkpoint.model.encoder
    strands, found = 2 if features.both_strands else 1, []
    for first in range(0, len(sequences), _AT_A_TIME):
        some = sequences[first : first + _AT_A_TIME]
        table = FeatureTable(encoder, some, compute, strands=strands)
        found.append(task.logits(table.matrix(features, np.arange(len(some)))))
    return np.concatenate(found)


def _learnt(task: Task) -> set[str]:
    """Return the digests of the sets that a task was trained on and chosen by."""
    data = task.record.get("data")
    parts = [data.get(part) for part in ("train", "valid")] if isinstance(data, dict) else []
    return {str(facts.get("sha256")) for facts in parts if isinstance(facts, dict)}


def _counted(data: LabelledSet) -> dict[str, Matrix]:
    """Return the share of G and C, and of CpG, of each sequence."""
    gc, cpg = [], []
    for sequence in data.sequences:
        gc.append(np.isin(sequence, (C, G)).mean())
        cpg.append(((sequence[:-1] == C) & (sequence[1:] == G)).sum() / len(sequence))
    return {"GC content": np.array(gc), "CpG": np.array(cpg)}


def _told_apart(path: Path, labels: npt.NDArray[np.bool_], classes: Sequence[str]) -> list[int]:
    """Return the places of the classes that some bases have and others have not."""
    sites, everywhere = labels.any(0), labels.all(0)
    found: list[int] = np.flatnonzero(sites & ~everywhere).tolist()
    whole = ", ".join(classes[i] for i in np.flatnonzero(everywhere).tolist())
    reason = f"every base that is measured, on both strands, is {whole}" if whole else ""
    if not found:
        reason = reason or "all of its sites are N"
        raise LabelError(f"{display_name(path)}: {reason}; measure more of GENOME")
    if reason:
        logger.warning("%s: %s; it has no figures", display_name(path), reason)
    return found


def _warn_of_learnt(task: SiteTask, path: Path, spans: Sequence[Span]) -> None:
    """Warn if the sites are those that a task was trained on, but on contigs that it held out."""
    data = task.record.get("data")
    facts = data if isinstance(data, dict) else {}
    held = facts.get("holdout")
    learnt = {chrom for chrom, _, _ in spans} - set(held if isinstance(held, list) else ())
    if learnt and facts.get("sha256") == file_digest(path):
        logger.warning(
            "%s: %s was trained on it, but for the contigs that it held out: its figures flatter",
            *(display_name(path), task.name),
        )


def measure_bases(
    task: SiteTask,
    genome: Genome,
    path: Path,
    names: Sequence[str] = (),
    regions: Path | None = None,
    *,
    compute: Compute,
) -> Measurement:
    """Measure a task of sites on every base of a genome, of both strands.

    Parameters
    ----------
    path : Path
        BED, GTF or GFF with the sites; all others are taken for none.
    names : sequence of str
        Features, or sites derived from exons, of GTF and GFF.
    regions : Path, optional
        BED: measure inside these intervals only.

    Raises
    ------
    LabelError
        A site has a class that the task does not tell, or there is none; or every base is one.
    """
    config = task.config
    labels = read_sites(path, genome, names, config.classes)
    spans = [(name, 0, length) for name, length in genome.contigs.items() if length]
    if regions is not None:
        spans = select(genome.contigs, read_intervals(regions, genome), None)
    spans = [piece for span in spans for piece in known_spans(genome, span)]
    if not labels.within(spans):
        raise LabelError(
            f"{display_name(path)}: no site lies in {counted(len(spans), 'piece')} of sequence "
            "that would be measured; give the FASTA, and the --regions, that hold them"
        )
    data = SiteData(genome, labels, (), ())
    layout = Layout(config.tile, config.margin, config.reach)
    encoder = task.checkpoint.model.encoder
    _warn_of_learnt(task, path, spans)
    seen = measure_sites(encoder, task.head, layout, data, spans, compute)
    present = _told_apart(path, seen.labels, config.classes)
    classes = [config.classes[i] for i in present]
    told = seen._replace(labels=seen.labels[:, present], logits=seen.logits[:, present])
    slopes, shifts = ([values[i] for i in present] for values in (config.slopes, config.shifts))
    detail = site_detail(told, classes, slopes, shifts)
    detail["motifs"] = site_motifs(told, classes, genome, spans)
    counts = ((name, values[:, present]) for name, values in LetterCounts(data).scores(spans))
    record = {
        "data": {
            "file": Path(path).name,
            "sha256": file_digest(path),
            "genome": genome.path.name,
            "genome_sha256": file_digest(genome.path),
        },
        "metrics": {"test": site_figures(told, classes, counts)},
        "detail": {"measured_on": "test", **detail},
        "digest": task.digest,
    }
    return Measurement(task, record)
