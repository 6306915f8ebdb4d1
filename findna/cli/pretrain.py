"""``findna pretrain``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import EXISTING, FILE, MODEL, PATH, flag, option
from findna.cli._settings import GroupedCommand, removed_options, setting_options, settings_of
from findna.cli._summary import note, summarized
from findna.console import counted
from findna.model.config import SIZES, EncoderConfig
from findna.pretraining.recipe import (
    PRESETS,
    REMOVED,
    PretrainConfig,
    ViewConfig,
    from_preset,
    removal,
)
from findna.settings import read_yaml, to_dict


def _help_by_preset(section: str) -> Callable[[dataclasses.Field[Any]], str]:
    """Return a function that makes the help of a setting; it ends in the values of presets."""

    def help_of(item: dataclasses.Field[Any]) -> str:
        if section == "encoder" and item.name in SIZES["tiny"]:
            return f"{item.metadata['help']}.  [default: by --size]"
        values = []
        for name, preset in PRESETS.items():
            chosen = (preset.get(section, {}) if section else preset).get(item.name, item.default)
            shown = " ".join(map(str, chosen)) if isinstance(chosen, tuple) else chosen
            values.append(f"{name} {shown}")
        repeatable = "; repeatable" if isinstance(item.default, tuple) else ""
        return f"{item.metadata['help']}{repeatable}.  [{', '.join(values)}]"

    return help_of


@click.command(
    cls=GroupedCommand,
    short_help="Pretrain an encoder on your own sequence.",
    settings_title="Recipe (each is also a key of --config; docs/training.md)",
)
@_options.genome
@option("-o --output", "Model folder to write.", PATH, required=True)
@option(
    "--preset",
    "Recipe to start from: the published one, or findna's.",
    list(PRESETS),
    default="findna",
)
@option(
    "--size", "Encoder of about 1.7, 5 or 12.6 million parameters.  [default: tiny]", list(SIZES)
)
@option(
    "--init=NAME|FOLDER",
    "Go on from the weights of this model, in its size, say on the genome of your species.",
    MODEL,
)
@option("--config config_file", "YAML file of settings; options given here win over it.", FILE)
@option("--tokens=N", "Train on this many nucleotides, instead of --steps.", (1,))
@option("--regions", "BED: draw windows only from these intervals.", FILE)
@option("--exclude", "BED: never draw from these (a blacklist).", FILE)
@option(
    "--holdout=CONTIG", "Measure on this contig and never train on it; repeatable.", multiple=True
)
@option(
    "--probe=FILE",
    "Labelled sequences: at each evaluation a linear probe of the frozen teacher is fitted "
    "on some of them and measured on others.",
    EXISTING,
)
@option(
    "--report=FILE",
    "Draw the curves when the run ends: .html, .pdf, .png or .svg (needs findna[plot]).",
    click.Path(path_type=Path, dir_okay=False),
)
@flag("--resume", "Continue an interrupted run of the same settings.")
@option("--note", "A sentence for the model card.", default="")
@_options.species
@option("--licence", "Licence of the weights, for the model card.", default="")
@_options.device
@_options.threads
@_options.force
@_options.verbosity
@setting_options(EncoderConfig, _help_by_preset("encoder"))
@setting_options(ViewConfig, _help_by_preset("views"))
@setting_options(PretrainConfig, _help_by_preset(""))
@removed_options({name: removal(name) for name in REMOVED})
@summarized("genome config_file regions exclude probe", "output report")
def pretrain(genome: Path, output: Path, device: str, **options: Any) -> None:
    """Pretrain an encoder by self-distillation on the sequence of GENOME (FASTA).

    A student restores masked nucleotides and must agree with its moving-average teacher about
    another view of the same window. OUTPUT becomes a model folder for --model, with a card and
    metrics.jsonl. No window crosses a run of 10 or more N.

    \b
    Examples:
      findna pretrain genome.fa -o model/
      findna pretrain genome.fa -o model/ --size small --holdout chr21 --tokens 1000000000
      findna pretrain genome.fa -o model/ --exclude blacklist.bed --resume
      findna pretrain genome.fa -o model/ --preset paper --size base
      findna pretrain genome.fa -o model/ --init tiny --tokens 50000000 --muon-lr .01 --lr .001
      findna pretrain genome.fa -o model/ --probe promoters.csv --report report.html
    """
    given = {
        "encoder": settings_of(EncoderConfig, options),
        "views": settings_of(ViewConfig, options),
        **settings_of(PretrainConfig, options),
    }
    if options["init"] and options["size"]:
        raise click.UsageError("--size does nothing with --init, whose size is taken; leave it out")
    from findna.commands.pretrain import TrainingData, TrainingRun, pretrain_genome
    from findna.model.checkpoint import encoder_config, read_config
    from findna.pretraining.processes import training_job

    _options.begin()
    data = _options.filled(TrainingData, options, fasta=genome, heldout=options["holdout"])
    run = _options.filled(TrainingRun, options, folder=output)
    tokens, config_file = options["tokens"], options["config_file"]
    with training_job(device) as own_device:
        yaml = read_yaml(config_file) if config_file else {}
        init, size = options["init"], options["size"] or "tiny"
        sizes = to_dict(encoder_config(init)) if init else SIZES[size]
        config = from_preset(options["preset"], {"encoder": sizes}, yaml, given)
        if tokens is not None:
            config = dataclasses.replace(config, steps=max(1, round(tokens / config.batch_tokens)))
        digest = pretrain_genome(data, run, config, own_device)
    if digest:
        training = read_config(output)["training"]
        note(
            weights={f"model {output.resolve().name}": digest},
            device=training["hardware"],
            precision=training["recipe"]["precision"],
            data=training["data"],
            counts={name: training[name] for name in ("steps_done", "tokens_seen")},
        )
        _options.say(f"wrote {output} ({digest[:12]}) after {counted(config.steps, 'step')}")
