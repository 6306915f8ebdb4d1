"""Scores of a model and its tasks, measured as they are on the labelled variants of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from findna.console import counted
from findna.errors import ConfigError, FindnaError
from findna.evaluation.runs import (
    Run,
    Suite,
    choose_sets,
    leave_out,
    measure_sets,
    nothing_measured,
)
from findna.evaluation.variant_sets import VARIANTS, find_variant_sets, read_starts, read_variants
from findna.evaluation.variants import Scorers, measure_variants, seconds_per_variant
from findna.genome.fasta import Genome
from findna.model.checkpoint import load_checkpoint, training_length
from findna.outputs.files import file_digest
from findna.tasks.duration import FEW_BASES, tell_duration
from findna.tasks.task import load_tasks
from findna.variants.alleles import WINDOW
from findna.variants.background import Ranks
from findna.variants.scores import Scorer

_TRIED = 16  # records by which it is guessed how long a run takes


@dataclass(frozen=True)
class VariantOptions:
    """Options that decide the figures.

    ``window`` is the length of the model's windows, bp; by default that of `findna variants`. A
    task reads what it was trained on, or this where its lengths differed.
    """

    tasks: Sequence[str] = ()  # names or folders of tasks whose change is measured too
    tss: Path | None = None  # BED file of starts of transcription
    window: int | None = None
    label: str = "LABEL"  # INFO field, 0 or 1
    draws: int = 5  # different random encoders


def evaluate_variants(
    genome: Genome, run: Run, options: VariantOptions = VariantOptions()
) -> dict[str, Any]:
    """Evaluate the scores of variants on the labelled VCF files of a folder.

    Returns
    -------
    dict
        ``about``, ``sets`` and ``missing``: what `findna.evaluation.variant_report` writes.

    Raises
    ------
    FindnaError
        There is no set, a set or the BED file cannot be read, a window is longer than what the
        model was trained on, or the folder holds results of other settings.
    """
    label = options.label
    found, unusable = find_variant_sets(run.data, label)
    sets, missing = choose_sets(
        run,
        VARIANTS,
        found,
        unusable,
        f"a set is a VCF or BCF file whose header defines INFO/{label}",
    )
    longest = training_length(run.model)
    window = options.window or min(WINDOW, longest)
    if window > longest:
        raise ConfigError(f"--window {window}: {run.model} was trained on at most {longest} bp")
    tasks = [
        (task, task.config.window or min(window, training_length(task.encoder)))
        for task in load_tasks(options.tasks)
    ]
    starts = None if options.tss is None else read_starts(options.tss, genome)
    shortest = min([window, *(length for _, length in tasks)])
    tables = {}
    for path in sets:
        try:
            tables[path] = read_variants(path, genome, label, shortest)
        except FindnaError as error:
            leave_out(path.name, error, missing)
    if not tables:
        raise nothing_measured(run, missing)
    checkpoint = load_checkpoint(run.model)
    ranks = Ranks(Scorer(checkpoint, compute=run.compute), _settings(window))
    ranked_tasks = [
        (task, n, Ranks(Scorer(None, (), [task], compute=run.compute), _settings(n)))
        for task, n in tasks
    ]
    scorers = Scorers(checkpoint, ranks, options.draws, ranked_tasks, window, run.compute)
    settings = {
        "tasks": {task.name: {"digest": task.digest, "window": n} for task, n in tasks},
        "tss": None if options.tss is None else file_digest(options.tss),
        "window": window,
        "label": label,
        "draws": options.draws,
        "backgrounds": sorted(
            digest
            for each in (ranks, *(ranks for _, _, ranks in ranked_tasks))
            for digest in each.files.values()
        ),
        "precision": run.compute.precision,
    }

    def measure(path: Path) -> dict[str, Any]:
        return measure_variants(path.name, tables[path], genome, scorers, starts)

    def announce(chosen: Sequence[Path]) -> None:
        records = [record for path in chosen for record in tables[path].records]
        if records and len(records) * (1 + options.draws + len(tasks)) * window >= FEW_BASES:
            seconds = len(records) * seconds_per_variant(records[:_TRIED], genome, scorers)
            tell_duration(counted(len(records), "variant", ","), seconds)

    suite = Suite(VARIANTS, {path.name: [path] for path in found}, genome)
    return measure_sets(run, suite, list(tables), missing, measure, checkpoint, settings, announce)


def _settings(window: int) -> dict[str, Any]:
    """Return the settings of scores with windows of so many bp, as backgrounds record them."""
    return {"window": window, "strand": "both"}
