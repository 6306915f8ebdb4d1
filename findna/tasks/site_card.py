"""The card of a task of sites: its classes, data, figures and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from findna import __version__
from findna.model.checkpoint import CITATION
from findna.tasks.sites import SiteConfig

_MEASURES = {
    "auprc": "AUPRC",
    "auroc": "AUROC",
    "precision_at_half_recall": "precision at half recall",
}


def figure_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return a table of the figures of each class, beside those of baselines."""
    lines = [
        f"| part | class | told by | {' | '.join(_MEASURES.values())} |",
        "|" + "---|" * (3 + len(_MEASURES)),
    ]
    for split, classes in metrics.items():
        part = {"valid": "validation", "test": "test"}[split]
        for name, values in classes.items():
            for title, figures in (("the task", values), *values["baselines"].items()):
                shown = " | ".join(f"{figures[key]:.3f}" for key in _MEASURES)
                lines.append(f"| {part} | {name} | {title} | {shown} |")
    return lines


def site_card(name: str, config: SiteConfig, record: Mapping[str, Any]) -> str:
    """Return the text of a task folder's README.md; ``{digest}`` is left to be filled in."""
    training, data = record["training"], record["data"]
    digest = config.encoder_digest[:12]
    trained = (
        f"a linear head on the frozen encoder `{config.encoder}` ({digest})"
        if config.mode == "probe"
        else f"the encoder `{config.encoder}` (now {digest}) and a head"
    )
    step = config.tile - 2 * config.margin
    bases = ", ".join(
        f"{next(iter(classes.values()))['bases']:,} ({'validation' if part == 'valid' else part})"
        for part, classes in record["metrics"].items()
    )
    lines = [
        f"# {name}",
        "",
        f"A task of findna {__version__}: tells at every base, of either strand, whether it is "
        f"{' or '.join(config.classes)}.",
        "",
        f"- Use: `findna scan GENOME --task {name} --call 0.5` lists sites; "
        f"`findna scan GENOME --task {name} --class {config.classes[0]}` makes a track; "
        f"`findna predict GENOME REGIONS --task {name}` finds the best site of each region.",
        f"- Training: {trained}, best epoch {training['best_epoch']} of "
        f"{len(training['history'])}; {training['seconds']:.0f} s on {training['hardware']}, "
        f"seed {training['seed']}.",
        f"- Layout: tiles of {config.tile} bp, of which the middle {step} are used; the head reads "
        f"{config.reach} hidden states on either side of a base.",
        "- Task: sha256 `{digest}`",
    ]
    if record.get("species"):
        lines.append(f"- Species: {record['species']}.")
    if record.get("note"):
        lines.append(f"- {record['note']}")
    if record.get("licence"):
        lines.append(f"- Licence of the weights: {record['licence']}.")
    lines += [
        "",
        "## Data",
        "",
        f"Sites: `{data['file']}`, sha256 `{data['sha256'][:16]}`; sequence: `{data['genome']}`, "
        f"sha256 `{data['genome_sha256'][:16]}`; "
        f"held out: {', '.join(data['holdout']) or 'no contig'}.",
        "",
        "| part | bases | " + " | ".join(config.classes) + " |",
        "|---|---|" + "---|" * len(config.classes),
    ]
    for part, described in data["parts"].items():
        counts = " | ".join(f"{described['sites'][c]:,}" for c in config.classes)
        lines.append(f"| {part} | {described['bases']:,} | {counts} |")
    lines += [
        "",
        "## Figures",
        "",
        f"On every base of both strands: {bases}. Beside the task: what counts of letters within "
        "300 and 1,000 bp tell, logistic regression on 4-mers of the same, and a position weight "
        "matrix of 20 bases on either side, fitted on the training part. The best epoch was "
        "chosen, and probabilities were calibrated, on the validation part.",
        "",
        *figure_lines(record["metrics"]),
        "",
        "## What it is not for",
        "",
        "Other species than it was trained on. A probability holds where sites are as frequent as "
        "in the validation part. Not for clinical use.",
        "",
        f"Cite: {CITATION}.",
        "",
    ]
    return "\n".join(lines)
