"""Reports of an evaluation of variant scores: for a terminal, as Markdown, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from findna.console import counted
from findna.evaluation.report import markdown
from findna.evaluation.variants import APART, METRICS, TSS, K
from findna.labelled.metrics import NAMES
from findna.outputs.pictures.estimates import Estimate, estimates_figure
from findna.outputs.pictures.files import Drawing

BEYOND = "beyond_tss"
"""Figures of a score less those of the distance to TSS."""

Runs = Sequence[dict[str, Any]]
"""Figures of one score; several for an encoder drawn several times."""


def _mean_interval(runs: Runs, metric: str, of: str = "metrics") -> tuple[float, float, float]:
    """Return the mean over draws of a figure and of the ends of its 95 % interval."""
    intervals = "intervals" if of == "metrics" else f"{BEYOND}_intervals"
    value, low, high = np.mean([[r[of][metric], *r[intervals][metric]] for r in runs], axis=0)
    return float(value), float(low), float(high)


def _cell(runs: Runs, metric: str) -> str:
    value, low, high = _mean_interval(runs, metric)
    spread = f" ± {np.std([run['metrics'][metric] for run in runs]):.3f}" * (len(runs) > 1)
    return f"{value:.3f}{spread} ({low:.3f}-{high:.3f})"


def _rows(result: dict[str, Any]) -> list[list[str]]:
    """Return score, its value with an effect, AUROC, AUPRC and, if known, AUROC beyond TSS."""
    known = TSS in result["methods"]
    share = result["positives"] / result["variants"]
    rows = [["chance", "", "0.500", f"{share:.3f}", *[""] * known]]
    for name, runs in result["methods"].items():
        row = [name, result["effect_if"][name], *(_cell(runs, metric) for metric in METRICS)]
        if known:
            value, low, high = _mean_interval(runs, "auroc", BEYOND)
            row.append("" if name == TSS else f"{value:+.3f} ({low:+.3f} to {high:+.3f})")
        rows.append(row)
    return rows


def variant_rows(sets: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of AUROC and AUPRC of every score, for a terminal."""
    header = ["set", "score", "effect_if", *(NAMES[metric] for metric in METRICS)]
    return header, [[result["name"], *row[:4]] for result in sets for row in _rows(result)]


def _counts(result: dict[str, Any]) -> str:
    left_out = ", ".join(
        f"{n} {reason.replace('_', ' ')}" for reason, n in result["left_out"].items()
    )
    return (
        f"{counted(result['variants'], 'variant')} of {counted(result['records'], 'record')}, "
        f"{result['positives']} "
        f"with an effect; left out: {left_out or 'none'}."
    )


def _verdicts(result: dict[str, Any]) -> list[str]:
    """Return which scores are above chance and beyond the distance to TSS, by their intervals."""
    methods = result["methods"]
    bounds = {name: _mean_interval(runs, "auroc")[1:] for name, runs in methods.items()}
    above = "; ".join(name for name, (low, _) in bounds.items() if low > 0.5)
    below = "; ".join(name for name, (_, high) in bounds.items() if high < 0.5)
    lines = [
        f"- AUROC above chance (interval above .5): {above or 'none'}.",
        f"- Below chance (interval below .5): {below or 'none'}.",
    ]
    if TSS in methods:
        gains = {
            name: _mean_interval(runs, "auroc", BEYOND)[1:]
            for name, runs in methods.items()
            if name != TSS
        }
        better = "; ".join(name for name, (low, _) in gains.items() if low > 0)
        n_worse = sum(high < 0 for _, high in gains.values())
        lines.append(
            f"- Better than {TSS} (interval of the difference above 0): {better or 'none'}; worse "
            f"(below 0): {n_worse} of {len(gains)}."
        )
    return lines


def variant_drawings(report: dict[str, Any]) -> list[Drawing]:
    """Return a picture of each set: the AUROC of every score."""
    found = []
    for result in report["sets"]:
        values = [Estimate(*_mean_interval(runs, "auroc")) for runs in result["methods"].values()]
        methods = {"score": values}
        figure = estimates_figure("AUROC", list(result["methods"]), methods, chance=0.5)
        caption = "Lines: 95 % bootstrap intervals over variants. Grey: chance."
        found.append(Drawing(f"AUROC on {result['name']}", figure, caption, wide=True))
    return found


def variant_markdown(report: dict[str, Any]) -> str:
    """Return the report of `findna.evaluation.variant_protocol.evaluate_variants` as Markdown."""
    about, sets, missing = report["about"], report["sets"], report["missing"]
    tasks = "".join(
        f", task {name} `{task['digest'][:12]}` (windows of {task['window']} bp)"
        for name, task in about["tasks"].items()
    )
    lines = [
        f"# {about['model']} on {about['suite']}",
        "",
        f"findna {about['findna_version']}, model {about['model']} `{about['digest'][:12]}`, "
        f"windows of {about['window']} bp{tasks}, {counted(about['draws'], 'random encoder')}, "
        f"on {about['hardware']}.",
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
