"""``findna finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import BP, EXISTING, FILE, MODEL, PATH, REACH, SHARE, choice, flag, option
from findna.cli._settings import GroupedCommand, needing_mode_full, setting_options, settings_of
from findna.cli._summary import note, summarized
from findna.settings import from_dict
from findna.tasks.recipe import FineTuneConfig

_OF_BASES = ("regions", "holdout", "sites", "features", "about_sites")
_OF_SEQUENCES = (
    *("valid", "test", "kind", "label_column", "class_names", "kmers", "balanced", "stranded"),
    *("window", "anchor", "upstream", "downstream", "on_overlap"),
)
"""Options with --dense, and without."""
_OF_ENCODERS = ("layer_decay", "weight_decay")  # settings that a frozen encoder does not need


@click.command(
    cls=GroupedCommand,
    settings_title="With --mode full or --dense",
    short_help="Train a task on labelled sequences.",
)
@click.argument("genome", type=PATH, required=False)
@option("-t --task=NAME", "Name of the task.", required=True)
@option(
    "--train=FILE|FOLDER",
    "Labelled sequences: CSV, TSV, BED (with GENOME), FASTA, or a folder of splits; with --dense "
    "BED, GTF or GFF.",
    EXISTING,
    required=True,
)
@flag("--dense", "Tell the classes of single bases of GENOME: those that --train lists, by strand.")
@option(
    "--sites=A,B",
    "With --dense and GTF or GFF: donor, acceptor or both, the first and last base of introns.",
)
@option("--features=A,B,...", "With --dense and GTF or GFF: label the bases of these features.")
@option("--regions=BED", "With --dense: train and measure inside these intervals only.", FILE)
@option("--holdout=CONTIG", "With --dense: measure on this contig; repeatable.", multiple=True)
@option(
    "--about-sites=SHARE",
    "With --dense: share of the training that is drawn about sites; less where they are many.",
    SHARE,
    default=0.5,
)
@option(
    "--valid=FILE",
    "To choose by.  [default: a fifth of --train, whole contigs where known]",
    EXISTING,
)
@option("--test=FILE", "To measure on, once, at the end.", EXISTING)
@choice(
    "--mode",
    "Train a linear head on the frozen encoder, or the encoder along with the head.",
    "probe full",
)
@option("-o --output=FOLDER", "Task folder to write.  [default: $FINDNA_HOME/tasks/NAME]", PATH)
@flag("--resume", "Go on after the last epoch of an interrupted run (--mode full, --dense).")
@option(
    "-m --model=NAME|FOLDER",
    "Encoder to start from; see findna models list.",
    MODEL,
    default="tiny",
)
@choice(
    "--kind",
    "Of the labels; auto: numbers that are not whole are a regression.",
    "auto classes multilabel regression",
)
@option(
    "--label-column=NAME",
    "Column of the label; a,b,c are several targets.  [default: label; of BED the name]",
)
@option(
    "--class-names=A,B,...",
    "Names for the classes, in their order; of two the second is the positive one.",
)
@_options.kmers
@flag("--balanced", "Weight classes by the inverse of their frequency.")
@flag("-s --stranded", "Read intervals on the minus strand as reverse complement.")
@option(
    "--window=N",
    "Read N bp about the middle of each interval or sequence instead of the whole.",
    BP,
)
@option(
    "--anchor",
    "Base of an interval that --window, --upstream and --downstream are laid about; with --window, "
    "start and end follow -s. summit: that of narrowPeak, column 10.  [default: center]",
    ["center", "start", "end", "summit"],
)
@option(
    "--upstream=N",
    "Read the anchor's base and N bp before it, by the row's strand. Of sequences: where the point "
    "that each is about lies.",
    REACH,
)
@option("--downstream=N", "... and N bp after it. Of sequences: what follows the point.", REACH)
@choice(
    "--on-overlap",
    "Sequences of --train that are also in --valid or --test, on either strand.",
    "stop drop keep",
)
@_options.chrom_alias
@option("--seed", "Of the validation split and of training.", (0,), default=0, show_default=True)
@option("--note", "A sentence for the card.", default="")
@_options.species
@option("--licence", "Licence of the weights, for the card.", default="")
@_options.inference_options
@setting_options(FineTuneConfig)
@summarized("genome train valid test regions chrom_alias", "output")
def finetune(genome: Path | None, task: str, output: Path | None, **options: Any) -> None:
    """Train a task on labelled sequences, for findna predict.

    What of a sequence the head reads (layer, strands, poolings, k-mers) and its regularisation are
    chosen on the validation set; probabilities are calibrated on it. The test set is measured
    once. docs/formats.md lists the forms of labelled data. GENOME is the FASTA of intervals. How
    long it will take is said before it begins where that is a minute or more. report.html in the
    task's folder shows how good it is (pictures need findna[plot]).

    \b
    Examples:
      findna finetune --task promoter --train GUE/prom/prom_300_all
      findna finetune genome.fa --task peaks --train labelled.bed --test held_out.bed
      findna finetune genome.fa --task tss --train tss.bed --upstream 249 --downstream 50 -s
      findna finetune --task splice --train train.csv --upstream 200 --mode full
      findna finetune --task strength --train mpra.csv --kind regression --label-column log2fc
      findna finetune genome.fa --task splice --dense --train genes.gtf --sites donor,acceptor
    """
    import re

    if not re.fullmatch(r"[\w.-]+", task) or task.startswith("."):
        raise click.UsageError(
            f"--task {task}: a name of letters, digits, '.', '_' and '-'; -o names the folder"
        )
    if options["dense"]:
        _train_sites(genome, task, output, options)
        return
    _options.refuse(_OF_BASES, "needs --dense")
    config = needing_mode_full(FineTuneConfig, options)
    if options["mode"] != "full":
        _options.refuse(["resume"], "needs --mode full or --dense, which train by epochs")

    from findna.commands.finetune import FineTuneOptions, SplitOptions, read_splits
    from findna.commands.finetune import finetune as train_task
    from findna.outputs.files import check_folder
    from findna.tasks.task import TASK, tasks_home

    _options.begin()
    folder = output or tasks_home() / task
    check_folder(folder, options["force"], TASK)
    names = options["class_names"]
    names = names.split(",") if names else None
    how = _options.filled(FineTuneOptions, options, class_names=names, config=config)
    reading = _options.filled(SplitOptions, options)
    if reading.region.conflict:
        raise click.UsageError(reading.region.conflict)
    with _options.opened_genome(genome, options["chrom_alias"]) as fasta:
        splits = read_splits(options["train"], options["valid"], options["test"], fasta, reading)
    summary = train_task(
        splits,
        folder,
        how,
        compute=_options.compute(options),
        about=_about(options),
        **{name: options[name] for name in ("model", "force", "resume")},
    )
    _note_task(folder, task, summary.digest)
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


def _train_sites(
    genome: Path | None, task: str, output: Path | None, options: dict[str, Any]
) -> None:
    """Train a task of sites."""
    _options.refuse(_OF_SEQUENCES, "does nothing with --dense; leave it out")
    if genome is None:
        raise click.UsageError("--dense needs GENOME, the FASTA whose bases --train labels")
    if options["mode"] != "full":
        _options.refuse(_OF_ENCODERS, "trains the encoder: it needs --mode full")
    config = from_dict(FineTuneConfig, settings_of(FineTuneConfig, options))
    names = _options.site_names(options)

    from findna.commands.finetune_sites import SiteInput, SiteOptions, finetune_sites
    from findna.outputs.files import check_folder
    from findna.tasks.task import TASK, tasks_home

    _options.begin()
    folder = output or tasks_home() / task
    check_folder(folder, options["force"], TASK)
    with _options.opened_genome(genome, options["chrom_alias"]) as fasta:
        assert fasta is not None
        data = _options.filled(SiteInput, options, genome=fasta, names=names)
        summary = finetune_sites(
            data,
            folder,
            _options.filled(SiteOptions, options, config=config),
            compute=_options.compute(options),
            about=_about(options),
            **{name: options[name] for name in ("model", "force", "resume")},
        )
    _note_task(folder, task, summary.digest)
    split = "test" if "test" in summary.metrics else "valid"
    shown = ", ".join(
        f"{name} {values['auprc']:.3f} (best baseline: {_best(values['baselines'])})"
        for name, values in summary.metrics[split].items()
    )
    where = {"test": "held-out contigs", "valid": "validation part"}[split]
    _options.say(
        f"{task}: AUPRC on every base of the {where}: {shown}; {summary.seconds:.0f} s "
        f"-> {folder} ({summary.digest[:12]})"
    )


def _note_task(folder: Path, task: str, digest: str) -> None:
    """Note the task that was written; what its data and figures are, task.json says."""
    from findna.tasks.sites import read_any_task

    record = read_any_task(folder)[1]
    note(
        outputs=[{"name": "output", "path": str(folder)}],
        weights={f"task {task}": digest},
        data=record["data"],
        metrics=record["metrics"],
    )


def _about(options: dict[str, Any]) -> dict[str, str]:
    """Return what the card says of the task in words."""
    return {name: options[name] for name in ("note", "species", "licence")}


def _best(baselines: dict[str, dict[str, float]]) -> str:
    name = max(baselines, key=lambda name: baselines[name]["auprc"])
    return f"{baselines[name]['auprc']:.3f}, {name}"
