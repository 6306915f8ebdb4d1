"""Model cards: data, budget and measures of a model, and how to cite it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from findna import __version__
from findna.console import counted
from findna.model.checkpoint import CITATION, Model
from findna.model.encoder import n_parameters


def model_card(name: str, model: Model, training: Mapping[str, Any]) -> str:
    """Return the text of a model folder's README.md; ``{digest}`` is left to be filled in."""
    config, n = model.encoder.config, model.encoder.config.n_blocks
    recipe = yaml.safe_dump(dict(training["recipe"]), sort_keys=False, default_flow_style=None)
    hours = training["seconds"] / 3600
    lines = [
        f"# {name}",
        "",
        f"A DNA encoder pretrained by self-distillation with findna {__version__}: the EMA teacher",
        "and its masked-nucleotide head.",
        "",
        f"- Encoder: ChordMixer, {n_parameters(model.encoder):,} parameters, {config.dim} "
        f"channels, {counted(n, 'block')} of {counted(config.layers_per_block, 'layer')}; "
        f"windows up to {config.max_length} bp, longer regions are tiled.",
        "- Weights: sha256 `{digest}`",
    ]
    lines += [
        f"- Data: `{source['file']}` (sha256 `{source['sha256']}`), {source['bases']:,} bp "
        f"drawn from {counted(source['contigs'], 'contig')}; held out: "
        f"{source['heldout'] or 'nothing'}."
        for source in training.get("data", [])
    ]
    if "init" in training:
        init = training["init"]
        lines.append(f"- Initial weights: `{init['name']}` (sha256 `{init['digest']}`).")
    if training.get("species"):
        lines.append(f"- Species: {training['species']}.")
    if training.get("note"):
        lines.append(f"- {training['note']}")
    lines.append(
        f"- Budget: {counted(training['steps_done'], 'step', ',')}, at most "
        f"{training['tokens_seen']:,} nucleotides, "
        f"{hours:.1f} h on {training.get('hardware', 'unknown hardware')}."
    )
    if "accuracy" in training:
        contigs = "held-out contigs" if training.get("heldout") else "its training contigs"
        lines.append(
            f"- Restores {training['accuracy']:.1%} of blanked bases (15 % blanked) on {contigs}, "
            f"perplexity {training['perplexity']:.3f} (chance: 25 %, 4)."
        )
    if "accuracy_repeat" in training:
        lines.append(
            f"- Of these {training['accuracy_repeat']:.1%} in repeats (soft-masked, perplexity "
            f"{training['perplexity_repeat']:.3f}) and {training['accuracy_unique']:.1%} elsewhere "
            f"(perplexity {training['perplexity_unique']:.3f})."
        )
    if "probe_auroc" in training:
        probe = training["probe"]
        lines.append(
            f"- A linear probe of its mean vectors on `{probe['file']}` ({probe['train']} "
            f"sequences to train on, {probe['valid']} others to measure on): AUROC "
            f"{training['probe_auroc']:.3f}, accuracy {training['probe_accuracy']:.1%}."
        )
    if training.get("licence"):
        lines.append(f"- Licence of the weights: {training['licence']}.")
    lines += [f"- Cite: {CITATION}.", "", "## Recipe", "", "```yaml", recipe.rstrip(), "```", ""]
    return "\n".join(lines)
