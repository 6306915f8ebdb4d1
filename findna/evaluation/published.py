"""Published results of others, as read in their sources; none was measured here.

Sets are named as in ``findna.evaluation.suites``. A figure is given only where it is plain which
set it belongs to. None of them comes from the protocol of this package, so they belong in
a column of their own, under the source and the note of their table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Table:
    """Results of several models on several sets, as read in ``source``.

    ``note`` says what to know before comparing. ``metric`` is one of `findna.labelled.metrics`;
    ``rows`` holds fractions by set, in the order of ``models``.
    """

    source: str
    metric: str
    note: str
    models: Sequence[str]
    rows: Mapping[str, Sequence[float]]


@cache
def tables() -> tuple[Table, ...]:
    """Return every table of ``published.json``, in the order of reports.

    Left out is the covid set of GUE: its figure in the table of DNABERT-2 is an F1, not an MCC.
    """
    text = Path(__file__).with_suffix(".json").read_text("utf-8")
    return tuple(Table(**values) for values in json.loads(text))
