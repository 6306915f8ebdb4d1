"""Reading VCF and BCF: a header, records, and the calls of a sample.

A record keeps its line as it was, and `findna.variants.annotate` writes that line again. BCF
becomes text first, as by ``bcftools view``; pysam's records would not do, because pysam adds and
removes INFO/END. 1-based positions are converted here and nowhere else.
"""

from __future__ import annotations

import gzip
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import IO, cast

from findna.console import counted
from findna.errors import ConfigError, RegionError, VariantError
from findna.genome.formats import check_format, head_of
from findna.genome.intervals import Interval
from findna.genome.order import Order
from findna.genome.text import BGZF_END, display_name, is_bgzf, is_pipe, numbered_lines, open_input
from findna.outputs.files import MISSING
from findna.variants.bcf import BcfRules, bcftools_view, header_of
from findna.variants.header import defined
from findna.variants.indexed import Wanted, check_index, contigs_of, fetched, open_index, view

_COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
_FIRST_SAMPLE = 9  # its column, from 0
_MOST_NAMES = 3  # samples that a message names
_MOST_DIGITS = 12  # of a position
_ALLELE = re.compile("[0-9]{1,9}")
_MOST_ALLELES = (1 << 16) - 1  # of a record; what BCF can count
_LONGEST_LINE = 1 << 30  # bytes; a million genotypes are some 50 MB


@dataclass(frozen=True, slots=True)
class VcfRecord:
    """A record of a VCF file.

    Parameters
    ----------
    number : int
        Line of a text file, record of BCF; from 1.
    start : int
        0-based start of REF.
    alts : tuple of str
        Empty if ALT is a dot.
    line : str
        The record as text.
    """

    number: int
    chrom: str
    start: int
    id: str
    ref: str
    alts: tuple[str, ...]
    line: str


@dataclass
class VcfReader:
    """An opened VCF file: its name in messages, its header and its records.

    The header's lines have no line ends; the last one begins with ``#CHROM``.
    """

    name: str
    header: list[str]
    records: Iterator[VcfRecord]


@dataclass(frozen=True)
class Genotype:
    """The call of one sample.

    Parameters
    ----------
    alleles : tuple of int
        Allele of each haplotype; 0 is REF, -1 is missing.
    phase_set : str, optional
        Name of the calls that are phased together, a dot if the file does not tell sets apart.
        None if this call is not phased.
    """

    alleles: tuple[int, ...]
    phase_set: str | None


def genotypes(reader: VcfReader, sample: str) -> Iterator[tuple[VcfRecord, Genotype]]:
    """Yield records in order, each with the call of a sample.

    Raises
    ------
    ConfigError
        The file has no such sample.
    VariantError
        The records are not sorted, or a genotype is malformed.
    """
    samples = reader.header[-1].split("\t")[_FIRST_SAMPLE:]
    if sample not in samples:
        names = ", ".join(samples[:_MOST_NAMES])
        if len(samples) > _MOST_NAMES:
            names += f" and {len(samples) - _MOST_NAMES} more"
        raise ConfigError(
            f"--haplotype: no sample {sample} in {reader.name}, which has {names or 'none'}"
        )
    column = _FIRST_SAMPLE + samples.index(sample)
    for record in in_order(reader, "--haplotype"):
        yield record, _genotype(record, column, f"{reader.name}:{record.number}", sample)


def in_order(reader: VcfReader, option: str) -> Iterator[VcfRecord]:
    """Yield the records, which an option needs to be sorted.

    Raises
    ------
    VariantError
        They are not.
    """
    order, chrom, start = Order(), "", 0
    for record in reader.records:
        if not order.add(record.chrom, record.start):
            raise VariantError(
                f"{reader.name}:{record.number}: {record.chrom}:{record.start + 1} comes after "
                f"{chrom}:{start + 1}, but {option} needs sorted records: bcftools sort"
            )
        chrom, start = record.chrom, record.start
        yield record


def _genotype(record: VcfRecord, column: int, location: str, sample: str) -> Genotype:
    columns = record.line.split("\t", column + 1)
    names = columns[_FIRST_SAMPLE - 1].split(":")
    values = dict(zip(names, columns[column].split(":"), strict=False))  # the last may be left out
    call = values.get("GT", MISSING)
    unprefixed = call.lstrip("/|")  # VCF 4.4 may begin with either
    alleles = unprefixed.replace("/", "|").split("|")
    numbers = [-1 if a == MISSING else int(a) if _ALLELE.fullmatch(a) else -2 for a in alleles]
    if not all(-1 <= number <= len(record.alts) for number in numbers):
        raise VariantError(
            f"{location}: GT of {sample} is {call[:40]!r}, with "
            + counted(len(record.alts), "alternate allele")
        )
    phase_set = None if "/" in unprefixed else values.get("PS", MISSING)
    return Genotype(tuple(numbers), phase_set)


OnMalformed = Callable[[VariantError], object]
"""Gets the error of each record that cannot be read; the record is then left out."""


class VcfSource:
    """A VCF or BCF file, plain, gzip or BGZF, or standard input (``-``).

    A file can be opened again. BCF becomes text in a temporary file, which `close` removes.

    Parameters
    ----------
    wanted : Wanted, optional
        Read the records of these regions only, by the index of the file; they are numbered from 1.

    Raises
    ------
    ConfigError
        A stream has no index.
    VariantError
        There is no index, or it is older than the file.
    """

    def __init__(self, path: str | Path, wanted: Wanted | None = None) -> None:
        self.name = display_name(path)
        self.wanted = wanted
        self._from = path
        self.is_stream = is_pipe(path)
        self.path = None if self.is_stream else Path(path)
        self._text: IO[bytes] | None = None
        self._intervals: list[Interval] | None = None
        if wanted is not None:
            if self.path is None:
                raise ConfigError(
                    f"-r/-R need an index, which {self.name} cannot have; give a file, or choose "
                    "records before (bcftools view -t)"
                )
            check_index(self.path)
            self.name += ", records in regions"

    @contextmanager
    def open(
        self, bcf_contigs: Collection[str] | None = None, on_malformed: OnMalformed | None = None
    ) -> Iterator[VcfReader]:
        """Read from the beginning.

        Parameters
        ----------
        bcf_contigs : collection of str, optional
            Refuse records that BCF cannot hold; contigs that its header will have if this one
            has none.
        on_malformed : callable, optional
            Without it the first malformed record raises VariantError.

        Raises
        ------
        VariantError
            The input is not VCF or BCF, or, while reading, a record is malformed.
        """
        if self.path is not None:
            _check_end(self.path)
        if self._text is None:
            with open_input(self._from) as file:
                if not head_of(file).startswith(b"BCF"):
                    check_format(file, "VCF", self.name, VariantError)
                    yield self._read(file, bcf_contigs, on_malformed)
                    return
                self._text = self._converted(file)
        with Path(self._text.name).open("rb") as file:
            yield self._read(file, bcf_contigs, on_malformed)

    def _read(
        self, file: IO[bytes], bcf_contigs: Collection[str] | None, on_malformed: OnMalformed | None
    ) -> VcfReader:
        lines = _numbered(file, self.name)
        header: list[str] = []
        for number, line in lines:
            if number == 1 and not line.startswith("##fileformat=VCF"):
                break
            header.append(line)
            if line.startswith("##"):
                continue
            if not line.startswith(_COLUMNS):
                raise VariantError(
                    f"{self.name}:{number}: no line that begins with #CHROM, POS, ID, REF, ALT, "
                    "QUAL, FILTER, INFO (tab-separated) before the first record; add it"
                )
            rules = None if bcf_contigs is None else BcfRules(header, bcf_contigs)
            if self.wanted is not None and self._text is None:
                lines = self._fetched(header)
            records = self._records(lines, header[-1].count("\t") + 1, rules, on_malformed)
            return VcfReader(self.name, header, records)
        if header:
            raise VariantError(f"{self.name}: ends before its #CHROM line; is it complete?")
        raise VariantError(
            f"{self.name}: neither VCF nor BCF: its first line is not ##fileformat=VCF...; "
            "put the header that belongs to the records before them"
        )

    def _records(
        self,
        lines: Iterator[tuple[int, str]],
        n_columns: int,
        rules: BcfRules | None,
        on_malformed: OnMalformed | None,
    ) -> Iterator[VcfRecord]:
        for number, line in lines:
            if not line:
                continue
            try:
                record = _parse(line, number, n_columns, self.name)
                if rules is not None:
                    rules.check(line, f"{self.name}:{number}")
            except VariantError as error:
                if on_malformed is None:
                    raise
                on_malformed(error)
            else:
                yield record

    def _fetched(self, header: Sequence[str]) -> Iterator[tuple[int, str]]:
        """Yield the lines of the regions, numbered, by the index of VCF in BGZF."""
        assert self.path is not None
        with open_index(self.path) as index:
            intervals = self._wanted_intervals([*contigs_of(index), *defined(header, "contig")])
            yield from enumerate(fetched(index, intervals), 1)

    def _wanted_intervals(self, contigs: Iterable[str]) -> list[Interval]:
        assert self.wanted is not None
        if self._intervals is None:
            self._intervals = self.wanted.intervals(list(dict.fromkeys(contigs)), str(self._from))
        return self._intervals

    def _converted(self, file: IO[bytes]) -> IO[bytes]:
        """Write BCF as text to a temporary file; a stream is copied to another one first."""
        text = tempfile.NamedTemporaryFile(prefix="findna-", suffix=".vcf")  # noqa: SIM115  closed by close()
        with tempfile.NamedTemporaryFile(prefix="findna-", suffix=".bcf") as spool:
            source = self.path or Path(spool.name)
            if self.path is None:
                try:
                    copyfileobj(file, spool, 1 << 20)
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    raise VariantError(
                        f"{self.name}: compressed data ends early or is damaged"
                    ) from error
                spool.flush()
            if self.wanted is None:
                reason = bcftools_view("-Ov", source, Path(text.name))
            else:
                intervals = self._wanted_intervals(defined(header_of(source), "contig"))
                reason = view(source, Path(text.name), intervals)
        if reason:
            text.close()
            reason = reason.replace(str(source), self.name)  # not the name of a temporary file
            raise VariantError(f"{self.name}: BCF that htslib cannot read ({reason})")
        return cast(IO[bytes], text)

    def close(self) -> None:
        """Remove the temporary file."""
        if self._text is not None:
            self._text.close()

    def __enter__(self) -> VcfSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_bcf_records(path: Path) -> None:
    """Raise VariantError if BCF cannot hold a record of a file."""
    with VcfSource(path) as source, source.open(()) as reader:
        for _ in reader.records:
            pass


def info_value(record: VcfRecord, id_: str) -> str | None:
    """Return the text of an INFO field; empty for a flag, None if the record lacks it."""
    for item in record.line.split("\t", 8)[7].split(";"):
        name, _, value = item.partition("=")
        if name == id_:
            return value
    return None


def _parse(line: str, number: int, n_columns: int, file: str) -> VcfRecord:
    location = f"{file}:{number}"
    n_fields = line.count("\t") + 1
    if n_fields != n_columns:
        raise VariantError(
            f"{location}: {counted(n_fields, 'tab-separated column')}, but the #CHROM line has "
            f"{n_columns}; is the file complete?"
        )
    chrom, pos, id_, ref, alt = line.split("\t", 5)[:5]
    if not (pos.isascii() and pos.isdigit() and len(pos) <= _MOST_DIGITS):
        raise VariantError(f"{location}: POS is {pos[:40]!r}, not a whole number")
    for name, value in (("CHROM", chrom), ("REF", ref), ("ALT", alt)):
        if not value:
            raise VariantError(f"{location}: {name} is empty; a missing value is a dot")
    n_alleles = alt.count(",") + 2
    if n_alleles > _MOST_ALLELES:
        raise VariantError(
            f"{location}: {n_alleles} alleles, more than VCF tools can hold ({_MOST_ALLELES}); "
            "divide the record"
        )
    alts = () if alt == MISSING else tuple(alt.split(","))
    return VcfRecord(number, chrom, int(pos) - 1, id_, ref, alts, line)


def _numbered(file: IO[bytes], name: str) -> Iterator[tuple[int, str]]:
    try:
        yield from numbered_lines(file, name, _LONGEST_LINE)
    except RegionError as error:
        raise VariantError(str(error)) from error


def _check_end(path: Path) -> None:
    """Raise VariantError for BGZF without its last block: the file was cut between two blocks."""
    with path.open("rb") as file:
        if not is_bgzf(file.read(18)):
            return
        file.seek(max(file.seek(0, os.SEEK_END) - len(BGZF_END), 0))
        if file.read() != BGZF_END:
            raise VariantError(
                f"{path}: BGZF without its last block: the file is cut off; copy it again"
            )
