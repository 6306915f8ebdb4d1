"""Predicted rows: the input line untouched with new columns, BED6, a table, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from findna import __version__
from findna.features import Matrix
from findna.io.bed import BedRow, column_names
from findna.io.tables import MISSING
from findna.labelled import CLASSES, MULTILABEL, REGRESSION
from findna.task import Task

FORMS = ("bed", "tsv", "jsonl")


@dataclass(frozen=True)
class Call:
    """What one task says of one row.

    Parameters
    ----------
    label : str
        The most probable class; the labels above one half, joined by commas; or the target.
    probability : float
        Of the positive class where there are two; of the label where there are more; the highest
        of several labels; the value of a regression's first target.
    values : ndarray, shape (n_outputs,)
        Probability of every class, or value of every target.
    """

    label: str
    probability: float
    values: Matrix


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


def _number(value: float) -> str:
    return f"{value:.6f}"


class PredictionWriter:
    """Writes rows as they come.

    Parameters
    ----------
    file : binary file
    tasks : sequence of Task
    form : {"bed", "tsv", "jsonl"}
    bed6 : bool
        Six columns for browsers: the name is the label, the score 1000 times the probability.
    header : bool
        Repeat the input's header lines; name the columns, and the tasks by their digests.
    all_classes : bool
        Also the probability of every class.
    records : bool
        Rows are whole FASTA records: name and length in place of three columns.
    live : bool
        Pass every row on at once: somebody may be waiting for it. (A compressed file would get a
        block per row.)
    """

    def __init__(
        self,
        file: BinaryIO,
        tasks: Sequence[Task],
        form: str,
        *,
        bed6: bool = False,
        header: bool = False,
        all_classes: bool = False,
        records: bool = False,
        live: bool = False,
    ) -> None:
        self._file, self._tasks, self._form = file, tasks, form
        self._bed6, self._header, self._all = bed6, header, all_classes
        self._records = records and form == "tsv"
        self._live = live

    def begin(self, headers: Sequence[str], n_columns: int) -> int:
        """Write header lines; call before the first row. Returns their number.

        Parameters
        ----------
        headers : sequence of str
            Header lines of the input.
        n_columns : int
            Number of columns of its rows.
        """
        if self._form == "jsonl":
            return 0
        lines: list[Sequence[str]] = []
        names = ["name", "length"] if self._records else list(column_names(n_columns))
        if self._header:
            headers = list(headers)
            if headers and headers[-1].startswith("#") and not headers[-1].startswith("##"):
                last = headers[-1].lstrip("#").split("\t")
                if len(last) == n_columns and not self._bed6:  # it names the columns already
                    names = last
                    headers = headers[:-1]
            made = " ".join(f"{task.name}={task.digest[:12]}" for task in self._tasks)
            lines = [[line] for line in [*headers, f"##findna {__version__} {made}"]]
        if self._form == "tsv" or self._header:
            new = [name for task in self._tasks for name in self._columns(task)]
            kept = list(column_names(6)) if self._bed6 else names + new
            lines.append(["#" + kept[0], *kept[1:]])
        for line in lines:
            self._line(line)
        return len(lines)

    def _columns(self, task: Task) -> list[str]:
        names = [task.name, f"{task.name}_{'value' if _is_value(task) else 'probability'}"]
        return names + [f"{task.name}_{name}" for name in task.config.classes if self._all]

    def write(self, row: BedRow, status: str, calls: Sequence[Call] | None) -> None:
        """Append one row; without calls its new columns are missing values."""
        if self._form == "jsonl":
            self._line([json.dumps(self._object(row, status, calls))])
        elif self._bed6:
            interval = row.interval
            label, score = MISSING, "0"
            if calls:
                label, score = calls[0].label, str(round(1000 * calls[0].probability))
            columns = [*row.columns[:3], label, score, interval.strand]
            self._line(columns)
        else:
            kept = row.columns
            if self._records:
                kept = (row.columns[0], str(len(row.interval)))
            self._line([*kept, *self._new_columns(calls)])
        if self._live:
            self._file.flush()

    def _new_columns(self, calls: Sequence[Call] | None) -> list[str]:
        columns: list[str] = []
        for i, task in enumerate(self._tasks):
            if calls is None:
                columns += [MISSING] * len(self._columns(task))
                continue
            columns += [calls[i].label, _number(calls[i].probability)]
            if self._all:
                columns += map(_number, calls[i].values.tolist())
        return columns

    def _object(self, row: BedRow, status: str, calls: Sequence[Call] | None) -> dict[str, object]:
        interval = row.interval
        found: dict[str, object] = {
            "chrom": interval.chrom,
            "start": interval.start,
            "end": interval.end,
            "name": interval.label(),
            "strand": interval.strand,
            "columns": list(row.columns),
            "status": status,
        }
        for i, task in enumerate(self._tasks):
            result: dict[str, object] | None = None
            if calls is not None:
                what = "value" if _is_value(task) else "probability"
                result = {"label": calls[i].label, what: round(calls[i].probability, 6)}
                if self._all:
                    rounded = np.round(calls[i].values.astype(np.float64), 6).tolist()
                    result["all"] = dict(zip(task.config.classes, rounded, strict=True))
            found[task.name] = result
        return found

    def _line(self, fields: Sequence[str]) -> None:
        self._file.write(("\t".join(fields) + "\n").encode("utf-8", "surrogateescape"))


def _is_value(task: Task) -> bool:
    return task.config.kind == REGRESSION
