"""Index of a FASTA file: used if it is there, or built. The only user of pyfaidx.

pysam builds the index, and pyfaidx reads the sequence. pyfaidx can build one too, in time that
grows with the square of a line's length where the file is BGZF; it is kept for files that htslib
does not index in full.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import tempfile
import zlib
from itertools import chain
from pathlib import Path

import pysam
from pyfaidx import Faidx, FastaIndexingError
from pysam.utils import SamtoolsError

from findna.errors import GenomeError
from findna.genome.text import open_input
from findna.places import cache_folder

DAMAGE = (OSError, ValueError, IndexError, EOFError, RuntimeError, struct.error, zlib.error)
"""Errors that pyfaidx and its BGZF reader raise for damaged files."""

_PIECE = 1 << 22  # bytes of a FASTA that are looked at together
_LETTERS = bytes(range(ord("!"), ord("~") + 1)) + b"\r\n"
_BLANKS = b" \t\v\f"
_ROW = re.compile(rb"[!-~]+(?:\t[0-9]+){4}")  # a contig of an index, its name in plain letters


def holds_blanks(letters: bytes) -> bool:
    """Return whether there is white space among letters of a sequence, line ends apart."""
    return any(blank in letters for blank in _BLANKS)


def white_space(location: str) -> GenomeError:
    """Return the error about white space in a sequence: some readers count it as bases."""
    return GenomeError(
        f"{location}: white space within the sequence; remove it, and the .fai and .gzi files "
        "beside the FASTA: sed '/^>/!s/[[:space:]]//g'"
    )


def open_faidx(fasta: Path, bgzf: bool) -> Faidx:
    """Open a FASTA file with its index, which is built if there is none.

    An index (.fai, for BGZF also .gzi) is used if it is not older than the FASTA. Otherwise it is
    built beside it, or in the cache folder where the FASTA's folder is not writable.

    Raises
    ------
    GenomeError
        The file cannot be indexed, or no index can be written.
    """
    try:
        return _find_or_build(fasta, [".fai", ".gzi"] if bgzf else [".fai"])
    except (FastaIndexingError, *DAMAGE) as error:
        raise GenomeError(f"{fasta}: cannot index this FASTA: {error}") from error


def _find_or_build(fasta: Path, suffixes: list[str]) -> Faidx:
    digest = hashlib.sha256(str(fasta.resolve()).encode()).hexdigest()[:16]
    cached = cache_folder() / "indexes" / f"{fasta.name}.{digest}"
    places = [[Path(f"{base}{suffix}") for suffix in suffixes] for base in (fasta, cached)]
    for indexes in places:
        if all(_is_fresh(index, fasta) for index in indexes):
            return _open(fasta, indexes)
    for indexes in places:
        try:
            _build(fasta, indexes)
        except PermissionError:
            continue
        except OSError as error:
            if indexes is places[-1] or error.errno is None:  # pyfaidx's own, without a number
                raise
            continue
        return _open(fasta, indexes)
    raise GenomeError(
        f"{fasta}: no index, and neither its folder nor {cached.parent} is writable; "
        f"run: samtools faidx {fasta.name}"
    )


def _is_fresh(index: Path, fasta: Path) -> bool:
    try:
        return index.stat().st_size > 0 and index.stat().st_mtime >= fasta.stat().st_mtime
    except OSError:
        return False


def _open(fasta: Path, indexes: list[Path]) -> Faidx:
    """Open a FASTA file; pyfaidx builds the indexes that do not exist."""
    gzi = str(indexes[1]) if len(indexes) > 1 else None
    return Faidx(str(fasta), indexname=str(indexes[0]), gzi_indexname=gzi, as_raw=True)


def _build(fasta: Path, indexes: list[Path]) -> None:
    """Build the indexes in a neighbouring folder, then move them to their places."""
    indexes[0].parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=indexes[0].parent) as folder:
        built = [Path(folder) / index.name for index in indexes]
        if not _build_by_htslib(fasta, built):
            _refuse_blanks(fasta)
            for index in built:
                index.unlink(missing_ok=True)
            _open(fasta, built).close()
        for source, target in zip(built, indexes, strict=True):
            os.replace(source, target)


def _build_by_htslib(fasta: Path, indexes: list[Path]) -> bool:
    """Build the indexes with htslib, and return whether they hold every record.

    htslib leaves out empty records, a second record of the same name, and letters that cannot be
    printed; and it only prints what is wrong with a file. pyfaidx keeps the first, counts the
    last as bases, and gives a reason for everything else.
    """
    options = zip(("--fai-idx", "--gzi-idx"), map(str, indexes), strict=False)
    verbosity = pysam.set_verbosity(0)
    try:
        pysam.faidx(*chain.from_iterable(options), str(fasta.absolute()), catch_stdout=False)
        rows = indexes[0].read_bytes().splitlines()
        return all(map(_ROW.fullmatch, rows)) and _holds_plain_records(fasta, len(rows))
    except (SamtoolsError, *DAMAGE):
        return False  # pyfaidx says why
    finally:
        pysam.set_verbosity(verbosity)


def _refuse_blanks(fasta: Path) -> None:
    """Raise GenomeError if a line of sequence holds white space; pyfaidx counts it as bases."""
    with open_input(fasta) as file:
        for number, line in enumerate(file, 1):
            if not line.startswith((b">", b";")) and holds_blanks(line):
                raise white_space(f"{fasta}:{number}")


def _holds_plain_records(fasta: Path, n_records: int) -> bool:
    """Return whether a FASTA holds so many records, and no letters that htslib passes over."""
    n, in_header, last = 0, False, b"\n"
    with open_input(fasta) as file:
        while piece := file.read(_PIECE):
            first, *records = (last + piece).split(b"\n>")
            n += len(records)
            for i, letters in enumerate([first, *records]):
                if i or in_header:
                    _, line_end, letters = letters.partition(b"\n")
                    in_header = not line_end
                if letters.translate(None, _LETTERS):
                    return False
            last = piece[-1:]
    return n == n_records
