"""VCF and BCF read: a header, records, and the calls of a sample.

A record keeps its line as it was, and `findna.variants.annotate` writes that line again. BCF
becomes text first, as by ``bcftools view``: pysam's own records would not do, because pysam adds
and removes INFO/END. 1-based positions are converted here and nowhere else.
"""

from __future__ import annotations

import gzip
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import IO, Any

import pysam
from pysam import bcftools
from pysam.utils import SamtoolsError

from findna.errors import ConfigError, RegionError, VariantError
from findna.genome.text import BGZF_END, display_name, is_bgzf, is_pipe, numbered_lines, open_input
from findna.outputs.files import MISSING

_COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"

_MOST_DIGITS = 12  # of a position

_MOST_NAMES = 3  # of samples in a message

_FIRST_SAMPLE = 9  # columns before it

_MOST_ALLELES = (1 << 16) - 1  # of a record; what BCF can count

_LONGEST_LINE = 1 << 30  # bytes; a million genotypes are some 50 MB


@dataclass(frozen=True, slots=True)
class VcfRecord:
    """One record.

    Parameters
    ----------
    number : int
        Line of a text file, record of BCF; from 1.
    start : int
        Of REF, 0-based.
    alts : tuple of str
        Empty where ALT is a dot.
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
    """An opened VCF file.

    Parameters
    ----------
    name : str
        What messages call it.
    header : list of str
        Without line ends; the last one begins with ``#CHROM``.
    records : iterator of VcfRecord
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
        Per haplotype; 0 is REF, -1 is missing.
    phase_set : str, optional
        Which calls this one is phased with, a dot where the file does not tell sets apart. None:
        it is not phased.
    """

    alleles: tuple[int, ...]
    phase_set: str | None


def genotypes(reader: VcfReader, sample: str) -> Iterator[tuple[VcfRecord, Genotype]]:
    """Yield records in order, each with the call of a sample.

    Raises
    ------
    ConfigError
        There is no such sample.
    VariantError
        The records are not sorted, or a call is none.
    """
    samples = reader.header[-1].split("\t")[_FIRST_SAMPLE:]
    if sample not in samples:
        more = len(samples) - _MOST_NAMES
        names = ", ".join(samples[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
        raise ConfigError(
            f"--haplotype: no sample {sample} in {reader.name}, which has {names or 'none'}"
        )
    column = _FIRST_SAMPLE + samples.index(sample)
    chrom, start, seen = "", 0, set[str]()
    for record in reader.records:
        same = record.chrom == chrom
        if (same and record.start < start) or (not same and record.chrom in seen):
            raise VariantError(
                f"{reader.name}:{record.number}: {record.chrom}:{record.start + 1} comes after "
                f"{chrom}:{start + 1}, but --haplotype needs sorted records: bcftools sort"
            )
        chrom, start = record.chrom, record.start
        seen.add(chrom)
        yield record, _genotype(record, column, f"{reader.name}:{record.number}", sample)


def _genotype(record: VcfRecord, column: int, where: str, sample: str) -> Genotype:
    columns = record.line.split("\t", column + 1)
    names = columns[_FIRST_SAMPLE - 1].split(":")
    values = dict(zip(names, columns[column].split(":"), strict=False))  # the last may be left out
    call = values.get("GT", MISSING)
    alleles = call.lstrip("/|").replace("/", "|").split("|")  # VCF 4.4 may begin with either
    numbers = [-1 if a == MISSING else int(a) if a.isdecimal() else -2 for a in alleles]
    if not all(-1 <= number <= len(record.alts) for number in numbers):
        raise VariantError(
            f"{where}: GT of {sample} is {call[:40]!r}, with {len(record.alts)} alternate alleles"
        )
    phased = "/" not in call.lstrip("/|")
    return Genotype(tuple(numbers), values.get("PS", MISSING) if phased else None)


OnMalformed = Callable[[VariantError], object]
"""Gets what is wrong with each record that cannot be read, which is then left out."""


class VcfSource:
    """A VCF or BCF file, plain, gzip or BGZF, or standard input; a file can be opened again.

    BCF is turned into text in a temporary file first, which `close` removes.

    Parameters
    ----------
    path : str or Path
        ``-`` is standard input.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = display_name(path)
        self._from = path
        self.is_stream = is_pipe(path)
        self.path = None if self.is_stream else Path(path)
        self._text: Any = None

    @contextmanager
    def open(
        self, defined: bool = False, on_malformed: OnMalformed | None = None
    ) -> Iterator[VcfReader]:
        """Read from the beginning.

        Parameters
        ----------
        defined : bool
            Refuse records that name something the header does not define, as BCF needs.
        on_malformed : callable, optional
            Without it the first malformed record is raised.

        Raises
        ------
        VariantError
            This is not VCF or BCF, or, while reading, a record is malformed.
        """
        if self.path is not None:
            _check_end(self.path)
        if self._text is None:
            with open_input(self._from) as file:
                if not _begins_with(file, b"BCF"):
                    yield self._read(file, defined, on_malformed)
                    return
                self._text = self._converted(file)
        with Path(self._text.name).open("rb") as file:
            yield self._read(file, defined, on_malformed)

    def _read(self, file: IO[bytes], defined: bool, on_malformed: OnMalformed | None) -> VcfReader:
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
            records = self._records(lines, header, defined, on_malformed)
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
        header: list[str],
        defined: bool,
        on_malformed: OnMalformed | None,
    ) -> Iterator[VcfRecord]:
        n_columns = header[-1].count("\t") + 1
        names = _Defined(header) if defined else None
        for number, line in lines:
            if not line:
                continue
            try:
                record = _parse(line, number, n_columns, self.name)
                if names is not None:
                    names.check(record, self.name)
            except VariantError as error:
                if on_malformed is None:
                    raise
                on_malformed(error)
                continue
            yield record

    def _converted(self, file: IO[bytes]) -> Any:
        """Write BCF as text to a temporary file; a pipe is copied to another one first."""
        text = tempfile.NamedTemporaryFile(prefix="findna-", suffix=".vcf")  # noqa: SIM115  closed by close()
        with tempfile.NamedTemporaryFile(prefix="findna-", suffix=".bcf") as spool:
            source = self.path
            if source is None:
                try:
                    copyfileobj(file, spool, 1 << 20)
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    raise VariantError(
                        f"{self.name}: compressed data ends early or is damaged"
                    ) from error
                spool.flush()
                source = Path(spool.name)
            reason = bcftools_view("-Ov", source, Path(text.name))
        if reason:
            text.close()
            reason = reason.replace(str(source), self.name)  # not a name of ours
            raise VariantError(f"{self.name}: BCF that htslib cannot read ({reason})")
        return text

    def close(self) -> None:
        """Remove the temporary file."""
        if self._text is not None:
            self._text.close()

    def __enter__(self) -> VcfSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def bcftools_view(form: str, source: Path, target: Path) -> str:
    """Convert between VCF and BCF; return what went wrong, or an empty string."""
    before = pysam.set_verbosity(0)  # what is wrong is said once
    try:
        bcftools.view("--no-version", form, "-o", str(target), str(source), catch_stdout=False)
    except SamtoolsError as error:
        return " ".join(str(error.value).split("stderr=")[-1].split()) or "no reason given"
    finally:
        pysam.set_verbosity(before)
    return ""


def defined_ids(header: Sequence[str], kind: str) -> set[str]:
    """Return the ids that header lines of a kind (contig, FILTER, INFO, FORMAT) define."""
    return set(re.findall(rf"^##{kind}=<(?:.*,)?ID=([^,>]+)", "\n".join(header), re.M))


def info_value(record: VcfRecord, id_: str) -> str | None:
    """Return the text of an INFO field; empty for a flag, None where the record lacks it."""
    for item in record.line.split("\t", 8)[7].split(";"):
        name, _, value = item.partition("=")
        if name == id_:
            return value
    return None


class _Defined:
    """What a header defines."""

    def __init__(self, header: Sequence[str]) -> None:
        self._names: dict[str, set[str]] = {
            kind: defined_ids(header, kind) for kind in ("contig", "FILTER", "INFO", "FORMAT")
        }

    def check(self, record: VcfRecord, name: str) -> None:
        """Raise VariantError if the record names anything else."""
        columns = record.line.split("\t", 9)
        used = {
            "contig": [record.chrom],
            "FILTER": columns[6].split(";"),
            "INFO": [item.split("=", 1)[0] for item in columns[7].split(";")],
            "FORMAT": columns[8].split(":") if len(columns) > 8 else [],
        }
        for kind, ids in used.items():
            for id_ in ids:
                if id_ not in self._names[kind] and id_ not in ("", MISSING, "PASS"):
                    raise VariantError(
                        f"{name}:{record.number}: {kind} {id_[:80]} is not defined in the header, "
                        "as BCF needs it to be; add its line, or write VCF"
                    )


def _parse(line: str, number: int, n_columns: int, name: str) -> VcfRecord:
    columns = line.split("\t", 8)
    found = line.count("\t") + 1
    if found != n_columns:
        raise VariantError(
            f"{name}:{number}: {found} tab-separated columns, but the #CHROM line has {n_columns}; "
            "is the file complete?"
        )
    chrom, pos, name_, ref, alt = columns[:5]
    if not (pos.isascii() and pos.isdigit() and len(pos) <= _MOST_DIGITS):
        raise VariantError(f"{name}:{number}: POS is {pos[:40]!r}, not a whole number")
    if not chrom or not ref or not alt:
        which = "CHROM" if not chrom else "REF" if not ref else "ALT"
        raise VariantError(f"{name}:{number}: {which} is empty; a missing value is a dot")
    if alt.count(",") + 2 > _MOST_ALLELES:
        raise VariantError(
            f"{name}:{number}: {alt.count(',') + 2} alleles, more than VCF tools can hold "
            f"({_MOST_ALLELES}); divide the record"
        )
    alts = () if alt == MISSING else tuple(alt.split(","))
    return VcfRecord(number, chrom, int(pos) - 1, name_, ref, alts, line)


def _numbered(file: IO[bytes], name: str) -> Iterator[tuple[int, str]]:
    try:
        yield from numbered_lines(file, name, _LONGEST_LINE)
    except RegionError as error:
        raise VariantError(str(error)) from error


def _begins_with(file: Any, magic: bytes) -> bool:
    try:
        return bool(file.peek(len(magic))[: len(magic)] == magic)
    except (EOFError, OSError, zlib.error):
        return False  # said when it is read


def _check_end(path: Path) -> None:
    """Raise VariantError for BGZF without its last block: it was cut between two blocks."""
    with path.open("rb") as file:
        head = file.read(18)
        if not is_bgzf(head):
            return
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - len(BGZF_END), 0))
        if file.read() != BGZF_END:
            raise VariantError(
                f"{path}: BGZF without its last block: the file is cut off; copy it again"
            )
