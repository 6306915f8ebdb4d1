"""Writing scores: into the INFO of a VCF or BCF, or as a table.

A record is written as it was read, with fields put into its INFO column. Nothing else is parsed
and printed again, so nothing else can change. BCF is made from that text, as by ``bcftools view``.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, cast

from findna.errors import OutputError
from findna.outputs.destination import Destination
from findna.outputs.files import MISSING
from findna.variants.bcf import bcftools_view
from findna.variants.header import definitions
from findna.variants.vcf import VcfRecord

RANKS = ("Q", "CTX")
"""Ends of the names of fields that compare a score with those of common SNPs."""

Values = Sequence[Sequence[float | None]]
"""Scores of a record: for each alternate allele, one value per field."""


@dataclass(frozen=True)
class InfoField:
    """An INFO field with one number per alternate allele."""

    id: str
    description: str
    type: str = "Float"

    @property
    def header(self) -> str:
        """Line of the field in the header."""
        text = self.description.replace("\\", "\\\\").replace('"', '\\"')
        return f'##INFO=<ID={self.id},Number=A,Type={self.type},Description="{text}">'


def info_id(*names: str) -> str:
    """Return the name of a field: FINDNA and other names, in letters that VCF allows."""
    return "_".join(["FINDNA", *(re.sub(r"[^A-Za-z0-9]", "_", name).upper() for name in names)])


def _replaced(ids: Iterable[str]) -> set[str]:
    """Return the fields of an earlier run that these replace: the same, and ranks of the same."""
    stems = {id_.removesuffix("_DELTA") for id_ in ids}
    return {*ids, *(f"{stem}_{rank}" for stem in stems for rank in RANKS)}


def annotated_header(header: Sequence[str], added: Sequence[str]) -> list[str]:
    """Return a header with new lines before its last; they replace those of the same INFO field."""
    ids = _replaced([fields["ID"] for kind, _, fields in definitions(added) if kind == "INFO"])
    replaced = {
        line for kind, line, fields in definitions(header) if kind == "INFO" and fields["ID"] in ids
    }
    kept = [line for line in header[:-1] if line not in replaced]
    return [*kept, *added, header[-1]]


def _number(value: float | None) -> str:
    if isinstance(value, int):
        return str(value)
    return MISSING if value is None else f"{value:.6g}"


class _TextWriter:
    """A writer of lines.

    Parameters
    ----------
    live : bool
        Pass every line on at once: somebody may be waiting for it.
    """

    def __init__(self, file: BinaryIO, fields: Sequence[InfoField], live: bool = False) -> None:
        self._file, self._ids, self._live = file, [field.id for field in fields], live
        self._ours = tuple(f"{id_}=" for id_ in _replaced(self._ids))

    def _line(self, *columns: str) -> None:
        self._file.write(("\t".join(columns) + "\n").encode("utf-8", "surrogateescape"))
        if self._live:
            self._file.flush()


class VcfWriter(_TextWriter):
    """Text records with fields in their INFO column."""

    def begin(self, header: Sequence[str]) -> None:
        """Write header lines."""
        for line in header:
            self._line(line)

    def write(self, record: VcfRecord, classes: Sequence[str], values: Values) -> None:
        """Append a record; without an alternate allele, or without fields, it stays as it is."""
        if not values or not self._ids:
            self._line(record.line)
            return
        columns = record.line.split("\t", 8)
        old = [item for item in columns[7].split(";") if not item.startswith(self._ours)]
        info = ";".join(old)
        new = [
            f"{id_}=" + ",".join(map(_number, column))
            for id_, column in zip(self._ids, zip(*values, strict=True), strict=True)
        ]
        if info not in ("", MISSING):
            new = [info.removesuffix(";"), *new]
        columns[7] = ";".join(new)
        self._line(*columns)


class VariantTable(_TextWriter):
    """One row per alternate allele; same interface as `VcfWriter`."""

    def begin(self, header: Sequence[str]) -> None:
        """Write the names of the columns; nothing of the input's header."""
        self._line("#chrom", "pos", "id", "ref", "alt", "class", *self._ids)

    def write(self, record: VcfRecord, classes: Sequence[str], values: Values) -> None:
        """Append a row per allele; one with a dot if the record has none."""
        rows = zip(
            record.alts or [MISSING], classes, values or [[None] * len(self._ids)], strict=True
        )
        before = record.chrom, str(record.start + 1), record.id, record.ref
        for alt, class_, row in rows:
            self._line(*before, alt, class_, *map(_number, row))


@contextmanager
def open_vcf_output(output: Destination) -> Iterator[BinaryIO]:
    """Open an output for VCF text; for BCF, a temporary file that is converted at the end."""
    if output.form != "bcf":
        with output.open_text() as file:
            yield file
        return
    with ExitStack() as stack:
        text = stack.enter_context(tempfile.NamedTemporaryFile(prefix="findna-", suffix=".vcf"))
        yield cast(BinaryIO, text)
        text.flush()
        if output.is_stdout:
            stdout = stack.enter_context(output.open_text())
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="findna-"))
            target = Path(folder) / "out.bcf"
        else:
            target = stack.enter_context(output.published())
        reason = bcftools_view("-Ob", Path(text.name), target)
        if reason:
            raise OutputError(f"cannot write BCF ({reason}); write VCF: -O vcf")
        if output.is_stdout:
            with target.open("rb") as file:
                copyfileobj(file, stdout, 1 << 20)
