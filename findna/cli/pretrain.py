"""``findna pretrain``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import click

from findna.cli import _options
from findna.cli._settings import GroupedCommand, SettingOption
from findna.model.config import SIZES, EncoderConfig
from findna.pretraining.recipe import PRESETS, PretrainConfig, ViewConfig, from_preset
from findna.settings import read_yaml

_SECTIONS: dict[str, type] = {"encoder": EncoderConfig, "views": ViewConfig, "": PretrainConfig}


def _fields() -> list[tuple[str, dataclasses.Field[Any], Any]]:
    """Section, field and type of every setting that is an option."""
    return [
        (section, item, get_type_hints(kind)[item.name])
        for section, kind in _SECTIONS.items()
        for item in dataclasses.fields(kind)
        if "help" in item.metadata
    ]


def _presets_of(section: str, item: dataclasses.Field[Any]) -> str:
    """The values of a setting in the presets, for the end of its help."""
    if section == "encoder" and item.name in SIZES["tiny"]:
        return ".  [default: by --size]"
    values = []
    for name, preset in PRESETS.items():
        chosen = (preset.get(section, {}) if section else preset).get(item.name, item.default)
        shown = " ".join(map(str, chosen)) if isinstance(chosen, tuple) else chosen
        values.append(f"{name} {shown}")
    repeatable = "; repeatable" if isinstance(item.default, tuple) else ""
    return f"{repeatable}.  [{', '.join(values)}]"


def _setting_options(command: Any) -> Any:
    """One option per field of the configuration, so that neither can lack what the other has."""
    for section, item, hint in reversed(_fields()):
        kind: Any = hint
        if item.metadata["choices"]:
            kind = click.Choice(item.metadata["choices"])
        elif get_origin(hint) is tuple:
            kind = get_args(hint)[0]
        name = item.name.replace("_", "-")
        command = click.option(
            f"--{name}/--no-{name}" if hint is bool else f"--{name}",
            item.name,
            type=kind,
            multiple=get_origin(hint) is tuple,
            cls=SettingOption,
            default=None,
            help=item.metadata["help"] + _presets_of(section, item),
        )(command)
    return command


@click.command(
    cls=GroupedCommand,
    short_help="Pretrain an encoder on your own sequence.",
    settings_title="Recipe (each is also a key of --config; docs/training.md)",
)
@_options.genome
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Model folder to write.",
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="findna",
    show_default=True,
    help="Recipe to start from: the published one, or findna's.",
)
@click.option(
    "--size",
    type=click.Choice(list(SIZES)),
    default="tiny",
    show_default=True,
    help="Encoder of about 1.7, 5 or 12.6 million parameters.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="YAML file of settings; options given here win over it.",
)
@click.option(
    "--tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="Train on this many nucleotides, instead of --steps.",
)
@click.option(
    "--regions",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="BED: draw windows only from these intervals.",
)
@click.option(
    "--exclude",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="BED: never draw from these (a blacklist).",
)
@click.option(
    "--holdout",
    multiple=True,
    metavar="CONTIG",
    help="Measure on this contig and never train on it; repeatable.",
)
@click.option(
    "--probe",
    type=click.Path(path_type=Path, exists=True),
    metavar="FILE",
    help="Labelled sequences: at each evaluation a linear probe of the frozen teacher is fitted on "
    "some of them and measured on others.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw the curves when the run ends: .html, .pdf, .png or .svg (needs findna[plot]).",
)
@click.option("--resume", is_flag=True, help="Continue an interrupted run of the same settings.")
@click.option("--note", default="", help="A sentence for the model card.")
@click.option("--licence", default="", help="Licence of the weights, for the model card.")
@_options.device
@_options.threads
@_options.force
@_options.verbosity
@_setting_options
def pretrain(
    genome: Path,
    output: Path,
    preset: str,
    size: str,
    config_file: Path | None,
    tokens: int | None,
    regions: Path | None,
    exclude: Path | None,
    holdout: tuple[str, ...],
    resume: bool,
    note: str,
    licence: str,
    probe: Path | None,
    report: Path | None,
    device: str,
    force: bool,
    **settings: Any,
) -> None:
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
      findna pretrain genome.fa -o model/ --probe promoters.csv --report report.html
    """
    given: dict[str, Any] = {"encoder": {}, "views": {}}
    for section, item, _ in _fields():
        value = settings[item.name]
        if value is not None and value != ():
            (given[section] if section else given)[item.name] = value
    from findna.commands.pretrain import pretrain_genome
    from findna.pretraining.processes import training_job

    _options.begin()
    with training_job(device) as own_device:
        yaml = read_yaml(config_file) if config_file else {}
        config = from_preset(preset, {"encoder": SIZES[size]}, yaml, given)
        if tokens is not None:
            config = dataclasses.replace(config, steps=max(1, round(tokens / config.batch_tokens)))
        digest = pretrain_genome(
            genome,
            output,
            config,
            regions=regions,
            exclude=exclude,
            heldout=holdout,
            device=own_device,
            resume=resume,
            force=force,
            note=note,
            licence=licence,
            probe=probe,
            report=report,
        )
    if digest:
        _options.say(f"wrote {output} ({digest[:12]}) after {config.steps} steps")
