"""The log of a run: written line by line, read again, and shown as text.

`Metrics` writes metrics.jsonl, `read_history` reads it, and `PANELS` explains its curves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from findna import places
from findna.errors import CheckpointError
from findna.model.checkpoint import CONFIG, find_model, read_config

METRICS = "metrics.jsonl"
"""Name of the log in a model folder (docs/formats.md)."""


FALL, LAST = 0.02, 3
"""Least fall of the probe that is said, and evaluations in a row that must lie so far below."""


class Metrics:
    """Writer of ``metrics.jsonl``: one line per record, in the order of steps."""

    def __init__(self, path: Path, step: int) -> None:
        """Open for writing after ``step``; lines a resumed run will write again are dropped."""
        kept = []
        if step and path.exists():
            lines = path.read_text("utf-8", "surrogateescape").split("\n")
            kept = [line for line in lines if _step_of(line) <= step]
        self._file = path.open("w", encoding="utf-8", errors="surrogateescape")
        for line in kept:
            self._file.write(line + "\n")
        self._file.flush()

    def write(self, **values: float | str | None) -> None:
        """Append one record; what is not finite is null, as JSON has it."""
        for name, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                values[name] = None
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _step_of(line: str) -> float:
    """Return the step of a line of metrics; that of a damaged one is after every other."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf


class Panel(NamedTuple):
    """Curves that belong together.

    ``curves`` are words for fields of metrics.jsonl. What knowing nothing gives is ``chance``, or
    the field ``bound``: a dashed line. ``limit`` is its name, ``limit_note`` what a caption says
    of it. ``unit`` is that of the values.
    """

    title: str
    curves: Mapping[str, str]
    unit: str = ""
    note: str = ""
    bound: str = ""
    chance: float | None = None
    limit: str = "chance"
    limit_note: str = ""
    log: bool = False

    def line(self, history: History) -> float | None:
        """Return where the dashed line lies; None if a run has no such line."""
        return history.last(self.bound) if self.bound else self.chance

    def caption(self, history: History) -> str:
        """Return what is said below the curves, of the dashed line only where it is drawn."""
        return f"{self.note} {self.limit_note * (self.line(history) is not None)}".strip()


_PANELS = Path(__file__).with_name("panels.json")

PANELS = tuple(Panel(**values) for values in json.loads(_PANELS.read_text("utf-8")))
"""Every curve there is, in the order of reports."""


@dataclass(frozen=True)
class History:
    """The log of a run."""

    name: str
    records: list[dict[str, Any]]  # lines of metrics.jsonl, in order
    settings: Mapping[str, Any]  # training of a model folder's config.json; empty if unknown

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """Return steps and values of a field; what is null is NaN."""
        records = [record for record in self.records if name in record]
        values = [math.nan if r[name] is None else float(r[name]) for r in records]
        return [int(record["step"]) for record in records], values

    def finite(self, name: str) -> list[float]:
        """Return the finite values of a field."""
        return [value for value in self.series(name)[1] if math.isfinite(value)]

    def last(self, name: str) -> float | None:
        """Return the last finite value of a field."""
        return next(reversed(self.finite(name)), None)

    @property
    def step(self) -> int:
        """The last step that was logged."""
        return int(self.records[-1]["step"])

    @property
    def ended(self) -> dict[str, Any] | None:
        """The record of how a run failed; None if it did not."""
        return next((r for r in self.records if "verdict" in r), None)

    @property
    def fallen(self) -> str:
        """How far the probe fell and from where; empty if it did not.

        It did if its last LAST evaluations all lie below the best one by more than FALL, and by
        more than twice the mean step between neighbours of the last five.
        """
        values = self.finite("probe_auroc")
        if len(values) <= LAST:
            return ""
        best, noise = max(values), [abs(b - a) for a, b in pairwise(values[-5:])]
        if best - max(values[-LAST:]) <= max(FALL, 2 * sum(noise) / len(noise)):
            return ""
        step = next(r["step"] for r in self.records if r.get("probe_auroc") == best)
        return f"probe AUROC fell to {values[-1]:.3f} from {best:.3f} at step {step:,}"

    @property
    def verdict(self) -> str:
        """One line: healthy, worse, collapsed or diverged, at which step and why."""
        failed = self.ended
        if failed is not None:
            return f"{failed['verdict']} at step {failed['step']:,}: {failed.get('reason', '')}"
        recipe = self.settings.get("recipe")
        steps = recipe.get("steps") if isinstance(recipe, Mapping) else None
        of = f" of {steps:,}" if isinstance(steps, int) and steps != self.step else ""
        if self.fallen:
            return f"worse at step {self.step:,}{of}: {self.fallen}"
        return f"healthy at step {self.step:,}{of}"


def find_run(run: str) -> Path:
    """Return the folder of a model, by its name or path, or the metrics.jsonl that is given.

    Raises
    ------
    CheckpointError
        There is neither.
    """
    path = Path(run)
    named = places.find(places.MODELS, run)
    return find_model(run) if named or not path.exists() else path


def read_history(path: Path, settings: Mapping[str, Any] | None = None) -> History:
    """Read metrics.jsonl, or that of a model folder.

    Lines that are damaged, as the last of a killed run, are left out. ``settings`` are those of the
    run, in place of those in config.json beside the metrics.

    Raises
    ------
    CheckpointError
        There is no such file, or it is not the log of a run.
    """
    file = path / METRICS if path.is_dir() else path
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise CheckpointError(f"{file}: {error.strerror}; findna pretrain writes it") from error
    records = [record for line in lines if (record := _record(line))]
    if not any("mnm" in record or "accuracy" in record for record in records):
        raise CheckpointError(f"{file}: holds no metrics of findna pretrain")
    if settings is None:
        settings = _settings(file.parent)
    return History(file.resolve().parent.name, records, settings)


def _record(line: str) -> dict[str, Any] | None:
    """Return the record of a line of metrics; None if it is damaged."""
    try:
        record = json.loads(line)
        for name, value in record.items():
            kind = str if name in ("verdict", "reason", "remedy") else int | float
            if value is not None and not isinstance(value, kind):
                return None
            if isinstance(value, int | float) and abs(value) > _LARGEST:
                return None
        return dict(record) if 0 <= int(record["step"]) <= 2**62 else None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _settings(folder: Path) -> Mapping[str, Any]:
    """Return ``training`` of a model folder's config.json, if there is one."""
    training = read_config(folder).get("training") if (folder / CONFIG).is_file() else None
    return training if isinstance(training, Mapping) else {}


_LARGEST = 1e100  # of a figure: sums of larger ones overflow
_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: list[float], width: int = 24) -> str:
    """Return a curve in one line of text; each letter is the mean of its share of the values."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    n = min(width, len(finite))
    edges = [i * len(finite) // n for i in range(n + 1)]
    means = [sum(finite[start:end]) / (end - start) for start, end in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in means)


def curve_rows(history: History, with_curve: bool) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return header and rows of a table: first, last, lowest and highest value of every curve."""
    header = ("metric", "first", "last", "lowest", "highest")
    rows = []
    for name in (name for panel in PANELS for name in panel.curves):
        if values := history.finite(name):
            shown = (values[0], values[-1], min(values), max(values))
            row = [name, *(f"{value:.4g}" for value in shown)]
            rows.append([*row, sparkline(values)] if with_curve else row)
    return (*header, "curve") if with_curve else header, rows
