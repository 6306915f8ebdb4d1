"""What a run would do with some regions, variants or labelled sequences; no model is needed.

Everything that is wrong is counted, and the first of each kind shown, where a run stops at the
first line it cannot read. Rows are read once, in order; what is kept of each is 16 bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tempfile
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from findna import __version__
from findna.errors import ConfigError, FindnaError, LabelError, RegionError
from findna.genome.bed import BedRow, read_bed
from findna.genome.encoding import N, Tokens
from findna.genome.fasta import Genome
from findna.genome.regions import OK, RegionOptions, RegionSource, is_text, place, ragged
from findna.genome.text import display_name, is_stdin, open_input, open_raw
from findna.genome.windows import Region
from findna.labelled.rows import BED, looks_labelled, suffix
from findna.labelled.sets import CLASSES, check_trainable, labelled_set, read_rows
from findna.variants.alleles import WINDOW, Examiner
from findna.variants.haplotypes import Strands
from findna.variants.vcf import VcfRecord, VcfSource

if TYPE_CHECKING:
    from findna.commands.estimate import Estimate


FORMAT = 1

REGIONS, VARIANTS, LABELLED = "regions", "variants", "labelled"

MOST_COMPARED = 10_000_000
"""Rows that are looked at for duplicates, 16 bytes each; later ones are not."""

MALFORMED = ("malformed", "ragged", "not_text")
"""Statuses of rows that stop a run whatever it was told to do with rows it cannot read."""

_MOST_EXAMPLES = 3

_MOST_NAMES = 1_000  # of unknown contigs that are looked at for a likely fix

_SAMPLE = 200  # rows that an estimate is made with

_CHUNK = 1 << 22  # bp that are read at a time

_HEAD = 1 << 16  # bytes that tell what a file is

_OPTIONS = {
    "stranded": "-s", "split": "--split", "flank": "--flank", "window": "--window",
    "anchor": "--anchor", "pad": "--out-of-bounds",
}  # fmt: skip

_COUNT = {REGIONS: set(_OPTIONS), VARIANTS: {"window"}, LABELLED: {"stranded", "window"}}
"""Options that decide what is read of each kind."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Bin:
    """How many rows have a length from ``first`` to ``last``, bp."""

    first: int
    last: int
    rows: int


@dataclass
class Lengths:
    """Lengths of rows, bp, in bins that begin at 1, 2, 5, 10, 20, 50 ..."""

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
        tens = 10 ** (len(str(length)) - 1)
        step = length // tens
        self._counts[tens * (5 if step >= 5 else 2 if step >= 2 else 1)] += 1

    def bins(self) -> list[Bin]:
        """From the first that has rows to the last."""
        found: list[Bin] = []
        first = min(self._counts, default=0)
        while self._counts and first <= max(self._counts):
            after = first * 5 // 2 if str(first)[0] == "2" else first * 2
            found.append(Bin(first, after - 1, self._counts[first]))
            first = after
        return found


@dataclass(frozen=True)
class Duplicates:
    """Rows that have come before.

    Parameters
    ----------
    rows : int
        How many; the first of each group is not counted.
    conflicts : int
        Groups whose rows have different labels.
    compared : int
        Rows that were looked at; at most MOST_COMPARED.
    examples, conflict_examples : list of str
    """

    rows: int
    conflicts: int
    compared: int
    examples: list[str]
    conflict_examples: list[str]

    @property
    def limited(self) -> bool:
        """Whether later rows were not looked at."""
        return self.compared == MOST_COMPARED


class _Seen:
    """Finds rows that are the same by 64-bit digests: 16 bytes per row."""

    def __init__(self) -> None:
        self._digests, self._lines = array("Q"), array("Q")

    def add(self, key: bytes, line: int) -> None:
        """Note a row, as far as there is room."""
        if len(self._digests) < MOST_COMPARED:
            digest = hashlib.blake2b(key, digest_size=8).digest()
            self._digests.append(int.from_bytes(digest, "little"))
            self._lines.append(line)

    def duplicates(
        self, where: Callable[[int], str], labels: Sequence[Sequence[str]] = ()
    ) -> Duplicates:
        """Groups of equal rows; with the labels of each row, also those that disagree.

        Parameters
        ----------
        where : callable
            Place of a line, for the examples.
        """
        digests = np.frombuffer(self._digests, np.uint64)
        order = digests.argsort(kind="stable")
        in_order = digests[order]
        again = np.flatnonzero(in_order[1:] == in_order[:-1]) + 1
        rows = np.sort(order[again])
        examples = []
        for row in rows[:_MOST_EXAMPLES]:
            first = int(order[np.searchsorted(in_order, digests[row])])
            lines = self._lines[row], self._lines[first]
            examples.append(" is the same as ".join(map(where, lines)))
        conflicts: dict[int, str] = {}
        for i in again.tolist() if labels else ():
            a, b = int(order[i - 1]), int(order[i])
            if labels[a] != labels[b]:
                said = (f"{where(self._lines[row])} is {','.join(labels[row])}" for row in (a, b))
                conflicts.setdefault(int(in_order[i]), ", ".join(said))
        shown = list(conflicts.values())[:_MOST_EXAMPLES]
        return Duplicates(len(rows), len(conflicts), len(digests), examples, shown)


class _Sample(Generic[Item]):
    """Some of many items, each as likely as any other, in their order; the same at every run."""

    def __init__(self) -> None:
        self._rng = Random(0)
        self._n = 0
        self._kept: list[tuple[int, Item]] = []

    def add(self, item: Item) -> None:
        """Keep an item, perhaps in place of another."""
        self._n += 1
        if len(self._kept) < _SAMPLE:
            self._kept.append((self._n, item))
        elif (i := self._rng.randrange(self._n)) < _SAMPLE:
            self._kept[i] = (self._n, item)

    @property
    def items(self) -> list[Item]:
        """Those that were kept."""
        return [item for _, item in sorted(self._kept, key=lambda pair: pair[0])]


@dataclass
class Report:
    """What was found.

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
    untrainable : str
        Labelled: why nothing can be learned from the set.
    """

    kind: str
    file: str
    genome: str
    rows: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    incomplete: str = ""
    unknown: dict[str, None] = field(default_factory=dict)
    unknown_said: str = ""
    contigs: dict[str, None] = field(default_factory=dict)
    lengths: Lengths = field(default_factory=Lengths)
    n_bases: int = 0
    n_rows: int = 0
    n_rows_half: int = 0
    n_rows_all: int = 0
    in_order: bool = True
    classes: Counter[str] = field(default_factory=Counter)
    labels: str = ""
    untrainable: str = ""
    duplicates: Duplicates = field(default_factory=lambda: Duplicates(0, 0, 0, [], []))
    estimate: Estimate | None = None

    def readable(self) -> None:
        """Count a row that can be read."""
        self.rows += 1
        self.statuses[OK] += 1

    def problem(self, status: str, said: str = "") -> None:
        """Count a row that cannot be read; ``said`` is an example, if there is need of one."""
        self.rows += 1
        self.statuses[status] += 1
        examples = self.examples.setdefault(status, [])
        if said and len(examples) < _MOST_EXAMPLES:
            examples.append(" ".join(said.split()))

    def unknown_contig(self, chrom: str, where: str) -> None:
        """Count a row on a contig that the FASTA does not hold; each contig is one example."""
        new = chrom not in self.unknown and len(self.unknown) < _MOST_NAMES
        if new:
            self.unknown[chrom] = None
        self.problem("unknown_contig", f"{where}: {chrom}" if new else "")

    def sequence(self, length: int, n: int) -> None:
        """Count what is read of a row."""
        self.lengths.add(length)
        self.n_bases += n
        self.n_rows += n > 0
        self.n_rows_half += 2 * n > length
        self.n_rows_all += n == length

    @property
    def bad(self) -> int:
        """Rows that cannot be read."""
        return self.rows - self.statuses[OK]

    @property
    def stops(self) -> bool:
        """Whether a run would stop."""
        return bool(self.bad or self.incomplete or self.untrainable)

    @property
    def verdict(self) -> str:
        """One line: what a run would do."""
        command = {REGIONS: "a run", VARIANTS: "findna variants", LABELLED: "findna finetune"}
        what = {REGIONS: "regions", VARIANTS: "records", LABELLED: "sequences"}[self.kind]
        begin = f"{command[self.kind]} would"
        if self.incomplete:
            return f"{begin} stop: {self.incomplete}"
        if self.bad:
            counts = ", ".join(f"{n} {name}" for name, n in self.statuses.items() if name != OK)
            return (
                f"{begin} stop: {self.bad} of {self.rows} {what} cannot be read ({counts}); "
                + self._remedy()
            )
        if self.untrainable:
            return f"{begin} stop: {self.untrainable}"
        return f"{begin} read all {self.rows} {what}"

    def _remedy(self) -> str:
        if self.kind == LABELLED or any(self.statuses[status] for status in MALFORMED):
            return "correct or remove them"
        if self.kind == VARIANTS:
            return "--ref-mismatch null keeps such records without scores"
        return "--on-error null keeps such rows with missing values, skip leaves them out"

    def facts(self) -> dict[str, Any]:
        """The report as docs/formats.md describes it: plain values."""
        lengths, duplicates = self.lengths, self.duplicates
        found: dict[str, Any] = {
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
            "unknown_contigs": {"names": list(self.unknown), "said": self.unknown_said or None},
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
            "estimate": None if self.estimate is None else self.estimate.facts(),
            "stops": self.stops,
            "verdict": self.verdict,
        }
        if self.kind == VARIANTS:
            found["alleles"] = dict(self.classes)
        if self.kind == LABELLED:
            found["labels"] = {
                "kind": self.labels or None,
                "classes": dict(self.classes),
                "conflicts": duplicates.conflicts,
                "conflict_examples": duplicates.conflict_examples,
            }
        return found


class _Order:
    """Whether rows are sorted by start, and every contig is one block."""

    def __init__(self) -> None:
        self.kept = True
        self._chrom, self._start = "", 0
        self._before: set[str] = set()

    def add(self, chrom: str, start: int) -> None:
        """Note where the next row begins."""
        if not self.kept:
            return
        if chrom != self._chrom:
            self.kept = chrom not in self._before
            self._before.add(chrom)
        else:
            self.kept = start >= self._start
        self._chrom, self._start = chrom, start


def kind_of(path: Path) -> str:
    """What a file or folder holds: regions, variants or labelled; by its content and its name."""
    if path.is_dir():
        return LABELLED
    try:
        with open_input(path) as file:
            head = file.read(_HEAD)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        head = b""  # said when it is read
    if head.startswith((b"##fileformat=VCF", b"BCF")) or suffix(path) in (".vcf", ".bcf"):
        return VARIANTS
    if suffix(path) in BED:
        return REGIONS
    lines = head.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    return LABELLED if looks_labelled(path, lines) else REGIONS


@contextmanager
def _as_file(path: Path) -> Iterator[Path]:
    """A file that can be opened twice: the path, or a copy of what a pipe holds."""
    if not is_stdin(path) and (path.is_dir() or path.is_file() or not path.exists()):
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="findna-") as copy:
        with open_raw(path) as pipe:
            shutil.copyfileobj(pipe, copy)
        copy.flush()
        yield Path(copy.name)


def validate(
    genome: Genome | None,
    path: Path | None,
    *,
    options: RegionOptions = RegionOptions(),
    labelled: bool = False,
    kind: str = "auto",
    label_column: str | None = None,
    model: str | None = None,
    device: str = "auto",
) -> Report:
    """Read everything, and say what is wrong with it and what a run would read.

    Parameters
    ----------
    genome : Genome, optional
        Labelled sequences that are no intervals can do without.
    path : Path, optional
        BED, VCF or BCF, or a labelled set; ``-`` is standard input. None: every record of the
        FASTA is a region.
    options : RegionOptions
        Which sequence is read of a row. Of variants only ``window`` counts, of labelled intervals
        only ``stranded``.
    labelled : bool
        The set has labels, whatever it looks like.
    kind, label_column
        Of a labelled set, see `findna.labelled.sets.read_labelled`.
    model : str, optional
        Measure how fast this model is, to estimate what a run would take; None leaves torch alone.
    device : str
        Where to measure.

    Raises
    ------
    FindnaError
        The FASTA cannot be read, or the model not be loaded. What is wrong with ``path`` is in
        the report instead.
    """
    if path is None:
        assert genome is not None
        found = _Validation(genome, genome.path, str(genome.path), model, device)
        return found.regions(RegionSource.records(genome).rows(), options)
    name = display_name(path)
    with _as_file(path) as file:
        found = _Validation(genome, file, name, model, device)
        what = LABELLED if labelled else kind_of(file)
        default = RegionOptions()
        for option in _OPTIONS.keys() - _COUNT[what]:
            if getattr(options, option) != getattr(default, option):
                raise ConfigError(f"{_OPTIONS[option]} is for regions; {name} holds {what}")
        if what == LABELLED:
            return found.labelled(kind, label_column, options.stranded, options.window)
        if genome is None:
            raise RegionError(f"{name}: holds {what}; give GENOME before it, the FASTA they are of")
        if what == VARIANTS:
            return found.variants(options.window)
        rows = read_bed(file, name, on_malformed=found.malformed)
        return found.regions(rows, options)


class _Validation:
    """One file as it is read.

    Parameters
    ----------
    path : Path
        The file, or a copy of what a pipe held.
    name : str
        What messages call it.
    """

    def __init__(
        self, genome: Genome | None, path: Path, name: str, model: str | None, device: str
    ) -> None:
        self._genome, self._path, self._name = genome, path, name
        self._model, self._device = model, device
        self._seen, self._order = _Seen(), _Order()
        self._report = Report(REGIONS, name, "" if genome is None else str(genome.path))

    def malformed(self, error: FindnaError) -> None:
        """Count a line that is not what it should be."""
        self._report.problem("malformed", self._said(error))

    def _said(self, error: FindnaError) -> str:
        return str(error).replace(str(self._path), self._name)

    def _all(self, items: Iterable[Item]) -> Iterator[Item]:
        """Everything up to where the reader cannot go on."""
        try:
            yield from items
        except FindnaError as error:
            self._report.incomplete = self._said(error)

    def _where(self, line: int) -> str:
        return f"{self._name}:{line}"

    def _found(self) -> Report:
        """The report on intervals or records, all of which were seen."""
        report = self._report
        report.in_order = self._order.kept
        report.duplicates = self._seen.duplicates(self._where)
        if report.unknown and self._genome is not None:
            report.unknown_said = self._genome.unknown(*report.unknown)
        return report

    def regions(self, rows: Iterable[BedRow], options: RegionOptions) -> Report:
        """The report on intervals."""
        report, genome = self._report, self._genome
        assert genome is not None
        sample = _Sample[Region]()
        n_columns = 0
        for row in self._all(rows):
            n_columns = n_columns or len(row.columns)
            interval, where = row.interval, self._where(row.number)
            self._order.add(interval.chrom, interval.start)
            strand = interval.strand if options.stranded else "."
            self._see(row.number, interval.chrom, interval.start, interval.end, strand)
            placed = place(row, genome, options)
            if len(row.columns) != n_columns:
                report.problem("ragged", ragged(self._name, row, n_columns))
            elif not all(map(is_text, row.columns)):
                report.problem("not_text", f"{where}: not UTF-8 text, which HDF5 needs")
            elif placed.status == "unknown_contig":
                report.unknown_contig(interval.chrom, where)
            elif placed.region is None:
                report.problem(placed.status, f"{where}: {placed.reason}")
            else:
                report.readable()
                report.contigs[placed.region.chrom] = None
                report.sequence(len(placed.region), _unknown_bases(genome, placed.region))
                sample.add(placed.region)
        if self._model is not None and sample.items:
            from findna.commands.estimate import estimate_embed
            from findna.model.devices import Compute

            report.estimate = estimate_embed(
                sample.items, genome, report.lengths.total, self._model, Compute.on(self._device)
            )
        return self._found()

    def variants(self, window: int | None) -> Report:
        """The report on records of a VCF."""
        report, genome = self._report, self._genome
        assert genome is not None
        report.kind = VARIANTS
        if window is None:
            window = WINDOW
            if self._model is not None:
                from findna.model.checkpoint import training_length

                window = min(WINDOW, training_length(self._model))
        examiner, sample = Examiner(genome, window), _Sample[list[Strands]]()
        with VcfSource(self._path) as source:
            source.name = self._name
            for record in self._all(self._records(source)):
                self._order.add(record.chrom, record.start)
                self._see(record.number, record.chrom, record.start, record.ref, *record.alts)
                problem = examiner.problem(record)
                examined = examiner.examine(record, problem[0] if problem else None)
                report.classes.update(examined.classes)
                where = f"{self._where(record.number)} ({record.chrom}:{record.start + 1})"
                if problem is None:
                    report.readable()
                elif problem[0] == "unknown_contig":
                    report.unknown_contig(record.chrom, where)
                else:
                    report.problem(problem[0], f"{where}: {problem[1]}")
                for found in filter(None, examined.windows):
                    report.contigs[record.chrom] = None
                    reference = found[0][0][0].tokens
                    report.sequence(len(reference), int(np.count_nonzero(reference == N)))
                    sample.add(found)
        if self._model is not None and sample.items:
            from findna.commands.estimate import estimate_variants
            from findna.model.devices import Compute

            report.estimate = estimate_variants(
                sample.items, report.lengths.rows, self._model, Compute.on(self._device)
            )
        return self._found()

    def _records(self, source: VcfSource) -> Iterator[VcfRecord]:
        with source.open(on_malformed=self.malformed) as reader:
            yield from reader.records

    def _see(self, line: int, *facts: object) -> None:
        key = "\t".join(map(str, facts))
        self._seen.add(key.encode("utf-8", "surrogateescape"), line)

    def labelled(
        self, kind: str, label_column: str | None, stranded: bool, window: int | None
    ) -> Report:
        """The report on labelled sequences, all of which are held, as training does."""
        report = self._report
        report.kind = LABELLED

        def on_problem(status: str, error: FindnaError) -> None:
            report.problem(status, self._said(error))

        try:
            raw, kind = read_rows(
                self._path, self._genome, kind=kind, label_column=label_column,
                stranded=stranded, window=window, on_problem=on_problem,
            )  # fmt: skip
            data = labelled_set(raw, self._name, kind, on_problem=on_problem)
        except FindnaError as error:
            report.incomplete = self._said(error)
            return report
        report.rows += len(data)
        report.statuses[OK] = len(data)
        report.contigs = dict.fromkeys(data.contigs or ())
        report.labels = data.kind
        sample = _Sample[Tokens]()
        for row, sequence in enumerate(data.sequences):
            self._seen.add(sequence.tobytes(), row)
            report.sequence(len(sequence), int(np.count_nonzero(sequence == N)))
            sample.add(sequence)
        if data.kind == CLASSES:
            counts = np.bincount(data.labels, minlength=len(data.classes)).tolist()
            report.classes.update(dict(zip(data.classes, counts, strict=True)))
        report.duplicates = self._seen.duplicates(
            lambda row: raw.places[row].replace(str(self._path), self._name), raw.values
        )
        try:
            check_trainable(data)
        except LabelError as error:
            report.untrainable = self._said(error)
        if self._model is not None:
            from findna.commands.estimate import estimate_embed
            from findna.genome.batching import Sequences
            from findna.model.devices import Compute

            source = Sequences(sample.items)
            report.estimate = estimate_embed(
                [region for _, region in source.rows() if region is not None],
                source,
                report.lengths.total,
                self._model,
                Compute.on(self._device),
            )
        return report


def _unknown_bases(genome: Genome, region: Region) -> int:
    """Number of N in a region, which may be a whole contig."""
    return sum(
        int(np.count_nonzero(genome.fetch(region.chrom, first, min(first + _CHUNK, end)) == N))
        for start, end in region.parts
        for first in range(start, end, _CHUNK)
    )
