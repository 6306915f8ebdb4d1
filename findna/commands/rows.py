"""The one runner: rows in, placed once, computed, and written, whole or in parts.

A command on rows keeps what is its own: a stage, which turns rows into (row, result) in their
order, and writers with `write(row, result)`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, Generic, Protocol, TypeVar

from findna.console import counted, progress
from findna.errors import RegionError
from findna.genome.fasta import Genome
from findna.genome.regions import (
    KEPT_OR_SKIPPED,
    NO_SEQUENCE,
    Placed,
    RegionOptions,
    place_rows,
    without_n,
)
from findna.genome.sources import RegionSource
from findna.genome.survey import RowRecord, Survey, survey
from findna.model.devices import Compute
from findna.outputs.destination import Destination
from findna.outputs.provenance import run_facts
from findna.outputs.shards import Counts, Facts, Shard, write_note
from findna.outputs.unfinished import Unfinished, open_unfinished

logger = logging.getLogger(__name__)

Row = TypeVar("Row")
Result = TypeVar("Result")
RowIn = TypeVar("RowIn", contravariant=True)
ResultIn = TypeVar("ResultIn", contravariant=True)

_BLOCK = 1 << 20  # bytes


@dataclass(frozen=True)
class Summary:
    """Summary of a run.

    Parameters
    ----------
    weights : mapping
        Digest of each model and task by what it is called: ``task promoter``.
    quantity : str
        Name of what was measured, if the weights have several.
    precision : str
        Arithmetic of the encoder: "fp32" or "bf16".
    windows : str
        The windows of the task that were taken of rows, in words; empty if there were none.
    """

    counts: Mapping[str, int]
    seconds: float
    weights: Mapping[str, str]
    precision: str
    quantity: str = ""
    windows: str = ""

    @property
    def made_by(self) -> str:
        """Names of the weights with the beginnings of their digests, and a precision below fp32."""
        made_by = ", ".join(f"{name} {digest[:12]}" for name, digest in self.weights.items())
        return made_by if self.precision == "fp32" else f"{made_by}, {self.precision}"


class Writer(Protocol[RowIn, ResultIn]):
    """A writer of rows; ``counts`` holds what it counts, apart from rows."""

    counts: Counter[str]

    def begin(self, row: RowIn | None) -> int:
        """Write what precedes the first row, if there is one; return its number of lines."""
        ...

    def write(self, row: RowIn, result: ResultIn | None) -> None:
        """Write one row; without a result it has missing values."""
        ...


@dataclass(frozen=True)
class Output(Generic[Row, Result]):
    """An output in one piece, or in parts that are joined.

    Parameters
    ----------
    whole : callable
        Opens the output itself; it appears when the block succeeds.
    part : callable
        Opens a file for some of the rows.
    join : callable
        Writes the output from the files of all its parts, in their order.
    """

    whole: Callable[[], AbstractContextManager[Writer[Row, Result]]]
    part: Callable[[Path], AbstractContextManager[Writer[Row, Result]]]
    join: Callable[[Sequence[Path]], None]


def text_output(
    open_text: Callable[[], AbstractContextManager[BinaryIO]],
    writer: Callable[[BinaryIO], Writer[Row, Result]],
) -> Output[Row, Result]:
    """Return an output of lines of text, given what opens it and what writes to an open file."""

    @contextmanager
    def whole() -> Iterator[Writer[Row, Result]]:
        with open_text() as file:
            yield writer(file)

    @contextmanager
    def part(path: Path) -> Iterator[Writer[Row, Result]]:
        with path.open("wb") as file:
            yield writer(file)

    def join(parts: Sequence[Path]) -> None:
        with open_text() as file:
            for path in parts:
                with path.open("rb") as part:
                    copyfileobj(part, file, _BLOCK)

    return Output(whole, part, join)


@dataclass(frozen=True)
class Rows(Generic[Row]):
    """The rows of an input.

    Parameters
    ----------
    read : callable
        Reads the rows from the first on, each with all that is needed to compute it.
    total : int, optional
        Their number; None of a stream, whose rows are read once.
    costs : callable
        Costs of the rows, in their order: shards are balanced by them.
    unit : str
        Name of the rows in a progress bar.
    """

    read: Callable[[], Iterator[Row]]
    total: int | None
    costs: Callable[[], Iterable[int]]
    unit: str

    def span(self, shard: Shard | None) -> tuple[int, int | None]:
        """Return the first row of a shard and the one after its last; of no shard, of all."""
        if shard is None or self.total is None:
            return 0, self.total
        costs = list(self.costs())
        return shard.rows(costs, sum(costs))


def run_rows(
    name: str,
    rows: Rows[Row],
    stage: Callable[[Iterator[Row]], Iterator[tuple[Row, Result | None]]],
    output: Output[Row, Result],
    destination: Destination,
    facts: Callable[[], Facts],
) -> Counts:
    """Compute rows and write them; go on from what is complete, and note what a shard is part of.

    Parameters
    ----------
    name : str
        Of the command, for the progress bar.
    stage : callable
        Computes rows; none is left out or moved.
    facts : callable
        Gives what decides the content of the output; called for an output in parts only.

    Returns
    -------
    dict of str to int
        ``rows``, ``resumed``, ``header_lines``, and what the writer counted.
    """
    first, last = rows.span(destination.shard)
    n_rows = None if last is None else last - first
    decides = facts() if destination.in_parts else {}
    with ExitStack() as stack:
        unfinished = None
        if destination.resume:
            unfinished = stack.enter_context(open_unfinished(destination, decides))
        done = unfinished.counts["rows"] if unfinished else 0
        bar = stack.enter_context(progress(n_rows, rows.unit, name, done, destination.is_stdout))
        results = stage(islice(rows.read(), first + done, last))

        def first_row() -> Row | None:
            """Return the first row of all, by which a shard without rows names its columns."""
            return next(rows.read(), None) if destination.shard and rows.total else None

        counts = _write(results, output, unfinished, n_rows or 0, bar.update, first_row)
        if destination.shard is not None:
            span, total = (first, last or 0), rows.total or 0
            write_note(destination.file, destination.shard, decides, span, total, counts)
        destination.index()
        if unfinished is not None:
            unfinished.discard()
    return counts | {"resumed": done}


def _write(
    results: Iterable[tuple[Row, Result | None]],
    output: Output[Row, Result],
    unfinished: Unfinished | None,
    total: int,
    advance: Callable[[], object],
    first_row: Callable[[], Row | None],
) -> Counts:
    if unfinished is None:
        with output.whole() as writer:
            return _fill(writer, results, True, advance, first_row)
    if unfinished.is_published:
        return unfinished.counts
    for stretch in unfinished.stretches(results, total):
        counts: Counts = {}
        begin = not unfinished.files
        with unfinished.part(counts) as path, output.part(path) as writer:
            counts |= _fill(writer, stretch, begin, advance, first_row)
    output.join(unfinished.files)
    return unfinished.counts


def _fill(
    writer: Writer[Row, Result],
    results: Iterable[tuple[Row, Result | None]],
    begin: bool,
    advance: Callable[[], object],
    first_row: Callable[[], Row | None],
) -> Counts:
    """Write rows, after what precedes the first of all."""
    n_rows = header_lines = 0
    for row, result in results:
        if begin and n_rows == 0:
            header_lines = writer.begin(row)
        writer.write(row, result)
        n_rows += 1
        advance()
    if begin and n_rows == 0:
        header_lines = writer.begin(first_row())
    return {"rows": n_rows, "header_lines": header_lines, **writer.counts}


def place_all(source: RegionSource, genome: Genome, options: RegionOptions) -> Iterator[Placed]:
    """Yield every row with its region, or with the reason why it has none.

    Raises
    ------
    RegionError
        A row has another number of columns than the first, or cannot be read and ``on_error`` is
        stop. Of a source that was surveyed before, neither happens.
    """
    for block in source.blocks():
        for placed in place_rows(block, genome, options):
            if placed.region is None and options.on_error == "stop":
                location = f"{source.name}:{placed.row.number}"
                raise RegionError(f"{location}: {placed.reason}; {KEPT_OR_SKIPPED}")
            yield placed


class RegionRun:
    """Rows of a source, and how they are computed.

    Parameters
    ----------
    utf8 : bool
        Refuse rows that are not UTF-8 text.
    streams : bool
        Check the rows of a stream one by one, as they are read; other rows are all checked here.
    in_parts : bool
        Keep what shards and parts of an output need: `rows` and `facts` give it.

    Attributes
    ----------
    survey : Survey
        Empty of a stream.
    n_rows : int or None
        None of a stream.

    Raises
    ------
    FindnaError
        The input cannot be used.
    """

    def __init__(
        self,
        genome: Genome,
        source: RegionSource,
        options: RegionOptions,
        compute: Compute,
        *,
        utf8: bool = False,
        streams: bool = False,
        in_parts: bool = False,
    ) -> None:
        self.genome, self.source = genome, source
        self.options, self.compute = options, compute
        self.survey = Survey()
        self._record = RowRecord() if in_parts else None
        self.n_rows: int | None = None
        self._warned: set[str] = set()
        if not (streams and source.is_stream):
            self.survey = survey(source, genome, options, utf8, self._record)
            self.n_rows = self.survey.rows
            if not self.survey.points:
                self.options = replace(options, points=None)
            rows, contigs = counted(self.n_rows, "row"), len(self.survey.contigs)
            logger.info("%s, %d bp in %s", rows, self.survey.bases, counted(contigs, "contig"))

    def placed(self) -> Iterator[Placed]:
        """Yield the rows, each with its region."""
        return place_all(self.source, self.genome, self.options)

    def checked(self, rows: Iterable[Placed]) -> Iterator[Placed]:
        """Yield rows; those with too many N without their region.

        Warn once of that, and of rows without a strand that are read by strand.
        """
        for placed in rows:
            if placed.interval.strand == "." and self.options.of(placed.interval).stranded:
                strand = placed.columns[5] if len(placed.columns) > 5 else "."
                where = "in column 6" + (" of a BED file" if placed.row.given else "")
                self.warn_once(
                    "strand",
                    f"{placed.row.place} has strand {strand[:40]!r}, not + or -; it and "
                    f"others like it are read forward: give strands {where}",
                )
            row = self.with_sequence(placed)
            if row.status == NO_SEQUENCE:
                label = "" if row.row.given else f" ({row.interval.label()})"
                self.warn_once(
                    NO_SEQUENCE,
                    f"{row.row.place}{label}: {row.reason}; such rows have no result, and status "
                    f"{NO_SEQUENCE}",
                )
            yield row

    def with_sequence(self, placed: Placed) -> Placed:
        """Return a row; without its region if that holds too many N."""
        return without_n(placed, self.genome, self.options.max_n)

    def warn_once(self, about: str, message: str) -> None:
        """Log a warning, unless there was one about the same."""
        if about not in self._warned:
            self._warned.add(about)
            logger.warning("%s", message)

    def rows(self) -> Rows[Placed]:
        """Return the rows for `run_rows`; a shard is balanced by bases."""
        lengths = self._record.lengths if self._record is not None else []
        return Rows(self.placed, self.n_rows, lambda: lengths, "regions")

    def facts(self, command: str, weights: Mapping[str, str], options: Facts) -> Facts:
        """Return what decides the content of an output in parts."""
        assert self._record is not None
        rows = {"sha256": self._record.digest(self.source.headers), "rows": self.n_rows}
        return run_facts(command, self.genome, self.survey.contigs, rows, weights, options)
