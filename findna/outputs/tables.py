"""Tab-separated rows and JSON lines: embedded and predicted rows as text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import BinaryIO

import numpy as np

from findna import __version__
from findna.genome.bed import column_names
from findna.genome.intervals import Interval
from findna.genome.regions import Placed
from findna.outputs.files import MISSING
from findna.outputs.results import Call, Hit, Place, Query, RegionVectors, TaskColumns

COLOURS = (
    "0,114,178",  # blue
    "213,94,0",  # vermilion
    "0,158,115",  # bluish green
    "204,121,167",  # reddish purple
    "230,159,0",  # orange
    "86,180,233",  # sky blue
    "240,228,66",  # yellow
    "0,0,0",
)
"""Of the classes of a task, in their order, as itemRgb.

Source: Okabe and Ito, Color Universal Design (2008), which those who are colour-blind can tell
apart.
"""

NO_COLOUR = "153,153,153"
"""Of a row without a label: grey."""


def _write_line(file: BinaryIO, fields: Sequence[str]) -> None:
    file.write(("\t".join(fields) + "\n").encode("utf-8", "surrogateescape"))


class EmbeddingTable:
    """Writes input columns as they were, then status, then the vector.

    Parameters
    ----------
    dim : int
        Length of a vector.
    kinds : sequence of str
        Poolings; columns of the first are ``e0, e1, ...``, of another ``max_e0`` and so on.
    bins : int
        Number of bins; their columns are ``bin0_e0`` and so on.
    skip : bool
        Leave rows without a vector out.
    """

    def __init__(
        self, file: BinaryIO, dim: int, kinds: Sequence[str], bins: int, skip: bool = False
    ) -> None:
        self.counts = Counter[str](embedded=0, skipped=0)
        self._file, self._kinds, self._skip = file, list(kinds), skip
        prefixes = ["", *(f"{kind}_" for kind in kinds[1:]), *(f"bin{i}_" for i in range(bins))]
        self._names = [f"{prefix}e{i}" for prefix in prefixes for i in range(dim)]
        self._empty = [MISSING] * len(self._names)

    def begin(self, row: Placed | None) -> int:
        """Write the names of the columns."""
        columns = column_names(len(row.columns) if row else 3)
        _write_line(self._file, ["#" + columns[0], *columns[1:], "status", *self._names])
        return 1

    def write(self, row: Placed, result: RegionVectors | None) -> None:
        """Write one row; without vectors each value is a dot."""
        values = self._empty
        if result is None:
            self.counts[row.status] += 1
            if self._skip:
                self.counts["skipped"] += 1
                return
        else:
            self.counts["embedded"] += 1
            parts = [result.pooled[kind] for kind in self._kinds] + [result.bins.ravel()]
            values = [f"{value:.6g}" for value in np.concatenate(parts).tolist()]
        _write_line(self._file, [*row.columns, row.status, *values])


@dataclass(frozen=True)
class PredictionFormat:
    """Layout of predicted rows.

    Parameters
    ----------
    form : {"bed", "tsv", "jsonl"}
    bed6 : bool
        Six columns for browsers: a row without a name has the label as name, the score is 1000
        times the probability.
    bed9 : bool
        The same six, the thick part, which is the whole row or the site, and a colour by label.
    header : bool
        Repeat the input's header lines; name the columns, and the tasks by their digests.
    all_classes : bool
        Also write the probability of every class.
    records : bool
        Rows are whole FASTA records: a table has name and length in place of three columns.
    min_probability : float, optional
        Only rows where a task gives at least this probability.
    skip : bool
        Leave rows without a prediction out.
    live : bool
        Pass every row on at once: somebody may be waiting for it. (A compressed file would get a
        block per row.)
    """

    form: str = "bed"
    bed6: bool = False
    bed9: bool = False
    header: bool = False
    all_classes: bool = False
    records: bool = False
    min_probability: float | None = None
    skip: bool = False
    live: bool = False

    @property
    def n_columns(self) -> int:
        """Columns of a row for browsers; 0 where rows stay as they were."""
        return 9 if self.bed9 else 6 if self.bed6 else 0


def _is_track(line: str) -> bool:
    return line.split(maxsplit=1)[0] == "track"


def _colour(call: Call, classes: Sequence[str]) -> str:
    """Return the colour of the most probable class; none of several labels has none."""
    best = int(call.values.argmax())
    none = call.label == "none" != classes[best]
    return NO_COLOUR if none else COLOURS[best % len(COLOURS)]


class PredictionWriter:
    """Writes predicted rows as they come.

    Parameters
    ----------
    headers : sequence of str
        Header lines of the input, as far as they were read when `begin` is called.
    """

    def __init__(
        self,
        file: BinaryIO,
        tasks: Sequence[TaskColumns],
        layout: PredictionFormat,
        headers: Sequence[str] = (),
    ) -> None:
        self.counts = Counter[str](predicted=0, written=0)
        self._file, self._tasks, self._layout, self._headers = file, tasks, layout, headers
        self._records = layout.records and layout.form == "tsv"

    def begin(self, row: Placed | None) -> int:
        """Write header lines, for rows with the columns of the first; return their number."""
        layout = self._layout
        if layout.form == "jsonl":
            return 0
        n_columns = len(row.columns) if row else 3
        lines: list[Sequence[str]] = []
        names = ["name", "length"] if self._records else list(column_names(n_columns))
        if layout.header:
            headers = [line for line in self._headers if not (layout.bed9 and _is_track(line))]
            if headers and headers[-1].startswith("#") and not headers[-1].startswith("##"):
                given = headers[-1].lstrip("#").split("\t")
                if len(given) == n_columns and not layout.n_columns:  # it names the columns already
                    names = given
                    headers.pop()
            made = " ".join(f"{task.name}={task.digest[:12]}" for task in self._tasks)
            lines = [[line] for line in headers]
            if layout.bed9:
                lines.append([f'track name="{self._tasks[0].name}" itemRgb="On"'])
            lines.append([f"##findna {__version__} {made}"])
            if layout.bed9:
                colours = zip(self._tasks[0].classes, cycle(COLOURS), strict=False)
                lines.append(["##itemRgb", *map("=".join, colours)])
        if layout.form == "tsv" or layout.header:
            new = [name for task in self._tasks for name in self._columns(task)]
            kept = list(column_names(layout.n_columns)) or names + new
            lines.append(["#" + kept[0], *kept[1:]])
        for line in lines:
            _write_line(self._file, line)
        return len(lines)

    def _columns(self, task: TaskColumns) -> list[str]:
        names = ["value" if task.is_value else "probability"]
        names += [*Place._fields] if task.has_places else []
        names += task.classes if self._layout.all_classes else []
        return [task.name, *(f"{task.name}_{name}" for name in names)]

    def write(self, row: Placed, result: Sequence[Call] | None) -> None:
        """Write one row; without calls its new columns are missing values."""
        layout = self._layout
        self.counts["predicted" if result is not None else row.status] += 1
        if result is None and layout.skip:
            return
        if layout.min_probability is not None and not (
            result and any(call.probability >= layout.min_probability for call in result)
        ):
            return
        self.counts["written"] += 1
        if layout.form == "jsonl":
            _write_line(self._file, [json.dumps(self._object(row, result))])
        elif layout.n_columns:
            columns = self._for_browser(row, result[0] if result else None)
            _write_line(self._file, columns[: layout.n_columns])
        else:
            kept = row.columns
            if self._records:
                kept = (kept[0], str(len(row.interval)))
            _write_line(self._file, [*kept, *self._new_columns(result)])
        if layout.live:
            self._file.flush()

    def _for_browser(self, row: Placed, call: Call | None) -> list[str]:
        """Return the columns of BED9; a row without a call is thin, and grey.

        Of a site the strand is that of the site, and the thick part the site, if it is in the row.
        """
        (chrom, start, end), interval = row.columns[:3], row.interval
        if call is None:
            name = interval.name or MISSING
            return [chrom, start, end, name, "0", interval.strand, start, start, NO_COLOUR]
        name, score = interval.name or call.label, str(round(1000 * call.probability))
        colour, strand, thick = _colour(call, self._tasks[0].classes), interval.strand, (start, end)
        if call.place is not None:
            at, strand = call.place
            inside = interval.start <= at < interval.end
            thick = (str(at), str(at + 1)) if inside else (start, start)
        return [chrom, start, end, name, score, strand, *thick, colour]

    def _new_columns(self, calls: Sequence[Call] | None) -> list[str]:
        if calls is None:
            return [MISSING for task in self._tasks for _ in self._columns(task)]
        columns: list[str] = []
        for call in calls:
            values = call.values.tolist() if self._layout.all_classes else []
            columns += [call.label, f"{call.probability:.6f}", *map(str, call.place or ())]
            columns += [f"{value:.6f}" for value in values]
        return columns

    def _object(self, row: Placed, calls: Sequence[Call] | None) -> dict[str, object]:
        interval = row.interval
        values: dict[str, object] = {
            "chrom": interval.chrom,
            "start": interval.start,
            "end": interval.end,
            "name": interval.label(),
            "strand": interval.strand,
            "columns": list(row.columns),
            "status": row.status,
        }
        for i, task in enumerate(self._tasks):
            if calls is None:
                values[task.name] = None
                continue
            call, quantity = calls[i], "value" if task.is_value else "probability"
            result = {"label": call.label, quantity: round(call.probability, 6)}
            result |= call.place._asdict() if call.place else {}
            if self._layout.all_classes:
                rounded = np.round(call.values.astype(np.float64), 6).tolist()
                result["all"] = dict(zip(task.classes, rounded, strict=True))
            values[task.name] = result
        return values


HIT_COLUMNS = ("query", "rank", "similarity", "p_value", "query_region")
"""Columns of a hit after the six of BED."""


class HitWriter:
    """Writes the hits of queries, best first; a query without a vector gets one row.

    That row has no interval, as bedtools writes it, and the status as its name.

    Parameters
    ----------
    made_by : str, optional
        Name and digest of the model: write it and the names of the columns first.
    skip : bool
        Leave queries without a vector out.
    """

    def __init__(self, file: BinaryIO, made_by: str | None = None, skip: bool = False) -> None:
        self.counts = Counter[str](searched=0, skipped=0, hits=0, unlike=0)
        self._file, self._made_by, self._skip = file, made_by, skip

    def begin(self, row: Query | None) -> int:
        """Write the header, if it is wanted; return its number of lines."""
        if self._made_by is None:
            return 0
        _write_line(self._file, [f"##findna {__version__} {self._made_by}"])
        _write_line(self._file, ["#chrom", *column_names(6)[1:], *HIT_COLUMNS])
        return 2

    def write(self, row: Query, result: Sequence[Hit] | None) -> None:
        """Write the hits of one query."""
        at = row.interval
        name, region = at.label(), Interval(at.chrom, at.start, at.end).label()
        if result is None:
            self.counts[row.status] += 1
            self.counts["skipped"] += self._skip
            if not self._skip:
                place = [MISSING, "-1", "-1", row.status, "-1", MISSING]
                _write_line(self._file, [*place, name, *[MISSING] * 3, region])
            return
        self.counts["searched"] += 1
        self.counts["hits"] += len(result)
        self.counts["unlike"] += not result
        for hit in result:
            at = hit.interval
            score = str(max(round(1000 * hit.similarity), 0))
            place = [at.chrom, str(at.start), str(at.end), at.label(), score, at.strand]
            values = [str(hit.rank), f"{hit.similarity:.6f}", f"{hit.p_value:.3g}"]
            _write_line(self._file, [*place, name, *values, region])
