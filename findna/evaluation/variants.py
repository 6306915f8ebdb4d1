"""Rankings of labelled variants: how well a score tells those with an effect from the others.

Whether a variant with an effect has a high or a low score is fixed beforehand, never chosen by the
labels. Only regressions see labels, and never those of the variants they score or of the
neighbourhood of these.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from findna.console import progress
from findna.evaluation.baselines import STRENGTHS, random_model
from findna.evaluation.variant_sets import Floats, Ints, LabelledVariants, Starts, distances
from findna.genome.encoding import A, G, decode
from findna.genome.fasta import Genome
from findna.labelled.metrics import bootstrap, bootstrap_difference, measure
from findna.labelled.sets import CLASSES
from findna.model.checkpoint import Checkpoint
from findna.model.devices import Compute
from findna.tasks.kmers import kmer_counts
from findna.tasks.regression import Regression, Solver
from findna.tasks.task import Task
from findna.variants.alleles import Examined, Examiner, change_of
from findna.variants.background import Ranks
from findna.variants.haplotypes import trim
from findna.variants.scores import SCORES, Effect, Scorer, scored
from findna.variants.vcf import VcfRecord

TSS = "distance to TSS"
METRICS = ("auroc", "auprc")

APART = 100_000
"""Least distance between a variant and those that a regression learned from, bp."""
K = 3
"""Length of the k-mers; 3 for an SNV is its trinucleotide context, before and after."""

_FOLDS = 5
_BALANCED = Solver(balanced=True)
"""Log-odds of different folds are compared: without it they would hold the share of positives in
training, which is low where it is high in the test fold."""
_PURINES = (A, G)


@dataclass(frozen=True)
class Ranking:
    """One number per variant, by which variants are ranked."""

    name: str
    effect_if: str  # for people: high, low, yes; "fitted" for a regression
    values: Floats  # (n,); the sign is turned where effect_if is low: high values mean an effect


def folds(places: Ints, n: int = _FOLDS) -> Iterator[tuple[Ints, Ints]]:
    """Yield training and test rows: n contiguous stretches of the genome are tested in turn.

    Training rows are all others that lie at least APART from every test row. ``places``,
    (n_rows, 2), are contig and position.
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
    """Return log-odds of each row by a logistic regression on the training rows of its fold; (n,).

    Where a fold leaves no row of one class to learn from, 0. ``features`` have shape
    (n, n_features). ``strength`` is C; by default, the one of STRENGTHS with the best AUROC when
    the training rows alone are treated in this same way.
    """
    log_odds = np.zeros(len(labels))
    for train, test in folds(places):
        seen = features[train], labels[train], places[train]
        if len(np.unique(seen[1])) < 2:
            continue
        scaler = StandardScaler()
        regression = Regression(scaler.fit_transform(seen[0]), seen[1], CLASSES, _BALANCED)
        regression.fit(
            strength
            or max(STRENGTHS, key=lambda c: _measures(seen[1], held_out(*seen, c))["auroc"])
        )
        (model,) = regression.models
        log_odds[test] = model.decision_function(scaler.transform(features[test]))
    return log_odds


def _regression(name: str, features: Floats, data: LabelledVariants) -> Ranking:
    values = held_out(features, data.labels, data.places)
    return Ranking(f"regression on {name}", "fitted", values)


def _change(before: Floats, after: Floats) -> Floats:
    """Return features of a change: its direction, and its size whatever the direction."""
    change = after - before
    return np.hstack((change, abs(change)))


def plain_rankings(
    items: Sequence[Examined], data: LabelledVariants, far: Floats | None
) -> list[Ranking]:
    """Return rankings that need no model.

    ``far``, (n,), are distances to the nearest start of transcription, bp, if these are known.
    """
    windows = [
        [haplotype.tokens for haplotype in pairs[0][0]]
        for item in items
        for pairs in item.windows
        if pairs
    ]
    letters = [[decode(tokens) for tokens in pair] for pair in windows]
    cpg = [ref.count("CG") != alt.count("CG") for ref, alt in letters]
    gc = [(ref.count("G") + ref.count("C")) / len(ref) for ref, _ in letters]
    changes = [trim(change_of(record, record.alts[0])) for record in data.records]
    transversion = [
        len(change.ref) == len(change.alt) == 1
        and (change.ref[0] in _PURINES) != (change.alt[0] in _PURINES)
        for change in changes
    ]
    size = [abs(len(change.ref) - len(change.alt)) for change in changes]
    before, after = (
        kmer_counts([pair[i] for pair in windows], K).toarray().astype(np.float64) for i in (0, 1)
    )
    rankings = []
    if far is not None:
        both = np.column_stack((gc, np.log1p(far)))
        rankings = [Ranking(TSS, "low", -far), _regression(f"GC content and {TSS}", both, data)]
    return [
        *rankings,
        Ranking("transversion", "yes", np.array(transversion, float)),
        Ranking("CpG made or lost", "yes", np.array(cpg, float)),
        Ranking("bases inserted or deleted", "high", np.array(size, float)),
        Ranking("GC content of the window", "high", np.array(gc)),
        _regression(f"{K}-mers of the window", before, data),
        _regression(f"the change of {K}-mers", _change(before, after), data),
    ]


def model_rankings(
    effects: Sequence[Effect], data: LabelledVariants, far: Floats | None
) -> list[Ranking]:
    """Return scores of a model, and regressions on its embeddings."""
    dist, llr = np.array([effect.values[:2] for effect in effects]).T
    before, after = (
        np.array([getattr(effect, name) for effect in effects], np.float64)
        for name in ("ref", "alt")
    )
    change = _change(before, after)
    rankings = [
        Ranking("FINDNA_DIST", "high", dist),
        Ranking("FINDNA_LLR, absolute", "high", abs(llr)),
        Ranking("FINDNA_LLR", "low", -llr),
        _regression("the embedding of the window", before, data),
        _regression("the change of embedding", change, data),
    ]
    if far is not None:
        both = np.column_stack((change, np.log1p(far)))
        rankings.append(_regression(f"the change of embedding and {TSS}", both, data))
    return rankings


def task_rankings(scorer: Scorer, effects: Sequence[Effect]) -> list[Ranking]:
    """Return how far each output of a task moves."""
    columns = np.array([effect.values for effect in effects]).T
    return [
        Ranking(f"{field.id}, absolute", "high", abs(column))
        for field, column in zip(scorer.fields, columns, strict=True)
        if field.id.endswith("_DELTA")
    ]


def ranked_rankings(
    ranks: Ranks, items: Sequence[Examined], effects: Sequence[Effect]
) -> list[Ranking]:
    """Return what common SNPs make of scores; variants that are no SNV are in the middle."""
    rows = [
        extended.values[len(effect.values) :]
        for item, effect in zip(items, effects, strict=True)
        for extended in ranks.extended(item, [effect])
        if extended is not None
    ]
    ranks.warn()
    rankings = []
    for i, field in enumerate(ranks.fields):
        is_share = field.id.endswith("_Q")
        middle = 0.5 if is_share else 0.0
        values = np.array([middle if row[i] is None else row[i] for row in rows], np.float64)
        if is_share:
            rankings.append(Ranking(field.id, "high", values))
        else:
            rankings.append(Ranking(f"{field.id}, absolute", "high", abs(values)))
            rankings.append(Ranking(field.id, "low", -values))
    return rankings


def rate_ranking(ranks: Ranks, items: Sequence[Examined]) -> list[Ranking]:
    """Return the rate of common SNPs with the trinucleotide and ALT of each variant, if known.

    Variants that are no SNV have the mean of the others.
    """
    rates = [ranks.log_rate(windows) for item in items for windows in item.windows]
    known = [rate for rate in rates if rate is not None]
    if not known:
        return []
    values = np.array([np.mean(known) if rate is None else rate for rate in rates])
    return [Ranking("mutation rate of the trinucleotide", "low", -values)]


def _effects(scorer: Scorer, items: Sequence[Examined], tokens: int, title: str) -> list[Effect]:
    results: list[Effect] = []
    with progress(len(items), "variants", title) as bar:
        for _, effects in scored(items, scorer, tokens):
            results += [effect for effect in effects if effect is not None]
            bar.update()
    return results


@dataclass(frozen=True)
class Scorers:
    """A model and tasks that score variants."""

    checkpoint: Checkpoint
    ranks: Ranks  # of its scores
    draws: int  # encoders of the same sizes with random weights, for comparison
    tasks: Sequence[tuple[Task, int, Ranks]]  # with the length of the window that each reads, bp
    window: int  # length of the model's windows, bp
    compute: Compute


def seconds_per_variant(records: Sequence[VcfRecord], genome: Genome, scorers: Scorers) -> float:
    """Return the seconds to score a record by all models and tasks, tried on some records."""

    def tried(scorer: Scorer, window: int) -> float:
        examiner = Examiner(genome, window)
        items = [examiner.examine(record) for record in records]
        started = time.perf_counter()
        deque(scored(items, scorer, 4 * scorers.compute.budget), 0)
        return (time.perf_counter() - started) / len(items)

    model = Scorer(scorers.checkpoint, SCORES, vectors=True, compute=scorers.compute)
    tasks = [(Scorer(None, (), [task], compute=scorers.compute), n) for task, n, _ in scorers.tasks]
    return (1 + scorers.draws) * tried(model, scorers.window) + sum(tried(*task) for task in tasks)


def measure_variants(
    name: str, data: LabelledVariants, genome: Genome, scorers: Scorers, starts: Starts | None
) -> dict[str, Any]:
    """Return every figure of one set; ``starts`` are those of transcription, if they are known."""
    compute, checkpoint = scorers.compute, scorers.checkpoint
    tokens = 4 * compute.budget

    def examined(window: int) -> list[Examined]:
        examiner = Examiner(genome, window)
        return [examiner.examine(record) for record in data.records]

    items = examined(scorers.window)
    far = None if starts is None else distances(starts, list(genome.contigs), data.places)

    def of_model(model: Checkpoint, title: str, ranks: Ranks | None = None) -> list[Ranking]:
        scorer = Scorer(model, SCORES, vectors=True, compute=compute)
        effects = _effects(scorer, items, tokens, title)
        rankings = model_rankings(effects, data, far)
        return rankings + (ranked_rankings(ranks, items, effects) if ranks else [])

    rankings = plain_rankings(items, data, far) + rate_ranking(scorers.ranks, items)
    rankings += of_model(checkpoint, name, scorers.ranks)
    for task, window, ranks in scorers.tasks:
        scorer, of_task = Scorer(None, (), [task], compute=compute), examined(window)
        effects = _effects(scorer, of_task, tokens, task.name)
        rankings += task_rankings(scorer, effects) + ranked_rankings(ranks, of_task, effects)
    for draw in range(scorers.draws):
        random = replace(checkpoint, model=random_model(checkpoint.config, draw))
        rankings += [
            replace(ranking, name=f"{ranking.name}, random weights")
            for ranking in of_model(random, f"{name}, random weights")
        ]
    # a value that all variants share, as the length of SNVs, tells nothing
    rankings = [ranking for ranking in rankings if np.ptp(ranking.values) > 0]
    reference = next((ranking.values for ranking in rankings if ranking.name == TSS), None)
    methods: dict[str, list[dict[str, Any]]] = {}
    effect_if: dict[str, str] = {}
    for ranking in rankings:
        effect_if[ranking.name] = ranking.effect_if
        runs = methods.setdefault(ranking.name, [])
        runs.append(_figures(data.labels, ranking.values, reference))
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
    """Return measures with intervals, and how far they exceed those of ``reference``."""
    measures, columns = _measures(labels, values), _columns(values)
    figures: dict[str, Any] = {
        "metrics": {metric: round(measures[metric], 5) for metric in METRICS},
        "intervals": _rounded(bootstrap(labels, columns, CLASSES, METRICS)),
    }
    if reference is not None:
        others = _measures(labels, reference)
        gains = bootstrap_difference(labels, columns, _columns(reference), CLASSES, METRICS)
        figures["beyond_tss"] = {m: round(measures[m] - others[m], 5) for m in METRICS}
        figures["beyond_tss_intervals"] = _rounded(gains)
    return figures


def _rounded(intervals: dict[str, tuple[float, float]]) -> dict[str, list[float]]:
    return {metric: [round(bound, 5) for bound in bounds] for metric, bounds in intervals.items()}
