"""From VCF records to the windows of their alleles.

Every record is read, and each of its alleles gets windows or the reason why it has no scores.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from findna.console import counted
from findna.errors import VariantError
from findna.genome.encoding import N, Tokens, decode, encode
from findna.genome.fasta import Genome
from findna.genome.regions import NO_SEQUENCE, has_sequence
from findna.variants.haplotypes import (
    Change,
    Edited,
    Strand,
    Strands,
    core,
    left_aligned,
    strand_windows,
    trim,
)
from findna.variants.vcf import VcfReader, VcfRecord, VcfSource, genotypes, in_order

WINDOW = 512
"""Default length of a window, bp; less if the model was trained on less."""

REF_MISMATCH = ("stop", "null")
"""Treatments of records that do not fit the genome."""

SCORED = ("snv", "mnv", "insertion", "deletion", "complex", "same")

UNSCORED = (
    "no_alt",
    "overlapping_deletion",
    "symbolic",
    "breakend",
    "not_acgt",
    "too_long",
    NO_SEQUENCE,
    "ref_mismatch",
    "unknown_contig",
    "out_of_bounds",
)
"""Classes of alleles with and without scores; docs/variants.md describes them."""

SAME_ASSEMBLY = "is it the same assembly?"

_ACGT = re.compile("[ACGTacgt]+")
_BLOCK = 1 << 16  # bp of the genome held around the last variant
_MOST_EXAMPLES = 3  # records that a message names
_MOST_NAMES = 1_000  # of unknown contigs that are looked at for a likely fix
_MOST_LETTERS = 20  # of an allele in a message


class _Blocks:
    """A genome read in blocks: windows of neighbouring variants mostly come from the same one."""

    def __init__(self, genome: Genome) -> None:
        self._genome = genome
        self._chrom, self._start, self._end = "", 0, 0
        self._tokens: Tokens = encode("")

    def fetch(self, chrom: str, start: int, end: int) -> Tokens:
        """Return the token ids of an interval inside its contig."""
        if chrom != self._chrom or start < self._start or end > self._end:
            self._start = max(start - _BLOCK // 2, 0)
            self._end = min(end + _BLOCK // 2, self._genome.contigs[chrom])
            self._tokens = self._genome.fetch(chrom, self._start, self._end)
            self._chrom = chrom
        return self._tokens[start - self._start : end - self._start]


@dataclass(frozen=True)
class Examined:
    """A record, the class of each allele, and the windows of those that can be scored.

    An allele has windows on each background that differs; the genome alone is one background.
    """

    record: VcfRecord
    classes: list[str]
    windows: list[list[Strands] | None]


Backgrounds = Callable[[int], Sequence[Sequence[Change]]]
"""Gets the number of an allele from 0; returns, per haplotype, the other changes in order."""


def change_of(record: VcfRecord, alt: str) -> Change:
    """Return the change that an allele makes, as it is written down."""
    return Change(record.start, encode(record.ref), encode(alt))


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


def _is_scored(record: VcfRecord) -> bool:
    """Return whether a record has an allele that could be scored."""
    return any(class_of_allele(record.ref, alt) in SCORED for alt in record.alts)


class Examiner:
    """Compares records with the genome, and makes the windows of their alleles.

    Parameters
    ----------
    window : int
        Length of the windows, bp.
    ref_mismatch : {"stop", "null"}
        Whether a record that does not fit the genome is an error, or has no scores.
    max_n : float
        Largest share of N in a window with the reference allele.
    """

    def __init__(
        self, genome: Genome, window: int, ref_mismatch: str = "stop", max_n: float = 1.0
    ) -> None:
        self.genome = genome
        self.window = window
        self.ref_mismatch = ref_mismatch
        self._max_n = max_n
        self._blocks = _Blocks(genome)

    def problem(self, record: VcfRecord) -> tuple[str, str] | None:
        """Return why a record does not fit the genome, as class and reason; None if it does.

        A record without an allele that could be scored may lie outside its contig, as
        telomeric breakends do, and N in its REF, as in lists of structural variants, fits any base.
        """
        chrom = self.genome.resolve(record.chrom)
        n = self.genome.contigs[chrom] if chrom else 0
        end = record.start + len(record.ref)
        if chrom is None or record.start < 0 or end > n:
            if not _is_scored(record):
                return None
            if chrom is None:
                return "unknown_contig", self.genome.unknown(record.chrom)
            reason = f"REF lies at {record.start + 1}-{end}, but {record.chrom} has {n} bp"
            return "out_of_bounds", reason
        tokens, ref = self._blocks.fetch(chrom, record.start, end), encode(record.ref)
        differs = tokens != ref
        if not differs.any() or ((ref == N)[differs].all() and not _is_scored(record)):
            return None
        there = _short(decode(tokens[: _MOST_LETTERS + 1]))
        reason = f"REF is {_short(record.ref)}, but {self.genome.path.name} has {there}"
        return "ref_mismatch", reason

    def placed(self, record: VcfRecord, alt: str) -> Change:
        """Return the change that an allele makes, left-aligned; its record fits the genome."""
        chrom = self.genome.resolve(record.chrom)
        assert chrom is not None  # problem() has checked it
        contig = Edited(self._blocks, self.genome.contigs[chrom], ())
        return left_aligned(trim(change_of(record, alt)), Strand(contig, chrom))

    def misfit(self, record: VcfRecord, file: str) -> str | None:
        """Return the class of a record that does not fit the genome; None if it does.

        Raises
        ------
        VariantError
            It does not, and ``ref_mismatch`` is stop.
        """
        problem = self.problem(record)
        if problem is None:
            return None
        kind, reason = problem
        if self.ref_mismatch == "stop":
            location = f"{file}:{record.number}: {record.chrom}:{record.start + 1}"
            raise VariantError(f"{location}: {reason}; {_remedy([kind], reason)}")
        return kind

    def examine(
        self,
        record: VcfRecord,
        problem: str | None = None,
        backgrounds: Backgrounds = lambda allele: [()],
    ) -> Examined:
        """Return the classes and windows of a record's alleles.

        ``problem`` is the class that its alleles get in place of windows.
        """
        classes: list[str] = []
        windows: list[list[Strands] | None] = []
        for i, alt in enumerate(record.alts):
            kind, strands = class_of_allele(record.ref, alt), None
            if kind in SCORED and problem is not None:
                kind = problem
            elif kind in SCORED:
                change = change_of(record, alt)
                trimmed = trim(change)
                if max(len(trimmed.ref), len(trimmed.alt)) > self.window:
                    kind = "too_long"
                else:
                    strands = self._windows(record.chrom, change, backgrounds(i))
                    reference = strands[0][0][0].tokens
                    n_unknown = int(np.count_nonzero(reference == N))
                    if not has_sequence(n_unknown, len(reference), self._max_n):
                        kind, strands = NO_SEQUENCE, None
            classes.append(kind)
            windows.append(strands)
        return Examined(record, classes or ["no_alt"], windows)

    def _windows(
        self, name: str, change: Change, backgrounds: Sequence[Sequence[Change]]
    ) -> list[Strands]:
        """Return the windows of a change on each background, without repetition."""
        chrom = self.genome.resolve(name)
        assert chrom is not None  # problem() has checked it
        own = core(change)
        distinct: dict[object, Strands] = {}
        for changes in backgrounds:
            contig = Edited(self._blocks, self.genome.contigs[chrom], changes)
            placed = Change(contig.lifted(own.start), own.ref, own.alt)
            strands = strand_windows(placed, contig, chrom, self.window)
            key = tuple((h.tokens.tobytes(), h.start, h.end) for pair in strands for h in pair)
            distinct.setdefault(key, strands)
        return list(distinct.values())


def _short(letters: str) -> str:
    return letters if len(letters) <= _MOST_LETTERS else letters[:_MOST_LETTERS] + "..."


def _remedy(kinds: Iterable[str], reasons: str) -> str:
    """Return the options that help with records that do not fit, without those already named."""
    helps = f"{SAME_ASSEMBLY} --ref-mismatch null keeps such records without scores"
    if "unknown_contig" in kinds and "--chrom-alias" not in reasons:
        helps += ", --chrom-alias maps names of contigs"
    return helps


def survey_alleles(
    source: VcfSource,
    examiner: Examiner,
    *,
    bcf_contigs: Collection[str] | None = None,
    remedy: str = "",
    haplotype: str | None = None,
    indexed: bool = False,
) -> int:
    """Compare every record with the genome; return the number of records.

    Parameters
    ----------
    bcf_contigs : collection of str, optional
        As for `findna.variants.vcf.VcfSource.open`.
    remedy : str
        End of the message about records that do not fit; by default the options that help.
    haplotype : str, optional
        Sample whose calls are read as well; the records are sorted.
    indexed : bool
        The output gets an index: the records are sorted.

    Raises
    ------
    VariantError
        The file is not VCF, a record is malformed or out of order, or records do not fit the
        genome (and ``ref_mismatch`` is stop): the message counts them and shows the first.
    ConfigError
        The file has no such sample.
    """
    n_records, n_bad = 0, Counter[str]()
    unknown: dict[str, None] = {}  # names of contigs, in order
    examples: list[str] = []
    with source.open(bcf_contigs) as reader:
        records = in_order(reader, "--write-index") if indexed else reader.records
        if haplotype is not None:
            records = (record for record, _ in genotypes(reader, haplotype))
        for record in records:
            n_records += 1
            problem = examiner.problem(record)
            if problem is None:
                continue
            kind, reason = problem
            n_bad[kind] += 1
            if kind == "unknown_contig":
                if len(unknown) > _MOST_NAMES or record.chrom in unknown:
                    continue
                unknown[record.chrom] = None
            if len(examples) < _MOST_EXAMPLES:
                location = f"{record.chrom}:{record.start + 1}"
                examples.append(f"line {record.number} ({location}): {reason}")
    examiner.genome.tell_aliases(source.name)
    if n_bad and examiner.ref_mismatch == "stop":
        if set(n_bad) == {"unknown_contig"}:
            reasons = examiner.genome.unknown(*unknown)
        else:
            reasons = "; ".join(examples) + ("; ..." if n_bad.total() > len(examples) else "")
        raise VariantError(
            f"{source.name}: {n_bad.total()} of {counted(n_records, 'record')} do not fit the "
            f"genome: {reasons}; {remedy or _remedy(n_bad, reasons)}"
        )
    return n_records


def examine_all(reader: VcfReader, examiner: Examiner) -> Iterator[Examined]:
    """Yield every record with the classes and windows of its alleles.

    Raises
    ------
    VariantError
        A record is malformed; or does not fit the genome, and ``ref_mismatch`` is stop.
    """
    for record in reader.records:
        yield examiner.examine(record, examiner.misfit(record, reader.name))
