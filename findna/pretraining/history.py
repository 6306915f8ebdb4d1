"""The log of a run: written line by line, read again, and shown as text.

`Metrics` writes metrics.jsonl, `read_history` reads it, `PANELS` names its curves and says what
each of them tells.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from findna.errors import CheckpointError
from findna.model.checkpoint import CONFIG, read_config

METRICS = "metrics.jsonl"
"""Name of the log in a model folder (docs/formats.md)."""


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

    def write(self, **values: float | str) -> None:
        """Append one record; what is not finite is null, as JSON has it."""
        record = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }
        self._file.write(json.dumps(record) + "\n")
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


Series = tuple[list[int], list[float]]


class Panel(NamedTuple):
    """Curves that belong together.

    ``curves`` are fields of metrics.jsonl with the words for them. What knowing nothing gives is
    ``chance``, or the field ``bound``; ``limit`` is its name.
    """

    title: str
    curves: tuple[tuple[str, str], ...]
    note: str = ""
    bound: str = ""
    chance: float | None = None
    limit: str = "chance"
    log: bool = False


PANELS = (
    Panel(
        "Masked-nucleotide loss, nats",
        (("mnm", "training"),),
        "Falls below the dashed bound of outputs all alike within some hundred steps.",
        bound="mnm_bound",
        limit="bound",
    ),
    Panel(
        "Contrastive loss, nats",
        (("contrast", "training"),),
        "At the dashed bound, ln k, the student knows nothing of the teacher's choice.",
        bound="contrast_bound",
        limit="bound, ln k",
    ),
    Panel(
        "Masked accuracy, held out",
        (("accuracy_repeat", "repeats"), ("accuracy_unique", "other bases"), ("accuracy", "all")),
        "If only repeats rise, repeats are learned by heart.",
        chance=0.25,
    ),
    Panel(
        "Masked perplexity, held out",
        (
            ("perplexity_repeat", "repeats"),
            ("perplexity_unique", "other bases"),
            ("perplexity", "all"),
        ),
        "4 is chance; below it the model has learned something.",
        chance=4.0,
    ),
    Panel(
        "Entropy of the teacher's target, nats",
        (("target_entropy", "of each window"), ("mean_target_entropy", "of their mean")),
        "The gap is what a target tells of its window; no gap is a collapse.",
        bound="contrast_bound",
        limit="bound, ln k",
    ),
    Panel(
        "Agreement of student and teacher",
        (("agreement", "same choice"),),
        "Share of windows; rises as the student follows. 1 is too easy, or a collapse.",
    ),
    Panel(
        "Spread of the teacher's vectors",
        (("spread", "relative to their size"), ("std", "per dimension")),
        "Falling towards 0.001: vectors become constant.",
        log=True,
    ),
    Panel(
        "Effective rank",
        (("rank", "directions in use"),),
        "Near 1, windows differ in one direction alone.",
    ),
    Panel(
        "Alignment and uniformity",
        (("alignment", "alignment of two views"), ("uniformity", "uniformity")),
        "Lower is better, of both together: alignment 2 is unrelated, uniformity 0 one point.",
    ),
    Panel(
        "Probe of the frozen teacher",
        (("probe_auroc", "AUROC"), ("probe_accuracy", "accuracy")),
        "On labelled sequences: what training is for.",
    ),
    Panel("Learning rate", (("lr", "learning rate"),), "Warm-up, then cosine."),
    Panel(
        "Norms",
        (("grad_norm", "gradient"), ("weight_norm", "weights"), ("centre_norm", "centre")),
        "Spikes of the gradient come before a divergence.",
        log=True,
    ),
    Panel("Speed, nucleotides per second", (("tokens_per_second", "training and evaluations"),)),
)
"""Every curve there is, in the order of reports."""


@dataclass(frozen=True)
class History:
    """The log of a run.

    Parameters
    ----------
    name : str
        Of the run, for people.
    records : list of dict
        Lines of metrics.jsonl, in order.
    settings : mapping
        ``training`` of a model folder's config.json; empty if it is not known.
    """

    name: str
    records: list[dict[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def series(self, name: str) -> Series:
        """Return steps and values of a field; what is null is NaN, and left out at the ends."""
        pairs = [(int(r["step"]), r[name]) for r in self.records if name in r]
        values = [float("nan") if value is None else float(value) for _, value in pairs]
        return [step for step, _ in pairs], values

    def last(self, name: str) -> float | None:
        """Return the last finite value of a field."""
        finite = [value for value in self.series(name)[1] if math.isfinite(value)]
        return finite[-1] if finite else None

    @property
    def step(self) -> int:
        """The last step that was logged."""
        return int(self.records[-1]["step"])

    @property
    def ended(self) -> dict[str, Any] | None:
        """The record that says how a run failed; None if it did not."""
        return next((r for r in self.records if "verdict" in r), None)

    @property
    def verdict(self) -> str:
        """One line: healthy, collapsed or diverged, at which step and why."""
        failed = self.ended
        if failed is not None:
            return f"{failed['verdict']} at step {failed['step']:,}: {failed.get('reason', '')}"
        steps = self.settings.get("recipe", {}).get("steps", self.step)
        of = f" of {steps:,}" if steps != self.step else ""
        return f"healthy at step {self.step:,}{of}"


def read_history(path: Path, settings: Mapping[str, Any] | None = None) -> History:
    """Read metrics.jsonl, or that of a model folder.

    Lines that are damaged, as the last of a killed run, are left out.

    Parameters
    ----------
    settings : mapping, optional
        Of the run, in place of those in config.json beside the metrics.

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
        plain = all(
            value is None or isinstance(value, int | float | str) for value in record.values()
        )
        if not plain or not 0 <= int(record["step"]) <= 2**62:
            return None
        for name, value in record.items():
            if name not in ("verdict", "reason", "remedy") and value is not None:
                float(value)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return dict(record)


def _settings(folder: Path) -> Mapping[str, Any]:
    """Return ``training`` of a model folder's config.json, if there is one."""
    if not (folder / CONFIG).is_file():
        return {}
    training = read_config(folder).get("training", {})
    return training if isinstance(training, Mapping) else {}


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: list[float], width: int = 24) -> str:
    """Return a curve in one line of text; each letter is the mean of its share of the values."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    n = min(width, len(finite))
    means = []
    for i in range(n):
        part = finite[i * len(finite) // n : (i + 1) * len(finite) // n]
        means.append(sum(part) / len(part))
    low, high = min(means), max(means)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in means)


def curve_rows(history: History, with_curve: bool) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return header and rows of a table: first, last, lowest and highest value of every curve."""
    header = ("metric", "first", "last", "lowest", "highest")
    rows = []
    for panel in PANELS:
        for name, _ in panel.curves:
            values = history.series(name)[1]
            finite = [value for value in values if math.isfinite(value)]
            if finite:
                shown = (finite[0], finite[-1], min(finite), max(finite))
                row = [name, *(f"{value:.4g}" for value in shown)]
                rows.append([*row, sparkline(values)] if with_curve else row)
    return (*header, "curve") if with_curve else header, rows
