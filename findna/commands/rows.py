"""Rows in, vectors out, in the order of the rows: what the commands on regions share."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from itertools import islice

from findna.errors import RegionError
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions, RegionSource, Survey, place, ragged
from findna.genome.windows import Region
from findna.model.devices import Compute
from findna.model.encoder import Encoder
from findna.model.inference import region_vectors
from findna.model.pooling import Pooling, RegionVectors
from findna.outputs.shards import Shard

logger = logging.getLogger(__name__)

ROWS_AT_A_TIME = 16_384
"""Rows after which a batch is closed: bounds what is held where few rows can be read."""


def vectors_in_order(
    placed: Iterator[Placed],
    genome: Genome,
    encoder: Encoder,
    pooling: Pooling,
    compute: Compute,
    *,
    whole: bool = False,
) -> Iterator[tuple[Placed, RegionVectors | None]]:
    """Each row with its vectors, in the order of the rows; None where a row has no region.

    Parameters
    ----------
    placed : iterator of Placed
        Rows whose regions are numbered in ascending order.
    whole : bool
        Encode regions longer than the model's training length in one piece instead of tiles.
    """
    waiting: deque[Placed] = deque()  # rows read ahead of their vectors
    more = True

    def regions() -> Iterator[Region]:
        nonlocal more
        for item in islice(placed, ROWS_AT_A_TIME):
            more = True
            waiting.append(item)
            if item.region is not None:
                yield item.region

    while more:
        more = False
        found = region_vectors(
            regions(), genome, encoder, pooling, compute, whole=whole
        )  # fmt: skip
        for vectors in found:
            while waiting[0].region is None:
                yield waiting.popleft(), None
            yield waiting.popleft(), vectors
        while waiting:
            yield waiting.popleft(), None


def place_all(source: RegionSource, genome: Genome, options: RegionOptions) -> Iterator[Placed]:
    """Every row, with its region or why it has none.

    Raises
    ------
    RegionError
        A row has another number of columns than the first, or cannot be read and ``on_error`` is
        stop. Of a source that was surveyed before, neither happens.
    """
    n_columns = 0
    for index, row in enumerate(source.rows()):
        n_columns = n_columns or len(row.columns)
        if len(row.columns) != n_columns:
            raise RegionError(ragged(source.name, row, n_columns))
        item = place(row, index, genome, options)
        if item.region is None and options.on_error == "stop":
            raise RegionError(
                f"{source.name}:{row.number}: {item.reason}; --on-error null keeps such rows with "
                "missing values, skip leaves them out"
            )
        yield item


def rows_of(
    shard: Shard | None, source: RegionSource, genome: Genome, options: RegionOptions, found: Survey
) -> tuple[int, int]:
    """First row of a shard and the one after its last, balanced by bases; of no shard, all."""
    if shard is None:
        return 0, found.rows
    placed = place_all(source, genome, options)
    return shard.rows((len(item.region) if item.region else 0 for item in placed), found.bases)
