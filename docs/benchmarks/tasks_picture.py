"""Draw the table of tasks in docs/benchmarks.md: python docs/benchmarks/tasks_picture.py"""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt

DOCS = Path(__file__).parents[1]
TASK, BASELINE = "#0072b2", "#d55e00"


def rows() -> list[tuple[str, float, float, str]]:
    """Task and class, precision at half recall, that of the best baseline, and its name."""
    section = (DOCS / "benchmarks.md").read_text().split("## Tasks", 1)[1].split("\n## ")[0]
    found = []
    for line in section.splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            precision, name = re.match(r"(\.\d+), (.*)", cells[3]).groups()
            found.append((cells[0].replace("`", ""), float(cells[2]), float(precision), name))
    return found


def main() -> None:
    table = rows()[::-1]
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(table) + 1.2), layout="constrained")
    for y, (_, precision, baseline, _) in enumerate(table):
        axes.plot([baseline, precision], [y, y], color="0.8", lw=3, zorder=1)
    ys = range(len(table))
    axes.scatter([row[2] for row in table], ys, color=BASELINE, marker="s", label="best baseline")
    axes.scatter([row[1] for row in table], ys, color=TASK, s=70, label="findna")
    for y, (_, _, baseline, name) in enumerate(table):
        axes.annotate(
            name, (baseline, y), (0, 7), textcoords="offset points", fontsize=7, color="0.35"
        )
    axes.set_yticks(ys, [row[0] for row in table])
    axes.set(xlim=(0, 1), ylim=(-0.6, len(table) - 0.2))
    axes.set_xlabel("precision where half of the sites are found")
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(DOCS / "tasks_precision.png", dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
