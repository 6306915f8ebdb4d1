"""Sequence to pretrain on, by rule: what corpora.py trains on. A module, not a command.

Files are read in the order of PARTS. Three rules hold in every corpus:

- hg38 chr21 is held out: its records, and every block of BLOCK bp elsewhere of which half the
  24-mers occur in it;
- what matches 60 bp or more of a labelled **test** sequence of human or mouse base for base is
  left out (yeast is not: the published test sets cover most of its genome);
- names are unique, and no piece crosses 10 N.

`unique` leaves out blocks of which half the 24-mers came before (other assemblies, chimp).
`loci` is the most that the over-represented loci (MHC, ENm001, ENm002, in all species) may make up
together: 10-kb chunks of them are drawn. `functional` is the share of human bases that lie within
or near protein-coding exons, promoters, cCREs, enhancers and CpG islands: those intervals, widened
to 1,200 bp, are listed again until they are.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Bases = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

TODAY = ("human-hg38", "human-hg19", "human-hg16-encode")
HUMAN = (*TODAY, "human-ensembl-testdb", "human-pieces", "human-hg19-alt")
PARTS = {
    **{name: f"{name}/*.fa.gz" for name in HUMAN},
    "yeast": "yeast-sacCer3/*.fa.gz",
    "worm": "worm-ce10/*.fa.gz",
    "plants": "plants/*.fa.gz",
    "vertebrates": "vertebrates-*/*.fa.gz",
}
ALL = tuple(PARTS)
HELD = "hg38.chr21_22Mb"
"""Record of the held-out megabase, chr21:22,000,001-23,000,000, in every corpus."""
HELD_SPAN = (22_000_000, 23_000_000)
LOCI = ("ENm001", "ENm002", "chr6_cox_hap2", "chr6:31234582", "chr6:28967269", "GRCm38|chr17:3",
        "CHIMP2.1.4|chr6:31", "CHIMP2.1.4|chr6:32")  # fmt: skip
SKIPPED = ("chr21", "21", "lastz_", "NC_000021")
K, BLOCK, CHUNK, WIDTH, BITS = 24, 1000, 10_000, 1_200, 28
CODE = np.full(256, 4, np.uint8)
CODE[list(b"ACGTacgt")] = [0, 1, 2, 3] * 2


class Mix(NamedTuple):
    """Which parts a corpus has, and with what weights (see above)."""

    parts: tuple[str, ...]
    unique: bool = True
    loci: float | None = None
    functional: float | None = None


@dataclass
class Piece:
    """A record: letters with their soft mask, where it lies if known, and what may be used."""

    part: str
    name: str
    place: tuple[str, str, int]
    letters: Bases
    usable: Mask
    fresh: Mask | None = None

    @property
    def locus(self) -> bool:
        return any(word in self.name for word in LOCI)


def read(path: Path) -> Iterator[tuple[str, Bases]]:
    """First words of the headers, and letters."""
    for record in gzip.decompress(path.read_bytes()).split(b">")[1:]:
        header, _, body = record.partition(b"\n")
        letters = body.translate(None, b"\n\r")
        yield header.decode().split()[0], np.frombuffer(letters, np.uint8)


def place_of(file: str, name: str) -> tuple[str, str, int]:
    """Assembly, chromosome and number of bases before the first; no assembly where not known."""
    assembly = "hg38" if "38" in file else "hg19" if "hg19" in file or "37" in file else ""
    chrom, _, span = name.partition(":")
    chrom = chrom if chrom.startswith("chr") else f"chr{chrom}"
    one_based = "windows_1kb" not in file
    return assembly, chrom, int(span.split("-")[0]) - one_based if "-" in span else 0


def runs(mask: Mask, least: int) -> npt.NDArray[np.int64]:
    """Start and end of runs of True that are so long; (n, 2)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.view(np.int8), [0]))))
    found = edges.reshape(-1, 2)
    return found[found[:, 1] - found[:, 0] >= least]


def filled(shape: int, spans: npt.NDArray[np.int64]) -> Mask:
    """True inside the spans."""
    steps = np.zeros(shape + 1, np.int32)
    np.add.at(steps, spans[:, 0], 1)
    np.add.at(steps, spans[:, 1], -1)
    return steps[:-1].cumsum() > 0


def hashes(letters: Bases) -> tuple[npt.NDArray[np.uint64], Mask]:
    """A hash of the 24-mer at each position, alike on both strands, and where it has no N."""
    code = CODE[letters]

    def packed(digits: Bases) -> npt.NDArray[np.uint64]:
        word = digits.astype(np.uint64) & np.uint64(3)
        for shift in (1, 2, 4, 8):
            word = word[:-shift] << np.uint64(2 * shift) | word[shift:]
            if shift == 4:
                eight = word
        return word[:-8] << np.uint64(16) | eight[16:]

    if len(code) < K:
        return np.zeros(0, np.uint64), np.zeros(0, bool)
    both = np.minimum(packed(code), packed(3 - code[::-1])[::-1])
    unknown = np.concatenate(([0], np.cumsum(code > 3)))
    return both * np.uint64(0x9E3779B97F4A7C15), unknown[K:] == unknown[:-K]


def slots(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    return ((values >> np.uint64(32)) & np.uint64(2**BITS - 1)).astype(np.int64)


def familiar(letters: Bases, known: Mask, learn: bool) -> Mask:
    """Blocks of which half the sampled 24-mers are known; they may become known."""
    values, valid = hashes(letters)
    at = np.flatnonzero(valid & (values >> np.uint64(60) == 0))
    found, block = slots(values[at]), at // BLOCK
    n = len(letters) // BLOCK + 1
    total = np.bincount(block, minlength=n)
    copies = (2 * np.bincount(block, known[found], n) >= total) & (total >= 5)
    if learn:
        known[found] = True
    return np.repeat(copies, BLOCK)[: len(letters)]


def tested(letters: Bases, tests: Mask) -> Mask:
    """Where 60 bp or more are those of a test sequence."""
    values, valid = hashes(letters)
    spans = runs(valid & tests[slots(values)], 60 - K + 1)
    spans[:, 1] += K - 1
    return filled(len(letters), spans)


def test_kmers(data: Path, pieces: list[Piece]) -> Mask:
    """24-mers of labelled test sequences of human and mouse."""
    known = np.zeros(2**BITS, bool)

    def learn(letters: Bases) -> None:
        values, valid = hashes(letters)
        known[slots(values[valid])] = True

    for pattern in ("gue/[!E]*/*/test.csv.gz", "genomic_benchmarks/*/test.csv.gz"):
        for path in sorted(data.glob(pattern)):
            with gzip.open(path, "rt") as file:
                rows = "N".join(row["sequence"] for row in csv.DictReader(file))
            learn(np.frombuffer(rows.encode(), np.uint8))
    where = {p.place[1]: p for p in pieces if p.place[0] == "hg38" and not p.place[2]}
    for path in sorted(data.glob("genomic_benchmarks/intervals/*.hg38.bed.gz")):
        for chrom, start, end, name in (line[:4] for line in table(path)):
            if "|test|" in name and chrom in where:
                learn(where[chrom].letters[int(start) : int(end)])
    return known


def table(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt") as file:
        return [line.rstrip("\n").split("\t") for line in file]


def load(data: Path) -> tuple[list[Piece], Bases]:
    """All pieces with what may be used of them, and the held-out megabase."""
    pieces, chr21 = [], np.zeros(2**BITS, bool)
    for part, pattern in PARTS.items():
        for path in sorted(data.glob(pattern)):
            for i, (name, letters) in enumerate(read(path)):
                if name == "chr21" and "hg38" in path.name:
                    familiar(letters, chr21, learn=True)
                    held = letters[slice(*HELD_SPAN)].copy()
                if name.split(":")[0] in SKIPPED or name.startswith(SKIPPED[2:]):
                    continue
                if part == "human-hg16-encode" and "ENm002" in name:
                    continue  # held out of today's corpus; the orthologs of it are not
                usable = ~filled(len(letters), runs(CODE[letters] > 3, 10))
                place = place_of(path.name, name) if part in HUMAN else ("", "", 0)
                pieces.append(Piece(part, f"{path.name[:-6]}.{i}.{name}", place, letters, usable))
    tests, seen = test_kmers(data, pieces), np.zeros(2**BITS, bool)
    for piece in pieces:
        piece.usable &= ~familiar(piece.letters, chr21, learn=False)
        if piece.part in HUMAN or piece.part == "vertebrates":
            piece.usable &= ~tested(piece.letters, tests)
        piece.fresh = piece.usable & ~familiar(piece.letters, seen, learn=True)
    for chrom, start, end, *_ in table(next(data.glob("annotation-hg38/repeats.*.bed.gz"))):
        if chrom == "chr21":
            held[max(int(start) - HELD_SPAN[0], 0) : max(int(end) - HELD_SPAN[0], 0)] |= 32
    return pieces, held


def intervals(data: Path) -> dict[tuple[str, str], npt.NDArray[np.int64]]:
    """Functional intervals by assembly and chromosome, those shorter than WIDTH widened to it."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for path in sorted(data.glob("annotation-*/gencode_exons.*")):
        assembly = path.name.split(".")[1]
        for chrom, start, end, _, kind, *_ in table(path)[1:]:
            if kind == "protein_coding":
                found.setdefault((assembly, chrom), []).append((int(start) - 1, int(end)))
    for pattern in ("regions/epdnew*", "regions-human/encode_ccre*", "regions-human/fantom5*",
                    "annotation-hg19/cpg_islands*"):  # fmt: skip
        for path in sorted(data.glob(pattern)):
            assembly = "hg19" if "hg19" in path.name else "hg38"
            for chrom, start, end, *_ in table(path):
                found.setdefault((assembly, chrom), []).append((int(start), int(end)))
    widened = {}
    for place, spans in found.items():
        array = np.unique(np.array(spans, np.int64), axis=0)
        wider = np.maximum(WIDTH - (array[:, 1] - array[:, 0]), 0) // 2
        widened[place] = array + np.stack((-wider, wider), 1)
    return widened


def near(piece: Piece, places: dict[tuple[str, str], npt.NDArray[np.int64]]) -> Mask:
    """Where a piece is functional."""
    spans = places.get(piece.place[:2], np.zeros((0, 2), np.int64)) - piece.place[2]
    spans = np.clip(spans, 0, len(piece.letters))
    return filled(len(piece.letters), spans[spans[:, 1] > spans[:, 0]])


def some(mask: Mask, share: float, draw: np.random.Generator) -> Mask:
    """The mask in a share of its chunks, drawn at random."""
    if share >= 1:
        return mask
    picked = draw.random(len(mask) // CHUNK + 1) < share
    return mask & np.repeat(picked, CHUNK)[: len(mask)]


def write_corpora(data: Path, wanted: dict[Path, Mix]) -> None:
    """Write each corpus as FASTA, the held-out piece first; print what it is made of."""
    pieces, held = load(data)
    places = intervals(data)
    for path, mix in wanted.items():
        draw = np.random.default_rng(0)
        used = [(p, p.fresh if mix.unique else p.usable) for p in pieces if p.part in mix.parts]
        size = {kind: sum(int(m.sum()) for p, m in used if p.locus == kind) for kind in (0, 1)}
        cap = 1.0 if mix.loci is None else size[0] * mix.loci / (1 - mix.loci) / size[1]
        used = [(p, some(m, cap, draw) if p.locus else m) for p, m in used]
        if mix.functional is not None:
            again = [(p, m & near(p, places)) for p, m in used if p.place[0]]
            total = sum(int(m.sum()) for p, m in used if p.part in HUMAN)
            part = sum(int(m.sum()) for _, m in again)
            # part (1 + n) is the share of total + part n
            copies = max((mix.functional * total - part) / (1 - mix.functional) / part, 0.0)
            print(f"{path.stem}: {part:,} of {total:,} human bases are functional, "
                  f"listed {copies:.2f} times more")  # fmt: skip
            for i in range(int(np.ceil(copies))):
                used += [(p, some(m, copies - i, draw)) for p, m in again]
        amounts: dict[str, int] = {}
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            file.write(f">{HELD}\n".encode() + held.tobytes() + b"\n")
            for n, (piece, mask) in enumerate(used):
                kind = "loci" if piece.locus else piece.part
                for start, end in runs(mask, 64):
                    file.write(f">{n}.{piece.name}.{start}\n".encode())
                    file.write(piece.letters[start:end].tobytes() + b"\n")
                    amounts[kind] = amounts.get(kind, 0) + int(end - start)
        unfinished.rename(path)
        print(f"{path.stem}: {sum(amounts.values()):,} bases; "
              + ", ".join(f"{k} {v:,}" for k, v in amounts.items()), flush=True)  # fmt: skip
