"""FASTA and regions in, one vector per region out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from findna.commands.rows import Output, RegionRun, Summary, run_rows, text_output
from findna.errors import ConfigError, RegionError
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions
from findna.genome.sources import RegionSource
from findna.model.checkpoint import Checkpoint, encoder_config, load_checkpoint
from findna.model.devices import Compute
from findna.model.inference import region_vectors
from findna.model.pooling import Pooling
from findna.outputs.destination import Destination
from findna.outputs.hdf5 import EmbeddingWriter
from findna.outputs.joined import assemble
from findna.outputs.provenance import genome_facts, obs_columns, obs_row, origin
from findna.outputs.results import RegionVectors
from findna.outputs.shards import Facts
from findna.outputs.tables import EmbeddingTable

FORMS = ("h5", "tsv")
_SHORT = 10  # bp; the vectors of shorter regions are nearly all alike
_MOST_COLUMNS = 1_000  # their names have to fit an attribute of 64 KiB


class EmbedRun(RegionRun):
    """Rows that were checked, and the loaded model that computes their vectors.

    Parameters
    ----------
    for_hdf5 : bool
        Refuse rows that HDF5 cannot hold.
    in_parts : bool
        See `RegionRun`.
    """

    def __init__(
        self,
        genome: Genome,
        source: RegionSource,
        *,
        model: str | Checkpoint,
        pooling: Pooling,
        options: RegionOptions,
        compute: Compute,
        for_hdf5: bool,
        in_parts: bool = False,
    ) -> None:
        # what is cheap to check comes first
        if options.idle:
            raise ConfigError(options.idle)
        if "cls" in pooling.kinds and encoder_config(model).n_cls == 0:
            raise ConfigError(
                f"model {model} appends no CLS positions; choose another --pool, or add --cls to a "
                "published model"
            )
        super().__init__(genome, source, options, compute, utf8=for_hdf5, in_parts=in_parts)
        if for_hdf5 and self.survey.columns > _MOST_COLUMNS:
            raise RegionError(
                f"{source.name}: {self.survey.columns} columns; HDF5 output takes at most "
                f"{_MOST_COLUMNS}: cut some (cut -f) or write a table (-O tsv)"
            )
        self.checkpoint, self.pooling = load_checkpoint(model), pooling

    @property
    def skip(self) -> bool:
        """True if rows without a vector are left out."""
        return self.options.on_error == "skip"

    @property
    def recorded(self) -> dict[str, Any]:
        """Options that decide the vectors, as outputs record them."""
        return {
            "pool": ",".join(self.pooling.kinds),
            "bins": self.pooling.bins,
            "both_strands": self.pooling.both_strands,
            **self.options.facts(),
            "n_cls": self.checkpoint.config.n_cls,
            "precision": self.compute.precision,
        }

    def vectors(self, rows: Iterable[Placed]) -> Iterator[tuple[Placed, RegionVectors | None]]:
        """Yield each row with its vectors; without a region it has none."""
        regions = ((row, row.region) for row in self._watch_lengths(self.checked(rows)))
        encoder, whole = self.checkpoint.model.encoder, self.options.whole
        return region_vectors(
            regions, self.genome, encoder, self.pooling, self.compute, whole=whole
        )

    def _watch_lengths(self, rows: Iterable[Placed]) -> Iterator[Placed]:
        """Warn once of a region that is too short to differ from others."""
        for row in rows:
            if row.region is not None and len(row.region) < _SHORT:
                self.warn_once(
                    "length",
                    f"{row.row.place} is {len(row.region)} bp, too short for a vector of its "
                    "own: --window N reads N bp around the middle of each region",
                )
            yield row

    def layout(self, dtype: str) -> dict[str, Any]:
        """Return the arguments of an `EmbeddingWriter` other than its file and metadata."""
        return {
            "dim": self.checkpoint.config.dim,
            "columns": obs_columns(self.survey.columns, self.survey.numeric_score),
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
            "genome": genome_facts(self.genome, self.survey.contigs),
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
) -> Summary:
    """Write one vector per row; return the counts.

    They are ``embedded``, ``skipped``, rows without a vector by their status, and those of
    `run_rows`.

    Parameters
    ----------
    output : Destination
        HDF5 in AnnData's layout (``h5``), or a table (``tsv``); docs/formats.md.
    model : str or Checkpoint
        Name or folder, or a loaded one.
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
    run = EmbedRun(
        genome,
        source,
        model=model,
        pooling=pooling,
        options=options,
        compute=compute,
        for_hdf5=not as_table,
        in_parts=output.in_parts,
    )
    checkpoint = run.checkpoint
    sink: Output[Placed, RegionVectors]
    if as_table:
        dim, kinds, bins = checkpoint.config.dim, pooling.kinds, pooling.bins
        table = partial(EmbeddingTable, dim=dim, kinds=kinds, bins=bins, skip=run.skip)
        sink = text_output(output.open_text, table)
    else:
        sink = _hdf5_output(output, run, dtype)

    def facts() -> Facts:
        others = {
            "on_error": options.on_error,
            "form": output.form,
            "dtype": dtype,
            "per_base": pooling.per_base,
        }
        return run.facts("embed", {"model": checkpoint.digest}, run.recorded | others)

    counts = run_rows("embed", run.rows(), run.vectors, sink, output, facts)
    weights = {f"model {checkpoint.name}": checkpoint.digest}
    return Summary(counts, time.monotonic() - started, weights, compute.precision)


class EmbeddedRows:
    """Rows to one HDF5 file."""

    def __init__(self, writer: EmbeddingWriter, run: EmbedRun) -> None:
        self.counts = Counter[str](embedded=0, skipped=0)
        self._writer, self._stranded, self._skip = writer, run.options.stranded, run.skip

    def begin(self, row: Placed | None) -> int:
        """Return 0: no line precedes the rows."""
        return 0

    def write(self, row: Placed, result: RegionVectors | None) -> None:
        """Write one row; without vectors they are NaN."""
        if result is None:
            self.counts[row.status] += 1
            if self._skip:
                self.counts["skipped"] += 1
            else:
                self._writer.write(obs_row(row, self._stranded, 0, 0))
            return
        self.counts["embedded"] += 1
        obs = obs_row(row, self._stranded, result.length, result.n_unknown)
        self._writer.write(obs, result.pooled, result.bins, result.per_base)


def _hdf5_output(output: Destination, run: EmbedRun, dtype: str) -> Output[Placed, RegionVectors]:
    """Return an output to HDF5, in one go or assembled from parts."""
    metadata, layout = run.metadata(output.command or None), run.layout(dtype)

    @contextmanager
    def whole() -> Iterator[EmbeddedRows]:
        with output.published() as path, part(path) as rows:
            yield rows

    @contextmanager
    def part(path: Path) -> Iterator[EmbeddedRows]:
        with EmbeddingWriter(path, **layout, metadata=metadata) as writer:
            yield EmbeddedRows(writer, run)

    def join(parts: Sequence[Path]) -> None:
        with output.published() as path:
            assemble(parts, path, metadata)

    return Output(whole, part, join)
