"""``findna finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._settings import GroupedCommand, setting_options, settings_of
from findna.tasks.recipe import FineTuneConfig

_DATA = click.Path(path_type=Path, exists=True)


@click.command(
    cls=GroupedCommand,
    settings_title="With --mode full",
    short_help="Train a task on labelled sequences.",
)
@click.argument("genome", type=click.Path(path_type=Path), required=False)
@click.option(
    "-t",
    "--task",
    "task",
    required=True,
    metavar="NAME",
    help="Name of the task.",
)
@click.option(
    "--train",
    type=_DATA,
    required=True,
    metavar="FILE|FOLDER",
    help="Labelled sequences: CSV, TSV, BED (with GENOME), FASTA, or a folder of splits.",
)
@click.option(
    "--valid",
    type=_DATA,
    metavar="FILE",
    help="To choose by.  [default: a fifth of --train, whole contigs where known]",
)
@click.option("--test", type=_DATA, metavar="FILE", help="To measure on, once, at the end.")
@click.option(
    "--mode",
    type=click.Choice(["probe", "full"]),
    default="probe",
    show_default=True,
    help="Train a linear head on the frozen encoder, or the encoder along with the head.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Task folder to write.  [default: $FINDNA_HOME/tasks/NAME]",
)
@click.option(
    "-m",
    "--model",
    default="tiny",
    show_default=True,
    metavar="NAME|FOLDER",
    help="Encoder to start from; see findna models list.",
)
@click.option(
    "--kind",
    type=click.Choice(["auto", "classes", "multilabel", "regression"]),
    default="auto",
    show_default=True,
    help="Of the labels; auto: numbers that are not whole are a regression.",
)
@click.option(
    "--label-column",
    metavar="NAME",
    help="Column of the label; a,b,c are several targets.  [default: label; of BED the name]",
)
@click.option(
    "--class-names",
    metavar="A,B,...",
    help="Names for the classes, in their order; of two the second is the positive one.",
)
@click.option(
    "--kmers/--no-kmers",
    default=True,
    show_default=True,
    help="Let validation append k-mer frequencies to the embedding.",
)
@click.option("--balanced", is_flag=True, help="Weight classes by the inverse of their frequency.")
@click.option(
    "-s",
    "--stranded",
    is_flag=True,
    help="Read intervals on the minus strand as reverse complement.",
)
@click.option(
    "--window",
    type=click.IntRange(1, 1_000_000_000),
    metavar="N",
    help="Read N bp about the middle of each interval or sequence instead of the whole.",
)
@click.option(
    "--on-overlap",
    type=click.Choice(["stop", "drop", "keep"]),
    default="stop",
    show_default=True,
    help="Sequences of --train that are also in --valid or --test, on either strand.",
)
@_options.chrom_alias
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the validation split and of training.",
)
@click.option("--note", default="", help="A sentence for the card.")
@click.option("--licence", default="", help="Licence of the weights, for the card.")
@_options.inference_options
@_options.force
@_options.verbosity
@setting_options(FineTuneConfig)
def finetune(genome: Path | None, task: str, output: Path | None, **options: Any) -> None:
    """Train a task on labelled sequences, for findna predict.

    What of a sequence the head reads (layer, strands, poolings, k-mers) and its regularisation are
    chosen on the validation set; probabilities are calibrated on it. The test set is measured
    once. docs/formats.md lists the forms of labelled data. GENOME is the FASTA of intervals.

    \b
    Examples:
      findna finetune --task promoter --train GUE/prom/prom_300_all
      findna finetune genome.fa --task peaks --train labelled.bed --test held_out.bed
      findna finetune --task splice --train train.csv --valid dev.csv --mode full
      findna finetune --task strength --train mpra.csv --kind regression --label-column log2fc
    """
    import re
    from contextlib import ExitStack

    if not re.fullmatch(r"[\w.-]+", task) or task.startswith("."):
        raise click.UsageError(
            f"--task {task}: a name of letters, digits, '.', '_' and '-'; -o names the folder"
        )
    given = settings_of(FineTuneConfig, options)
    if given and options["mode"] == "probe":
        name = next(iter(given)).replace("_", "-")
        raise click.UsageError(f"--{name} needs --mode full")

    from findna.commands.finetune import FineTuneOptions, SplitOptions, read_splits
    from findna.commands.finetune import finetune as train_task
    from findna.genome.fasta import Genome, read_aliases
    from findna.model.devices import Compute
    from findna.outputs.files import check_model_folder
    from findna.settings import from_dict
    from findna.tasks.task import tasks_home

    _options.begin()
    folder = output or tasks_home() / task
    check_model_folder(folder, options["force"])
    names = options["class_names"]
    how = FineTuneOptions(
        mode=options["mode"],
        class_names=names.split(",") if names else None,
        kmers=options["kmers"],
        balanced=options["balanced"],
        config=from_dict(FineTuneConfig, given),
        seed=options["seed"],
    )
    with ExitStack() as stack:
        fasta = None
        if genome is not None:
            alias = options["chrom_alias"]
            fasta = stack.enter_context(Genome(genome, read_aliases(alias) if alias else None))
        reading = SplitOptions(
            kind=options["kind"],
            label_column=options["label_column"],
            stranded=options["stranded"],
            window=options["window"],
            on_overlap=options["on_overlap"],
            seed=options["seed"],
        )
        splits = read_splits(options["train"], options["valid"], options["test"], fasta, reading)
    summary = train_task(
        splits,
        folder,
        how,
        model=options["model"],
        compute=Compute.on(options["device"], options["precision"], options["max_tokens"]),
        note=options["note"],
        licence=options["licence"],
        force=options["force"],
    )
    split = "test" if "test" in summary.metrics else "valid"
    shown = ", ".join(
        f"{name.upper() if name in ('mcc', 'auroc') else name} {value:.3f}"
        for name, value in summary.metrics[split].items()
        if value is not None and name in ("accuracy", "mcc", "auroc", "r2", "pearson")
    )
    named = {"test": "test set", "valid": "validation set"}[split]
    _options.say(
        f"{task}: {shown} on the {named}; reads {summary.features}; "
        f"{summary.seconds:.0f} s -> {folder} ({summary.digest[:12]})"
    )
