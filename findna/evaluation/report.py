"""What an evaluation found, as Markdown: tables, exceptions by name, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from findna.evaluation.published import Table, tables
from findna.labelled.metrics import METRICS, NAMES, PRIMARY

MODEL = "findna"
"""What the evaluated model is called among the methods."""
BASELINES = {"random": "random weights", "k-mers": "k-mers", "cnn": "CNN"}


def mean_of(result: dict[str, Any], method: str, metric: str) -> float | None:
    """Mean over seeds of a metric of one set; None where it was not measured or is undefined."""
    values = [run["metrics"].get(metric) for run in result["methods"].get(method, [])]
    return None if not values or None in values else float(np.mean(values))


def interval_of(result: dict[str, Any], method: str, metric: str) -> tuple[float, float] | None:
    """Mean over seeds of the bootstrap interval."""
    bounds = [run["intervals"].get(metric) for run in result["methods"].get(method, [])]
    if not bounds or None in bounds:
        return None
    low, high = np.mean(bounds, axis=0)
    return float(low), float(high)


def _cell(result: dict[str, Any], method: str, metric: str, interval: bool = False) -> str:
    mean = mean_of(result, method, metric)
    if mean is None:
        return ""
    values = [run["metrics"][metric] for run in result["methods"][method]]
    text = f"{mean:.3f} ± {np.std(values):.3f}"
    bounds = interval_of(result, method, metric)
    return text + (f" ({bounds[0]:.3f}-{bounds[1]:.3f})" if interval and bounds else "")


def _title(result: dict[str, Any]) -> str:
    leaks, name = result["leaks"], str(result["name"])
    # leaks are counted in test rows, what was removed in training rows: all of them or none
    leaky = leaks["identical"] + leaks["reverse_complement"] > 0 and not leaks["removed"]
    return name + "*" * bool(result["starred"]) + "†" * leaky


def methods_of(sets: Sequence[dict[str, Any]]) -> list[str]:
    """The model and those baselines that were measured on some set."""
    return [m for m in (MODEL, *BASELINES) if any(m in result["methods"] for result in sets)]


def summary_rows(sets: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the primary metric, for a terminal."""
    methods = methods_of(sets)
    header = ["set", "metric", *(BASELINES.get(m, m) for m in methods)]
    rows = []
    for result in sets:
        metric = PRIMARY[result["kind"]]
        rows.append([_title(result), NAMES[metric], *(_cell(result, m, metric) for m in methods)])
    return header, rows


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _primary_table(sets: Sequence[dict[str, Any]]) -> list[str]:
    methods = methods_of(sets)
    header = ["set", "metric", "train, valid, test"]
    header += [BASELINES.get(m, "findna (95 %)") for m in methods]
    header += [f"findna - {BASELINES[m]}" for m in methods[1:]]
    rows = []
    for result in sets:
        metric = PRIMARY[result["kind"]]
        ours = mean_of(result, MODEL, metric)
        row = [_title(result), NAMES[metric], ", ".join(map(str, result["used"].values()))]
        row += [_cell(result, m, metric, interval=m == MODEL) for m in methods]
        for method in methods[1:]:
            other = mean_of(result, method, metric)
            row.append("" if ours is None or other is None else f"{ours - other:+.3f}")
        rows.append(row)
    complete = [
        result
        for result in sets
        if all(mean_of(result, m, PRIMARY[result["kind"]]) is not None for m in methods)
    ]
    if len(complete) > 1:
        means = [
            float(np.mean([mean_of(r, m, PRIMARY[r["kind"]]) for r in complete])) for m in methods
        ]
        rows.append(
            [f"mean of {len(complete)}", "", "", *(f"{value:.3f}" for value in means)]
            + [f"{means[0] - other:+.3f}" for other in means[1:]]
        )
    return markdown(header, rows)


def _other_metrics(sets: Sequence[dict[str, Any]]) -> list[str]:
    methods = methods_of(sets)
    rows = []
    for result in sets:
        for metric in METRICS[result["kind"]]:
            if metric != PRIMARY[result["kind"]]:
                cells = [_cell(result, m, metric, interval=m == MODEL) for m in methods]
                rows.append([_title(result), NAMES[metric], *cells])
    return markdown(["set", "metric", *(BASELINES.get(m, "findna (95 %)") for m in methods)], rows)


def verdict(result: dict[str, Any], table: Table, value: float) -> str:
    """Win, tie or loss: a published figure is below, in or above our interval."""
    bounds = interval_of(result, MODEL, table.metric)
    if bounds is None:
        return ""
    return "win" if value < bounds[0] else "loss" if value > bounds[1] else "tie"


def _published_tables(sets: Sequence[dict[str, Any]]) -> list[str]:
    """One table per source, findna beside its figures, and a count of wins, ties and losses."""
    lines: list[str] = []
    for table in tables():
        rows, found = [], []
        for result in sets:
            values = table.rows.get(result["name"])
            if values is None:
                continue
            said = verdict(result, table, max(values))
            found.append((said, result["name"]))
            rows.append(
                [_title(result), _cell(result, MODEL, table.metric, interval=True)]
                + [f"{value:.3f}" for value in values]
                + [f"{said} against {table.models[values.index(max(values))]}"]
            )
        if not rows:
            continue
        metric = NAMES[table.metric]
        lines += [
            "",
            f"### Beside published figures: {table.source}",
            "",
            f"{metric}, as read there: {table.note}. Win, tie, loss: the best published figure "
            "lies below, in or above our 95 % interval.",
            "",
            *markdown(["set", f"findna, {metric}", *table.models, "best of them"], rows),
            "",
            "Against the best of these models findna "
            + "; ".join(
                f"{word} on {len(names)}{': ' + ', '.join(names) if names else ''}"
                for word, names in (
                    (verb, [name for said, name in found if said == what])
                    for verb, what in (("wins", "win"), ("ties", "tie"), ("loses", "loss"))
                )
            )
            + ".",
        ]
    return lines


def _exceptions(sets: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence per baseline: the mean difference, and every set where findna is not above it."""
    lines = []
    for method in methods_of(sets)[1:]:
        differences: dict[str, float] = {}
        for result in sets:
            metric = PRIMARY[result["kind"]]
            ours, other = mean_of(result, MODEL, metric), mean_of(result, method, metric)
            if ours is not None and other is not None:
                differences[result["name"]] = ours - other
        if not differences:
            continue
        below = [f"{name} ({value:+.3f})" for name, value in differences.items() if value <= 0]
        mean = float(np.mean(list(differences.values())))
        lines.append(
            f"- Against {BASELINES[method]}: {mean:+.3f} in the mean of {len(differences)} sets; "
            + (
                f"not above it on {len(below)}: {', '.join(below)}."
                if below
                else "above it on all."
            )
        )
    return lines


def _choices(sets: Sequence[dict[str, Any]]) -> list[str]:
    """What validation chose, most often, for the model and for k-mers."""
    rows = []
    for result in sets:
        row = [_title(result)]
        for method, show in _SHOWN.items():
            found = [show(run["choice"]) for run in result["methods"].get(method, [])]
            most = max(sorted(set(found)), key=found.count) if found else ""
            row.append(f"{most} ({found.count(most)} of {len(found)})" if found else "")
        rows.append(row)
    return markdown(["set", "findna reads", "k-mers"], rows)


_SHOWN: dict[str, Callable[[dict[str, Any]], str]] = {
    MODEL: lambda choice: str(choice.get("features", choice)),
    "k-mers": lambda choice: (
        f"k {choice['k']}, {'both strands' if choice['both_strands'] else 'forward strand'}"
    ),
}


def to_markdown(report: dict[str, Any]) -> str:
    """The report of `findna.evaluation.protocol.evaluate` as Markdown."""
    about, sets, missing = report["about"], report["sets"], report["missing"]
    most = f"at most {about['most']:,} sequences of a split" if about["most"] else "all sequences"
    draws = min(about["draws"], about["seeds"])
    lines = [
        f"# {about['model']} on {about['suite']}",
        "",
        f"findna {about['findna_version']}, model {about['model']} `{about['digest'][:12]}`, mode "
        f"{about['mode']}, {about['seeds']} seeds, {most}, {draws} random "
        f"encoder{'s' * (draws > 1)}, on {about['hardware']}.",
        "",
        "Mean ± standard deviation over seeds (each trains on another three quarters of the "
        "training sequences), in brackets the mean of the seeds' 95 % bootstrap intervals over the "
        "test set. Choices were made on validation sequences.",
        "",
        *_primary_table(sets),
        "",
    ]
    if any(result["starred"] for result in sets):
        lines.append("\\* trained on dev: the set has no train split here.  ")
    if any(_title(result).endswith("†") for result in sets):
        leaky = [
            f"{r['name']} {r['leaks']['identical']} and {r['leaks']['reverse_complement']}"
            for r in sets
            if _title(r).endswith("†")
        ]
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
    lines += ["", *_exceptions(sets)]
    lines += _published_tables(sets)
    lines += ["", "### Other metrics", "", *_other_metrics(sets)]
    lines += ["", "### What validation chose", "", *_choices(sets)]
    if missing:
        lines += ["", f"Not measured: {'; '.join(missing)}."]
    return "\n".join(lines) + "\n"
