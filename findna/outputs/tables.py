"""Tab-separated results: to standard output, a file, or BGZF."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from findna import __version__
from findna.genome.bed import BedRow, column_names
from findna.outputs.files import MISSING


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
    values: npt.NDArray[np.float32]


@dataclass(frozen=True)
class TaskColumns:
    """What names the columns of a task: its name, its digest, and its classes or targets.

    Parameters
    ----------
    is_value : bool
        Rows get a value, not a probability.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    is_value: bool = False


class EmbeddingTable:
    """Input columns as they were, then status, then the vector; same interface as the HDF5 writer.

    Parameters
    ----------
    file : binary file
    dim : int
    columns : sequence of str
        Names of the input columns, for the header line.
    kinds : sequence of str
        Poolings; columns of the first are ``e0, e1, ...``, of another ``max_e0`` and so on.
    bins : int
        Number of bins; their columns are ``bin0_e0`` and so on.
    """

    def __init__(
        self, file: BinaryIO, dim: int, columns: Sequence[str], kinds: Sequence[str], bins: int
    ) -> None:
        self._file, self._kinds, self._dim, self._bins = file, list(kinds), dim, bins
        prefixes = ["", *(f"{kind}_" for kind in kinds[1:]), *(f"bin{i}_" for i in range(bins))]
        self._names = [f"{prefix}e{i}" for prefix in prefixes for i in range(dim)]
        self._empty = [MISSING] * len(self._names)
        self._columns = columns

    def begin(self) -> None:
        """Write the names of the columns."""
        self._write(["#" + self._columns[0], *self._columns[1:], "status", *self._names])

    def _write(self, fields: Sequence[str]) -> None:
        self._file.write(("\t".join(fields) + "\n").encode("utf-8", "surrogateescape"))

    def write(
        self,
        columns: Sequence[str],
        status: str,
        pooled: Mapping[str, npt.NDArray[np.float32]] | None,
        bins: npt.NDArray[np.float32] | None,
    ) -> None:
        """Append one row; without vectors each value is a dot."""
        values = self._empty
        if pooled is not None and bins is not None:
            rows = [pooled[kind] for kind in self._kinds] + [bins.ravel()]
            values = [f"{value:.6g}" for value in np.concatenate(rows).tolist()]
        self._write([*columns, status, *values])


def _number(value: float) -> str:
    return f"{value:.6f}"


class PredictionWriter:
    """Writes rows as they come.

    Parameters
    ----------
    file : binary file
    tasks : sequence of TaskColumns
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
        tasks: Sequence[TaskColumns],
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

    def _columns(self, task: TaskColumns) -> list[str]:
        names = [task.name, f"{task.name}_{'value' if task.is_value else 'probability'}"]
        return names + [f"{task.name}_{name}" for name in task.classes if self._all]

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
                what = "value" if task.is_value else "probability"
                result = {"label": calls[i].label, what: round(calls[i].probability, 6)}
                if self._all:
                    rounded = np.round(calls[i].values.astype(np.float64), 6).tolist()
                    result["all"] = dict(zip(task.classes, rounded, strict=True))
            found[task.name] = result
        return found

    def _line(self, fields: Sequence[str]) -> None:
        self._file.write(("\t".join(fields) + "\n").encode("utf-8", "surrogateescape"))
