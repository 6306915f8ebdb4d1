"""A file of embeddings against its inputs: some of its rows computed again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from findna.commands.checks import Check
from findna.commands.recorded import RecordedOptions, recorded_checkpoint, section
from findna.console import counted, progress
from findna.genome.bed import parse_row
from findna.genome.fasta import Genome
from findna.genome.regions import Placed, place, without_n
from findna.genome.windows import Region
from findna.model.checkpoint import Checkpoint
from findna.model.devices import Compute, resolve_device
from findna.model.inference import region_vectors
from findna.model.tolerances import relative
from findna.outputs.results import RegionVectors
from findna.outputs.stored import StoredEmbeddings, StoredRow

_MOST_EXAMPLES = 3


def verify(
    path: Path,
    genome: Genome,
    *,
    model: str | None = None,
    rows: int | None = 100,
    device: str = "auto",
) -> Iterator[Check]:
    """Hold a file of ``findna embed`` against its weights, its genome, and rows computed again.

    Yields each check as soon as it is done.

    Parameters
    ----------
    model : str, optional
        Name or folder of the weights; by default the name in the file.
    rows : int, optional
        Number of rows to compute again, spread evenly over the file; None is all of them.

    Raises
    ------
    EmbeddingError
        The file cannot be read, or is not one of ``findna embed``.
    CheckpointError
        The model cannot be found or loaded.
    """
    compute = Compute(resolve_device(device))
    with StoredEmbeddings(path) as stored:
        options = RecordedOptions(stored)
        compute = replace(compute, precision=options.precision)
        yield Check(
            "structure",
            True,
            f"{counted(stored.rows, 'row')} of {stored.dim} {stored.dtype}: "
            + ", ".join(stored.datasets)
            + (", uns/per_base" if stored.per_base else ""),
        )
        checkpoint = recorded_checkpoint(stored, model)
        yield _weights(stored, checkpoint)
        yield _contigs(stored, genome)
        encoder = checkpoint.model.encoder
        if options.n_cls is not None:
            encoder = encoder.with_cls(options.n_cls)
        if encoder.config.dim != stored.dim or (
            "cls" in options.kinds and encoder.config.n_cls == 0
        ):
            yield Check("rows", False, f"model {checkpoint.name} cannot have made such vectors")
            return
        n = stored.rows if rows is None else min(rows, stored.rows)
        chosen = np.linspace(0, max(stored.rows - 1, 0), n).round().astype(int).tolist()

        def stored_rows() -> Iterator[tuple[tuple[StoredRow, Placed], Region | None]]:
            for row in stored.read(chosen):
                bed = parse_row("\t".join(row.columns), row.index, str(path))
                placed = place(bed, genome, options.regions)
                if options.max_n is not None:
                    placed = without_n(placed, genome, options.max_n)
                yield (row, placed), placed.region

        pooling, whole = options.pooling, options.regions.whole
        computed = region_vectors(stored_rows(), genome, encoder, pooling, compute, whole=whole)
        comparison = _Comparison(options)
        with progress(n, "rows", "verify") as bar:
            for (row, placed), vectors in computed:
                comparison.add(row, placed, vectors)
                bar.update()
        yield comparison.check(n, stored.rows)


def _weights(stored: StoredEmbeddings, checkpoint: Checkpoint) -> Check:
    digest = str(section(stored, "model").get("digest"))
    if digest == checkpoint.digest:
        return Check("weights", True, f"model {checkpoint.name} {digest[:12]}")
    return Check(
        "weights",
        False,
        f"made with {digest[:12]}, but model {checkpoint.name} is {checkpoint.digest[:12]}",
    )


def _contigs(stored: StoredEmbeddings, genome: Genome) -> Check:
    """Hold the digest of every contig that was read against the FASTA."""
    facts = section(stored, "genome")
    recorded = stored.contigs
    known = genome.digests(contig for contig in recorded if contig in genome.contigs)
    different = [contig for contig in recorded if known.get(contig) != recorded[contig]]
    if not different:
        n = len(recorded)
        return Check("contigs", True, f"MD5 of {counted(n, 'contig')} of {genome.path.name}")
    reasons = [
        f"{contig} {'has another sequence' if contig in known else 'is missing'}"
        for contig in different[:_MOST_EXAMPLES]
    ]
    n_others = len(different) - len(reasons)
    return Check(
        "contigs",
        False,
        f"{genome.path.name} is not what was read ({facts.get('file')}): {', '.join(reasons)}"
        + (f" and {n_others} more" if n_others else ""),
    )


class _Comparison:
    """Rows as they are stored beside what they are now."""

    def __init__(self, options: RecordedOptions) -> None:
        self._options = options
        self._largest = (0.0, options.tolerance("float32"))
        self._examples: list[str] = []
        self._different = Counter[str]()  # rows, by the first thing that differs

    def add(self, row: StoredRow, item: Placed, vectors: RegionVectors | None) -> None:
        """Compare one row."""
        name, difference = self._difference(row, item, vectors)
        if difference:
            self._different[name] += 1
            if len(self._examples) < _MOST_EXAMPLES:
                label = item.interval.label(self._options.regions.stranded)
                self._examples.append(f"row {row.index} ({label}): {name} {difference}")

    def _difference(
        self, row: StoredRow, item: Placed, vectors: RegionVectors | None
    ) -> tuple[str, str]:
        """Return the name of the first thing that differs and how; empty if all is the same."""
        if row.status != item.status:
            return "status", f"is {row.status}, now {item.status}"
        if vectors is None:
            finite = [name for name, values in row.vectors.items() if np.isfinite(values).any()]
            said = f"has values, but its status is {row.status}"
            return (finite[0], said) if finite else ("", "")
        if row.length != vectors.length:
            return "length", f"is {row.length}, now {vectors.length}"
        if row.n_fraction != vectors.n_unknown / vectors.length:
            now = vectors.n_unknown / row.length
            return "n_fraction", f"is {row.n_fraction:.6g}, now {now:.6g}"
        worst = "", ""
        for name, now in self._now(vectors).items():
            before = row.vectors[name]
            tolerance = self._options.tolerance(str(before.dtype))
            difference = relative(now.astype(before.dtype), before)
            largest = self._largest[0] / self._largest[1]
            if not difference / tolerance <= largest and not np.isnan(largest):
                self._largest = difference, tolerance
            if not difference <= tolerance and not worst[0]:
                worst = name, f"differs by {difference:.1e}"
        return worst

    def _now(self, vectors: RegionVectors) -> dict[str, Any]:
        first, *others = self._options.kinds
        arrays: dict[str, Any] = {"X": vectors.pooled[first]}
        arrays |= {f"obsm/{kind}": vectors.pooled[kind] for kind in others}
        if self._options.pooling.bins:
            arrays["obsm/bins"] = vectors.bins
        if vectors.per_base is not None:
            arrays["uns/per_base"] = vectors.per_base
        return arrays

    def check(self, n: int, of: int) -> Check:
        """Return the check of ``n`` rows out of all.

        Its number is the difference of vectors, unless rows differ in something else alone.
        """
        if not self._different:
            said = f"{n} of {counted(of, 'row')} computed again: the same"
            return Check("rows", True, said, *self._largest)
        kinds = ", ".join(f"{rows} in {name}" for name, rows in self._different.most_common())
        ellipsis = "; ..." * (self._different.total() > len(self._examples))
        said = f"{self._different.total()} of {counted(n, 'row')} differ, {kinds}: "
        said += "; ".join(self._examples)
        of_vectors = self._largest if not self._largest[0] <= self._largest[1] else ()
        return Check("rows", False, said + ellipsis, *of_vectors)
