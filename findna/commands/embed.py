"""FASTA and regions in, one vector per region out."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from findna import __version__
from findna.commands.rows import place_all, rows_of, vectors_in_order
from findna.console import progress
from findna.errors import ConfigError, RegionError
from findna.genome.bed import column_names
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, RegionOptions, RegionSource, survey
from findna.model.checkpoint import Checkpoint, find_model, load_checkpoint, read_config
from findna.model.devices import Compute
from findna.model.pooling import Pooling, RegionVectors
from findna.outputs.files import check_output, is_device, is_stdout, open_text_output, published
from findna.outputs.hdf5 import EmbeddingWriter
from findna.outputs.provenance import genome_facts, obs_columns, obs_row, run_facts
from findna.outputs.shards import Shard, check_parts, write_note
from findna.outputs.tables import EmbeddingTable
from findna.outputs.unfinished import Counts, kept, write_hdf5, write_text

logger = logging.getLogger(__name__)

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
    output: Path | None,
    *,
    model: str,
    options: RegionOptions = RegionOptions(),
    pooling: Pooling = Pooling(),
    form: str = "h5",
    dtype: str = "float32",
    compute: Compute,
    whole: bool = False,
    shard: Shard | None = None,
    resume: bool = False,
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
    shard : Shard, optional
        Only these rows; a note of what the output is a part of is kept beside it.
    resume : bool
        Keep what is complete if interrupted, and go on from it.
    command : str
        Command line to record in the output.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written; nothing is then left behind, but what
        ``resume`` keeps.
    """
    started = time.monotonic()
    if form == "h5" and is_stdout(output):
        raise ConfigError(
            "HDF5 cannot be streamed: name a file with -o, or ask for a table: -O tsv"
        )
    check_parts(output, shard, resume)
    if form == "tsv" and pooling.per_base:
        raise ConfigError("--per-base needs HDF5: name a file with -o and leave out -O tsv")
    if output is not None and not is_stdout(output) and (form == "h5" or not is_device(output)):
        check_output(output, force, [genome.path, *([source.path] if source.path else [])])
    # what is cheap to check comes first
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
    dim, names = checkpoint.config.dim, column_names(found.columns)
    facts = _metadata(checkpoint, pooling, options, whole, compute.precision, command)
    first, last = rows_of(shard, source, genome, options, found)

    def rows(done: int = 0) -> Iterator[tuple[Placed, RegionVectors | None]]:
        placed = islice(place_all(source, genome, options), first + done, last)
        return vectors_in_order(
            placed, genome, checkpoint.model.encoder, pooling, compute, whole=whole
        )  # fmt: skip

    def write(
        writer: EmbeddingWriter | EmbeddingTable,
        some: Iterable[tuple[Placed, RegionVectors | None]],
    ) -> Counts:
        counts = Counter(rows=0, embedded=0, skipped=0, header_lines=0)
        for item, vectors in some:
            bar.update()
            counts["rows"] += 1
            if vectors is None and options.on_error == "skip":
                counts["skipped"] += 1
                continue
            counts["embedded"] += vectors is not None
            pooled, bins = (vectors.pooled, vectors.bins) if vectors else (None, None)
            if isinstance(writer, EmbeddingTable):
                writer.write(item.row.columns, item.status, pooled, bins)
                continue
            length, n_unknown = (vectors.length, vectors.n_unknown) if vectors else (0, 0)
            row = obs_row(item, options.stranded, length, n_unknown)
            writer.write(row, pooled, bins, vectors.per_base if vectors else None)
        return counts

    def write_table(
        file: BinaryIO, some: Iterable[tuple[Placed, RegionVectors | None]], begin: bool
    ) -> Counts:
        table = EmbeddingTable(file, dim, names, pooling.kinds, pooling.bins)
        if begin:
            table.begin()
        return write(table, some) | {"header_lines": int(begin)}

    def write_file(path: Path, some: Iterable[tuple[Placed, RegionVectors | None]]) -> Counts:
        with EmbeddingWriter(
            path,
            dim=dim,
            columns=obs_columns(found.columns),
            kinds=pooling.kinds,
            bins=pooling.bins,
            per_base=pooling.per_base,
            dtype=dtype,
            metadata=facts,
        ) as writer:
            counts = write(writer, some)
            writer.update_metadata(genome=genome_facts(genome, found))
        return counts

    with ExitStack() as stack:
        decides = {}
        if resume or shard is not None:
            decides = run_facts(
                "embed", genome, found.contigs, {"sha256": source.digest(), "rows": found.rows},
                {"model": checkpoint.digest},
                {**facts["options"], "on_error": options.on_error, "form": form, "dtype": dtype,
                 "per_base": pooling.per_base},
            )  # fmt: skip
        unfinished = None
        if resume:
            unfinished = stack.enter_context(kept(output, decides, shard, force))
        done = unfinished.rows if unfinished else 0
        bar = stack.enter_context(progress(last - first, "regions", "embed", done))
        if form == "tsv":
            counts = write_text(
                rows(done), write_table, partial(open_text_output, output, force), unfinished,
                last - first,
            )  # fmt: skip
        else:
            assert output is not None
            counts = write_hdf5(
                rows(done), write_file, partial(published, output, force),
                lambda: facts | {"genome": genome_facts(genome, found)}, unfinished, last - first,
            )  # fmt: skip
        if shard is not None:
            assert output is not None
            write_note(output, decides, shard, (first, last), found.rows, counts["header_lines"])
        if unfinished is not None:
            unfinished.discard()
    return EmbedSummary(
        counts["rows"],
        counts["embedded"],
        counts["skipped"],
        done,
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
