"""How well scores of variants tell labelled variants with an effect from those without.

The unit is the allele: one row each, however many records, tissues or studies speak of it. What
is high or low in a variant with an effect is said beforehand, never chosen by the labels. The
regressions are the only rows that see labels, and never those of the variants they score or of
their neighbourhood.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from findna.alleles import SAME_ASSEMBLY, SCORED, Examined, Examiner, survey
from findna.effects import SCORES, Effect, Scorer
from findna.encoding import A, G, decode, encode
from findna.errors import FindnaError, LabelError, RegionError
from findna.evaluation.baselines import STRENGTHS
from findna.genome import Genome
from findna.haplotypes import Change, trim
from findna.inference import MAX_TOKENS
from findna.io.bed import read_bed
from findna.io.streams import display_name
from findna.io.vcf import VcfRecord, VcfSource, defined_ids, info_value
from findna.kmers import kmer_counts
from findna.labelled import CLASSES
from findna.metrics import bootstrap, bootstrap_difference, measure
from findna.model.checkpoint import Checkpoint
from findna.progress import progress
from findna.task import Task
from findna.variants import scored

VARIANTS = "variants"
"""Name of the suite."""
TSS = "distance to TSS"
METRICS = ("auroc", "auprc")

APART = 100_000
"""Least distance between a variant and those that a regression learned from, bp."""
K = 3
"""Length of the k-mers; 3 for an SNV is its trinucleotide context, before and after."""

_FOLDS = 5
_SUFFIXES = (".vcf", ".vcf.gz", ".vcf.bgz", ".bcf")
_FAR = 1e12  # bp to the nearest start of transcription where the contig has none
_PURINES = (A, G)
_MOST_NAMES = 1_000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Starts = dict[str, Ints]
"""Sorted positions, 0-based, by contig."""


@dataclass(frozen=True)
class VariantSet:
    """A file of labelled variants; its name is that of the file."""

    name: str
    path: Path


@dataclass(frozen=True)
class LabelledVariants:
    """Alleles with a label that can be scored, in the order of the genome.

    Parameters
    ----------
    records : list of VcfRecord
        One alternate allele each.
    labels : ndarray, shape (n,), int64
        1 for an effect, 0 for none.
    places : ndarray, shape (n, 2), int64
        Number of the contig, and position on it.
    n_records : int
        In the file.
    left_out : dict of str to int
        How many are not used, by reason.
    """

    records: list[VcfRecord]
    labels: Ints
    places: Ints
    n_records: int
    left_out: dict[str, int]


@dataclass(frozen=True)
class Reading:
    """One number per variant, and what it is said to be in variants with an effect.

    Parameters
    ----------
    effect_if : str
        As people read it: high, low, yes, ... ; "fitted" for a regression.
    values : ndarray, shape (n,), float64
        The higher, the more likely an effect: the sign is turned where ``effect_if`` is low.
    """

    name: str
    effect_if: str
    values: Floats


def find_variant_sets(data: Path, label: str) -> tuple[list[VariantSet], list[str]]:
    """VCF and BCF files of a folder that define the label, and the other ones with the reason.

    Returns
    -------
    sets : list of VariantSet
        In the order of their names.
    missing : list of str
        Names and reasons.
    """
    sets, missing = [], []
    for path in sorted(data.iterdir()):
        if not path.name.lower().endswith(_SUFFIXES) or not path.is_file():
            continue
        try:
            with VcfSource(path) as source, source.open() as reader:
                labelled = label in defined_ids(reader.header, "INFO")
        except FindnaError as error:
            missing.append(f"{path.name} ({error})")
            continue
        if labelled:
            sets.append(VariantSet(path.name, path))
        else:
            missing.append(f"{path.name} (its header defines no INFO/{label})")
    return sets, missing


def read_variants(path: Path, genome: Genome, label: str, window: int) -> LabelledVariants:
    """Labelled alleles of a file.

    A record may hold several labels, as of several tissues, and an allele may have several
    records: its label is the one that all of them give. Alleles of which they disagree are left
    out, as are records of several alternate alleles, whose labels could be of any of them.

    Parameters
    ----------
    window : int
        The shortest that any score reads, bp: it decides which alleles are too long.

    Raises
    ------
    LabelError
        A label is neither 0 nor 1, or not both occur.
    VariantError
        The file is malformed, or does not fit the genome.
    """
    said: dict[tuple[int, int, str, str], set[str]] = {}
    records: dict[tuple[int, int, str, str], VcfRecord] = {}
    left_out = Counter[str]()
    contigs = {name: i for i, name in enumerate(genome.contigs)}
    examiner = Examiner(genome, window)
    with VcfSource(path) as source:
        n_records = survey(source, examiner, "stop", remedy=SAME_ASSEMBLY)
        with source.open() as reader:
            for record in reader.records:
                given = _labels_of(record, label, path.name)
                reason = _unusable(record, given, examiner)
                if reason is not None:
                    left_out[reason] += 1
                    continue
                chrom = genome.resolve(record.chrom)
                assert chrom is not None  # the survey has checked it
                (alt,) = record.alts
                key = contigs[chrom], record.start, record.ref.upper(), alt.upper()
                said.setdefault(key, set()).update(given)
                records.setdefault(key, record)
    kept = [key for key in sorted(said) if len(said[key]) == 1]
    left_out["labels_disagree"] = len(said) - len(kept)
    labels = np.array([said[key] == {"1"} for key in kept], np.int64)
    if len(np.unique(labels)) < 2:
        which = f"INFO/{label} is {labels[0]} of all" if kept else "no label of any"
        raise LabelError(
            f"{path.name}: {which} that can be used; 0 and 1 are both needed"
            + "".join(f"; {n} {reason.replace('_', ' ')}" for reason, n in left_out.items() if n)
        )
    return LabelledVariants(
        [records[key] for key in kept],
        labels,
        np.array([key[:2] for key in kept], np.int64),
        n_records,
        {reason: n for reason, n in left_out.items() if n},
    )


def _labels_of(record: VcfRecord, label: str, name: str) -> set[str]:
    """Labels of a record, 0 or 1; those that are missing are none."""
    labels = set((info_value(record, label) or ".").split(",")) - {"."}
    wrong = sorted(labels - {"0", "1"})
    if wrong:
        raise LabelError(f"{name}:{record.number}: INFO/{label} is {wrong[0][:40]!r}, not 0 or 1")
    return labels


def _unusable(record: VcfRecord, labels: Collection[str], examiner: Examiner) -> str | None:
    if not labels:
        return "no_label"
    if len(record.alts) > 1:
        return "several_alleles"
    (kind,) = examiner.examine(record).classes
    return None if kind in SCORED else kind


def read_starts(path: Path, genome: Genome) -> Starts:
    """Starts of transcription: the 5' end of each BED row, on contigs of the genome.

    Those past the end of a contig stay: a FASTA may hold less of it than the annotation.

    Raises
    ------
    RegionError
        A line is not BED, or no row is on a contig of the genome.
    """
    found: dict[str, list[int]] = {}
    unknown: dict[str, None] = {}
    for row in read_bed(path):
        chrom, interval = genome.resolve(row.interval.chrom), row.interval
        if chrom is not None:
            at = interval.end - 1 if interval.strand == "-" else interval.start
            found.setdefault(chrom, []).append(at)
        elif len(unknown) < _MOST_NAMES:
            unknown[interval.chrom] = None
    if not found:
        reason = genome.unknown(*unknown) if unknown else "holds no rows"
        raise RegionError(f"{display_name(path)}: {reason}")
    return {chrom: np.sort(np.array(at, np.int64)) for chrom, at in found.items()}


def distances(starts: Starts, contigs: Sequence[str], places: Ints) -> Floats:
    """From each place to the nearest start on its contig, bp; shape (n,)."""
    result = np.full(len(places), _FAR)
    for number, chrom in enumerate(contigs):
        rows = np.flatnonzero(places[:, 0] == number)
        if chrom in starts and len(rows):
            at, known = places[rows, 1], starts[chrom]
            after = np.searchsorted(known, at)
            nearest = [known[(after + step).clip(0, len(known) - 1)] for step in (-1, 0)]
            result[rows] = np.min([abs(at - start) for start in nearest], axis=0)
    return result


# regressions on what they have not seen


def folds(places: Ints, n: int = _FOLDS) -> Iterator[tuple[Ints, Ints]]:
    """Training and test rows: n contiguous stretches of the genome are tested in turn.

    Training rows are all others that lie at least APART from every test row.

    Parameters
    ----------
    places : ndarray, shape (n_rows, 2), int64
        Contig and position.
    """
    order = np.lexsort((places[:, 1], places[:, 0]))
    for test in np.array_split(order, min(n, len(order))):
        near = np.zeros(len(places), bool)
        for contig in np.unique(places[test, 0]):
            at = places[test[places[test, 0] == contig], 1]
            inside = (places[:, 1] > at.min() - APART) & (places[:, 1] < at.max() + APART)
            near |= (places[:, 0] == contig) & inside
        yield np.flatnonzero(~near), np.sort(test)


def held_out(features: Floats, labels: Ints, places: Ints, strength: float | None = None) -> Floats:
    """Log-odds of each row by a logistic regression on the training rows of its fold; (n,).

    Where a fold leaves no row of one class to learn from, 0.

    Parameters
    ----------
    features : ndarray, shape (n, n_features)
    places : ndarray, shape (n, 2), int64
    strength : float, optional
        C; by default, the one of STRENGTHS with the best AUROC when the training rows alone are
        treated in this same way.
    """
    found = np.zeros(len(labels))
    for train, test in folds(places):
        seen = features[train], labels[train], places[train]
        if len(np.unique(seen[1])) < 2:
            continue
        chosen = strength
        if chosen is None:
            chosen = max(STRENGTHS, key=lambda c: _measures(seen[1], held_out(*seen, c))["auroc"])
        # balanced: else the share of positives in training, low where it is high in the test
        # fold, would be part of what is compared between folds
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=chosen, class_weight="balanced", max_iter=1000),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits do not matter
            model.fit(seen[0], seen[1])
        found[test] = model.decision_function(features[test])
    return found


def _regression(name: str, features: Floats, data: LabelledVariants) -> Reading:
    values = held_out(features, data.labels, data.places)
    return Reading(f"regression on {name}", "fitted", values)


def _change(before: Floats, after: Floats) -> Floats:
    """Features of a change: its direction, and its size whatever the direction."""
    change = after - before
    return np.hstack((change, abs(change)))


# scores


def plain_readings(
    items: Sequence[Examined], data: LabelledVariants, far: Floats | None
) -> list[Reading]:
    """What needs no model.

    Parameters
    ----------
    items : sequence of Examined
        The variants with their windows.
    far : ndarray, shape (n,), optional
        Distance to the nearest start of transcription, bp.
    """
    windows = [[haplotype.tokens for haplotype in pairs[0]] for item in items
               for pairs in item.windows if pairs]  # fmt: skip
    letters = [[decode(tokens) for tokens in pair] for pair in windows]
    cpg = [ref.count("CG") != alt.count("CG") for ref, alt in letters]
    gc = [(ref.count("G") + ref.count("C")) / len(ref) for ref, _ in letters]
    changes = [
        trim(Change(record.start, encode(record.ref), encode(record.alts[0])))
        for record in data.records
    ]
    transversion = [
        len(change.ref) == len(change.alt) == 1
        and (change.ref[0] in _PURINES) != (change.alt[0] in _PURINES)
        for change in changes
    ]
    size = [abs(len(change.ref) - len(change.alt)) for change in changes]
    before, after = (
        kmer_counts([pair[i] for pair in windows], K).toarray().astype(np.float64) for i in (0, 1)
    )
    readings = []
    if far is not None:
        both = np.column_stack((gc, np.log1p(far)))
        readings = [
            Reading(TSS, "low", -far),
            _regression(f"GC content and {TSS}", both, data),
        ]
    return [
        *readings,
        Reading("transversion", "yes", np.array(transversion, float)),
        Reading("CpG made or lost", "yes", np.array(cpg, float)),
        Reading("bases inserted or deleted", "high", np.array(size, float)),
        Reading("GC content of the window", "high", np.array(gc)),
        _regression(f"{K}-mers of the window", before, data),
        _regression(f"the change of {K}-mers", _change(before, after), data),
    ]


def model_readings(
    effects: Sequence[Effect], data: LabelledVariants, far: Floats | None
) -> list[Reading]:
    """Scores of a model, and regressions on its embeddings."""
    dist, llr = np.array([effect.values for effect in effects]).T
    before, after = (
        np.array([getattr(effect, name) for effect in effects], np.float64)
        for name in ("ref", "alt")
    )
    change = _change(before, after)
    readings = [
        Reading("FINDNA_DIST", "high", dist),
        Reading("FINDNA_LLR, absolute", "high", abs(llr)),
        Reading("FINDNA_LLR", "low", -llr),
        _regression("the embedding of the window", before, data),
        _regression("the change of embedding", change, data),
    ]
    if far is not None:
        both = np.column_stack((change, np.log1p(far)))
        readings.append(_regression(f"the change of embedding and {TSS}", both, data))
    return readings


def task_readings(scorer: Scorer, effects: Sequence[Effect]) -> list[Reading]:
    """How far each output of a task is moved."""
    columns = np.array([effect.values for effect in effects]).T
    return [
        Reading(f"{score.id}, absolute", "high", abs(column))
        for score, column in zip(scorer.scores, columns, strict=True)
        if score.id.endswith("_DELTA")
    ]


def _effects(
    scorer: Scorer, items: Sequence[Examined], device: torch.device, what: str
) -> list[Effect]:
    found: list[Effect] = []
    with progress(len(items), "variants", what) as bar:
        for _, effects in scored(items, scorer, 4 * MAX_TOKENS[device.type]):
            found += [effect for effect in effects if effect is not None]
            bar.update()
    return found


def measure_variants(
    name: str,
    data: LabelledVariants,
    genome: Genome,
    checkpoint: Checkpoint,
    random: Iterator[Checkpoint],
    tasks: Sequence[tuple[Task, int]],
    *,
    window: int,
    starts: Starts | None,
    device: torch.device,
    precision: str = "fp32",
) -> dict[str, Any]:
    """Every figure of one set.

    Parameters
    ----------
    random : iterator of Checkpoint
        The same encoder with random weights, drawn anew.
    tasks : sequence of (Task, int)
        Tasks, and the length of the window that each reads, bp.
    starts : dict of str to ndarray, optional
        As from `read_starts`.
    """

    def examined(size: int) -> list[Examined]:
        examiner = Examiner(genome, size)
        return [examiner.examine(record) for record in data.records]

    run: dict[str, Any] = {"device": device, "precision": precision}
    items = examined(window)
    far = None if starts is None else distances(starts, list(genome.contigs), data.places)

    def of_model(one: Checkpoint, what: str) -> list[Reading]:
        effects = _effects(Scorer(one, SCORES, vectors=True, **run), items, device, what)
        return model_readings(effects, data, far)

    readings = plain_readings(items, data, far) + of_model(checkpoint, name)
    for task, size in tasks:
        scorer = Scorer(None, (), [task], **run)
        readings += task_readings(scorer, _effects(scorer, examined(size), device, task.name))
    for one in random:
        readings += [
            replace(reading, name=f"{reading.name}, random weights")
            for reading in of_model(one, f"{name}, random weights")
        ]
    # what is the same of all, as the length of SNVs, says nothing
    readings = [reading for reading in readings if np.ptp(reading.values) > 0]
    reference = next((reading.values for reading in readings if reading.name == TSS), None)
    methods: dict[str, list[dict[str, Any]]] = {}
    effect_if: dict[str, str] = {}
    for reading in readings:
        effect_if[reading.name] = reading.effect_if
        runs = methods.setdefault(reading.name, [])
        runs.append(_figures(data.labels, reading.values, reference))
    return {
        "name": name,
        "records": data.n_records,
        "variants": len(data.labels),
        "positives": int(data.labels.sum()),
        "left_out": data.left_out,
        "effect_if": effect_if,
        "methods": methods,
    }


def _columns(values: Floats) -> Floats:
    return np.column_stack((-values, values))


def _measures(labels: Ints, values: Floats) -> dict[str, float]:
    return measure(labels, _columns(values), CLASSES)


def _figures(labels: Ints, values: Floats, reference: Floats | None) -> dict[str, Any]:
    """Measures with intervals; and intervals of what they exceed those of ``reference`` by."""
    found = _measures(labels, values)
    figures: dict[str, Any] = {
        "metrics": {metric: round(found[metric], 5) for metric in METRICS},
        "intervals": _rounded(bootstrap(labels, _columns(values), CLASSES, METRICS)),
    }
    if reference is not None:
        beyond = _measures(labels, reference)
        figures["beyond_tss"] = {
            metric: round(found[metric] - beyond[metric], 5) for metric in METRICS
        }
        figures["beyond_tss_intervals"] = _rounded(
            bootstrap_difference(labels, _columns(values), _columns(reference), CLASSES, METRICS)
        )
    return figures


def _rounded(intervals: dict[str, tuple[float, float]]) -> dict[str, list[float]]:
    return {metric: [round(bound, 5) for bound in bounds] for metric, bounds in intervals.items()}
