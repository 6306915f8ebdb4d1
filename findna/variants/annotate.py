"""Scores written: into the INFO of a VCF or BCF, or as a table.

A record is written as it was read, with fields put into its INFO column. Nothing else of it is
parsed and printed again, so nothing else can change. BCF is written from that text, as by
``bcftools view``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, cast

from findna.errors import OutputError
from findna.outputs.destination import Destination
from findna.outputs.files import MISSING
from findna.variants.vcf import VcfRecord, bcftools_view

Values = Sequence[Sequence[float | None]]
"""Scores of one record: per alternate allele, one value per field."""


@dataclass(frozen=True)
class InfoField:
    """An INFO field with one float per alternate allele."""

    id: str
    description: str

    @property
    def header(self) -> str:
        """Return its line in the header."""
        text = self.description.replace("\\", "\\\\").replace('"', '\\"')
        return f'##INFO=<ID={self.id},Number=A,Type=Float,Description="{text}">'


def annotated_header(header: Sequence[str], added: Sequence[str]) -> list[str]:
    """Return header lines with new ones before the last; lines defined anew are left out."""
    defined = {line.split(",", 1)[0] for line in added if line.startswith("##INFO=<ID=")}
    kept = [line for line in header[:-1] if line.split(",", 1)[0] not in defined]
    return [*kept, *added, header[-1]]


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.6g}"


class VcfWriter:
    """Writes text records with fields in their INFO column.

    Parameters
    ----------
    file : binary file
    fields : sequence of InfoField
    live : bool
        Pass every record on at once: somebody may be waiting for it.
    """

    def __init__(self, file: BinaryIO, fields: Sequence[InfoField], live: bool = False) -> None:
        self._file, self._ids, self._live = file, [field.id for field in fields], live
        self._again = tuple(f"{id_}=" for id_ in self._ids)

    def begin(self, header: Sequence[str]) -> None:
        """Write header lines."""
        for line in header:
            self._line(line)

    def write(self, record: VcfRecord, classes: Sequence[str], values: Values) -> None:
        """Append a record; one without an alternate allele stays as it is."""
        if not values:
            self._line(record.line)
            return
        before, info, *samples = _around_info(record.line)
        if any(id_ in info for id_ in self._again):  # from a run before this one
            info = ";".join(item for item in info.split(";") if not item.startswith(self._again))
        new = ";".join(
            f"{id_}={','.join(map(_number, column))}"
            for id_, column in zip(self._ids, zip(*values, strict=True), strict=True)
        )
        if info not in ("", MISSING):
            new = info + (";" if not info.endswith(";") else "") + new
        self._line("\t".join([before, new, *samples]))

    def _line(self, line: str) -> None:
        self._file.write((line + "\n").encode("utf-8", "surrogateescape"))
        if self._live:
            self._file.flush()


def _around_info(line: str) -> list[str]:
    """Return the columns before INFO, INFO, and the columns after it if there are any."""
    columns = line.split("\t", 8)
    return ["\t".join(columns[:7]), *columns[7:]]


class VariantTable:
    """One row per alternate allele; same interface as `VcfWriter`."""

    def __init__(self, file: BinaryIO, fields: Sequence[InfoField], live: bool = False) -> None:
        self._file, self._fields, self._live = file, list(fields), live

    def begin(self, header: Sequence[str]) -> None:
        """Write the names of the columns; nothing of the input's header."""
        names = [field.id for field in self._fields]
        self._line(["#chrom", "pos", "id", "ref", "alt", "class", *names])

    def write(self, record: VcfRecord, classes: Sequence[str], values: Values) -> None:
        """Append a row per allele; one with a dot where the record has none."""
        empty = [[None] * len(self._fields)]
        rows = zip(record.alts or [MISSING], classes, values or empty, strict=True)
        for alt, class_, row in rows:
            self._line(
                [
                    record.chrom,
                    str(record.start + 1),
                    record.id,
                    record.ref,
                    alt,
                    class_,
                    *map(_number, row),
                ]
            )

    def _line(self, fields: Sequence[str]) -> None:
        self._file.write(("\t".join(fields) + "\n").encode("utf-8", "surrogateescape"))
        if self._live:
            self._file.flush()


@contextmanager
def open_vcf_output(output: Destination) -> Iterator[BinaryIO]:
    """Open an output for VCF text: as any text, or, for BCF, a file that is turned into it."""
    if output.form != "bcf":
        with output.open_text() as file:
            yield file
        return
    with ExitStack() as stack:
        text = stack.enter_context(tempfile.NamedTemporaryFile(prefix="findna-", suffix=".vcf"))
        yield cast(BinaryIO, text)
        text.flush()
        if output.is_stdout:
            if sys.stdout is None:
                raise OutputError("standard output is closed; name a file with -o")
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="findna-"))
            target = Path(folder) / "out.bcf"
        else:
            target = stack.enter_context(output.published())
        reason = bcftools_view("-Ob", Path(text.name), target)
        if reason:
            raise OutputError(f"cannot write BCF ({reason}); write VCF: -O vcf")
        if output.is_stdout:
            with target.open("rb") as file:
                copyfileobj(file, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
