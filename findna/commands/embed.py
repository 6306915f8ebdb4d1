"""FASTA and regions in, one vector per region out."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from findna.commands.rows import Output, Rows, TextOutput, region_rows, run_rows
from findna.errors import ConfigError, RegionError
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions, RegionSource, Survey, survey
from findna.model.checkpoint import Checkpoint, encoder_config, load_checkpoint
from findna.model.devices import Compute
from findna.model.inference import region_vectors
from findna.model.pooling import Pooling
from findna.outputs.destination import Destination
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


@dataclass(frozen=True)
class EmbedRun:
    """Rows that were checked, and what computes their vectors.

    Parameters
    ----------
    surveyed : Survey
        Of ``source`` under ``options``.
    """

    genome: Genome
    source: RegionSource
    surveyed: Survey
    checkpoint: Checkpoint
    pooling: Pooling
    options: RegionOptions
    compute: Compute

    @classmethod
    def prepare(
        cls,
        genome: Genome,
        source: RegionSource,
        *,
        model: str | Checkpoint,
        pooling: Pooling,
        options: RegionOptions,
        compute: Compute,
        for_hdf5: bool,
    ) -> EmbedRun:
        """Check every row, then load the model.

        Parameters
        ----------
        for_hdf5 : bool
            Refuse rows that HDF5 cannot hold.

        Raises
        ------
        FindnaError
            The input cannot be used.
        """
        # what is cheap to check comes first
        if "cls" in pooling.kinds and encoder_config(model).n_cls == 0:
            raise ConfigError(f"model {model} has no CLS positions; choose another --pool")
        surveyed = survey(source, genome, options, utf8=for_hdf5)
        logger.info(
            "%d rows, %d bp in %d contigs", surveyed.rows, surveyed.bases, len(surveyed.contigs)
        )
        if for_hdf5 and surveyed.columns > _MOST_COLUMNS:
            raise RegionError(
                f"{source.name}: {surveyed.columns} columns; HDF5 output takes at most "
                f"{_MOST_COLUMNS}: cut some (cut -f) or write a table (-O tsv)"
            )
        checkpoint = load_checkpoint(model)
        return cls(genome, source, surveyed, checkpoint, pooling, options, compute)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.checkpoint.config.dim

    @property
    def skip(self) -> bool:
        """Whether rows without a vector are left out."""
        return self.options.on_error == "skip"

    @property
    def recorded(self) -> dict[str, Any]:
        """Options that decide the vectors, as outputs record them."""
        return {
            "pool": ",".join(self.pooling.kinds),
            "bins": self.pooling.bins,
            "both_strands": self.pooling.both_strands,
            **self.options.facts(),
            "precision": self.compute.precision,
        }

    def rows(self) -> Rows[Placed]:
        """Return the rows, each with its region."""
        return region_rows(self.source, self.genome, self.options, self.surveyed.rows)

    def vectors(self, rows: Iterable[Placed]) -> Iterator[tuple[Placed, RegionVectors | None]]:
        """Yield each row with its vectors; without a region it has none."""
        regions = ((row, row.region) for row in rows)
        encoder, whole = self.checkpoint.model.encoder, self.options.whole
        return region_vectors(
            regions, self.genome, encoder, self.pooling, self.compute, whole=whole
        )

    def layout(self, dtype: str) -> dict[str, Any]:
        """Return the arguments of an `EmbeddingWriter` other than its file and metadata."""
        return {
            "dim": self.dim,
            "columns": obs_columns(self.surveyed.columns),
            "kinds": self.pooling.kinds,
            "bins": self.pooling.bins,
            "per_base": self.pooling.per_base,
            "dtype": dtype,
        }

    def metadata(self, command: str | None) -> dict[str, Any]:
        """Return what an HDF5 output records of its origin."""
        return {
            **origin(command),
            "model": self.checkpoint.facts,
            "options": self.recorded,
            "genome": genome_facts(self.genome, self.surveyed.contigs),
        }


def embed(
    genome: Genome,
    source: RegionSource,
    output: Destination,
    *,
    model: str | Checkpoint = "tiny",
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
    model : str or Checkpoint
        Name of a shipped model, or a model folder; or a loaded one.
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
    as_table = output.form == "tsv"
    if as_table and pooling.per_base:
        raise ConfigError("--per-base needs HDF5: name a file with -o and leave out -O tsv")
    run = EmbedRun.prepare(
        genome,
        source,
        model=model,
        pooling=pooling,
        options=options,
        compute=compute,
        for_hdf5=not as_table,
    )
    sink: Output[Placed, RegionVectors]
    if as_table:
        kinds, bins = pooling.kinds, pooling.bins
        table = partial(EmbeddingTable, dim=run.dim, kinds=kinds, bins=bins, skip=run.skip)
        sink = TextOutput(output.open_text, table)
    else:
        metadata = run.metadata(output.command or None)
        sink = _Hdf5Output(output, run.layout(dtype), metadata, options.stranded, run.skip)

    def facts() -> dict[str, Any]:
        return run_facts(
            "embed",
            genome,
            run.surveyed.contigs,
            {"sha256": source.digest(), "rows": run.surveyed.rows},
            {"model": run.checkpoint.digest},
            {
                **run.recorded,
                "on_error": options.on_error,
                "form": output.form,
                "dtype": dtype,
                "per_base": pooling.per_base,
            },
        )

    counts = run_rows("embed", run.rows(), run.vectors, sink, output, facts)
    return EmbedSummary(
        counts["rows"],
        counts["embedded"],
        counts["skipped"],
        counts["resumed"],
        time.monotonic() - started,
        run.checkpoint.name,
        run.checkpoint.digest,
    )


class ObsWriter(Protocol):
    """What takes rows as `EmbeddingWriter` does."""

    def write(
        self,
        row: Mapping[str, Any],
        pooled: Mapping[str, npt.NDArray[np.float32]] | None = None,
        bins: npt.NDArray[np.float32] | None = None,
        per_base: npt.NDArray[np.float16] | None = None,
    ) -> None:
        """Append one row; without vectors they are NaN."""
        ...


class EmbeddedRows:
    """Rows to one HDF5 file, or to what stands for it in memory."""

    def __init__(self, writer: ObsWriter, stranded: bool, skip: bool) -> None:
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
    def whole(self) -> Iterator[EmbeddedRows]:
        """Open the output itself; it appears when the block succeeds."""
        with self.output.published() as path, self.part(path) as rows:
            yield rows

    @contextmanager
    def part(self, path: Path) -> Iterator[EmbeddedRows]:
        """Open a file for some of the rows."""
        with EmbeddingWriter(path, **self.layout, metadata=self.metadata) as writer:
            yield EmbeddedRows(writer, self.stranded, self.skip)

    def join(self, parts: Sequence[Path]) -> None:
        """Assemble the output from its parts."""
        with self.output.published() as path:
            assemble(parts, path, self.metadata)
