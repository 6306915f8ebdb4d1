"""A first pass over all rows: what they are, and what cannot be read, before any model is run."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from findna.console import counted
from findna.errors import RegionError
from findna.genome.bed import BedBlock, score_value
from findna.genome.fasta import Genome
from findna.genome.order import Order
from findna.genome.regions import KEPT_OR_SKIPPED, OK, RegionOptions, is_point, lies_within, place
from findna.genome.sources import RegionSource, tell_empty
from findna.genome.text import is_text

_MOST_EXAMPLES = 3
_MOST_NAMES = 1_000  # of unknown contigs that are looked at for a likely fix


@dataclass
class Survey:
    """Counts of a first pass over the rows; ``bad`` ones cannot be read.

    Parameters
    ----------
    rows, columns, bases, bad, points : int
        ``points`` are rows of 1 bp.
    contigs : dict
        Names of those that are read, in the order of the rows.
    numeric_score : bool
        Every row's score is a number or a dot.
    unsorted : int
        Line of the first row, of those in the output, that is not sorted; 0 if all are.
    """

    rows: int = 0
    columns: int = 3
    bases: int = 0
    bad: int = 0
    points: int = 0
    contigs: dict[str, None] = field(default_factory=dict)
    numeric_score: bool = True
    unsorted: int = 0

    def add_columns(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Count rows by their columns, of which all have as many."""
        self.rows += len(rows)
        self.columns = len(rows[0])
        if self.numeric_score and self.columns > 4:
            self.numeric_score = all(score_value(row[4]) is not None for row in rows)


class RowRecord:
    """Record of all rows, in their order: their digest, and the bases to read of each."""

    def __init__(self) -> None:
        self.lengths = array("q")
        self._sha256 = hashlib.sha256()

    def add(self, columns: Sequence[str], status: str, length: int) -> None:
        """Note the next row."""
        line = "\t".join([*columns, status]) + "\n"
        self._sha256.update(line.encode("utf-8", "surrogateescape"))
        self.lengths.append(length)

    def digest(self, headers: Sequence[str]) -> str:
        """Return the SHA-256 over rows, their status, and header lines."""
        sha256 = self._sha256.copy()
        sha256.update("\n".join(headers).encode("utf-8", "surrogateescape"))
        return sha256.hexdigest()


def survey(
    source: RegionSource,
    genome: Genome,
    options: RegionOptions,
    utf8: bool = False,
    record: RowRecord | None = None,
) -> Survey:
    """Check every row before anything expensive is done.

    Parameters
    ----------
    utf8 : bool
        Refuse columns that are not UTF-8 text: the output cannot hold them.
    record : RowRecord, optional
        Gets every row.

    Raises
    ------
    RegionError
        A row is not BED, or has another number of columns than the first; or, with ``on_error``
        stop, rows cannot be read: the message counts them and shows the first.
    """
    surveyed, order = Survey(), Order()
    examples: list[str] = []
    unknown: dict[str, None] = {}
    n_unknown, first = 0, ""
    for block in source.blocks():
        if isinstance(block, BedBlock) and lies_within(block, genome, options):
            lengths = block.ends - block.starts
            surveyed.add_columns(block.columns)
            surveyed.points += int((lengths == 1).sum())
            surveyed.bases += int(lengths.sum())
            surveyed.contigs |= dict.fromkeys(block.names(genome).values())
            lost = order.first_lost(block.chroms, block.starts.tolist())
            if lost is not None:
                surveyed.unsorted = surveyed.unsorted or block.first + lost
            for columns, length in zip(block.columns, lengths.tolist(), strict=True):
                if record is not None:
                    record.add(columns, OK, length)
            continue
        for row in block:
            if utf8 and not all(map(is_text, row.columns)):
                raise RegionError(
                    f"{source.name}:{row.number}: not UTF-8 text, which HDF5 needs; convert it "
                    "(iconv -t UTF-8) or write a table (-O tsv)"
                )
            surveyed.add_columns([row.columns])
            placed = place(row, genome, options)
            if record is not None:
                length = len(placed.region) if placed.region else 0
                record.add(row.columns, placed.status, length)
            surveyed.points += is_point(row.interval)
            is_kept = placed.region is not None or options.on_error != "skip"
            if is_kept and not order.add(row.interval.chrom, row.interval.start):
                surveyed.unsorted = surveyed.unsorted or row.number
            if placed.region is not None:
                surveyed.bases += len(placed.region)
                surveyed.contigs[placed.region.chrom] = None
                continue
            surveyed.bad += 1
            if placed.status == "unknown_contig":
                n_unknown += 1
                if len(unknown) > _MOST_NAMES or row.interval.chrom in unknown:
                    continue
                unknown[row.interval.chrom] = None
            if len(examples) < _MOST_EXAMPLES:
                examples.append(f"{row.place}: {placed.reason}")
                first = first or row.place
    genome.tell_aliases(source.name)
    if not surveyed.rows:
        tell_empty(source)
    if surveyed.bad and options.on_error == "stop":
        if n_unknown == surveyed.bad:
            reasons = f"from {first} on: {genome.unknown(*unknown)}"
        else:
            reasons = "; ".join(hint_once(examples))
            reasons += "; ..." if surveyed.bad > len(examples) else ""
        raise RegionError(
            f"{source.name}: {surveyed.bad} of {counted(surveyed.rows, 'region')} cannot be read: "
            f"{reasons}; {KEPT_OR_SKIPPED}"
        )
    return surveyed


def hint_once(reasons: Sequence[str]) -> list[str]:
    """Return the reasons without a hint, which is what follows "; ", that a later one repeats."""
    hints = [reason.partition("; ")[2] for reason in reasons]
    return [
        reason.removesuffix(f"; {hint}") if hint and hint in hints[i + 1 :] else reason
        for i, (reason, hint) in enumerate(zip(reasons, hints, strict=True))
    ]
