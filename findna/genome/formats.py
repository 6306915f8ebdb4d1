"""Formats of files by their first bytes, and the remedy where another one is needed."""

from __future__ import annotations

import zlib
from typing import Any

from findna.errors import FindnaError
from findna.genome.text import BGZF_HEAD, BYTE_ORDER_MARK, GZIP_MAGIC, is_header

_BEGINS = {
    b"##fileformat=VCF": "VCF",
    b"#CHROM\tPOS\t": "VCF",
    b"BCF\2": "BCF",
    b"BAM\1": "BAM",
    b"CRAM\2": "CRAM",
    b"CRAM\3": "CRAM",
    b"@HD\t": "SAM",
    b"@SQ\t": "SAM",
    b"##gff-version": "GFF",
    b"\x89HDF": "HDF5",
    b"\x26\xfc\x8f\x88": "bigWig",
    b"\xeb\xf2\x89\x87": "bigBed",
    b"\x43\x27\x41\x1a": "2bit",
    GZIP_MAGIC: "gzip within gzip",
    b"BZh91AY&SY": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\3\4": "zip",
}

_FIRST = "GENOME is the first file, the other the second"
_REMEDIES = {
    "BED": {
        "VCF": "findna variants reads VCF",
        "BCF": "findna variants reads BCF",
        "FASTA": _FIRST,
        "BAM": "bedtools bamtobed makes BED of it",
        "CRAM": "samtools view -b and bedtools bamtobed make BED of it",
        "SAM": "samtools view -b and bedtools bamtobed make BED of it",
        "GFF": "awk -F '\\t' -v OFS='\\t' '!/^#/ {print $1, $4-1, $5, $3, 0, $7}' makes BED of it",
        "bigBed": "bigBedToBed makes BED of it",
        "bigWig": "bigWigToBedGraph makes BED of it",
    },
    "bedGraph": dict.fromkeys(("FASTA", "HDF5"), "findna scan makes bedGraph or bigWig"),
    "VCF": {"BED": "findna embed and findna predict read BED", "FASTA": _FIRST},
    "FASTA": {
        **dict.fromkeys(("BED", "VCF", "BCF"), _FIRST),
        **dict.fromkeys(("FASTQ", "BAM"), "samtools fasta makes FASTA of it"),
        "2bit": "twoBitToFa makes FASTA of it",
    },
}
"""What to do, by the format that is needed and the one that is there."""


def head_of(file: Any) -> bytes:
    """Return the first bytes of a file that was opened and not read, which stay there.

    Of damaged data there are none: reading the file raises an error with the reason.
    """
    try:
        return bytes(file.peek(BGZF_HEAD))
    except (EOFError, OSError, zlib.error):
        return b""


def format_of(head: bytes) -> str:
    """Return the name of the format of a file that begins with these bytes; empty if unknown."""
    head = head.removeprefix(BYTE_ORDER_MARK)
    for magic, name in _BEGINS.items():
        if head.startswith(magic):
            return name
    lines = head.decode("latin-1").splitlines()
    if head.startswith(b"@") and any(line.startswith("+") for line in lines[2:3]):
        return "FASTQ"
    columns = next((line.split("\t") for line in lines if not is_header(line)), [])
    numbers = {i for i, column in enumerate(columns) if column.isdigit()}
    if numbers >= {1, 2}:
        return "BED"
    if len(columns) == 9 and numbers >= {3, 4}:
        return "GFF"
    return "FASTA" if head.startswith(b">") else ""


def check_format(file: Any, wanted: str, name: str, error: type[FindnaError]) -> None:
    """Raise ``error`` if a file that was opened and not read is of another format than wanted.

    What is of no format that is known may be of that one.
    """
    found = format_of(head_of(file))
    if found == "BED" and wanted == "bedGraph":  # BED of four columns
        return
    if found not in ("", wanted):
        remedy = _REMEDIES[wanted].get(found)
        raise error(f"{name}: {found}, not {wanted}" + (f"; {remedy}" if remedy else ""))
