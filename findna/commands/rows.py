"""The one runner: rows in, placed once, computed, and written, whole or in parts.

A command on rows keeps what is its own: a stage, which turns rows into (row, result) in their
order, and writers with `write(row, result)`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, Generic, Protocol, TypeVar

from findna.console import progress
from findna.errors import RegionError
from findna.genome.fasta import Genome
from findna.genome.regions import KEPT_OR_SKIPPED, Placed, RegionOptions, RegionSource, place
from findna.outputs.destination import Destination
from findna.outputs.shards import Facts, Shard, write_note
from findna.outputs.unfinished import OUTPUT, Counts, Unfinished, open_unfinished

Row = TypeVar("Row")
Result = TypeVar("Result")
RowIn = TypeVar("RowIn", contravariant=True)
ResultIn = TypeVar("ResultIn", contravariant=True)

_BLOCK = 1 << 20  # bytes


class Writer(Protocol[RowIn, ResultIn]):
    """What writes rows to an output.

    Attributes
    ----------
    counts : Counter
        What the writer counts, apart from rows.
    """

    counts: Counter[str]

    def begin(self, row: RowIn | None) -> int:
        """Write what precedes the first row, if there is one; return its number of lines."""
        ...

    def write(self, row: RowIn, result: ResultIn | None) -> None:
        """Write one row; without a result it has missing values."""
        ...


class Output(Protocol[RowIn, ResultIn]):
    """An output in one piece, or in parts that are joined."""

    def whole(self) -> AbstractContextManager[Writer[RowIn, ResultIn]]:
        """Open the output itself; it appears when the block succeeds."""
        ...

    def part(self, path: Path) -> AbstractContextManager[Writer[RowIn, ResultIn]]:
        """Open a file for some of the rows."""
        ...

    def join(self, parts: Sequence[Path]) -> None:
        """Write the output from the files of all its parts, in their order."""
        ...


@dataclass(frozen=True)
class TextOutput(Generic[Row, Result]):
    """Lines of text.

    Parameters
    ----------
    open_text : callable
        Opens the output itself, as `findna.outputs.destination.Destination.open_text`.
    writer : callable
        Makes the writer of an open file.
    """

    open_text: Callable[[], AbstractContextManager[BinaryIO]]
    writer: Callable[[BinaryIO], Writer[Row, Result]]

    @contextmanager
    def whole(self) -> Iterator[Writer[Row, Result]]:
        """Open the output itself; it appears when the block succeeds."""
        with self.open_text() as file:
            yield self.writer(file)

    @contextmanager
    def part(self, path: Path) -> Iterator[Writer[Row, Result]]:
        """Open a file for some of the rows."""
        with path.open("wb") as file:
            yield self.writer(file)

    def join(self, parts: Sequence[Path]) -> None:
        """Write the output from the files of all its parts, in their order."""
        with self.open_text() as file:
            for path in parts:
                with path.open("rb") as part:
                    copyfileobj(part, file, _BLOCK)


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
        What each row costs, in their order: shards are balanced by it.
    unit : str
        What the rows are called in a progress bar.
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
        What decides the content of the output; called for an output in parts only.

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
        bar = stack.enter_context(progress(n_rows, rows.unit, name, done))
        results = stage(islice(rows.read(), first + done, last))
        counts = _write(_counted(results, bar.update), output, unfinished, n_rows or 0)
        if destination.shard is not None:
            header_lines, total = counts["header_lines"], rows.total or 0
            span = first, last or 0
            write_note(destination.file, destination.shard, decides, span, total, header_lines)
        if unfinished is not None:
            unfinished.discard()
    return counts | {"resumed": done}


def _counted(rows: Iterable[Row], advance: Callable[[], object]) -> Iterator[Row]:
    for row in rows:
        yield row
        advance()


def _write(
    results: Iterable[tuple[Row, Result | None]],
    output: Output[Row, Result],
    unfinished: Unfinished | None,
    total: int,
) -> Counts:
    if unfinished is None:
        with output.whole() as writer:
            return _fill(writer, results, begin=True)
    for stretch in unfinished.stretches(results, total):
        counts: Counts = {}
        begin = not unfinished.files(OUTPUT)
        with unfinished.part(counts) as folder, output.part(folder / OUTPUT) as writer:
            counts |= _fill(writer, stretch, begin)
    output.join(unfinished.files(OUTPUT))
    return unfinished.counts


def _fill(
    writer: Writer[Row, Result], results: Iterable[tuple[Row, Result | None]], begin: bool
) -> Counts:
    """Write rows, after what precedes the first of all."""
    remaining = iter(results)
    first = next(remaining, None)
    header_lines = writer.begin(first[0] if first else None) if begin else 0
    n_rows = 0
    for row, result in chain([first] if first else [], remaining):
        writer.write(row, result)
        n_rows += 1
    return {"rows": n_rows, "header_lines": header_lines, **writer.counts}


def place_all(source: RegionSource, genome: Genome, options: RegionOptions) -> Iterator[Placed]:
    """Yield every row with its region, or with the reason why it has none.

    Raises
    ------
    RegionError
        A row has another number of columns than the first, or cannot be read and ``on_error`` is
        stop. Of a source that was surveyed before, neither happens.
    """
    for row in source.rows():
        placed = place(row, genome, options)
        if placed.region is None and options.on_error == "stop":
            raise RegionError(f"{source.name}:{row.number}: {placed.reason}; {KEPT_OR_SKIPPED}")
        yield placed


def region_rows(
    source: RegionSource, genome: Genome, options: RegionOptions, total: int | None
) -> Rows[Placed]:
    """Return the rows of a source of regions; a shard is balanced by bases."""

    def read() -> Iterator[Placed]:
        return place_all(source, genome, options)

    def costs() -> Iterator[int]:
        return (len(row.region) if row.region else 0 for row in read())

    return Rows(read, total, costs, "regions")
