"""``findna evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import BP, FILE, FOLDER, MODEL, PATH, TASK, choice, flag, option
from findna.cli._output import print_table
from findna.cli._settings import GroupedCommand, needing_mode_full, setting_options
from findna.cli._summary import note, summarized
from findna.console import counted
from findna.tasks.recipe import FineTuneConfig

_BASELINES = ("random", "k-mers", "cnn")
_OF_FINDNA = ("mode", "seeds", "kmers")
"""Options of sequences that the protocol of GENEB decides."""
_OF_SEQUENCES = ("protocol", "both_strands", "baseline", "most", "remove_leaks", "cache")
_OF_VARIANTS = ("task", "tss", "window", "label")
"""Options for suites of one kind only."""


def _cache(folder: Path | None) -> Any:
    """Return where vectors are kept: findna's own folder, if none is given."""
    from findna.tasks.feature_cache import FeatureCache

    if folder is None:
        return FeatureCache.own()
    return None if str(folder) == "none" else FeatureCache(folder)


@click.command(
    cls=GroupedCommand,
    settings_title="With --mode full",
    short_help="Measure a model beside baselines on labelled sets.",
)
@click.argument("genome", type=PATH, required=False)
@option(
    "--suite",
    "Sets to look for; folder: every sub-folder that holds splits; variants: every VCF with"
    " labels.",
    ["gue", "genomic-benchmarks", "mtcdna", "folder", "variants"],
    default="folder",
)
@option(
    "--data=FOLDER",
    "Where the suite lies, in the layout it is published in.",
    FOLDER,
    required=True,
)
@option(
    "-m --model=NAME|FOLDER", "Model to evaluate; see findna models list.", MODEL, default="tiny"
)
@choice(
    "--mode",
    "Linear head on the frozen encoder, encoder trained too, or nearest neighbours.",
    "probe full knn",
)
@choice(
    "--protocol",
    "Heads chosen on validation sequences; or as GENEB: logistic regression on mean vectors and "
    "all of train, MCC.",
    "findna geneb",
)
@flag("--both-strands", "With --protocol geneb: average with the reverse complement.")
@option("--seeds", "Repetitions with other draws.", (1, 1000), default=5)
@option(
    "--draws=N",
    "Different random encoders, used by the seeds in turn.  [default: one per seed; 5 of variants]",
    (1,),
)
@option(
    "--baseline",
    "Baseline in the same table; repeatable.  [default: all: the encoder with random "
    "weights, k-mer regression, the GenomicBenchmarks CNN]",
    [*_BASELINES, "none"],
    multiple=True,
)
@option("--set=NAME sets", "Only this set; repeatable.", multiple=True)
@option(
    "--most=N", "Use at most N sequences of a split, drawn once.  [default: all]", (0,), default=0
)
@_options.kmers
@flag(
    "--remove-leaks", "Leave out training sequences that occur in the test split, on either strand."
)
@option(
    "-t --task=NAME[,NAME]",
    "Variants: also what each changes in the log-odds of a task; repeatable.",
    TASK,
    multiple=True,
)
@option(
    "--tss=BED",
    "Variants: starts of transcription; the distance to the nearest one is a baseline.",
    FILE,
)
@option(
    "--window=N", "Variants: length of the model's windows, bp.  [default: as findna variants]", BP
)
@option(
    "--label=FIELD", "Variants: INFO field that is 1 with an effect, 0 without.", default="LABEL"
)
@option(
    "--cache=FOLDER|none",
    "Where the vectors of labelled sequences are kept for the next run.  [default: findna's cache "
    "folder, at most 4 GB]",
    PATH,
)
@option(
    "-o --output=FOLDER",
    "Keep the figures of each set here, and reports: report.json, report.md, report.html.",
    PATH,
)
@flag("--resume", "Go on: sets that -o holds are not measured again.")
@_options.device
@_options.precision
@_options.threads
@_options.force
@_options.verbosity
@setting_options(FineTuneConfig)
@summarized("genome data tss", "output")
def evaluate(genome: Path | None, suite: str, output: Path | None, **options: Any) -> None:
    """Measure a model and its baselines on labelled sets: a table with intervals and seeds.

    All training sequences are used. Choices are made on validation sequences (a set without dev
    holds out part of train; one without train is trained on dev and starred); the test split is
    only measured. Sequences that occur in both are counted. GENOME is the FASTA of sets that are
    intervals, or of variants. How long it will take is said before it begins where that is a
    minute or more.

    --protocol geneb measures as the leaderboard of GENEB does, beside its figures: scikit-learn's
    logistic regression on mean vectors as they are, forward strand, without any choice; 4-mers
    and random weights alike. A set without train is left out.

    Of variants there is one row per score, model or not; nothing is trained but regressions, on
    other parts of the genome than they score.

    \b
    Examples:
      findna evaluate --suite gue --data GUE -o gue/ --seeds 5
      findna evaluate --suite gue --data GUE --set prom/prom_300_tata --baseline k-mers
      findna evaluate --suite gue --data GUE --protocol geneb --precision bf16 -o geneb/
      findna evaluate hg38.fa --suite genomic-benchmarks --data datasets --most 5000 -o gb/
      findna evaluate hg38.fa --suite variants --data vcfs/ --tss tss.bed --task promoter
      findna evaluate --data my_sets/ --model my_model/ --mode full -o mine/ --resume
    """
    if options["resume"] and output is None:
        raise click.UsageError("--resume needs -o FOLDER")
    config = needing_mode_full(FineTuneConfig, options)

    if suite == "variants":
        _options.refuse(_OF_FINDNA + _OF_SEQUENCES, "does not go with --suite variants")
        if genome is None:
            raise click.UsageError("--suite variants needs GENOME, the FASTA of the variants")
    else:
        _options.refuse(_OF_VARIANTS, "needs --suite variants")
    known: tuple[str, ...] = _BASELINES
    if options["protocol"] == "geneb":
        _options.refuse(_OF_FINDNA, "does not go with --protocol geneb")
        if "cnn" in options["baseline"]:
            raise click.UsageError("--baseline cnn does not go with --protocol geneb")
        known = _BASELINES[:2]
    else:
        _options.refuse(("both_strands",), "needs --protocol geneb; others choose the strands")

    from findna.evaluation.protocol import EvaluateOptions
    from findna.evaluation.protocol import evaluate as run_suite
    from findna.evaluation.report import drawings, summary_rows, to_html, to_markdown
    from findna.evaluation.runs import Run
    from findna.evaluation.variant_protocol import VariantOptions, evaluate_variants
    from findna.evaluation.variant_report import variant_drawings, variant_markdown, variant_rows
    from findna.outputs.files import replaced
    from findna.outputs.pages import add_page

    with _options.opened_genome(genome) as fasta:
        compute = _options.compute(options)
        cache = _cache(options["cache"])
        run = _options.filled(
            Run, options, compute=compute, only=options["sets"], folder=output, cache=cache
        )
        if suite == "variants":
            tasks, draws = _options.listed(options["task"], "--task"), options["draws"] or 5
            of_variants = _options.filled(VariantOptions, options, tasks=tasks, draws=draws)
            report = evaluate_variants(fasta, run, of_variants)
            text, table = variant_markdown(report), variant_rows(report["sets"])
        else:
            chosen = () if "none" in options["baseline"] else options["baseline"] or known
            of_sequences = _options.filled(
                EvaluateOptions,
                options,
                baselines=tuple(name for name in known if name in chosen),
                draws=options["draws"] or options["seeds"],
                config=config,
            )
            report = run_suite(suite, run, of_sequences, fasta)
            text, table = to_markdown(report), summary_rows(report["sets"])
    if output is not None:
        with replaced(output / "report.json") as temporary:
            temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        with replaced(output / "report.md") as temporary:
            temporary.write_text(text, encoding="utf-8")
        draw = variant_drawings if suite == "variants" else drawings
        add_page(output / "report.html", lambda: to_html(text, draw(report)))
    about = report["about"]
    note(
        counts={"sets": len(report["sets"]), "not_measured": len(report["missing"])},
        weights={f"model {about['model']}": about["digest"]},
    )
    print_table(*table)
    for name in report["missing"]:
        _options.say(f"not measured: {name}")
    arrow = _options.arrow(output and output / "report.md")
    n_sets = counted(len(report["sets"]), "set")
    _options.say(f"{n_sets} in {about['seconds']} s{arrow}")
