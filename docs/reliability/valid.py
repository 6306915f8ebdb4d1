"""Small valid inputs of every kind, and what raw bytes hold, by the simplest means.

The counts are deliberately plain, and share nothing with findna's own readers.
"""

from __future__ import annotations

import csv
import gzip
import io
import struct
import zlib
from random import Random

import torch
from damage import BGZF_END, LONG, MAGIC


def letters(n: int, seed: int, letters: str = "ACGT") -> str:
    return "".join(Random(seed).choices(letters, k=n))


CONTIGS = {
    "chrA": letters(3_000, 1),
    "chrB": letters(805, 2, "ACGTNacgtn"),
    "HLA:1-9": letters(60, 3),
    "short": "ACGTA",
}


def fasta(width: int = 60) -> bytes:
    lines = []
    for name, sequence in CONTIGS.items():
        lines.append(f">{name} made up")
        lines += [sequence[i : i + width] for i in range(0, len(sequence), width)]
    return ("\n".join(lines) + "\n").encode()


def fai(width: int = 60) -> bytes:
    rows, offset = [], 0
    for name, sequence in CONTIGS.items():
        offset += len(f">{name} made up\n")
        size = min(width, len(sequence))
        rows.append(f"{name}\t{len(sequence)}\t{offset}\t{size}\t{size + 1}\n")
        offset += len(sequence) + -(-len(sequence) // width)
    return "".join(rows).encode()


def beds() -> dict[str, bytes]:
    rng = Random(4)
    rows = []
    for _ in range(8):
        chrom = rng.choice(["chrA", "chrA", "chrB", "short"])
        start = rng.randrange(len(CONTIGS[chrom]) - 3)
        rows.append((chrom, start, min(start + rng.randrange(3, 300), len(CONTIGS[chrom]))))
    three = [f"{c}\t{s}\t{e}" for c, s, e in rows]
    six = [f"{row}\tn{i}\t{i * 100}\t{'+-.'[i % 3]}" for i, row in enumerate(three)]
    twelve = [f"{c}\t{s}\t{e}\tt\t0\t+\t{s}\t{e}\t0,0,0\t2\t1,1\t0,{e - s - 1}" for c, s, e in rows]
    narrow = [f"{row}\t{i}.5\t1e-05\t.\t{i}" for i, row in enumerate(six)]
    heads = ["#chrom start end", "track name=x description=y", "browser position chrA:1-10"]
    texts = {
        "3": three,
        "6": heads + six,
        "12": [*twelve[:3], "#between", *twelve[3:]],
        "10": narrow,
    }
    return {name: ("\n".join(lines) + "\n").encode() for name, lines in texts.items()}


def vcf() -> bytes:
    def base(chrom: str, position: int, n: int = 1) -> str:
        return CONTIGS[chrom][position - 1 : position - 1 + n].upper()

    head = [
        "##fileformat=VCFv4.2",
        '##FILTER=<ID=PASS,Description="All filters passed">',
        '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth, of all">',
        '##INFO=<ID=DB,Number=0,Type=Flag,Description="Known">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        *(f"##contig=<ID={name},length={len(text)}>" for name, text in CONTIGS.items()),
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\ts2",
    ]
    other = {"A": "C", "C": "G", "G": "T", "T": "A", "N": "A"}
    sites = []
    for i, position in enumerate((7, 99, 500, 1_500, 2_990)):
        ref = base("chrA", position)
        sites.append(("chrA", position, f"rs{i}", ref, other[ref], "DP=10;DB"))
    ref = base("chrA", 700, 3)
    sites += [
        ("chrA", 700, ".", ref, f"{ref[0]},{ref}TT,*,<DEL>", "."),
        ("chrA", 800, ".", base("chrA", 800), ".", "DP=1"),
        ("chrA", 900, ".", base("chrA", 900), f"{base('chrA', 900)}[chrB:3[", "DB;DP=3;"),
    ]
    rows = [
        f"{chrom}\t{pos}\t{name}\t{ref}\t{alt}\t30.00\tPASS\t{info}\tGT\t0/1\t1|1"
        for chrom, pos, name, ref, alt, info in sites
    ]
    return ("\n".join(head + rows) + "\n").encode()


def tables() -> dict[str, bytes]:
    rows = [(letters(20 + i, i), "ab"[i % 2], i / 4) for i in range(8)]
    csv_ = [f"{s},{label}" for s, label, _ in rows]
    tsv = [f"id{i}\t{s}\t{value}" for i, (s, _, value) in enumerate(rows)]
    quoted = [f'"{s}","{label}","a ""note"", {i}"' for i, (s, label, _) in enumerate(rows)]
    return {
        "csv": ("sequence,label\n" + "\n".join(csv_) + "\n").encode(),
        "tsv": ("id\tseq\ttarget\n" + "\n".join(tsv) + "\n").encode(),
        "quoted.csv": ("sequence,label,note\n" + "\n".join(quoted) + "\n").encode(),
    }


def published_layout() -> dict[str, torch.Tensor]:
    names = {"embedding": (6, 5), "linear": (5, 6)}
    for layer in (0, 1):
        layer_name = f"encoder.SwanDNA_blocks.0.SwanDNA_blocks.{layer}.column_transform."
        names |= {f"{layer_name}fc1": (8, 6), f"{layer_name}fc2": (6, 8)}
    weights = {f"{name}.weight": torch.ones(shape) for name, shape in names.items()}
    return weights | {f"{name}.bias": torch.ones(shape[0]) for name, shape in names.items()}


# What the raw bytes hold, by the simplest means.


def unpacked(data: bytes) -> bytes | None:
    """Content of a plain or compressed file; None where it is damaged or not complete."""
    if not data.startswith(MAGIC):
        return data
    is_bgzf = data[3:4] == b"\4" and data[12:14] == b"BC"
    if is_bgzf and not data.endswith(BGZF_END):
        return None
    parts, at = [], 0
    while at < len(data):
        if data[at] == 0:  # padding between members, as of tapes
            at += 1
            continue
        member = zlib.decompressobj(31)
        try:
            while not member.eof and at < len(data):
                parts.append(member.decompress(data[at : at + 65_536]))
                at += 65_536
        except zlib.error as error:
            if "header" not in str(error):
                return None
            return by_gzip(data)  # zlib is strict about a header; the content has its own checksum
        if not member.eof:
            return None
        at = min(at, len(data)) - len(member.unused_data)
    return b"".join(parts)


def by_gzip(data: bytes) -> bytes | None:
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error):
        return None


def lines_of(content: bytes) -> list[bytes]:
    content = content.removeprefix(b"\xef\xbb\xbf")
    return [line.removesuffix(b"\r") for line in content.split(b"\n")]


def is_blank(line: bytes) -> bool:
    return not line.decode("utf-8", "surrogateescape").strip()


def bed_lines(content: bytes) -> list[bytes]:
    heads = (b"#", b"track ", b"track\t", b"browser ", b"browser\t")
    return [
        line
        for line in lines_of(content)
        if not is_blank(line) and not line.startswith(heads) and line not in (b"track", b"browser")
    ]


def fasta_records(content: bytes) -> list[tuple[bytes, bytes]]:
    """Headers without > and sequences."""
    records: list[tuple[bytes, list[bytes]]] = []
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = line.rstrip(b"\r")
        if line.startswith(b">"):
            records.append((line[1:], []))
        elif records:
            records[-1][1].append(line)
    return [(name, b"".join(parts)) for name, parts in records]


def table_records(content: bytes) -> int:
    """Records of a table: its lines, unless quotes may hold line ends."""
    lines = lines_of(content)
    if b'"' not in content:
        return sum(bool(line) for line in lines)
    delimiter = "\t" if b"\t" in lines[0] else ","
    text = "\n".join(line.decode("utf-8", "surrogateescape") for line in lines)
    csv.field_size_limit(2 * LONG)
    return sum(bool(row) for row in csv.reader(io.StringIO(text), delimiter=delimiter))


def bcf_records(content: bytes) -> int | None:
    """Records of unpacked BCF, by their lengths; None where they do not fit the file."""
    at = 9 + struct.unpack("<I", content[5:9])[0] if len(content) >= 9 else len(content) + 1
    n = 0
    while at < len(content):
        if at + 8 > len(content):
            return None
        at += 8 + sum(struct.unpack("<II", content[at : at + 8]))
        n += 1
    return n if at == len(content) else None


def named_records(content: bytes) -> list[tuple[str, bytes]]:
    return [
        ((header.decode("utf-8", "replace").split() or [""])[0], sequence)
        for header, sequence in fasta_records(content)
    ]
