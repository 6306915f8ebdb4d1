"""Queries in, the rows of embedding files that are most like them out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from findna.commands.embed import EmbedRun
from findna.commands.recorded import RecordedOptions, recorded_checkpoint, section
from findna.commands.rows import Rows, Summary, run_rows, text_output
from findna.errors import CheckpointError, EmbeddingError
from findna.genome.fasta import Genome
from findna.genome.regions import OK, RegionOptions
from findna.genome.sources import RegionSource
from findna.model.checkpoint import Checkpoint
from findna.model.devices import Compute
from findna.model.pooling import Pooling
from findna.outputs.destination import Destination
from findna.outputs.hits import HitFinder, SearchOptions
from findna.outputs.results import Hit, Query
from findna.outputs.similarity import IndexedRows, union
from findna.outputs.stored import StoredEmbeddings
from findna.outputs.tables import HitWriter

FORMS = ("bed", "tsv")

_QUERIES = 1024  # that are held against the rows together
_READ = 1000  # rows of an index whose lengths are looked at


@dataclass(frozen=True)
class Queries:
    """Regions and their genome, or vectors that there are; and how regions are embedded.

    Parameters
    ----------
    rows : (Genome, RegionSource), or StoredEmbeddings
    whole : bool
        The rows are whole sequences: there is nothing around them, and no window is laid.
    model : str, optional
        Name or folder of the weights; by default the name in the index.
    window : int, optional
        Encode so many bp around the middle of each row, not what the index has.
    pad : bool
        Fill what lies past the end of a contig with N, even if the index does not.
    on_error : {"stop", "skip", "null"}
        Treatment of rows that cannot be read.
    """

    rows: tuple[Genome, RegionSource] | StoredEmbeddings
    whole: bool = False
    model: str | None = None
    window: int | None = None
    pad: bool = False
    on_error: str = "stop"

    @property
    def paths(self) -> list[Path | None]:
        """Files that are read."""
        if isinstance(self.rows, StoredEmbeddings):
            return [self.rows.path]
        genome, source = self.rows
        return [genome.path, source.path]


class SearchRun:
    """Rows of files of embeddings, and queries that were checked.

    Parameters
    ----------
    index : sequence of StoredEmbeddings
        Files that are searched as if they were one.

    Raises
    ------
    FindnaError
        A file was made in another way than the first, the queries cannot be used, or the model is
        not the one that made the index.
    """

    def __init__(
        self,
        index: Sequence[StoredEmbeddings],
        queries: Queries,
        options: SearchOptions,
        compute: Compute,
    ) -> None:
        self._first, self._recorded = index[0], RecordedOptions(index[0])
        self._options = options
        for other in index[1:]:
            self._check_alike(other)
        self.precision = self._recorded.precision
        self.index = IndexedRows(index, [RecordedOptions(file).regions.resized for file in index])
        self.read: Callable[[], Iterator[Query]]
        if isinstance(queries.rows, StoredEmbeddings):
            self._check_alike(queries.rows)
            self.read, self.total = partial(_stored, queries.rows), queries.rows.rows
        else:
            run = self._embed_run(*queries.rows, queries, compute)
            self.read, self.total = partial(self._embedded, run), run.survey.rows

    @property
    def model(self) -> tuple[str, str]:
        """Name and digest of the model that made the index."""
        facts = section(self._first, "model")
        return str(facts.get("name")), str(facts.get("digest"))

    def _check_alike(self, other: StoredEmbeddings) -> None:
        """Raise unless vectors of a file can be compared with those of the first."""
        others = _made_with(other)
        for name, ours in _made_with(self._first).items():
            if ours != others[name]:
                raise EmbeddingError(
                    f"{other.path}: made with {name} {str(others[name])[:12]}, but "
                    f"{self._first.path} with {str(ours)[:12]}; such vectors cannot be compared: "
                    "embed one of them again"
                )

    def _embed_run(
        self, genome: Genome, source: RegionSource, queries: Queries, compute: Compute
    ) -> EmbedRun:
        """Return a run that embeds regions as those of the index were."""
        recorded, options = self._recorded, self._recorded.regions
        if queries.whole or queries.window is not None:
            options = RegionOptions(
                options.stranded, window=queries.window, pad=options.pad, whole=options.whole
            )
        else:
            for file in self.index.files[1:]:
                if RecordedOptions(file).regions != options:
                    raise EmbeddingError(
                        f"{file.path}: made with other windows than {self._first.path}; say with "
                        "--window what to read of queries, or search one file at a time"
                    )
        options = replace(
            options,
            pad=options.pad or queries.pad,
            on_error=queries.on_error,
            max_n=1.0 if recorded.max_n is None else recorded.max_n,
        )
        return EmbedRun(
            genome,
            source,
            model=self._checkpoint(queries.model),
            pooling=Pooling(recorded.kinds[:1], both_strands=recorded.pooling.both_strands),
            options=options,
            compute=replace(compute, precision=recorded.precision),
            for_hdf5=False,
        )

    def _checkpoint(self, model: str | None) -> Checkpoint:
        """Load the model that made the index."""
        checkpoint, (_, digest) = recorded_checkpoint(self._first, model), self.model
        if checkpoint.digest != digest:
            raise CheckpointError(
                f"{self._first.path}: made with model {digest[:12]}, but {checkpoint.name} is "
                f"{checkpoint.digest[:12]}; name the model of this file with -m, or embed it again"
            )
        n_cls = self._recorded.n_cls
        if n_cls is not None and n_cls != checkpoint.config.n_cls:
            checkpoint.model.encoder = checkpoint.model.encoder.with_cls(n_cls)
        return checkpoint

    def _embedded(self, run: EmbedRun) -> Iterator[Query]:
        """Yield each row of a run as a query; warn once of one that is far from usual in length."""
        genome, kind = run.genome, run.pooling.kinds[0]
        digests = genome.digests(run.survey.contigs)
        lengths = self._first.column("length")[:_READ]
        usual = round(np.median(lengths[lengths > 0])) if lengths.any() else 0
        for row, vectors in run.vectors(run.rows().read()):
            chrom = row.interval.chrom
            contig = genome.resolve(chrom) or chrom
            names = frozenset((chrom, contig, digests.get(contig, contig)))
            vector = None if vectors is None else vectors.pooled[kind].astype(np.float64)
            if vectors is not None and not usual <= 2 * vectors.length <= 4 * usual:
                run.warn_once(
                    "length of the index",
                    f"{row.row.place} is {vectors.length} bp, rows of the index {usual}; lengths "
                    f"that differ make vectors differ: --window {usual} reads so many bp around "
                    "the middle of each query",
                )
            extent = union(row.interval, run.options.resized(row.interval, row.row.summit))
            yield Query(row.interval, names, extent, vector, row.status)

    def hits(self, queries: Iterator[Query]) -> Iterator[tuple[Query, list[Hit] | None]]:
        """Yield each query with its hits, best first; without a vector it has none."""
        find = HitFinder(self.index, self._options)
        while some := list(islice(queries, _QUERIES)):
            asked = [query for query in some if query.vector is not None]
            found = find(asked) if asked else iter(())
            for query in some:
                yield query, None if query.vector is None else next(found)


def _made_with(stored: StoredEmbeddings) -> dict[str, Any]:
    """Return what decides whether the vectors of two files can be compared."""
    recorded = RecordedOptions(stored)
    return {
        "model": section(stored, "model").get("digest"),
        "pooling": recorded.kinds[0],
        "--both-strands": recorded.pooling.both_strands,
        "CLS positions": recorded.n_cls,
        "vectors of length": stored.dim,
    }


def _stored(file: StoredEmbeddings) -> Iterator[Query]:
    """Yield the rows of a file of embeddings as queries."""
    digests, resized = file.contigs, RecordedOptions(file).regions.resized
    statuses = file.column("status")
    for first in range(0, file.rows, _QUERIES):
        rows = range(first, min(first + _QUERIES, file.rows))
        columns = file.intervals(rows), file.vectors(rows), statuses[first:]
        for at, vector, status in zip(*columns, strict=False):
            names = frozenset((at.chrom, digests.get(at.chrom, at.chrom)))
            extent = union(at, resized(at))
            yield Query(at, names, extent, vector if status == OK else None, status)


def search(
    index: Sequence[StoredEmbeddings],
    queries: Queries,
    output: Destination,
    *,
    options: SearchOptions = SearchOptions(),
    header: bool = False,
    compute: Compute,
) -> Summary:
    """Write the rows of an index that are most like each query; return the counts.

    They are queries ``searched``, ``skipped`` and ``unlike``, which have no hit, ``hits``, queries
    without a vector by their status, rows of the ``index``, and those of `run_rows`.

    Parameters
    ----------
    header : bool
        Begin BED with the model and the names of the columns, as a table always does.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written.
    """
    started = time.monotonic()
    output.check([*(file.path for file in index), *queries.paths])
    run = SearchRun(index, queries, options, compute)
    name, digest = run.model
    made_by = f"{name}={digest[:12]}" if header or output.form == "tsv" else None
    writer = partial(HitWriter, made_by=made_by, skip=queries.on_error == "skip")
    rows = Rows(run.read, run.total, lambda: (), "queries")
    sink = text_output(output.open_text, writer)
    counts = run_rows("search", rows, run.hits, sink, output, dict)
    counts |= {"index": run.index.total}
    weights = {f"model {name}": digest}
    return Summary(counts, time.monotonic() - started, weights, run.precision)
