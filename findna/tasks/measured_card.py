"""The card of what was measured of a task on other data than its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from findna import __version__
from findna.labelled.metrics import NAMES
from findna.tasks.card import calibration_lines, data_lines
from findna.tasks.site_card import figure_lines
from findna.tasks.sites import SiteConfig
from findna.tasks.task import TaskConfig


def measured_card(name: str, config: TaskConfig | SiteConfig, record: Mapping[str, Any]) -> str:
    """Return the figures of a task on other data, as Markdown."""
    data = record["data"]
    lines = [f"# {name}, measured", "", f"- findna {__version__}; task sha256 `{record['digest']}`"]
    if isinstance(config, SiteConfig):
        lines += [
            f"- Sites: `{data['file']}`, sha256 `{data['sha256'][:16]}`",
            f"- Sequence: `{data['genome']}`, sha256 `{data['genome_sha256'][:16]}`",
            *("", "## Figures", "", "On every base of both strands that is not N.", ""),
            *figure_lines(record["metrics"]),
        ]
        return "\n".join([*lines, ""])
    metrics, intervals = record["metrics"]["test"], record["metrics"]["test_interval_95"]
    lines += [*data_lines(data), "", "## Figures", ""]
    lines += ["| score | metric | value | 95 % interval |", "|---|---|---|---|"]
    for key, value in metrics.items():
        low, high = intervals.get(key, (None, None))
        spread = "" if low is None else f"{low:.3f}-{high:.3f}"
        shown = "undefined" if value is None else f"{value:.3f}"
        lines.append(f"| the task | {NAMES[key]} | {shown} | {spread} |")
    for title, found in record.get("baselines", {}).items():
        lines += [f"| {title} | {NAMES[key]} | {value:.3f} | |" for key, value in found.items()]
    lines += ["", "Intervals: bootstrap over rows."]
    if record["calibration"]:
        lines += calibration_lines(record["calibration"])
    return "\n".join([*lines, ""])
