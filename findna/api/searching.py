"""Regions like these: the rows of embedding files that are most like queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from findna.api import inputs
from findna.api.inputs import AnyPath
from findna.commands.search import Queries, SearchRun
from findna.errors import ConfigError
from findna.genome.fasta import Genome
from findna.genome.regions import ON_ERROR
from findna.model.devices import Compute, resolve_device
from findna.outputs.hdf5 import is_hdf5
from findna.outputs.hits import SearchOptions
from findna.outputs.results import Hit, Query
from findna.outputs.stored import StoredEmbeddings

_OF_HITS = ("own", "overlapping", "exact")
_OF_QUERIES = ("model", "window", "pad", "on_error")


def search(
    genome: AnyPath | Genome,
    regions: Any = None,
    *,
    index: AnyPath | list[AnyPath],
    k: int = 20,
    min_similarity: float | None = None,
    **options: Any,
) -> Iterator[tuple[Query, list[Hit] | None]]:
    """Yield each query with the rows of embedding files that are most like it, best first.

    Parameters
    ----------
    genome : str, path or Genome
        FASTA file; or a file of embeddings, whose rows are then the queries.
    regions
        As for `embed`; they are embedded as the index was.
    index : str, path, or a list of them
        Files of ``findna embed`` or `Embeddings.write`.
    k : int
        Hits of a query, at most.
    min_similarity : float, optional
        Least similarity of a hit.
    **options
        ``own``, ``overlapping``, ``exact``, ``model``, ``window``, ``pad``, ``on_error`` and
        ``device``, as on the command line.

    Yields
    ------
    query : Query
        ``query.interval`` has chrom, start, end and name; ``query.status`` says why one has no
        vector.
    hits : list of Hit, or None
        Each has ``interval``, ``rank``, ``similarity`` and ``p_value``. None of a query without a
        vector.

    Raises
    ------
    FindnaError
        The input cannot be used. The call checks every query before anything is computed.

    Examples
    --------
    >>> findna.embed("genome.fa", "regions.bed").write("index.h5")
    >>> for query, hits in findna.search("genome.fa", "chrA:1,067-1,533", index="index.h5", k=2):
    ...     print([(hit.interval.name, round(hit.similarity, 2)) for hit in hits])
    [('promoter_chrB_13', 0.64), ('promoter_chrA_3', 0.6)]
    """
    inputs.check_options("search", options, (*_OF_HITS, *_OF_QUERIES, "device"))
    k = inputs.at_least("k", k, 1)
    if min_similarity is not None and not -1 <= min_similarity <= 1:
        raise ConfigError(f"min_similarity: {min_similarity!r} is not a number from -1 to 1")
    options = inputs.with_numbers(options, {"window": 1})
    inputs.chosen("on_error", options.get("on_error", "stop"), ON_ERROR)
    if options.get("model") is not None:
        options["model"] = str(options["model"])
    with ExitStack() as stack:
        files = [StoredEmbeddings(Path(path)) for path in inputs.one_or_more("index", index)]
        for file in files:
            stack.enter_context(file)
        rows: Any
        if not isinstance(genome, Genome) and is_hdf5(Path(genome)):
            if regions is not None:
                raise ConfigError(f"{genome} holds vectors; give the FASTA of regions")
            rows = stack.enter_context(StoredEmbeddings(Path(genome)))
        else:
            rows = inputs.opened(stack, genome, regions)
        of_queries = {name: options[name] for name in _OF_QUERIES if name in options}
        of_hits = {name: options[name] for name in _OF_HITS if name in options}
        run = SearchRun(
            files,
            Queries(rows, whole=regions is None, **of_queries),
            SearchOptions(k, min_similarity, **of_hits),
            Compute(resolve_device(options.get("device", "auto"))),
        )
        found = inputs.kept(run.hits(run.read()), options.get("on_error") == "skip")
        return inputs.until_done(found, stack.pop_all())
