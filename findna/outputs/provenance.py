"""Facts that an output records of its origin, or that decide its content."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from findna import __version__
from findna.console import counted
from findna.genome.bed import column_names
from findna.genome.fasta import Genome
from findna.genome.regions import Placed
from findna.outputs.results import TaskColumns

logger = logging.getLogger(__name__)

CATEGORIES = ("chrom", "strand")
"""Columns of ``obs`` that hold few different words."""


def run_facts(
    command: str,
    genome: Genome,
    contigs: Iterable[str],
    rows: Mapping[str, Any],
    weights: Mapping[str, str],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what decides the content of an output; parts of one output agree in it.

    Parameters
    ----------
    contigs : iterable of str
        Those that are read.
    rows, weights, options : mapping
        Plain values: digests of the input and of the weights, and all options that matter.
    """
    return {
        "command": command,
        "findna version": __version__,
        "genome": genome.digests(contigs),
        "alias": genome.alias_facts,
        "rows": dict(rows),
        "weights": dict(weights),
        "options": dict(options),
    }


def task_weights(tasks: Sequence[TaskColumns]) -> dict[str, str]:
    """Return name and digest of each task by its number: their order decides the columns."""
    return {f"task {i}": f"{task.name} {task.digest}" for i, task in enumerate(tasks, 1)}


def origin(command: str | None) -> dict[str, Any]:
    """Return the version and the command line, as HDF5 outputs record them; None is left out."""
    return {"findna_version": __version__, "command": command}


def obs_columns(n: int, numeric_score: bool) -> dict[str, str]:
    """Return the types of the ``obs`` columns of HDF5 output, for rows of ``n`` BED columns.

    With ``numeric_score`` every score is a number or a dot.
    """
    kinds = dict.fromkeys(column_names(max(n, 4)), "str")
    if "score" in kinds and numeric_score:
        kinds["score"] = "number"
    kinds |= {"start": "int", "end": "int", **dict.fromkeys(CATEGORIES, "category")}
    return kinds | {"length": "int", "n_fraction": "float", "status": "str"}


def obs_row(item: Placed, stranded: bool, length: int, n_unknown: int) -> dict[str, Any]:
    """Return values of `obs_columns`; ``length`` is 0 where nothing was read.

    ``n_unknown`` is the number of N.
    """
    interval, columns = item.interval, item.columns
    return {
        "name": interval.label(stranded),
        "strand": interval.strand,
        **dict(zip(column_names(len(columns)), columns, strict=True)),
        "start": interval.start,
        "end": interval.end,
        "length": length,
        "n_fraction": n_unknown / length if length else float("nan"),
        "status": item.status,
    }


def genome_facts(genome: Genome, contigs: Collection[str]) -> dict[str, Any]:
    """Return the name of the FASTA and the digests of the contigs read, as outputs record them."""
    logger.info("digests of %s", counted(len(contigs), "contig"))
    digests = genome.digests(contigs)
    return {"file": genome.path.name, "contig": list(digests), "md5": list(digests.values())}
