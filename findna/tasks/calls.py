"""Predicted rows: the input line untouched with new columns, BED6, a table, or JSON lines."""

from __future__ import annotations

from findna.labelled.sets import CLASSES, MULTILABEL
from findna.outputs.results import Call
from findna.tasks.features import Matrix
from findna.tasks.task import Task


def call(task: Task, values: Matrix) -> Call:
    """Label and probability of a task's outputs for one row, shape (n_outputs,)."""
    config = task.config
    best = int(values.argmax())
    if config.kind == CLASSES:
        return Call(config.classes[best], float(values[1 if config.positive else best]), values)
    if config.kind == MULTILABEL:
        chosen = [name for name, p in zip(config.classes, values, strict=True) if p >= 0.5]
        return Call(",".join(chosen) or "none", float(values[best]), values)
    return Call(config.classes[0], float(values[0]), values)
