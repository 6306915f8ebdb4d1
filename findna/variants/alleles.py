"""From VCF records to the windows of their alleles, and why some have none.

The row contract: every record is read, and each of its alleles gets windows or the reason why it
has no scores; none is lost.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from findna.errors import VariantError
from findna.genome.encoding import Tokens, decode, encode
from findna.genome.fasta import Genome
from findna.variants.haplotypes import Change, Edited, Strands, core, strand_windows, trim
from findna.variants.vcf import VcfReader, VcfRecord, VcfSource, genotypes

WINDOW = 512
"""Default length of a window, bp; less where the model was trained on less."""

REF_MISMATCH = ("stop", "null")

SCORED = ("snv", "mnv", "insertion", "deletion", "complex", "same")

UNSCORED = (
    "no_alt",
    "overlapping_deletion",
    "symbolic",
    "breakend",
    "not_acgt",
    "too_long",
    "ref_mismatch",
    "unknown_contig",
    "out_of_bounds",
)
"""Classes of alleles with and without scores; docs/variants.md describes them."""

_ACGT = re.compile("[ACGTacgt]+")

_BLOCK = 1 << 16  # bp of the genome held around the last variant

_MOST_EXAMPLES = 3

_MOST_NAMES = 1_000  # of unknown contigs that are looked at for a likely fix

_MOST_LETTERS = 20  # of an allele in a message


class _Blocks:
    """A genome read in blocks: the windows of neighbouring variants come from one of them."""

    def __init__(self, genome: Genome) -> None:
        self._genome = genome
        self._chrom, self._start, self._end = "", 0, 0
        self._tokens: Tokens = encode("")

    def fetch(self, chrom: str, start: int, end: int) -> Tokens:
        """Token ids of an interval inside its contig."""
        if chrom != self._chrom or start < self._start or end > self._end:
            self._start = max(start - _BLOCK // 2, 0)
            self._end = min(end + _BLOCK // 2, self._genome.contigs[chrom])
            self._tokens = self._genome.fetch(chrom, self._start, self._end)
            self._chrom = chrom
        return self._tokens[start - self._start : end - self._start]


@dataclass(frozen=True)
class Examined:
    """A record, the class of each allele, and the windows of those that can be scored.

    An allele has windows of each background that differs; of the genome alone there is one.
    """

    record: VcfRecord
    classes: list[str]
    windows: list[list[Strands] | None]


Backgrounds = Callable[[VcfRecord, int], Sequence[Sequence[Change]]]
"""What the contig of an allele (given by its number from 0) has otherwise changed, in order: of
each haplotype to look at."""


def _genome_alone(_: VcfRecord, __: int) -> Sequence[Sequence[Change]]:
    return [()]


def class_of_allele(ref: str, alt: str) -> str:
    """Return the class of an allele by its letters: one of SCORED, or why it has no score."""
    if alt in ("", "."):
        return "no_alt"
    if alt == "*":
        return "overlapping_deletion"
    if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        return "breakend"
    if alt.startswith("<"):
        return "symbolic"
    if not (_ACGT.fullmatch(ref) and _ACGT.fullmatch(alt)):
        return "not_acgt"
    change = trim(Change(0, encode(ref), encode(alt)))
    before, after = len(change.ref), len(change.alt)
    if before == after:
        return ("same", "snv", "mnv")[min(before, 2)]
    if before and after:
        return "complex"
    return "insertion" if after else "deletion"


class Examiner:
    """Says of each record whether it fits the genome, and finds the windows of its alleles."""

    def __init__(self, genome: Genome, window: int) -> None:
        self.genome = genome
        self.window = window
        self._blocks = _Blocks(genome)

    def problem(self, record: VcfRecord) -> tuple[str, str] | None:
        """Return why a record does not fit the genome, as class and reason; None if it does.

        A record without an allele that could be scored may lie outside its contig, as
        telomeric breakends do.
        """
        chrom = self.genome.resolve(record.chrom)
        n = self.genome.contigs[chrom] if chrom else 0
        end = record.start + len(record.ref)
        if chrom is None or record.start < 0 or end > n:
            if not any(class_of_allele(record.ref, alt) in SCORED for alt in record.alts):
                return None
            if chrom is None:
                return "unknown_contig", self.genome.unknown(record.chrom)
            where = f"{record.start + 1}-{end}"
            return "out_of_bounds", f"REF lies at {where}, but {record.chrom} has {n} bp"
        found = self._blocks.fetch(chrom, record.start, end)
        if not (found == encode(record.ref)).all():
            return "ref_mismatch", (
                f"REF is {_short(record.ref)}, but {self.genome.path.name} has "
                f"{_short(decode(found[: _MOST_LETTERS + 1]))}"
            )
        return None

    def examine(
        self,
        record: VcfRecord,
        problem: str | None = None,
        backgrounds: Backgrounds = _genome_alone,
    ) -> Examined:
        """Classes and windows of a record's alleles; none of a record with a problem."""
        classes: list[str] = []
        windows: list[list[Strands] | None] = []
        for i, alt in enumerate(record.alts):
            kind, found = class_of_allele(record.ref, alt), None
            if kind in SCORED and problem is not None:
                kind = problem
            elif kind in SCORED:
                change = Change(record.start, encode(record.ref), encode(alt))
                trimmed = trim(change)
                if max(len(trimmed.ref), len(trimmed.alt)) > self.window:
                    kind = "too_long"
                else:
                    found = self._windows(record, change, backgrounds(record, i))
            classes.append(kind)
            windows.append(found)
        return Examined(record, classes or ["no_alt"], windows)

    def _windows(
        self, record: VcfRecord, change: Change, backgrounds: Sequence[Sequence[Change]]
    ) -> list[Strands]:
        """Windows of a change on each background; those that are the same once."""
        chrom = self.genome.resolve(record.chrom)
        assert chrom is not None  # problem() has checked it
        n = self.genome.contigs[chrom]
        found: dict[object, Strands] = {}
        for changes in backgrounds:
            if changes:
                contig = Edited(self._blocks, n, changes)
                own = core(change)
                placed = Change(contig.lifted(own.start), own.ref, own.alt)
                strands = strand_windows(placed, contig, chrom, contig.length, self.window)
            else:
                strands = strand_windows(change, self._blocks, chrom, n, self.window)
            key = tuple((h.tokens.tobytes(), h.start, h.end) for pair in strands for h in pair)
            found.setdefault(key, strands)
        return list(found.values())


def _short(letters: str) -> str:
    return letters if len(letters) <= _MOST_LETTERS else letters[:_MOST_LETTERS] + "..."


SAME_ASSEMBLY = "is it the same assembly?"

_REMEDY = (
    f"{SAME_ASSEMBLY} --ref-mismatch null keeps such records without scores, --chrom-alias FILE "
    "maps names of contigs"
)


@dataclass
class _Survey:
    """What a first pass over the records found."""

    records: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    unknown: dict[str, None] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    def add(self, record: VcfRecord, problem: tuple[str, str]) -> None:
        kind, reason = problem
        self.bad[kind] += 1
        if kind == "unknown_contig":
            if len(self.unknown) > _MOST_NAMES or record.chrom in self.unknown:
                return
            self.unknown[record.chrom] = None
        if len(self.examples) < _MOST_EXAMPLES:
            where = f"{record.chrom}:{record.start + 1}"
            self.examples.append(f"line {record.number} ({where}): {reason}")


def survey_alleles(
    source: VcfSource,
    examiner: Examiner,
    ref_mismatch: str,
    defined: bool = False,
    remedy: str = _REMEDY,
    haplotype: str | None = None,
) -> int:
    """Return the number of records, after each was compared with the genome.

    Parameters
    ----------
    remedy : str
        Ends the message about those that do not fit.
    haplotype : str, optional
        Sample whose calls are read as well.

    Raises
    ------
    VariantError
        The file is not VCF or a record is malformed; or, with ``ref_mismatch`` stop, records do
        not fit the genome: the message counts them and shows the first.
    ConfigError
        There is no such sample.
    """
    survey = _Survey()
    with source.open(defined) as reader:
        if haplotype is None:
            records = reader.records
        else:
            records = (record for record, _ in genotypes(reader, haplotype))
        for record in records:
            survey.records += 1
            problem = examiner.problem(record)
            if problem is not None:
                survey.add(record, problem)
    n_bad = sum(survey.bad.values())
    if n_bad and ref_mismatch == "stop":
        if survey.bad["unknown_contig"] == n_bad:
            reasons = examiner.genome.unknown(*survey.unknown)
        else:
            more = n_bad > len(survey.examples)
            reasons = "; ".join(survey.examples) + ("; ..." if more else "")
        raise VariantError(
            f"{source.name}: {n_bad} of {survey.records} records do not fit the genome: {reasons}; "
            f"{remedy}"
        )
    return survey.records


def fit(record: VcfRecord, examiner: Examiner, ref_mismatch: str, name: str) -> str | None:
    """Return the class of a record that does not fit the genome; None if it does.

    Raises
    ------
    VariantError
        It does not, and ``ref_mismatch`` is stop.
    """
    problem = examiner.problem(record)
    if problem is not None and ref_mismatch == "stop":
        raise VariantError(
            f"{name}:{record.number}: {record.chrom}:{record.start + 1}: {problem[1]}; {_REMEDY}"
        )
    return problem[0] if problem else None


def examine_all(reader: VcfReader, examiner: Examiner, ref_mismatch: str) -> Iterator[Examined]:
    """Yield every record with the classes and windows of its alleles.

    Raises
    ------
    VariantError
        A record is malformed; or does not fit the genome, and ``ref_mismatch`` is stop.
    """
    for record in reader.records:
        yield examiner.examine(record, fit(record, examiner, ref_mismatch, reader.name))
