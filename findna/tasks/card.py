"""The card of a task: what it predicts, its data, its figures, its limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from findna import __version__
from findna.labelled.metrics import NAMES
from findna.labelled.sets import CLASSES
from findna.model.checkpoint import CITATION
from findna.tasks.task import TaskConfig


def _measured(metrics: Mapping[str, Any]) -> list[str]:
    """A table of every figure, with the intervals of the test set."""
    intervals = metrics.get("test_interval_95", {})
    lines = ["| metric | validation | test (95 % interval) |", "|---|---|---|"]
    for name, valid in metrics["valid"].items():
        test = "not measured"
        if "test" in metrics:
            test = _number(metrics["test"][name])
            if name in intervals:
                low, high = intervals[name]
                test += f" ({low:.3f}-{high:.3f})"
        lines.append(f"| {NAMES[name]} | {_number(valid)} | {test} |")
    return lines


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _data(data: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, one in data.items():
        classes = ", ".join(f"{c} {n}" for c, n in one.get("classes", {}).items())
        source = f"; {one['source']}" if "source" in one else ""
        lines.append(
            f"- {name}: `{one['file']}`{source}; {one['rows']:,} sequences"
            + (f" ({classes})" if classes else "")
            + f", sha256 `{one['sha256'][:16]}`"
        )
    return lines


def task_card(name: str, config: TaskConfig, record: Mapping[str, Any]) -> str:
    """Markdown text of a task folder's README.md; ``{digest}`` is left to be filled in."""
    training = record["training"]
    window = f"{config.window} bp" if config.window else "sequences of different lengths"
    digest = config.encoder_digest[:12]
    how = (
        f"a linear head on the frozen encoder `{config.encoder}` ({digest})"
        if config.mode == "probe"
        else f"the encoder `{config.encoder}` (now {digest}) and a head, best epoch "
        f"{training['best_epoch']} of {len(training['history']) - 1}"
    )
    what = {
        CLASSES: f"one of the classes {', '.join(config.classes)}",
        "multilabel": f"any of the labels {', '.join(config.classes)}",
        "regression": f"the values {', '.join(config.classes)}",
    }[config.kind]
    lines = [
        f"# {name}",
        "",
        f"A task of findna {__version__}: tells {what} from {window}.",
        "",
        f"- Use: `findna predict GENOME REGIONS --task {name}`.",
        f"- Training: {how}; the head reads {training['features']}; {training['seconds']:.0f} s on "
        f"{training['hardware']}, seed {training['seed']}.",
        "- Task: sha256 `{digest}`",
    ]
    if config.positive:
        lines.append(f"- The probability is that of `{config.positive}`.")
    if record.get("note"):
        lines.append(f"- {record['note']}")
    if record.get("licence"):
        lines.append(f"- Licence of the weights: {record['licence']}.")
    lines += ["", "## Data", "", *_data(record["data"])]
    lines += [
        "",
        "Features and regularisation were chosen on the validation set; the test set was only "
        "measured.",
        "",
        "## Figures",
        "",
        *_measured(record["metrics"]),
    ]
    calibration = record["calibration"]
    if calibration:
        where = {"test": "test set", "valid": "validation set, on which it was fitted"}
        lines += [
            "",
            "## Calibration",
            "",
            f"Temperature {calibration['temperature']:.3f}, fitted on the validation set. "
            f"Expected calibration error on the {where[calibration['measured_on']]}: "
            f"{calibration['ece_before']:.3f} before, {calibration['ece_after']:.3f} after "
            "(15 bins).",
            "",
            "| confidence | accuracy | sequences |",
            "|---|---|---|",
            *(
                f"| {one['confidence']:.3f} | {one['accuracy']:.3f} | {one['n']:,} |"
                for one in calibration["reliability"]
            ),
        ]
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
