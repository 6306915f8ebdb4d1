"""The report of ``findna validate``."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from findna import __version__
from findna.console import counted
from findna.genome.regions import KEPT_OR_SKIPPED, NO_SEQUENCE, OK
from findna.outputs.multiqc import Section

if TYPE_CHECKING:
    from findna.commands.estimate import Estimate

Integers = npt.NDArray[np.int64]

FORMAT = 2

REGIONS, VARIANTS, LABELLED = "regions", "variants", "labelled"

MOST_COMPARED = 10_000_000
"""Rows that are compared to find duplicates, 16 bytes each; later ones are not."""

MOST_EXAMPLES = 3
"""Examples of one kind of problem that are shown."""

MALFORMED = ("malformed", "ragged", "not_text")
"""Statuses of rows that stop a run whatever it was told to do with rows it cannot read."""

READ = (OK, NO_SEQUENCE)
"""Statuses of rows that stop no run."""

_EDGES = [step * 10**power for power in range(12) for step in (1, 2, 5)]
"""First lengths of bins, bp."""

_MOST_NAMES = 1_000  # of unknown contigs that are compared with the known ones


class Bin(NamedTuple):
    """Number of rows with a length from ``first`` to ``last``, bp."""

    first: int
    last: int
    rows: int


@dataclass
class Lengths:
    """Lengths of rows, bp, in bins."""

    rows: int = 0
    total: int = 0
    shortest: int = 0
    longest: int = 0
    _counts: Counter[int] = field(default_factory=Counter)

    def add(self, length: int) -> None:
        """Count one row of at least 1 bp."""
        self.shortest = min(self.shortest, length) if self.rows else length
        self.longest = max(self.longest, length)
        self.rows += 1
        self.total += length
        self._counts[bisect_right(_EDGES, length)] += 1

    def add_all(self, lengths: Integers) -> None:
        """Count rows as `add` does."""
        shortest, longest = int(lengths.min()), int(lengths.max())
        self.shortest = min(self.shortest, shortest) if self.rows else shortest
        self.longest = max(self.longest, longest)
        self.rows += len(lengths)
        self.total += int(lengths.sum())
        numbers = np.searchsorted(_EDGES, lengths, "right").tolist()
        self._counts.update(numbers)

    def bins(self) -> list[Bin]:
        """Return the bins from the first with rows to the last."""
        numbers = range(min(self._counts, default=0), max(self._counts, default=-1) + 1)
        return [Bin(_EDGES[i - 1], _EDGES[i] - 1, self._counts[i]) for i in numbers]


@dataclass(frozen=True)
class Duplicates:
    """Rows that repeat an earlier row.

    Parameters
    ----------
    rows : int
        Their number; the first of each group is not counted.
    conflicts : int
        Groups whose rows have different labels.
    compared : int
        Rows that were compared; at most MOST_COMPARED.
    """

    rows: int = 0
    conflicts: int = 0
    compared: int = 0
    examples: list[str] = field(default_factory=list)
    conflict_examples: list[str] = field(default_factory=list)

    @property
    def limited(self) -> bool:
        """True if later rows were not compared."""
        return self.compared == MOST_COMPARED


@dataclass(frozen=True)
class Scanned:
    """Windows of ``findna scan --regions``, where no base of them is N; of sites the tiles.

    Parameters
    ----------
    regions, bases : int
        Rows that overlap or touch are joined.
    shorter : int
        Regions shorter than a window; each gives one that is as long.
    """

    windows: int
    window: int
    step: int
    regions: int
    bases: int
    shorter: int


@dataclass
class TaskUse:
    """Rows that can be read, as a task would read them.

    Parameters
    ----------
    window : int
        Length of every training sequence, bp; 0 where they differed.
    geometry : str
        The windows of the task that rows get, or how rows are read if none does, in words.
    windows, as_given : int
        Rows that get the windows of the task, and others.
    shorter, longer : int
        Rows whose sequence is shorter or longer than ``window``.
    points : int, optional
        Rows of which a task of sites looks at one base; None of a task of regions.
    without_strand : int, optional
        Rows without a strand among those that are read by strand; None if none is.
    tiles, most_tiles : int
        Pieces that are encoded one by one, of all rows and of one.
    scan_message : str
        Reason why ``findna scan`` would stop, or what it needs.
    """

    name: str
    window: int
    geometry: str = ""
    windows: int = 0
    as_given: int = 0
    shorter: int = 0
    longer: int = 0
    points: int | None = None
    without_strand: int | None = None
    tiles: int = 0
    most_tiles: int = 0
    scan: Scanned | None = None
    scan_message: str = ""


@dataclass
class Report:
    """Report on an input.

    Parameters
    ----------
    kind : {"regions", "variants", "labelled"}
    rows : int
        Rows, malformed ones included.
    statuses : Counter
        Rows by status: ``ok``, or why a row cannot be read.
    examples : dict
        The first few reasons by status.
    incomplete : str
        Why the rest of the file could not be read; empty if all was.
    unknown : dict
        Contigs that the FASTA does not hold, the first thousand, in their order.
    contigs : dict
        Contigs that rows are read from, in their order.
    n_bases, n_rows, n_rows_half, n_rows_all : int
        N in all that is read; rows with some, with more than half, and with nothing but N.
    in_order : bool
        Rows are sorted by start within contigs, and every contig is one block.
    classes : Counter
        Variants: alleles by class. Labelled: rows by class.
    labels : str
        Labelled: the kind of labels.
    unusable : str
        Reason why a run would stop although every row can be read.
    """

    kind: str
    file: str
    genome: str
    rows: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    incomplete: str = ""
    unknown: dict[str, None] = field(default_factory=dict)
    unknown_reason: str = ""
    contigs: dict[str, None] = field(default_factory=dict)
    lengths: Lengths = field(default_factory=Lengths)
    n_bases: int = 0
    n_rows: int = 0
    n_rows_half: int = 0
    n_rows_all: int = 0
    in_order: bool = True
    classes: Counter[str] = field(default_factory=Counter)
    labels: str = ""
    unusable: str = ""
    tasks: list[TaskUse] = field(default_factory=list)
    duplicates: Duplicates = field(default_factory=Duplicates)
    estimate: Estimate | None = None

    def readable(self) -> None:
        """Count a row that can be read."""
        self.rows += 1
        self.statuses[OK] += 1

    def problem(self, status: str, reason: str = "") -> None:
        """Count a row that cannot be read; ``reason`` may become an example."""
        self.rows += 1
        self.statuses[status] += 1
        examples = self.examples.setdefault(status, [])
        if reason and len(examples) < MOST_EXAMPLES:
            examples.append(" ".join(reason.split()))

    def unknown_contig(self, chrom: str, location: str) -> None:
        """Count a row on a contig that the FASTA does not hold; each contig is one example."""
        new = chrom not in self.unknown and len(self.unknown) < _MOST_NAMES
        if new:
            self.unknown[chrom] = None
        self.problem("unknown_contig", f"{location}: {chrom}" if new else "")

    def sequence(self, length: int, n: int) -> None:
        """Count the sequence of a row and its N."""
        self.lengths.add(length)
        self.n_bases += n
        self.n_rows += n > 0
        self.n_rows_half += 2 * n > length
        self.n_rows_all += n == length

    def add_readable(self, lengths: Integers, n: Integers) -> None:
        """Count rows that can be read, and their sequences with their N."""
        self.rows += len(lengths)
        self.statuses[OK] += len(lengths)
        self.lengths.add_all(lengths)
        self.n_bases += int(n.sum())
        self.n_rows += int((n > 0).sum())
        self.n_rows_half += int((2 * n > lengths).sum())
        self.n_rows_all += int((n == lengths).sum())

    @property
    def bad(self) -> int:
        """Number of rows that cannot be read."""
        return self.rows - sum(self.statuses[status] for status in READ)

    @property
    def stops(self) -> bool:
        """True if a run would stop."""
        return bool(self.bad or self.incomplete or self.unusable)

    @property
    def verdict(self) -> str:
        """One line about what a run would do."""
        command = {REGIONS: "a run", VARIANTS: "findna variants", LABELLED: "findna finetune"}
        noun = {REGIONS: "region", VARIANTS: "record", LABELLED: "sequence"}[self.kind]
        rows = counted(self.rows, noun)
        begin = f"{command[self.kind]} would"
        if self.incomplete:
            return f"{begin} stop: {self.incomplete}"
        if self.bad:
            counts = ", ".join(
                f"{n} {name}" for name, n in self.statuses.items() if name not in READ
            )
            return (
                f"{begin} stop: {self.bad} of {rows} cannot be read ({counts}); " + self._remedy()
            )
        if self.unusable:
            return f"{begin} stop: {self.unusable}"
        too_many_n = self.statuses[NO_SEQUENCE]
        without = f", {too_many_n} without a result (no_sequence)" if too_many_n else ""
        return f"{begin} read {'all ' * (self.rows != 1)}{rows}{without}"

    def _remedy(self) -> str:
        if self.kind == LABELLED or any(self.statuses[status] for status in MALFORMED):
            return "correct or remove them"
        if self.kind == VARIANTS:
            return "--ref-mismatch null keeps such records without scores"
        return KEPT_OR_SKIPPED

    def facts(self) -> dict[str, Any]:
        """Return the report as docs/formats.md describes it, in plain values."""
        lengths, duplicates = self.lengths, self.duplicates
        facts: dict[str, Any] = {
            "format": FORMAT,
            "findna_version": __version__,
            "kind": self.kind,
            "file": self.file,
            "genome": self.genome,
            "rows": self.rows,
            "statuses": {OK: self.statuses[OK], **self.statuses},
            "examples": self.examples,
            "incomplete": self.incomplete or None,
            "contigs": len(self.contigs),
            "unknown_contigs": {
                "names": list(self.unknown),
                "message": self.unknown_reason or None,
            },
            "lengths": {
                "total": lengths.total,
                "shortest": lengths.shortest,
                "longest": lengths.longest,
                "bins": [{"from": b.first, "to": b.last, "rows": b.rows} for b in lengths.bins()],
            },
            "n": {
                "bases": self.n_bases,
                "rows": self.n_rows,
                "rows_above_half": self.n_rows_half,
                "rows_nothing_else": self.n_rows_all,
            },
            "duplicates": {
                "rows": duplicates.rows,
                "compared": duplicates.compared,
                "examples": duplicates.examples,
            },
            "sorted": self.in_order if self.kind != LABELLED else None,
            "estimate": None if self.estimate is None else asdict(self.estimate),
            "stops": self.stops,
            "verdict": self.verdict,
        }
        if self.kind == REGIONS:
            facts["tasks"] = [asdict(task) for task in self.tasks]
        if self.kind == VARIANTS:
            facts["alleles"] = dict(self.classes)
        if self.kind == LABELLED:
            facts["labels"] = {
                "kind": self.labels or None,
                "classes": dict(self.classes),
                "conflicts": duplicates.conflicts,
                "conflict_examples": duplicates.conflict_examples,
            }
        return facts


def report_sections(report: Report) -> Iterator[Section]:
    """Yield the statuses, lengths and classes of what was validated."""
    kind = {"variants": "records", "labelled": "sequences"}.get(report.kind, "regions")
    said = f"{kind.capitalize()} by status: ok, or why a run cannot read them."
    statuses = dict(report.statuses)
    yield Section(f"findna_validate_{kind}", f"Status of {kind}", said, statuses, kind)
    if bins := report.lengths.bins():
        before, after = bisect_left(_EDGES, bins[0].first) - 1, bins[-1].last + 1
        line = {_EDGES[max(before, 0)]: 0, **{part.first: part.rows for part in bins}, after: 0}
        yield Section(
            f"findna_validate_{kind}_bp",
            f"Lengths of {kind}",
            "By the bp that are read, in bins that begin at 1, 2, 5, 10, 20, 50, ...",
            line,
            *(kind, "bp"),
            {"xlog": True, "ymin": 0},
        )
    if report.classes:
        of = "alleles" if report.kind == "variants" else "labels"
        said = f"{of.capitalize()} by class."
        yield Section(f"findna_validate_{of}", of.capitalize(), said, dict(report.classes), of)
