"""FASTA and regions in, the rows out again with the calls of tasks."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO

from findna.commands.rows import RegionRun, Summary, run_rows, text_output
from findna.errors import ConfigError, RegionError
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions
from findna.genome.sources import RegionSource, tell_empty
from findna.labelled.sets import REGRESSION
from findna.model.devices import Compute
from findna.outputs.destination import Destination
from findna.outputs.multiqc import Histogram, Section, section_id, tallied
from findna.outputs.provenance import task_weights
from findna.outputs.results import Call, TaskColumns
from findna.outputs.shards import Facts
from findna.outputs.tables import PredictionFormat, PredictionWriter
from findna.tasks.placement import TaskWindows
from findna.tasks.reading import TaskReader
from findna.tasks.sites import AnyTask, load_any_tasks
from findna.tasks.task import Task

logger = logging.getLogger(__name__)

FORMS = ("bed", "tsv", "jsonl")


class PredictRun(RegionRun):
    """Rows, and the loaded tasks that read them; a stream is checked row by row."""

    def __init__(
        self,
        genome: Genome,
        source: RegionSource,
        tasks: Sequence[AnyTask],
        options: RegionOptions,
        compute: Compute,
        in_parts: bool = False,
    ) -> None:
        self._of_regions = [task for task in tasks if isinstance(task, Task)]
        self.windows = TaskWindows(self._of_regions, options)
        options = self.windows.options
        super().__init__(genome, source, options, compute, streams=True, in_parts=in_parts)
        self.windows.check_points(self.survey.points)
        self.reader = TaskReader(tasks, compute)

    def calls(self, rows: Iterator[Placed]) -> Iterator[tuple[Placed, list[Call] | None]]:
        """Yield each row with the call of every task; without a region it has none."""
        watched = _watch_lengths(self.windows.watch(self.checked(rows)), self._of_regions)
        pairs = ((row, row.region) for row in watched)
        return self.reader.calls(
            pairs, self.genome, lambda row: self.options.of(row.interval).stranded
        )


def predict(
    genome: Genome,
    source: RegionSource,
    output: Destination,
    *,
    tasks: Sequence[str | AnyTask],
    options: RegionOptions = RegionOptions(),
    layout: PredictionFormat = PredictionFormat(),
    compute: Compute,
) -> Summary:
    """Write the rows of a source with the label and probability of each task.

    A stream is written as it is read: its rows are checked one by one. Rows of a file are all
    checked before anything is loaded. The counts are ``predicted``, ``written``, rows without a
    call by their status, and those of `run_rows`.

    Parameters
    ----------
    tasks : sequence of str, Task or SiteTask
        Names or folders; or loaded ones.
    layout : PredictionFormat
        Form of a row; format, missing rows and flushing are those of ``output`` and ``options``.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written.
    """
    started = time.monotonic()
    output.check([genome.path, source.path])
    if source.is_stream and output.in_parts:
        raise ConfigError(f"{source.name} is a stream, which cannot be read twice; give a file")
    loaded = load_any_tasks(tasks)
    _check_tasks(loaded, layout)
    columns = [task.columns for task in loaded]
    run = PredictRun(genome, source, loaded, options, compute, output.in_parts)
    if output.write_index and run.survey.unsorted:
        raise RegionError(
            f"{source.name}:{run.survey.unsorted}: not sorted, as --write-index needs it to be; "
            "sort the input (sort -k1,1 -k2,2n)"
        )
    layout = replace(layout, form=output.form, skip=options.on_error == "skip", live=output.is_live)

    def writer(file: BinaryIO) -> PredictionWriter:
        return PredictionWriter(file, columns, layout, source.headers)

    def facts() -> Facts:
        recorded = {
            **run.options.facts(),
            "on_error": options.on_error,
            "form": output.form,
            "bed6": layout.bed6,
            "bed9": layout.bed9,
            "header": layout.header,
            "all_classes": layout.all_classes,
            "records": layout.records,
            "min_probability": layout.min_probability,
            "precision": compute.precision,
        }
        return run.facts("predict", task_weights(columns), recorded)

    sink = text_output(output.open_text, writer)
    stage = tallied(run.calls, LabelTally(columns), output, "predict")
    counts = run_rows("predict", run.rows(), stage, sink, output, facts)
    if source.is_stream and not counts["rows"]:
        tell_empty(source)
    weights = {f"task {task.name}": task.digest for task in loaded}
    seconds, windows = time.monotonic() - started, str(run.windows)
    return Summary(counts, seconds, weights, compute.precision, windows=windows)


class LabelTally:
    """Labels and probabilities that tasks give; a regression has neither."""

    def __init__(self, tasks: Sequence[TaskColumns]) -> None:
        self._tasks = tasks
        self._labels = [Counter[str]() for _ in tasks]
        self._probabilities = [Histogram(0, 1, 20) for _ in tasks]

    def add(self, row: Placed, result: Sequence[Call] | None) -> None:
        """Count the labels of a row, or its status."""
        for i, labels in enumerate(self._labels):
            if result is None:
                labels[row.status] += 1
                continue
            labels.update(result[i].label.split(","))  # of a multilabel task several
            if not self._tasks[i].is_value:
                self._probabilities[i].add(result[i].probability)

    def sections(self) -> Iterator[Section]:
        """Yield the labels and the probabilities of each task."""
        for i, task in enumerate(self._tasks):
            if task.is_value:
                continue
            made_by = f"Task {task.name}, weights {task.digest[:12]}."
            name = f"{task.name}: labels"
            said = f"Rows by label, and by the reason why some have none. {made_by}"
            yield Section(
                section_id("predict", task.name, "labels"), name, said, self._labels[i], "rows"
            )
            yield Section(
                section_id("predict", task.name, "probability"),
                f"{task.name}: probability",
                f"Rows by probability, in bins of 0.05. {made_by}",
                self._probabilities[i].line(),
                *("rows", "probability"),
                {"xmin": 0, "xmax": 1, "ymin": 0},
            )


def _check_tasks(tasks: Sequence[AnyTask], layout: PredictionFormat) -> None:
    regressions = [task.name for task in tasks if task.config.kind == REGRESSION]
    if layout.n_columns and (len(tasks) > 1 or regressions):
        raise ConfigError(
            f"--bed{layout.n_columns} holds the probability of one task, which must not be a "
            "regression"
        )
    if layout.min_probability is not None and regressions:
        raise ConfigError("--min-prob: a regression has no probability; filter its column instead")


def _watch_lengths(rows: Iterator[Placed], tasks: Sequence[Task]) -> Iterator[Placed]:
    """Warn once of a row that is not as long as what a task was trained on."""
    waiting = {task.name: task.config.window for task in tasks if task.config.window}
    for row in rows:
        length = len(row.region) if row.region else 0
        for name in [name for name, window in waiting.items() if length not in (0, window)]:
            window = waiting.pop(name)
            logger.warning(
                "%s is %d bp; task %s was trained on %d bp: --anchor center lays its windows "
                "about the middle of each region, --anchor start about its 5' end",
                *(row.row.place, length, name, window),
            )
        yield row
