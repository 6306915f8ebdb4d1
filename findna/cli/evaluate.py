"""``findna evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._settings import GroupedCommand, setting_options, settings_of
from findna.cli._tables import print_table
from findna.config import FineTuneConfig

_BASELINES = ("random", "k-mers", "cnn")


@click.command(
    cls=GroupedCommand,
    settings_title="With --mode full",
    short_help="Measure a model beside baselines on labelled sets.",
)
@click.argument("genome", type=click.Path(path_type=Path), required=False)
@click.option(
    "--suite", type=click.Choice(["gue", "genomic-benchmarks", "mtcdna", "folder"]),
    default="folder", show_default=True,
    help="Sets to look for; folder: every sub-folder that holds splits.",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
    metavar="FOLDER", help="Where the suite lies, in the layout it is published in.",
)  # fmt: skip
@click.option(
    "-m", "--model", default="tiny", show_default=True, metavar="NAME|FOLDER",
    help="Model to evaluate; see findna models list.",
)  # fmt: skip
@click.option(
    "--mode", type=click.Choice(["probe", "full", "knn"]), default="probe", show_default=True,
    help="Linear head on the frozen encoder, encoder trained too, or nearest neighbours.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(1, 1000), default=5, show_default=True,
              help="Repetitions: other training sequences, other draws.")  # fmt: skip
@click.option(
    "--draws", type=click.IntRange(1), metavar="N",
    help="Different random encoders, used by the seeds in turn.  [default: one per seed]",
)  # fmt: skip
@click.option(
    "--baseline", type=click.Choice([*_BASELINES, "none"]), multiple=True,
    help="Baseline in the same table; repeatable.  [default: all: the encoder with random "
    "weights, k-mer regression, the GenomicBenchmarks CNN]",
)  # fmt: skip
@click.option("--set", "sets", multiple=True, metavar="NAME", help="Only this set; repeatable.")
@click.option(
    "--most", type=click.IntRange(0), default=0, metavar="N",
    help="Use at most N sequences of a split, drawn once.  [default: all]",
)  # fmt: skip
@click.option(
    "--kmers/--no-kmers", default=True, show_default=True,
    help="Let validation append k-mer frequencies to the embedding.",
)  # fmt: skip
@click.option(
    "--remove-leaks", is_flag=True,
    help="Leave out training sequences that occur in the test split, on either strand.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER",
    help="Keep the figures of each set, report.json and report.md here.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on: sets that -o holds are not measured again.")
@_options.device
@click.option(
    "--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True,
    help="Arithmetic of the encoder.",
)  # fmt: skip
@_options.threads
@_options.force
@_options.verbosity
@setting_options(FineTuneConfig)
def evaluate(
    genome: Path | None,
    suite: str,
    data: Path,
    model: str,
    mode: str,
    seeds: int,
    draws: int | None,
    baseline: tuple[str, ...],
    sets: tuple[str, ...],
    most: int,
    kmers: bool,
    remove_leaks: bool,
    output: Path | None,
    resume: bool,
    device: str,
    precision: str,
    force: bool,
    **settings: Any,
) -> None:
    """Measure a model and its baselines on labelled sets: a table with intervals and seeds.

    Choices are made on validation sequences (a set without dev holds out part of train; one
    without train is trained on dev and starred); the test split is only measured. Sequences that
    occur in both are counted. GENOME is the FASTA of sets that are intervals.

    \b
    Examples:
      findna evaluate --suite gue --data GUE -o gue/ --seeds 5
      findna evaluate --suite gue --data GUE --set prom/prom_300_tata --baseline k-mers
      findna evaluate hg38.fa --suite genomic-benchmarks --data datasets --most 5000 -o gb/
      findna evaluate --data my_sets/ --model my_model/ --mode full -o mine/ --resume
    """
    if resume and output is None:
        raise click.UsageError("--resume needs -o FOLDER")
    given = settings_of(FineTuneConfig, settings)
    if given and mode != "full":
        name = next(iter(given)).replace("_", "-")
        raise click.UsageError(f"--{name} needs --mode full")

    from contextlib import ExitStack

    from findna.config import from_dict
    from findna.evaluate import EvaluateOptions
    from findna.evaluate import evaluate as run
    from findna.evaluation.report import summary_rows, to_markdown
    from findna.genome import Genome
    from findna.io.output import replaced

    _options.begin()
    chosen = () if "none" in baseline else baseline or _BASELINES
    with ExitStack() as stack:
        fasta = stack.enter_context(Genome(genome)) if genome is not None else None
        report = run(
            suite,
            data,
            output,
            model=model,
            options=EvaluateOptions(
                mode=mode,
                baselines=tuple(name for name in _BASELINES if name in chosen),
                seeds=seeds,
                draws=draws or seeds,
                most=most,
                kmers=kmers,
                remove_leaks=remove_leaks,
                precision=precision,
                config=from_dict(FineTuneConfig, given),
            ),
            only=sets,
            genome=fasta,
            device=device,
            resume=resume,
            force=force,
        )
    if output is not None:
        for name, text in (
            ("report.json", json.dumps(report, indent=1) + "\n"),
            ("report.md", to_markdown(report)),
        ):
            with replaced(output / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
    print_table(*summary_rows(report["sets"]))
    for name in report["missing"]:
        _options.say(f"not measured: {name}")
    _options.say(
        f"{len(report['sets'])} sets in {report['about']['seconds']} s"
        + (f" -> {output / 'report.md'}" if output is not None else "")
    )
