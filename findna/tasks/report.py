"""The report of a task: its card with pictures, as one HTML file, from what its folder holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from findna.errors import CheckpointError
from findna.labelled.metrics import NAMES
from findna.labelled.sets import REGRESSION
from findna.outputs.files import replaced
from findna.outputs.pages import from_markdown, plain, report, table
from findna.outputs.pictures.estimates import Estimate, estimates_figure
from findna.outputs.pictures.figure import GREY, PALETTE, Axis, Figure, Level, Line, Mark, Panel
from findna.outputs.pictures.files import Drawing, inlined, picture_remark
from findna.outputs.pictures.motifs import motif_figure
from findna.tasks.detail import MOST_CLASSES
from findna.tasks.motifs import REACH, STRONGEST
from findna.tasks.sites import SiteConfig, read_any_task
from findna.tasks.task import CARD, TASK, TaskConfig

REPORT = "report.html"
"""Name of the report in a task folder."""

SETS = {"test": "test set", "valid": "validation set"}

_SMALL = (3.9, 3.2)  # inches
_DIAGONAL = Line(np.array([0, 1]), np.array([0, 1]), colour=GREY, dash=1)
_NO_CURVES = (
    "Its ROC and precision-recall curves are not stored: it was trained before findna kept them, "
    f"or has more than {MOST_CLASSES} classes."
)

_OF_SITES = (
    f"Above: the bases with the highest probabilities, at most {STRONGEST}, none within {REACH} bp "
    "of a stronger one. Below: all bases of the class. A position is as high as its relative "
    "entropy in bits: how far its letters differ from those of all measured bases. Letters are "
    "read on the strand of the site. What lies at no fixed distance from it does not show."
)
_OF_WINDOWS = (
    f"Above: the windows with the highest probabilities, at most {STRONGEST}. Below: all windows "
    "of the class. A position is as high as its relative entropy in bits: how far its letters "
    "differ from those of all measured windows at this position. What all windows share does not "
    "show, nor does a motif that lies anywhere in a window. This is what the windows hold, not "
    "what the task looks at; findna explain shows that."
)


def write_report(folder: Path, path: Path) -> None:
    """Write the report of a task folder; the file appears once it is complete."""
    page = read_report(folder)
    with replaced(path) as temporary:
        temporary.write_text(page, "utf-8", "replace")


def read_report(folder: Path) -> str:
    """Return the report of a task folder.

    Raises
    ------
    CheckpointError
        ``task.json`` cannot be read, or its figures are none that findna writes.
    """
    config, record = read_any_task(folder)
    name, card = folder.resolve().name, folder / CARD
    text = card.read_text("utf-8", "replace") if card.is_file() else f"# {name}\n"
    try:
        return task_report(name, text, config, record)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{folder / TASK}: its figures are not as this findna writes them ({error!r}); train "
            "the task again (findna finetune)"
        ) from error


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
    """Return how good the task is: pictures, the confusion matrix, the figures of contigs."""
    metrics, detail = record.get("metrics") or {}, record.get("detail") or {}
    split = "test" if "test" in metrics else "valid"
    if split not in metrics:
        return ""
    of_sites = isinstance(config, SiteConfig)
    draw = _beside_baselines if of_sites else _measures
    parts = [inlined([*draw(metrics, split), *_curves(detail), *_probabilities(detail)])]
    parts.append(_motifs(config, detail))
    if "curves" not in detail and config.kind != REGRESSION:
        parts.append(f"<p>{_NO_CURVES}</p>")
    if "confusion" in detail:
        where = SETS[detail["measured_on"]]
        parts.append(f"<h3>Confusion matrix, {where}</h3>")
        parts.append(_confusion(config.classes, detail["confusion"]))
    if "contigs" in detail:
        parts.append(f"<h3>By contig, {SETS[detail['measured_on']]}</h3>")
        parts.append((_site_contigs if of_sites else _contigs)(detail["contigs"]))
    return "\n".join(parts)


def _curves(detail: Mapping[str, Any]) -> Iterator[Drawing]:
    """Yield ROC and precision-recall curves of the classes, as many as there are colours."""
    curves = detail.get("curves")
    if not curves:
        return
    roc: list[Mark] = [_DIAGONAL]
    precision_recall: list[Mark] = []
    named = list(curves.items())[: len(PALETTE)]
    for i, (name, points) in enumerate(named):
        true, false = (np.array(points[key], float) for key in ("true", "false"))
        style = {"name": name, "colour": PALETTE[i], "dash": i}
        recall, precision = true / true[-1], true / (true + false)
        from_0 = np.append(0, recall)
        roc.append(Line(np.append(0, false / false[-1]), from_0, **style))
        precision_recall.append(Line(from_0, np.append(precision[0], precision), **style))
    if len(named) == 1:
        precision_recall.append(Level(precision[-1]))
    found = _share("recall (share of the class found)")
    called = _share("false positive rate (share of others called)")
    right = _share("precision (share of calls that are right)")
    of = f"{named[0][0]} against all else. " if len(named) == 1 else ""
    if len(curves) > len(named):
        of = f"The first {len(named)} of {len(curves)} classes; task.json has all. "
    where = SETS[detail["measured_on"]]
    figure = Figure("", [Panel(roc, called, found)], _SMALL)
    yield Drawing(f"ROC, {where}", figure, of + "Dashed grey: chance.")
    figure = Figure("", [Panel(precision_recall, found, right)], _SMALL)
    chance = "Dashed grey: chance." if len(named) == 1 else ""
    yield Drawing(f"Precision and recall, {where}", figure, of + chance)


def _share(label: str) -> Axis:
    """Return an axis from 0 to 1, with room for what lies at its ends."""
    return Axis(label, -0.02, 1.02)


def _probabilities(detail: Mapping[str, Any]) -> Iterator[Drawing]:
    """Yield the reliability diagram of classes of which a base has any number."""
    classes = list(detail.get("reliability", {}).items())[: len(PALETTE)]
    marks: list[Mark] = [_DIAGONAL]
    for i, (name, bins) in enumerate(classes):
        x, y = (np.array([row[key] for row in bins], float) for key in ("probability", "share"))
        marks.append(Line(x, y, name, PALETTE[i], dash=i, dots=True))
    if classes:
        axes = _share("mean probability"), _share("share that are sites")
        caption = "Bases by their probability, in 15 bins; below the dashed line it says too much."
        title = f"Reliability, {SETS[detail['measured_on']]}"
        yield Drawing(title, Figure("", [Panel(marks, *axes)], _SMALL), caption)


def _motifs(config: TaskConfig | SiteConfig, detail: Mapping[str, Any]) -> str:
    """Return logos of the strongest sites or windows of each class, and of all that are of it."""
    found = detail.get("motifs")
    if not found:
        return ""
    what, point, text = "about the strongest sites", "site", _OF_SITES
    if isinstance(config, TaskConfig):
        what, point, text = "of the strongest windows", "point of the window", _OF_WINDOWS
        if config.upstream is None:
            point = "middle of the window"
    drawings = []
    for name, motif in found["classes"].items():
        strongest, members = motif["strongest"], motif["members"]
        n, right, known = (f"{x:,}" for x in (strongest["n"], strongest["right"], members["n"]))
        counts = {f"The {n} strongest": strongest, f"All {known} that are {name}": members}
        label = f"bp from the {point}, in reading direction"
        figure = motif_figure(counts, found["background"], found["first"], label)
        caption = f"Of the {n} strongest, {right} are {name}."
        drawings.append(Drawing(f"Letters, {name}", figure, caption, wide=True))
    heading = f"<h3>Letters {what}, {SETS[detail['measured_on']]}</h3>\n<p>{plain(text)}</p>\n"
    pictures = inlined(drawings)
    return (heading + pictures) * bool(pictures)


def _confusion(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Return the confusion matrix as a table, with shares of each row."""
    rows = []
    for name, row in zip(classes, counts, strict=True):
        total = sum(row)
        cells = [f"{n:,} ({n / total:.0%})" if total else "0" for n in row]
        rows.append([_code(name), *cells, f"{total:,}"])
    header = ["is", *(f"called {_code(name)}" for name in classes), "in all"]
    return table(header, rows)


def _contigs(contigs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures of each contig as a table."""
    names = [key for key in next(iter(contigs.values())) if key != "rows"]
    rows = [
        [_code(contig), f"{values['rows']:,}", *(_shown(values[key]) for key in names)]
        for contig, values in contigs.items()
    ]
    return table(["contig", "sequences", *(NAMES[key] for key in names)], rows)


def _site_contigs(contigs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures of each contig and class as a table."""
    rows = [
        [_code(contig), f"{found['bases']:,}", _code(name), f"{values['sites']:,}"]
        + [_shown(values[key]) for key in ("auprc", "auroc")]
        for contig, found in contigs.items()
        for name, values in found["classes"].items()
    ]
    return table(["contig", "bases, both strands", "class", "sites", "AUPRC", "AUROC"], rows)


def _code(name: str) -> str:
    """Return a name as a cell of a table, in which nothing of it is taken for Markdown."""
    return f"`{name}`"


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _measures(metrics: Mapping[str, Any], split: str) -> Iterator[Drawing]:
    """Yield a picture of the metrics that have no unit, with their intervals."""
    intervals = metrics.get(f"{split}_interval_95", {})
    shown = {
        NAMES[key]: Estimate(value, *intervals.get(key, (np.nan, np.nan)))
        for key, value in metrics[split].items()
        if value is not None and key != "rmse"
    }
    if shown:
        figure = estimates_figure("value (no unit)", list(shown), {"task": list(shown.values())})
        caption = "Lines: 95 % bootstrap intervals." * bool(intervals)
        yield Drawing(f"Metrics on the {SETS[split]}", figure, caption, wide=True)


def _beside_baselines(metrics: Mapping[str, Any], split: str) -> Iterator[Drawing]:
    """Yield a picture of the average precision of task and baselines, the classes as marks."""
    classes = metrics[split]
    baselines = {name: _baselines(values) for name, values in classes.items()}
    titles = list(next(iter(baselines.values())))
    methods = {
        name: [Estimate(values["auprc"]), *(Estimate(baselines[name][title]) for title in titles)]
        for name, values in classes.items()
    }
    unit = "AUPRC on every base"
    if len(classes) == 1:
        unit += f": {next(iter(classes))}"
    figure = estimates_figure(unit, ["the task", *titles], methods, ends=(-0.02, 1.02))
    yield Drawing(f"Task and baselines, {SETS[split]}", figure, wide=True)


def _baselines(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the average precision of each baseline of a class; older tasks have one alone."""
    if "matrix_auprc" in values:
        return {"position weight matrix": values["matrix_auprc"]}
    return {title: found["auprc"] for title, found in values["baselines"].items()}


def _calibration(record: Mapping[str, Any]) -> str:
    """Return the reliability diagram, if the task has one."""
    found = record.get("calibration")
    if not found:
        return ""
    bins = found["reliability"]
    x, y = (np.array([row[key] for row in bins], float) for key in ("confidence", "accuracy"))
    marks = [_DIAGONAL, Line(x, y, dots=True)]
    axes = (_share("mean probability of the class called"), _share("share that is right"))
    figure = Figure("", [Panel(marks, *axes)], _SMALL)
    caption = "Above the dashed line calls are right more often than they say."
    return inlined([Drawing(f"Reliability, {SETS[found['measured_on']]}", figure, caption)])
