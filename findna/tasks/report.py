"""The report of a task: its card with pictures, as one HTML file, from what its folder holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from findna.errors import CheckpointError
from findna.labelled.metrics import NAMES
from findna.outputs.files import replaced
from findna.outputs.pages import from_markdown, report
from findna.outputs.pictures.estimates import Estimate, estimates_figure
from findna.outputs.pictures.figure import GREY, Axis, Figure, Line, Panel
from findna.outputs.pictures.files import Drawing, inlined, picture_remark
from findna.tasks.sites import SiteConfig, read_any_task
from findna.tasks.task import CARD, TASK, TaskConfig

REPORT = "report.html"
"""Name of the report in a task folder."""

SETS = {"test": "test set", "valid": "validation set"}

_SMALL = (4.6, 3.2)  # inches


def write_report(folder: Path, path: Path) -> None:
    """Write the report of a task folder; the file appears once it is complete.

    Raises
    ------
    CheckpointError
        ``task.json`` cannot be read, or its figures are none that findna writes.
    """
    config, record = read_any_task(folder)
    name, card = folder.resolve().name, folder / CARD
    text = card.read_text("utf-8", "replace") if card.is_file() else f"# {name}\n"
    try:
        page = task_report(name, text, config, record)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{folder / TASK}: its figures are not as this findna writes them ({error!r}); train "
            "the task again (findna finetune)"
        ) from error
    with replaced(path) as temporary:
        temporary.write_text(page, "utf-8", "replace")


def task_report(
    name: str, card: str, config: TaskConfig | SiteConfig, record: Mapping[str, Any]
) -> str:
    """Return the report of a task as HTML: its card, and the pictures after what they are of."""
    pictures = {"Figures": _figures(config, record), "Calibration": _calibration(record)}
    body = []
    for part in re.split("^(?=## )", card, flags=re.MULTILINE):
        heading = part.partition("\n")[0].removeprefix("## ")
        body += [from_markdown(part), pictures.pop(heading, "")]
        if len(body) == 2:
            body.append(picture_remark())
    body += pictures.values()  # of a card that was written by hand
    return report(f"{name}: a task of findna", "\n".join(body))


def _figures(config: TaskConfig | SiteConfig, record: Mapping[str, Any]) -> str:
    """Return pictures of how good the task is."""
    metrics = record.get("metrics") or {}
    split = "test" if "test" in metrics else "valid"
    draw = _beside_baselines if isinstance(config, SiteConfig) else _measures
    return inlined(draw(metrics, split)) if split in metrics else ""


def _measures(metrics: Mapping[str, Any], split: str) -> Iterator[Drawing]:
    """Yield a picture of the metrics that have no unit, with their intervals."""
    intervals = metrics.get(f"{split}_interval_95", {})
    shown = {
        NAMES[key]: Estimate(value, *intervals.get(key, (np.nan, np.nan)))
        for key, value in metrics[split].items()
        if value is not None and key != "rmse"
    }
    if shown:
        figure = estimates_figure("value", list(shown), {"task": list(shown.values())})
        caption = "Lines: 95 % bootstrap intervals." * bool(intervals)
        yield Drawing(f"Metrics on the {SETS[split]}", figure, caption, wide=True)


def _beside_baselines(metrics: Mapping[str, Any], split: str) -> Iterator[Drawing]:
    """Yield a picture of the average precision of task and baselines, the classes as marks."""
    classes = metrics[split]
    rows = ["the task", *next(iter(classes.values()))["baselines"]]
    methods = {
        name: [
            Estimate(found["auprc"])
            for found in (values, *(values["baselines"][title] for title in rows[1:]))
        ]
        for name, values in classes.items()
    }
    unit = "AUPRC on every base"
    if len(classes) == 1:
        unit += f": {next(iter(classes))}"
    figure = estimates_figure(unit, rows, methods, ends=(-0.02, 1.02))
    yield Drawing(f"Task and baselines, {SETS[split]}", figure, wide=True)


def _calibration(record: Mapping[str, Any]) -> str:
    """Return the reliability diagram, if the task has one."""
    found = record.get("calibration")
    if not found:
        return ""
    bins = found["reliability"]
    x, y = (np.array([row[key] for row in bins], float) for key in ("confidence", "accuracy"))
    marks = [
        Line(np.array([0, 1]), np.array([0, 1]), "as said", GREY, dash=1),
        Line(x, y, "as found", dots=True),
    ]
    axes = Axis("mean probability of the class called", 0, 1), Axis("share that is right", 0, 1)
    figure = Figure("", [Panel(marks, *axes)], _SMALL)
    caption = "Above the dashed line calls are right more often than they say."
    return inlined([Drawing(f"Reliability, {SETS[found['measured_on']]}", figure, caption)])
