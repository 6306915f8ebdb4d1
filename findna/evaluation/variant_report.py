"""What an evaluation of variant scores found, for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from findna.evaluation.report import markdown
from findna.evaluation.variants import APART, METRICS, TSS, K
from findna.labelled.metrics import NAMES

BEYOND = "beyond_tss"
"""What a score's figures exceed those of the distance to TSS by."""

Runs = Sequence[dict[str, Any]]
"""Figures of one score; several for an encoder drawn several times."""


def mean_interval(runs: Runs, metric: str, of: str = "metrics") -> tuple[float, float, float]:
    """Mean over draws of a figure and of the ends of its 95 % interval."""
    intervals = {"metrics": "intervals", BEYOND: f"{BEYOND}_intervals"}[of]
    rows = [[run[of][metric], *run[intervals][metric]] for run in runs]
    value, low, high = np.mean(rows, axis=0)
    return float(value), float(low), float(high)


def _cell(runs: Runs, metric: str, of: str = "metrics") -> str:
    value, low, high = mean_interval(runs, metric, of)
    if of == BEYOND:
        return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
    spread = f" ± {np.std([run[of][metric] for run in runs]):.3f}" * (len(runs) > 1)
    return f"{value:.3f}{spread} ({low:.3f}-{high:.3f})"


def _rows(result: dict[str, Any]) -> list[list[str]]:
    """Score, what it is with an effect, AUROC, AUPRC and, where known, AUROC beyond TSS."""
    known = TSS in result["methods"]
    share = result["positives"] / result["variants"]
    rows = [["chance", "", "0.500", f"{share:.3f}", *[""] * known]]
    for name, runs in result["methods"].items():
        row = [name, result["effect_if"][name], *(_cell(runs, metric) for metric in METRICS)]
        if known:
            row.append("" if name == TSS else _cell(runs, "auroc", BEYOND))
        rows.append(row)
    return rows


def variant_rows(sets: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of AUROC and AUPRC of every score, for a terminal."""
    header = ["set", "score", "effect_if", *(NAMES[metric] for metric in METRICS)]
    return header, [[result["name"], *row[:4]] for result in sets for row in _rows(result)]


def _counts(result: dict[str, Any]) -> str:
    left_out = ", ".join(
        f"{n} {reason.replace('_', ' ')}" for reason, n in result["left_out"].items()
    )
    return (
        f"{result['variants']} variants of {result['records']} records, {result['positives']} "
        f"with an effect; left out: {left_out or 'none'}."
    )


def _named(names: Sequence[str]) -> str:
    return "; ".join(names) or "none"


def _verdicts(result: dict[str, Any]) -> list[str]:
    """Which scores are above chance and beyond the distance to TSS, by their intervals."""
    methods = result["methods"]
    bounds = {name: mean_interval(runs, "auroc")[1:] for name, runs in methods.items()}
    above = [name for name, (low, _) in bounds.items() if low > 0.5]
    below = [name for name, (_, high) in bounds.items() if high < 0.5]
    lines = [
        f"- AUROC above chance (interval above .5): {_named(above)}.",
        f"- Below chance (interval below .5): {_named(below)}.",
    ]
    if TSS in methods:
        others = {
            name: mean_interval(runs, "auroc", BEYOND)
            for name, runs in methods.items()
            if name != TSS
        }
        better = [name for name, (_, low, _) in others.items() if low > 0]
        worse = [name for name, (_, _, high) in others.items() if high < 0]
        lines.append(
            f"- Better than {TSS} (interval of the difference above 0): {_named(better)}; worse "
            f"(below 0): {len(worse)} of {len(others)}."
        )
    return lines


def variant_markdown(report: dict[str, Any]) -> str:
    """The report of `findna.evaluation.variant_protocol.evaluate_variants` as Markdown."""
    about, sets, missing = report["about"], report["sets"], report["missing"]
    tasks = "".join(
        f", task {name} `{task['digest'][:12]}` (windows of {task['window']} bp)"
        for name, task in about["tasks"].items()
    )
    lines = [
        f"# {about['model']} on {about['suite']}",
        "",
        f"findna {about['findna_version']}, model {about['model']} `{about['digest'][:12]}`, "
        f"windows of {about['window']} bp{tasks}, {about['draws']} random "
        f"encoder{'s' * (about['draws'] > 1)}, on {about['hardware']}.",
        "",
        "One row per allele; of those whose labels (as of several tissues) disagree, none. In "
        "brackets 95 % bootstrap intervals over variants; neighbours are not independent, so "
        'they are rather too narrow. "effect if" is what the score is taken to be in variants '
        "with an effect, said beforehand. A regression (fitted) is logistic, on standardised "
        "features; of a change its signed and its absolute value. It scores contiguous fifths of "
        f"the variants, each learned from those at least {APART:,} bp away; C is chosen among "
        f"these in the same way. {K}-mers are counted on both strands. Random weights: mean ± "
        "standard deviation over the encoders drawn, mean of their intervals.",
    ]
    for result in sets:
        header = ["score", "effect if", *(f"{NAMES[metric]} (95 %)" for metric in METRICS)]
        if TSS in result["methods"]:
            header.append(f"AUROC less that of {TSS} (95 %)")
        lines += ["", f"## {result['name']}", "", _counts(result), ""]
        lines += [*markdown(header, _rows(result)), "", *_verdicts(result)]
    if missing:
        lines += ["", f"Not measured: {'; '.join(missing)}."]
    return "\n".join(lines) + "\n"
