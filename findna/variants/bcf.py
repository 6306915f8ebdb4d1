"""The limits of BCF, and the way between BCF and text, by htslib.

htslib turns values that BCF cannot hold into others (missing, 0, infinity), so records that have
some are refused before they come to it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
from pysam import bcftools
from pysam.utils import SamtoolsError

from findna.errors import VariantError
from findna.outputs.files import MISSING
from findna.outputs.htslib import reasons
from findna.variants.header import defined

_KINDS = ("contig", "FILTER", "INFO", "FORMAT")
_LEAST, _MOST = -(2**31) + 8, 2**31 - 1  # integers; the eight below stand for missing ones
_INTEGER = re.compile(r"[+-]?[0-9]{1,12}")
_FLOAT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[+-]?(nan|inf|infinity)", re.I)
_GENOTYPE = re.compile(r"(\.|[0-9]{1,9})([/|](\.|[0-9]{1,9}))*")


def _is_integer(text: str) -> bool:
    return _INTEGER.fullmatch(text) is not None and _LEAST <= int(text) <= _MOST


def _is_float(text: str) -> bool:
    """Return whether a 32-bit float holds a number; digits behind the sixth may be lost."""
    if _FLOAT.fullmatch(text) is None:
        return _NO_NUMBER.fullmatch(text) is not None
    with np.errstate(over="ignore", under="ignore"):
        held = np.float32(text)
    is_zero = not re.search("[1-9]", re.split("[eE]", text)[0])
    return bool(np.isfinite(held)) and bool(held == 0) == is_zero


_TYPES = {"Integer": ("a 32-bit integer", _is_integer), "Float": ("a 32-bit float", _is_float)}


class BcfRules:
    """Limits of BCF for the records below a header.

    Parameters
    ----------
    header : sequence of str
        Lines of the header.
    contigs : collection of str
        Contigs that the output will define if the header defines none.
    """

    def __init__(self, header: Sequence[str], contigs: Collection[str]) -> None:
        definitions = {kind: defined(header, kind) for kind in _KINDS}
        self._names: dict[str, Collection[str]] = dict(definitions)
        self._names["contig"] = definitions["contig"] or contigs
        self._types = {
            (kind, id_): fields.get("Type", "")
            for kind in ("INFO", "FORMAT")
            for id_, fields in definitions[kind].items()
        }

    def check(self, line: str, location: str) -> None:
        """Check a record, given as text.

        Raises
        ------
        VariantError
            It uses a name that the header does not define, or has a value that would be lost.
        """
        for reason in self._problems(line):
            raise VariantError(f"{location}: {reason}, or write VCF: -O vcf")

    def _problems(self, line: str) -> Iterator[str]:
        """Yield what BCF cannot hold, with the remedy."""
        chrom, pos, _, _, _, qual, filters, info, *samples = line.split("\t")
        yield from self._undefined("contig", [chrom])
        if int(pos) > _MOST:
            yield f"BCF cannot hold the position {pos}; leave the record out"
        if qual != MISSING and not _is_float(qual):
            yield _lost("QUAL", qual, "a 32-bit float")
        if filters not in (MISSING, "PASS"):
            yield from self._undefined("FILTER", filters.split(";"))
        if info != MISSING:
            for item in filter(None, info.split(";")):
                id_, _, value = item.partition("=")
                yield from self._undefined("INFO", [id_])
                yield from self._values("INFO", id_, value, missing=("", MISSING))
        if samples and samples[0] != MISSING:
            yield from self._calls(samples[0].split(":"), samples[1:])

    def _undefined(self, kind: str, ids: Sequence[str]) -> Iterator[str]:
        for id_ in ids:
            if id_ not in self._names[kind] and not (kind == "FILTER" and id_ == "PASS"):
                yield (
                    f"{kind} {id_[:80] or 'of no name'} is not defined in the header, as BCF "
                    "needs it to be; add its line"
                )

    def _values(
        self, kind: str, id_: str, text: str, missing: Collection[str] = (MISSING,)
    ) -> Iterator[str]:
        expected, holds = _TYPES.get(self._types.get((kind, id_), ""), ("", None))
        if holds is None:
            return
        for value in text.split(","):
            if value not in missing and not holds(value):
                yield _lost(f"{kind} {id_}", value, expected)

    def _calls(self, ids: list[str], samples: Sequence[str]) -> Iterator[str]:
        yield from self._undefined("FORMAT", ids)
        if len(set(ids)) < len(ids):
            yield f"FORMAT is {':'.join(ids)[:80]!r}, which has a name twice; correct it"
        flags = [id_ for id_ in ids if self._types.get(("FORMAT", id_)) == "Flag"]
        if flags:
            yield f"FORMAT {flags[0][:80]} is a flag, which samples cannot have; correct its line"
        for sample in samples:
            values = sample.split(":")
            if len(values) > len(ids):
                yield f"a sample has {len(values)} values, but FORMAT {len(ids)} names; correct it"
            for id_, value in zip(ids, values, strict=False):
                if not value:
                    yield _lost(f"FORMAT {id_}", value, "a value or a dot")
                elif id_ == "GT" and _GENOTYPE.fullmatch(value) is None:
                    yield _lost("FORMAT GT", value, "a genotype as in VCF 4.2")
                elif id_ != "GT":
                    yield from self._values("FORMAT", id_, value)


def _lost(field: str, value: str, expected: str) -> str:
    return f"{field} is {value[:40]!r}, not {expected}, and BCF would change it; correct it"


def bcftools_view(
    form: str, source: Path, target: Path, *, regions: Path | None = None, strict: bool = False
) -> str:
    """Convert between VCF and BCF; return why that failed, or an empty string.

    Parameters
    ----------
    form : str
        Option of bcftools: -Ov, -Ob or -Ou.
    regions : Path, optional
        BED file; records elsewhere are left out, by the index of ``source``.
    strict : bool
        Errors that htslib passes over, as a header line that it leaves out, are failures.
    """
    own = ""
    with reasons() as given:
        try:
            options = ["--no-version", form, "-o", str(target)]
            options += [] if regions is None else ["-R", str(regions)]
            bcftools.view(*options, str(source), catch_stdout=False)
        except SamtoolsError as error:
            own = " ".join(str(error.value).split("stderr=")[-1].split()) or "no reason given"
    return given.text or own if own or strict else ""


def header_of(source: Path) -> list[str]:
    """Return the lines of the header of a BCF file; none if htslib cannot read it."""
    with reasons():
        try:
            text = bcftools.view("--no-version", "-h", str(source))
        except SamtoolsError:
            return []
    return str(text).splitlines()


def check_header(header: Sequence[str]) -> None:
    """Raise VariantError if htslib cannot make a BCF header of lines of text."""
    with tempfile.TemporaryDirectory(prefix="findna-") as folder:
        text = Path(folder) / "header.vcf"
        text.write_bytes(("\n".join(header) + "\n").encode("utf-8", "surrogateescape"))
        reason = bcftools_view("-Ou", text, Path(folder) / "header.bcf", strict=True)
    if reason:
        raise VariantError(f"BCF cannot have this header ({reason}); write VCF: -O vcf")
