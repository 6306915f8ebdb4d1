"""FASTA and regions in, one vector per region out."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from findna.commands.rows import Output, TextOutput, region_rows, run_rows
from findna.errors import ConfigError, RegionError
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions, RegionSource, survey
from findna.model.checkpoint import find_model, load_checkpoint, read_config
from findna.model.devices import Compute
from findna.model.inference import region_vectors
from findna.model.pooling import Pooling
from findna.outputs.files import Destination
from findna.outputs.hdf5 import EmbeddingWriter, assemble
from findna.outputs.provenance import genome_facts, obs_columns, obs_row, origin, run_facts
from findna.outputs.results import RegionVectors
from findna.outputs.tables import EmbeddingTable

logger = logging.getLogger(__name__)

FORMS = ("h5", "tsv")
_MOST_COLUMNS = 1_000  # their names have to fit an attribute of 64 KiB


@dataclass(frozen=True)
class EmbedSummary:
    """What a run did; ``resumed`` rows had been complete before it."""

    rows: int
    embedded: int
    skipped: int
    resumed: int
    seconds: float
    model: str
    digest: str


def embed(
    genome: Genome,
    source: RegionSource,
    output: Destination,
    *,
    model: str = "tiny",
    options: RegionOptions = RegionOptions(),
    pooling: Pooling = Pooling(),
    dtype: str = "float32",
    compute: Compute,
) -> EmbedSummary:
    """Write one vector per row.

    Parameters
    ----------
    output : Destination
        HDF5 in AnnData's layout (``h5``), or a table (``tsv``); docs/formats.md.
    model : str
        Name of a shipped model, or a model folder.
    dtype : {"float32", "float16"}
        Of the stored vectors.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written; nothing is then left behind, but what
        ``output.resume`` keeps.
    """
    started = time.monotonic()
    output.check([genome.path, source.path], instead="ask for a table: -O tsv")
    if output.form == "tsv" and pooling.per_base:
        raise ConfigError("--per-base needs HDF5: name a file with -o and leave out -O tsv")
    # what is cheap to check comes first
    sizes = read_config(find_model(model))["encoder"]
    if "cls" in pooling.kinds and sizes.get("n_cls") == 0:
        raise ConfigError(f"model {model} has no CLS positions; choose another --pool")
    surveyed = survey(source, genome, options, utf8=output.form == "h5")
    logger.info(
        "%d rows, %d bp in %d contigs", surveyed.rows, surveyed.bases, len(surveyed.contigs)
    )
    if output.form == "h5" and surveyed.columns > _MOST_COLUMNS:
        raise RegionError(
            f"{source.name}: {surveyed.columns} columns; HDF5 output takes at most "
            f"{_MOST_COLUMNS}: cut some (cut -f) or write a table (-O tsv)"
        )
    checkpoint = load_checkpoint(model)
    encoder, dim = checkpoint.model.encoder, checkpoint.config.dim
    recorded = {
        "pool": ",".join(pooling.kinds),
        "bins": pooling.bins,
        "both_strands": pooling.both_strands,
        **options.facts(),
        "precision": compute.precision,
    }
    skip = options.on_error == "skip"

    def stage(rows: Iterator[Placed]) -> Iterator[tuple[Placed, RegionVectors | None]]:
        regions = ((row, row.region) for row in rows)
        return region_vectors(regions, genome, encoder, pooling, compute, whole=options.whole)

    sink: Output[Placed, RegionVectors]
    if output.form == "tsv":
        table = partial(EmbeddingTable, dim=dim, kinds=pooling.kinds, bins=pooling.bins, skip=skip)
        sink = TextOutput(output.open_text, table)
    else:
        metadata = {**origin(output.command), "model": checkpoint.facts, "options": recorded}
        sink = _Hdf5Output(
            output,
            layout={
                "dim": dim,
                "columns": obs_columns(surveyed.columns),
                "kinds": pooling.kinds,
                "bins": pooling.bins,
                "per_base": pooling.per_base,
                "dtype": dtype,
            },
            metadata=metadata | {"genome": genome_facts(genome, surveyed.contigs)},
            stranded=options.stranded,
            skip=skip,
        )

    def facts() -> dict[str, Any]:
        return run_facts(
            "embed",
            genome,
            surveyed.contigs,
            {"sha256": source.digest(), "rows": surveyed.rows},
            {"model": checkpoint.digest},
            {
                **recorded,
                "on_error": options.on_error,
                "form": output.form,
                "dtype": dtype,
                "per_base": pooling.per_base,
            },
        )

    rows = region_rows(source, genome, options, surveyed.rows)
    counts = run_rows("embed", rows, stage, sink, output, facts)
    return EmbedSummary(
        counts["rows"],
        counts["embedded"],
        counts["skipped"],
        counts["resumed"],
        time.monotonic() - started,
        checkpoint.name,
        checkpoint.digest,
    )


class _Hdf5Rows:
    """Rows to one HDF5 file."""

    def __init__(self, writer: EmbeddingWriter, stranded: bool, skip: bool) -> None:
        self.counts = Counter[str](embedded=0, skipped=0)
        self._writer, self._stranded, self._skip = writer, stranded, skip

    def begin(self, row: Placed | None) -> int:
        """Return 0: no line precedes the rows."""
        return 0

    def write(self, row: Placed, result: RegionVectors | None) -> None:
        """Write one row; without vectors they are NaN."""
        if result is None:
            if self._skip:
                self.counts["skipped"] += 1
            else:
                self._writer.write(obs_row(row, self._stranded, 0, 0))
            return
        self.counts["embedded"] += 1
        obs = obs_row(row, self._stranded, result.length, result.n_unknown)
        self._writer.write(obs, result.pooled, result.bins, result.per_base)


@dataclass(frozen=True)
class _Hdf5Output:
    """HDF5, in one go or assembled from parts."""

    output: Destination
    layout: Mapping[str, Any]
    metadata: Mapping[str, Any]
    stranded: bool
    skip: bool

    @contextmanager
    def whole(self) -> Iterator[_Hdf5Rows]:
        """Open the output itself; it appears when the block succeeds."""
        with self.output.published() as path, self.part(path) as rows:
            yield rows

    @contextmanager
    def part(self, path: Path) -> Iterator[_Hdf5Rows]:
        """Open a file for some of the rows."""
        with EmbeddingWriter(path, **self.layout, metadata=self.metadata) as writer:
            yield _Hdf5Rows(writer, self.stranded, self.skip)

    def join(self, parts: Sequence[Path]) -> None:
        """Assemble the output from its parts."""
        with self.output.published() as path:
            assemble(parts, path, self.metadata)
