"""FASTA and regions in, one vector per region out."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from findna import __version__
from findna.devices import resolve_device
from findna.errors import ConfigError, RegionError
from findna.genome import Genome
from findna.io.bed import column_names
from findna.io.hdf5 import EmbeddingWriter
from findna.io.output import check_output, published
from findna.io.tables import EmbeddingTable, is_device, is_stdout, open_text_output
from findna.model.checkpoint import Checkpoint, find_model, load_checkpoint, read_config
from findna.model.pooling import Pooling
from findna.pipeline import genome_facts, obs_columns, obs_row, place_all, vectors_in_order
from findna.progress import progress
from findna.regions import RegionOptions, RegionSource, survey

logger = logging.getLogger(__name__)

_MOST_COLUMNS = 1_000  # their names have to fit an attribute of 64 KiB


@dataclass(frozen=True)
class EmbedSummary:
    """What a run did."""

    rows: int
    embedded: int
    skipped: int
    seconds: float
    model: str
    digest: str


def embed(
    genome: Genome,
    source: RegionSource,
    output: Path | None,
    *,
    model: str,
    options: RegionOptions = RegionOptions(),
    pooling: Pooling = Pooling(),
    form: str = "h5",
    dtype: str = "float32",
    precision: str = "fp32",
    device: str = "auto",
    max_tokens: int | None = None,
    whole: bool = False,
    force: bool = False,
    command: str = "",
) -> EmbedSummary:
    """Write one vector per row.

    Parameters
    ----------
    output : Path, optional
        File to write; None or ``-`` is standard output, for tables only.
    form : {"h5", "tsv"}
        HDF5 in AnnData's layout, or a table (docs/formats.md).
    dtype : {"float32", "float16"}
        Of the stored vectors.
    command : str
        Command line to record in the output.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written; nothing is then left behind.
    """
    started = time.monotonic()
    if form == "h5" and is_stdout(output):
        raise ConfigError(
            "HDF5 cannot be streamed: name a file with -o, or ask for a table: -O tsv"
        )
    if form == "tsv" and pooling.per_base:
        raise ConfigError("--per-base needs HDF5: name a file with -o and leave out -O tsv")
    if output is not None and not is_stdout(output) and (form == "h5" or not is_device(output)):
        check_output(output, force, [genome.path, *([source.path] if source.path else [])])
    # what is cheap to check comes first
    target = resolve_device(device)
    sizes = read_config(find_model(model))["encoder"]
    if "cls" in pooling.kinds and sizes.get("n_cls") == 0:
        raise ConfigError(f"model {model} has no CLS positions; choose another --pool")
    found = survey(source, genome, options, utf8=form == "h5")
    logger.info("%d rows, %d bp in %d contigs", found.rows, found.bases, len(found.contigs))
    if form == "h5" and found.columns > _MOST_COLUMNS:
        raise RegionError(
            f"{source.name}: {found.columns} columns; HDF5 output takes at most {_MOST_COLUMNS}: "
            "cut some (cut -f) or write a table (-O tsv)"
        )
    checkpoint = load_checkpoint(model)
    placed = place_all(source, genome, options)
    rows = vectors_in_order(
        placed, genome, checkpoint.model.encoder, pooling,
        device=target, precision=precision, max_tokens=max_tokens, whole=whole,
    )  # fmt: skip
    dim = checkpoint.config.dim
    names = column_names(found.columns)
    skipped = found.bad if options.on_error == "skip" else 0
    with ExitStack() as stack:
        bar = stack.enter_context(progress(found.rows - skipped, "regions", "embed"))
        if form == "tsv":
            file = stack.enter_context(open_text_output(output, force))
            table = EmbeddingTable(file, dim, names, pooling.kinds, pooling.bins)
            for item, vectors in rows:
                if vectors is None and options.on_error == "skip":
                    continue
                pooled, bins = (vectors.pooled, vectors.bins) if vectors else (None, None)
                table.write(item.row.columns, item.status, pooled, bins)
                bar.update()
        else:
            assert output is not None
            path = stack.enter_context(published(output, force))
            writer = stack.enter_context(
                EmbeddingWriter(
                    path,
                    dim=dim,
                    columns=obs_columns(found.columns),
                    kinds=pooling.kinds,
                    bins=pooling.bins,
                    per_base=pooling.per_base,
                    dtype=dtype,
                    metadata=_metadata(checkpoint, pooling, options, whole, precision, command),
                )
            )
            for item, vectors in rows:
                if vectors is None and options.on_error == "skip":
                    continue
                length, n_unknown = (vectors.length, vectors.n_unknown) if vectors else (0, 0)
                row = obs_row(item, options.stranded, length, n_unknown)
                if vectors is None:
                    writer.write(row)
                else:
                    writer.write(row, vectors.pooled, vectors.bins, vectors.per_base)
                bar.update()
            writer.update_metadata(genome=genome_facts(genome, found))
    return EmbedSummary(
        found.rows,
        found.rows - found.bad,
        skipped,
        time.monotonic() - started,
        checkpoint.name,
        checkpoint.digest,
    )


def _metadata(
    checkpoint: Checkpoint,
    pooling: Pooling,
    options: RegionOptions,
    whole: bool,
    precision: str,
    command: str,
) -> dict[str, Any]:
    return {
        "findna_version": __version__,
        "command": command,
        "model": {
            "name": checkpoint.name,
            "digest": checkpoint.digest,
            "max_length": checkpoint.config.max_length,
        },
        "options": {
            "pool": ",".join(pooling.kinds),
            "bins": pooling.bins,
            "both_strands": pooling.both_strands,
            **options.facts(),
            "whole": whole,
            "precision": precision,
        },
    }
