"""FASTA and regions in, the rows out again with what tasks say of them."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, tee
from pathlib import Path
from typing import BinaryIO

from findna.commands.rows import place_all, rows_of, vectors_in_order
from findna.console import progress
from findna.errors import ConfigError
from findna.genome.batching import read_window
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions, RegionSource, survey
from findna.genome.windows import Window
from findna.labelled.sets import REGRESSION
from findna.model.devices import Compute
from findna.model.pooling import Pooling, RegionVectors
from findna.outputs.files import (
    check_output,
    index_table,
    is_device,
    is_live,
    is_stdout,
    open_text_output,
)
from findna.outputs.provenance import run_facts
from findna.outputs.shards import Shard, check_parts, write_note
from findna.outputs.tables import PredictionWriter
from findna.outputs.unfinished import Counts, kept, write_text
from findna.tasks.calls import call
from findna.tasks.features import POOLS, Matrix
from findna.tasks.task import Task, load_tasks

logger = logging.getLogger(__name__)

Predicted = tuple[Placed, list[Matrix] | None]
"""A row and the outputs of each task, if it has a region."""


@dataclass(frozen=True)
class PredictSummary:
    """What a run did."""

    rows: int
    predicted: int
    written: int
    seconds: float
    tasks: dict[str, str]


Reading = tuple[str, int, int, bool]
"""What tasks must have in common to share a pass: encoder, readout, bins and strands."""


def _readings(tasks: Sequence[Task]) -> dict[Reading, tuple[Task, Pooling]]:
    """What has to be read of each region, pass by pass."""
    readings: dict[Reading, tuple[Task, Pooling]] = {}
    for task in tasks:
        features = task.config.features
        key = _reading_of(task)
        before = readings[key][1].kinds if key in readings else ()
        kinds = tuple(pool for pool in POOLS if pool in {*before, *features.pools})
        readings[key] = (task, Pooling(kinds, features.bins, both_strands=features.both_strands))
    return readings


def _reading_of(task: Task) -> Reading:
    features = task.config.features
    return task.config.encoder_digest, features.readout, features.bins, features.both_strands


def predictions(
    placed: Iterator[Placed],
    genome: Genome,
    tasks: Sequence[Task],
    compute: Compute,
) -> Iterator[Predicted]:
    """Each row with the outputs of each task, shape (n_outputs,); None where it has no region.

    Tasks that read one encoder in the same way share its work.
    """
    readings = _readings(tasks)
    streams = [
        vectors_in_order(
            rows, genome, task.reader, pooling, compute
        )
        for rows, (task, pooling) in zip(
            tee(placed, len(readings)), readings.values(), strict=True
        )
    ]  # fmt: skip
    for found in zip(*streams, strict=True):
        item = found[0][0]
        if item.region is None:
            yield item, None
            continue
        vectors = dict(zip(readings, (row for _, row in found), strict=True))
        outputs = []
        for task in tasks:
            here = vectors[_reading_of(task)]
            assert here is not None
            outputs.append(task.probabilities(_features(task, here, item, genome)[None])[0])
        yield item, outputs


def _features(task: Task, vectors: RegionVectors, item: Placed, genome: Genome) -> Matrix:
    features = task.config.features
    if not features.k:
        return features.of(vectors)
    region = item.region
    assert region is not None
    return features.of(vectors, read_window(genome, Window(region, 0, len(region))))


def _watch_lengths(rows: Iterator[Placed], tasks: Sequence[Task]) -> Iterator[Placed]:
    """Warn once of a row that is not as long as what a task was trained on."""
    waiting = {task.name: task.config.window for task in tasks if task.config.window}
    for item in rows:
        if waiting and item.region is not None:
            for name, window in list(waiting.items()):
                if len(item.region) != window:
                    del waiting[name]
                    logger.warning(
                        "line %d is %d bp; task %s was trained on %d bp: --window %d reads that "
                        "much around the middle of each region",
                        item.row.number, len(item.region), name, window, window,
                    )  # fmt: skip
        yield item


def predict(
    genome: Genome,
    source: RegionSource,
    output: Path | None,
    *,
    tasks: Sequence[str],
    options: RegionOptions = RegionOptions(),
    form: str = "bed",
    bed6: bool = False,
    header: bool = False,
    all_classes: bool = False,
    records: bool = False,
    min_probability: float | None = None,
    write_index: bool = False,
    compute: Compute,
    shard: Shard | None = None,
    resume: bool = False,
    force: bool = False,
) -> PredictSummary:
    """Write the rows of a source with the label and probability of each task.

    A stream is written as it is read: its rows are checked one by one. Rows of a file are all
    checked before anything is loaded.

    Parameters
    ----------
    output : Path, optional
        File to write; None or ``-`` is standard output.
    form, bed6, header, all_classes, records
        See `findna.outputs.tables.PredictionWriter`.
    min_probability : float, optional
        Only write rows where a task gives at least this probability.
    write_index : bool
        Make a tabix index beside the output.
    shard : Shard, optional
        Only these rows; a note of what the output is a part of is kept beside it.
    resume : bool
        Keep what is complete if interrupted, and go on from it.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written.
    """
    started = time.monotonic()
    check_parts(output, shard, resume)
    if source.is_stream and (resume or shard is not None):
        raise ConfigError(f"{source.name} is a stream, which cannot be read twice; give a file")
    if output is not None and not is_stdout(output) and not is_device(output):
        check_output(output, force, [genome.path, *([source.path] if source.path else [])])
    if write_index and (
        is_stdout(output) or output is None or output.suffix not in (".gz", ".bgz")
    ):
        raise ConfigError("--write-index needs a BGZF file: -o NAME.bed.gz")
    if write_index and form != "bed":
        raise ConfigError("--write-index needs BED output (-O bed)")
    loaded = load_tasks(tasks)
    if bed6 and (len(loaded) > 1 or loaded[0].config.kind == REGRESSION):
        raise ConfigError(
            "--bed6 holds the probability of one task, which must not be a regression"
        )
    if min_probability is not None and any(t.config.kind == REGRESSION for t in loaded):
        raise ConfigError("--min-prob: a regression has no probability; filter its column instead")
    found = None
    if not source.is_stream:
        found = survey(source, genome, options)
        logger.info("%d rows, %d bp", found.rows, found.bases)
    for task in loaded:
        assert task.checkpoint  # loaded before the output is opened
    first, last = 0, None
    if found is not None:
        first, last = rows_of(shard, source, genome, options, found)

    def rows(done: int) -> Iterator[Predicted]:
        placed = islice(place_all(source, genome, options), first + done, last)
        return predictions(_watch_lengths(placed, loaded), genome, loaded, compute)

    def write(file: BinaryIO, some: Iterable[Predicted], begin: bool) -> Counts:
        counts = Counter(rows=0, predicted=0, written=0, header_lines=0)
        writer = PredictionWriter(
            file, [task.columns for task in loaded], form,
            bed6=bed6, header=header, all_classes=all_classes, records=records,
            live=is_live(output),
        )  # fmt: skip
        some = iter(some)
        item = next(some, None)
        if begin:
            n_columns = len(item[0].row.columns) if item else 3
            counts["header_lines"] = writer.begin(source.headers, n_columns)
        for placed, outputs in chain([item] if item else [], some):
            counts["rows"] += 1
            if outputs is None and options.on_error == "skip":
                continue
            counts["predicted"] += outputs is not None
            bar.update()
            calls = None
            if outputs is not None:
                calls = [call(task, values) for task, values in zip(loaded, outputs, strict=True)]
            if min_probability is not None and not (
                calls and any(one.probability >= min_probability for one in calls)
            ):
                continue
            writer.write(placed.row, placed.status, calls)
            counts["written"] += 1
        return counts

    with ExitStack() as stack:
        decides, unfinished, n_rows = {}, None, 0
        if found is not None and (resume or shard is not None):
            n_rows = found.rows
            decides = run_facts(
                "predict", genome, found.contigs, {"sha256": source.digest(), "rows": n_rows},
                {task.name: task.digest for task in loaded},
                {**options.facts(), "on_error": options.on_error, "form": form, "bed6": bed6,
                 "header": header, "all_classes": all_classes, "records": records,
                 "min_probability": min_probability, "precision": compute.precision},
            )  # fmt: skip
        if resume:
            unfinished = stack.enter_context(kept(output, decides, shard, force))
        done = unfinished.rows if unfinished else 0
        total = None if last is None else last - first
        bar = stack.enter_context(progress(total, "regions", "predict", done))
        counts = write_text(
            rows(done), write, partial(open_text_output, output, force), unfinished, total or 0
        )
        if shard is not None:
            assert output is not None
            write_note(output, decides, shard, (first, last or 0), n_rows, counts["header_lines"])
        if unfinished is not None:
            unfinished.discard()
    if write_index:
        assert output is not None
        index_table(output)
    return PredictSummary(
        counts["rows"],
        counts["predicted"],
        counts["written"],
        time.monotonic() - started,
        {task.name: task.digest for task in loaded},
    )
