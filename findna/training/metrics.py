"""The log of a run: ``metrics.jsonl`` (docs/formats.md)."""

from __future__ import annotations

import json
import math
from pathlib import Path

METRICS = "metrics.jsonl"


class Metrics:
    """``metrics.jsonl``: one line per record, in the order of steps."""

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
    """Step of a line of metrics; one that is cut off or damaged comes after every step."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf
