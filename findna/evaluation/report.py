"""Reports of an evaluation: tables, exceptions by name, published figures beside them, pictures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from findna.console import counted
from findna.evaluation.published import Table, tables
from findna.labelled.metrics import METRICS, NAMES, PRIMARY
from findna.outputs.pages import from_markdown
from findna.outputs.pages import report as page
from findna.outputs.pictures.estimates import Estimate, estimates_figure
from findna.outputs.pictures.files import Drawing, inlined, picture_remark

MODEL = "findna"
"""Name of the evaluated model among the methods."""
BASELINES = {"random": "random weights", "k-mers": "k-mers", "cnn": "CNN"}


def mean_of(result: dict[str, Any], method: str, metric: str) -> float | None:
    """Return the mean over seeds of a metric of a set; None if it was not measured or undefined."""
    values = [run["metrics"].get(metric) for run in result["methods"].get(method, [])]
    return None if not values or None in values else float(np.mean(values))


def interval_of(result: dict[str, Any], method: str, metric: str) -> tuple[float, float] | None:
    """Return the mean over seeds of the bootstrap interval; None as in `mean_of`."""
    bounds = [run["intervals"].get(metric) for run in result["methods"].get(method, [])]
    if not bounds or None in bounds:
        return None
    low, high = np.mean(bounds, axis=0)
    return float(low), float(high)


def primary(result: dict[str, Any]) -> str:
    """Return the metric that a set is compared by."""
    return str(result.get("primary", PRIMARY[result["kind"]]))


def _gain(result: dict[str, Any], method: str) -> float | None:
    """Return the primary metric of findna less that of a baseline; None if either is missing."""
    metric = primary(result)
    ours, other = mean_of(result, MODEL, metric), mean_of(result, method, metric)
    return None if ours is None or other is None else ours - other


def _cell(result: dict[str, Any], method: str, metric: str, interval: bool = False) -> str:
    mean = mean_of(result, method, metric)
    if mean is None:
        return ""
    values = [run["metrics"][metric] for run in result["methods"][method]]
    text = f"{mean:.3f}" + f" ± {np.std(values):.3f}" * (len(values) > 1)
    bounds = interval_of(result, method, metric) if interval else None
    return f"{text} ({bounds[0]:.3f}-{bounds[1]:.3f})" if bounds else text


def _title(result: dict[str, Any]) -> str:
    leaks, name = result["leaks"], str(result["name"])
    # leaks are counted in test rows, what was removed in training rows: all of them or none
    leaky = leaks["identical"] + leaks["reverse_complement"] > 0 and not leaks["removed"]
    return name + "*" * bool(result["starred"]) + "†" * leaky


def remarks(result: dict[str, Any]) -> list[str]:
    """Return a sentence part per method that gave every test sequence one class."""
    found = []
    for method, runs in result["methods"].items():
        classes = Counter(run["one_class"] for run in runs if run.get("one_class") is not None)
        for name, n in classes.items():
            seeds = f" (seeds: {n} of {len(runs)})" if len(runs) > 1 else ""
            found.append(f"{BASELINES.get(method, method)} predicts {name} throughout{seeds}")
    return found


def methods_of(sets: Sequence[dict[str, Any]]) -> list[str]:
    """Return the model and those baselines that were measured on any set."""
    return [m for m in (MODEL, *BASELINES) if any(m in result["methods"] for result in sets)]


def summary_rows(sets: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the primary metric, for a terminal; remarks if there are any."""
    methods = methods_of(sets)
    header = ["set", "metric", *(BASELINES.get(m, m) for m in methods)]
    remarked = any(map(remarks, sets))
    rows = []
    for result in sets:
        metric = primary(result)
        row = [_title(result), NAMES[metric], *(_cell(result, m, metric) for m in methods)]
        rows.append([*row, "; ".join(remarks(result))] if remarked else row)
    return [*header, "remark"] if remarked else header, rows


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _columns(methods: Sequence[str]) -> list[str]:
    return [BASELINES.get(method, "findna (95 %)") for method in methods]


def _primary_table(sets: Sequence[dict[str, Any]]) -> list[str]:
    methods = methods_of(sets)
    header = ["set", "metric", "train, valid, test", *_columns(methods)]
    header += [f"findna - {BASELINES[m]}" for m in methods[1:]]
    rows: list[list[str]] = []
    means: list[list[Any]] = []
    for result in sets:
        metric = primary(result)
        row = [_title(result), NAMES[metric], ", ".join(map(str, result["used"].values()))]
        row += [_cell(result, m, metric, interval=m == MODEL) for m in methods]
        gains = [_gain(result, m) for m in methods[1:]]
        rows.append([*row, *("" if gain is None else f"{gain:+.3f}" for gain in gains)])
        means.append([mean_of(result, m, metric) for m in methods])
    complete = [values for values in means if None not in values]
    if len(complete) > 1:
        ours, *others = (float(np.mean(column)) for column in zip(*complete, strict=True))
        row = [f"mean of {len(complete)}", "", "", f"{ours:.3f}"]
        row += [f"{other:.3f}" for other in others]
        rows.append(row + [f"{ours - other:+.3f}" for other in others])
    return markdown(header, rows)


def _other_metrics(sets: Sequence[dict[str, Any]]) -> list[str]:
    methods = methods_of(sets)
    rows = []
    for result in sets:
        for metric in METRICS[result["kind"]]:
            if metric != primary(result):
                cells = [_cell(result, m, metric, interval=m == MODEL) for m in methods]
                rows.append([_title(result), NAMES[metric], *cells])
    return markdown(["set", "metric", *_columns(methods)], rows)


def verdict(result: dict[str, Any], table: Table, value: float) -> str:
    """Return win, tie or loss: a published figure is below, in or above our interval."""
    bounds = interval_of(result, MODEL, table.metric)
    if bounds is None:
        return ""
    return "win" if value < bounds[0] else "loss" if value > bounds[1] else "tie"


def _published_tables(sets: Sequence[dict[str, Any]]) -> list[str]:
    """Return a table per source, findna beside its figures, and counts of wins, ties and losses."""
    lines: list[str] = []
    for table in tables():
        rows = []
        names: dict[str, list[str]] = {"win": [], "tie": [], "loss": [], "": []}
        for result in sets:
            values = table.rows.get(result["name"])
            if values is None:
                continue
            best = max(values)
            outcome = verdict(result, table, best)
            names[outcome].append(result["name"])
            row = [_title(result), _cell(result, MODEL, table.metric, interval=True)]
            row += [f"{value:.3f}" for value in values]
            rows.append([*row, f"{outcome} against {table.models[values.index(best)]}"])
        if not rows:
            continue
        metric = NAMES[table.metric]
        counts = [
            f"{verb} on {len(names[outcome])}"
            + ": " * bool(names[outcome])
            + ", ".join(names[outcome])
            for verb, outcome in (("wins", "win"), ("ties", "tie"), ("loses", "loss"))
        ]
        lines += [
            "",
            f"### Beside published figures: {table.source}",
            "",
            f"{metric}, as read there: {table.note}. Win, tie, loss: the best published figure "
            "lies below, in or above our 95 % interval.",
            "",
            *markdown(["set", f"findna, {metric}", *table.models, "best of them"], rows),
            "",
            f"Against the best of these models findna {'; '.join(counts)}.",
        ]
    return lines


def _exceptions(sets: Sequence[dict[str, Any]]) -> list[str]:
    """Return a sentence per baseline: the mean gain, and every set where findna is not above it."""
    lines = []
    for method in methods_of(sets)[1:]:
        gains = {r["name"]: gain for r in sets if (gain := _gain(r, method)) is not None}
        if not gains:
            continue
        below = [f"{name} ({gain:+.3f})" for name, gain in gains.items() if gain <= 0]
        exceptions = (
            f"not above it on {len(below)}: {', '.join(below)}" if below else ("above it on all")
        )
        lines.append(
            f"- Against {BASELINES[method]}: {float(np.mean(list(gains.values()))):+.3f} in the "
            f"mean of {counted(len(gains), 'set')}; {exceptions}."
        )
    return lines


def _choices(sets: Sequence[dict[str, Any]]) -> list[str]:
    """Return a table of what validation chose most often, for the model and for k-mers."""
    rows = []
    for result in sets:
        row = [_title(result)]
        for method in (MODEL, "k-mers"):
            choices = Counter(_shown(run["choice"]) for run in result["methods"].get(method, []))
            most = max(sorted(choices), key=choices.__getitem__, default="")
            row.append(f"{most} ({choices[most]} of {choices.total()})" if choices else "")
        rows.append(row)
    return markdown(["set", "findna reads", "k-mers"], rows)


def _shown(choice: dict[str, Any]) -> str:
    """Return a choice in words: features of the model, or how k-mers are counted."""
    if "both_strands" not in choice:
        return str(choice.get("features", choice))
    return f"k {choice['k']}, {'both strands' if choice['both_strands'] else 'forward strand'}"


_PROTOCOLS = {
    "findna": "Choices were made on validation sequences: dev, or without it another quarter of "
    "train for each seed.",
    "geneb": "As GENEB does: logistic regression (scikit-learn, C 1, at most 1,000 iterations) on "
    "vectors that are not standardised, fitted on all of train; nothing is chosen. Its solver "
    "draws nothing, so seeds differ in the random encoder alone.",
}
"""How the figures of a protocol came about, for the head of a report."""


def _how(about: dict[str, Any]) -> str:
    if about.get("protocol") != "geneb":
        return f"mode {about['mode']}"
    strands = "of both strands" if about["both_strands"] else "of the forward strand"
    return f"protocol geneb, mean vectors {strands}, {about['precision']}"


def _meaning(seeds: int) -> str:
    """Return what the figures of a table are."""
    if seeds == 1:
        return "One seed, so no spread: in brackets the 95 % bootstrap interval over the test set."
    return (
        "Mean ± standard deviation over seeds, in brackets the mean of the seeds' 95 % bootstrap "
        "intervals over the test set."
    )


def drawings(report: dict[str, Any]) -> list[Drawing]:
    """Return the pictures of a report: the methods by set, those of one metric together."""
    by_metric: dict[str, list[dict[str, Any]]] = {}
    for result in report["sets"]:
        by_metric.setdefault(primary(result), []).append(result)
    found = []
    for metric, sets in by_metric.items():
        methods = {
            BASELINES.get(method, method): [_estimate(result, method, metric) for result in sets]
            for method in methods_of(sets)
        }
        unit = f"{NAMES[metric]} on the test set"
        figure = estimates_figure(unit, [_title(result) for result in sets], methods)
        caption = "Mean over seeds; lines: mean of their 95 % bootstrap intervals."
        found.append(Drawing(f"{NAMES[metric]} by set", figure, caption, wide=True))
    return found


def _estimate(result: dict[str, Any], method: str, metric: str) -> Estimate:
    """Return the value of a method and its interval, NaN where there is none."""
    value, nothing = mean_of(result, method, metric), (np.nan, np.nan)
    bounds = interval_of(result, method, metric) or nothing
    return Estimate(np.nan if value is None else value, *bounds)


def to_html(text: str, pictures: Sequence[Drawing]) -> str:
    """Return a report in Markdown as a page, with pictures before its first table or section."""
    start = re.search(r"^(\||## )", text, re.MULTILINE)
    cut = start.start() if start else len(text)
    drawn = picture_remark() or inlined(pictures)
    body = f"{from_markdown(text[:cut])}\n{drawn}\n{from_markdown(text[cut:])}"
    return page(text.partition("\n")[0].removeprefix("# "), body)


def to_markdown(report: dict[str, Any]) -> str:
    """Return the report of `findna.evaluation.protocol.evaluate` as Markdown."""
    about, sets, missing = report["about"], report["sets"], report["missing"]
    most = "all sequences"
    if about["most"]:
        most = f"at most {counted(about['most'], 'sequence', ',')} of a split"
    draws = min(about["draws"], about["seeds"])
    lines = [
        f"# {about['model']} on {about['suite']}",
        "",
        f"findna {about['findna_version']}, model {about['model']} `{about['digest'][:12]}`, "
        f"{_how(about)}, {counted(about['seeds'], 'seed')}, {most}, "
        f"{counted(draws, 'random encoder')}, on {about['hardware']}.",
        "",
        f"{_meaning(about['seeds'])} {_PROTOCOLS[about.get('protocol', 'findna')]}",
        "",
        *_primary_table(sets),
        "",
    ]
    if any(result["starred"] for result in sets):
        lines.append("\\* trained on dev: the set has no train split here.  ")
    leaky = [
        f"{r['name']} {r['leaks']['identical']} and {r['leaks']['reverse_complement']}"
        for r in sets
        if _title(r).endswith("†")
    ]
    if leaky:
        lines.append(
            "† test sequences that also occur in training data, identical and as reverse "
            f"complement: {'; '.join(leaky)}.  "
        )
    lengths = [
        f"{r['name']} {NAMES[PRIMARY[r['kind']]]} {r['length']:.3f}"
        for r in sets
        if r.get("length") is not None
    ]
    if lengths:
        lines.append(
            "Sequences of some sets differ in length. A decision tree that is told nothing else "
            f"reaches: {'; '.join(lengths)}.  "
        )
    throughout = [f"{r['name']}: {', '.join(remarks(r))}" for r in sets if remarks(r)]
    if throughout:
        lines.append(f"Every test sequence got the same class: {'; '.join(throughout)}.  ")
    lines += ["", *_exceptions(sets), *_published_tables(sets)]
    lines += ["", "### Other metrics", "", *_other_metrics(sets)]
    if about.get("protocol") != "geneb":
        lines += ["", "### What validation chose", "", *_choices(sets)]
    if missing:
        lines += ["", f"Not measured: {'; '.join(missing)}."]
    return "\n".join(lines) + "\n"
