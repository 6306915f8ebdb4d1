"""The card of a task: its outputs, data, figures and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from findna import __version__
from findna.console import counted
from findna.labelled.metrics import NAMES
from findna.labelled.sets import CLASSES, MULTILABEL, REGRESSION
from findna.model.checkpoint import CITATION
from findna.tasks.task import TaskConfig


def _figures(metrics: Mapping[str, Any]) -> list[str]:
    """Return a table of every figure, with the intervals of the test set."""
    intervals = metrics.get("test_interval_95", {})
    lines = ["| metric | validation | test (95 % interval) |", "|---|---|---|"]
    for name, valid in metrics["valid"].items():
        test = _number(metrics["test"][name]) if "test" in metrics else "not measured"
        if name in intervals:
            low, high = intervals[name]
            test += f" ({low:.3f}-{high:.3f})"
        lines.append(f"| {NAMES[name]} | {_number(valid)} | {test} |")
    return lines


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def data_lines(data: Mapping[str, Any]) -> list[str]:
    """Return a line of each set: its file, its rows, its classes."""
    lines = []
    for name, described in data.items():
        classes = ", ".join(f"{c} {n}" for c, n in described.get("classes", {}).items())
        source = f"; {described['source']}" if "source" in described else ""
        lines.append(
            f"- {name}: `{described['file']}`{source}; "
            + counted(described["rows"], "sequence", ",")
            + (f" ({classes})" if classes else "")
            + f", sha256 `{described['sha256'][:16]}`"
        )
    return lines


def calibration_lines(calibration: Mapping[str, Any]) -> list[str]:
    """Return a section on how far probabilities hold."""
    measured_on = {"test": "test set", "valid": "validation set, on which it was fitted"}
    return [
        "",
        "## Calibration",
        "",
        f"Temperature {calibration['temperature']:.3f}, fitted on the validation set. "
        f"Expected calibration error on the {measured_on[calibration['measured_on']]}: "
        f"{calibration['ece_before']:.3f} before, {calibration['ece_after']:.3f} after "
        "(15 bins).",
        "",
        "| confidence | accuracy | sequences |",
        "|---|---|---|",
        *(
            f"| {row['confidence']:.3f} | {row['accuracy']:.3f} | {row['n']:,} |"
            for row in calibration["reliability"]
        ),
    ]


def _use(config: TaskConfig) -> str:
    """Return which windows a command takes of regions, unless training had several lengths."""
    if not config.window:
        return ""
    by_strand = ", by its strand" if config.stranded else ""
    return (
        f": {config.windows} each region of 1 bp{by_strand}; longer regions are read as they are, "
        "or `--anchor center`, `start` or `end` lays windows about a base of each"
    )


def task_card(name: str, config: TaskConfig, record: Mapping[str, Any]) -> str:
    """Return the text of a task folder's README.md; ``{digest}`` is left to be filled in."""
    training = record["training"]
    window = f"{config.window} bp" if config.window else "sequences of different lengths"
    digest = config.encoder_digest[:12]
    trained = (
        f"a linear head on the frozen encoder `{config.encoder}` ({digest})"
        if config.mode == "probe"
        else f"the encoder `{config.encoder}` (now {digest}) and a head, best epoch "
        f"{training['best_epoch']} of {len(training['history']) - 1}"
    )
    outputs = {
        CLASSES: "one of the classes",
        MULTILABEL: "any of the labels",
        REGRESSION: "the values",
    }[config.kind]
    no_test = "there was no test set, so that all figures flatter."
    lines = [
        f"# {name}",
        "",
        f"A task of findna {__version__}: tells {outputs} {', '.join(config.classes)} "
        f"from {window}.",
        "",
        f"- Use: `findna predict GENOME REGIONS --task {name}`{_use(config)}.",
        f"- Training: {trained}; the head reads {training['features']}; {training['seconds']:.0f} "
        f"s on {training['hardware']}, seed {training['seed']}.",
        "- Task: sha256 `{digest}`",
    ]
    if config.positive:
        lines.append(f"- The probability is that of `{config.positive}`.")
    if record.get("species"):
        lines.append(f"- Species: {record['species']}.")
    if record.get("note"):
        lines.append(f"- {record['note']}")
    if record.get("licence"):
        lines.append(f"- Licence of the weights: {record['licence']}.")
    lines += [
        "",
        "## Data",
        "",
        *data_lines(record["data"]),
        "",
        "Features and regularisation were chosen on the validation set; "
        + ("the test set was only measured." if "test" in record["data"] else no_test),
        "",
        "## Figures",
        "",
        *_figures(record["metrics"]),
    ]
    if record["calibration"]:
        lines += calibration_lines(record["calibration"])
    lines += [
        "",
        "## What it is not for",
        "",
        "Sequence of other kinds or lengths than it was trained on; a probability holds where "
        "classes are as frequent as in its data, which genome-wide they are not. Not for clinical "
        "use.",
        "",
        f"Cite: {CITATION}.",
        "",
    ]
    return "\n".join(lines)
