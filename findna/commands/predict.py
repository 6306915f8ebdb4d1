"""FASTA and regions in, the rows out again with what tasks say of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, BinaryIO

from findna.commands.rows import Rows, TextOutput, region_rows, run_rows
from findna.errors import ConfigError
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions, RegionSource, Survey, survey
from findna.labelled.sets import REGRESSION
from findna.model.devices import Compute
from findna.outputs.destination import Destination
from findna.outputs.provenance import run_facts
from findna.outputs.results import Call
from findna.outputs.tables import PredictionFormat, PredictionWriter
from findna.tasks.reading import TaskReader
from findna.tasks.task import Task, load_tasks

logger = logging.getLogger(__name__)

FORMS = ("bed", "tsv", "jsonl")


@dataclass(frozen=True)
class PredictSummary:
    """What a run did."""

    rows: int
    predicted: int
    written: int
    seconds: float
    tasks: dict[str, str]


@dataclass(frozen=True)
class PredictRun:
    """Rows, and the loaded tasks that read them.

    Parameters
    ----------
    surveyed : Survey, optional
        Of the rows; None of a stream, which is checked row by row.
    """

    genome: Genome
    source: RegionSource
    surveyed: Survey | None
    tasks: Sequence[Task]
    options: RegionOptions
    compute: Compute

    @classmethod
    def prepare(
        cls,
        genome: Genome,
        source: RegionSource,
        tasks: Sequence[Task],
        options: RegionOptions,
        compute: Compute,
    ) -> PredictRun:
        """Check the rows, unless they are a stream, then load the encoders.

        Raises
        ------
        FindnaError
            The input cannot be used.
        """
        surveyed = None
        if not source.is_stream:
            surveyed = survey(source, genome, options)
            logger.info("%d rows, %d bp", surveyed.rows, surveyed.bases)
        run = cls(genome, source, surveyed, tasks, options, compute)
        _ = run.reader
        return run

    @cached_property
    def reader(self) -> TaskReader:
        """What reads regions for all tasks."""
        return TaskReader(self.tasks, self.compute)

    def rows(self) -> Rows[Placed]:
        """Return the rows, each with its region."""
        n_rows = self.surveyed.rows if self.surveyed else None
        return region_rows(self.source, self.genome, self.options, n_rows)

    def calls(self, rows: Iterator[Placed]) -> Iterator[tuple[Placed, list[Call] | None]]:
        """Yield each row with what every task says of it; without a region it has no calls."""
        watched = _watch_lengths(rows, self.tasks)
        return self.reader.calls(((row, row.region) for row in watched), self.genome)


def predict(
    genome: Genome,
    source: RegionSource,
    output: Destination,
    *,
    tasks: Sequence[str | Task],
    options: RegionOptions = RegionOptions(),
    layout: PredictionFormat = PredictionFormat(),
    compute: Compute,
) -> PredictSummary:
    """Write the rows of a source with the label and probability of each task.

    A stream is written as it is read: its rows are checked one by one. Rows of a file are all
    checked before anything is loaded.

    Parameters
    ----------
    tasks : sequence of str or Task
        Names or folders; or loaded ones.
    layout : PredictionFormat
        What a row looks like; format, missing rows and flushing are those of ``output`` and
        ``options``.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written.
    """
    started = time.monotonic()
    output.check([genome.path, source.path])
    if source.is_stream and output.in_parts:
        raise ConfigError(f"{source.name} is a stream, which cannot be read twice; give a file")
    loaded = load_tasks(tasks)
    _check_tasks(loaded, layout)
    run = PredictRun.prepare(genome, source, loaded, options, compute)
    layout = replace(layout, form=output.form, skip=options.on_error == "skip", live=output.is_live)

    def writer(file: BinaryIO) -> PredictionWriter:
        return PredictionWriter(file, [task.columns for task in loaded], layout, source.headers)

    def facts() -> dict[str, Any]:
        assert run.surveyed is not None  # a stream has no parts
        return run_facts(
            "predict",
            genome,
            run.surveyed.contigs,
            {"sha256": source.digest(), "rows": run.surveyed.rows},
            {task.name: task.digest for task in loaded},
            {
                **options.facts(),
                "on_error": options.on_error,
                "form": output.form,
                "bed6": layout.bed6,
                "header": layout.header,
                "all_classes": layout.all_classes,
                "records": layout.records,
                "min_probability": layout.min_probability,
                "precision": compute.precision,
            },
        )

    sink = TextOutput(output.open_text, writer)
    counts = run_rows("predict", run.rows(), run.calls, sink, output, facts)
    output.index(max(genome.contigs.values(), default=0))
    return PredictSummary(
        counts["rows"],
        counts["predicted"],
        counts["written"],
        time.monotonic() - started,
        {task.name: task.digest for task in loaded},
    )


def _check_tasks(tasks: Sequence[Task], layout: PredictionFormat) -> None:
    regressions = [task.name for task in tasks if task.config.kind == REGRESSION]
    if layout.bed6 and (len(tasks) > 1 or regressions):
        raise ConfigError(
            "--bed6 holds the probability of one task, which must not be a regression"
        )
    if layout.min_probability is not None and regressions:
        raise ConfigError("--min-prob: a regression has no probability; filter its column instead")


def _watch_lengths(rows: Iterator[Placed], tasks: Sequence[Task]) -> Iterator[Placed]:
    """Warn once of a row that is not as long as what a task was trained on."""
    waiting = {task.name: task.config.window for task in tasks if task.config.window}
    for row in rows:
        if waiting and row.region is not None:
            for name, window in list(waiting.items()):
                if len(row.region) != window:
                    del waiting[name]
                    logger.warning(
                        "line %d is %d bp; task %s was trained on %d bp: --window %d reads that "
                        "much around the middle of each region",
                        *(row.row.number, len(row.region), name, window, window),
                    )
        yield row
