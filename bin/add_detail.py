"""Add curves and letters to the record of a task that ships and was trained before they were kept.

python bin/add_detail.py TASK TEST.csv
python bin/add_detail.py TASK SITES.bed GENOME.fa REGIONS.bed     (of single bases)

They are measured in fp32 on the task's own test set, as findna tasks measure does it. Where the
figures of that set are not those on the card, to .0005, nothing is written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from findna.commands.measure import measure_bases, measure_regions, read_measured
from findna.genome.fasta import Genome
from findna.model.devices import Compute
from findna.model.folders import to_json
from findna.tasks.sites import SiteTask, load_any_task


def main() -> None:
    """Run the command."""
    name, data, *others = sys.argv[1:]
    task, compute = load_any_task(name), Compute(torch.device("cpu"))
    if isinstance(task, SiteTask):
        with Genome(Path(others[0])) as genome:
            regions = Path(others[1])
            found = measure_bases(task, genome, Path(data), regions=regions, compute=compute)
        known = task.record["metrics"]["test"]
        pairs = [
            (known[of][key], values[key])
            for of, values in found.figures.items()
            for key in ("sites", "bases", "auprc", "auroc")
        ]
    else:
        found = measure_regions(task, read_measured(task, Path(data), None), compute)
        known = task.record["metrics"]["test"]
        pairs = [(known[key], value) for key, value in found.figures.items()]
    if any(abs(before - after) > 0.0005 for before, after in pairs):
        sys.exit(f"{name}: {data} gives other figures than the card's: {pairs}")
    record = task.record | {"detail": found.record["detail"]}
    path = task.folder / "task.json"
    path.write_text(to_json(record) + "\n", encoding="utf-8")
    print(f"{name}: {len(pairs)} figures agree -> {path}")


if __name__ == "__main__":
    main()
