"""Genomes and sites of tasks of single bases: OUT/genome.fa and OUT/sites.bed.

python bin/site_data.py splice-worm DATA OUT
python bin/site_data.py splice-human DATA OUT

DATA is the folder that bin/train-tasks names.

splice-worm: chromosome III of C. elegans (ce10) in two contigs, its first two thirds and the last.
Sites are the ends of the introns (40 to 150 bp) that RNA-seq has seen, found by sequence. Longer
introns are not in that set, so some true sites are not listed.

splice-human: pieces of hg38 and hg19 with the ends of GENCODE's exons (levels 1 and 2; coding and
long non-coding genes) where a GT or GC follows, or an AG precedes, and no gene ends.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from findna.genome.encoding import decode, reverse_complement
from findna.genome.fasta import Genome

_WORM = "worm-ce10/ce10.chrIII_chrM.fa.gz"
_JUNCTIONS = "splice-exon-intron-exon/eie.ce.csv.gz"
_EXON = 50  # bp of an exon on either side of an intron there
_WORD = 40  # bp by which junctions are looked up

_PIECES = (
    ("hg38", "human-hg38/hg38.chr2_chr20_chr21.fa.gz"),
    ("hg19", "human-hg19/hg19.chr1_chr17_chr20_chr22.fa.gz"),
    ("hg19", "human-pieces/hg19.chr1_3Mb.fa.gz"),
    ("hg19", "human-pieces/hg19.chr3_chr5_2Mb.fa.gz"),
    ("hg19", "human-ensembl-testdb/grch37.pieces.fa.gz"),
    ("hg38", "human-ensembl-testdb/grch38.pieces.fa.gz"),
)
_TWICE = {("human-hg19/hg19.chr1_chr17_chr20_chr22.fa.gz", name) for name in ("chr1", "chr20")}
"""Contigs of hg19 whose sequence another file has."""
_GENES = ("protein_coding", "lncRNA", "lincRNA", "antisense", "processed_transcript")
_EDGE = 50  # bp of a piece in which no site is taken


class Site(NamedTuple):
    """A splice site: the first (donor) or last (acceptor) base of an intron."""

    contig: str
    at: int
    kind: str
    strand: str


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a gzip table by the names of its columns."""
    with gzip.open(path, "rt") as file:
        dialect = csv.excel if path.name.endswith(".csv.gz") else csv.excel_tab
        yield from csv.DictReader(file, dialect=dialect)


class Piece(NamedTuple):
    """A piece of a human chromosome; its first base is at ``first``, 0-based."""

    assembly: str
    chrom: str
    first: int
    contig: str
    letters: str


def pieces(data: Path) -> Iterator[Piece]:
    """Pieces of both assemblies; what two files of hg19 have, once."""
    for assembly, file in _PIECES:
        with Genome(data / file) as genome:
            for name, length in genome.contigs.items():
                if (file, name) in _TWICE:
                    continue
                chrom, _, span = name.partition(":")
                first = int(span.split("-")[0]) - 1 if span else 0  # names are 1-based
                contig = f"{assembly}.{name.replace(':', '_')}"
                yield Piece(assembly, chrom, first, contig, decode(genome.fetch(name, 0, length)))


def write_genome(path: Path, contigs: dict[str, str]) -> None:
    """Contigs as FASTA."""
    with path.open("w") as file:
        for name, letters in contigs.items():
            lines = (letters[i : i + 100] for i in range(0, len(letters), 100))
            file.write(f">{name}\n" + "\n".join(lines) + "\n")


def worm(data: Path) -> tuple[dict[str, str], set[Site]]:
    """Chromosome III in two contigs, and its sites."""
    with Genome(data / _WORM) as genome:
        tokens = genome.fetch("chrIII", 0, genome.contigs["chrIII"])
    junctions: dict[str, list[str]] = defaultdict(list)
    for row in rows_of(data / _JUNCTIONS):
        sequence = (row["exon5"] + row["intron"] + row["exon3"]).upper()
        junctions[sequence[:_WORD]].append(sequence)
    cut, sites = len(tokens) - len(tokens) // 3, set()
    for strand, read in (("+", tokens), ("-", reverse_complement(tokens))):
        letters = decode(read)
        for start in range(len(letters) - _WORD):
            for sequence in junctions.get(letters[start : start + _WORD], ()):
                if letters.startswith(sequence, start):
                    ends = start + _EXON, start + len(sequence) - _EXON - 1
                    for kind, end in zip(("donor", "acceptor"), ends, strict=True):
                        at = end if strand == "+" else len(letters) - 1 - end
                        part = at >= cut
                        sites.add(Site(f"chrIII_{1 + part}", at - cut * part, kind, strand))
    forward = decode(tokens)
    return {"chrIII_1": forward[:cut], "chrIII_2": forward[cut:]}, sites


def human(data: Path) -> tuple[dict[str, str], set[Site]]:
    """Pieces of two assemblies, and the sites in them."""
    contigs: dict[str, str] = {}
    sites: set[Site] = set()
    ends: dict[str, dict[str, set[int]]] = {}
    exons: dict[str, dict[str, set[tuple[int, int, str]]]] = {}
    for assembly in ("hg38", "hg19"):
        folder = data / f"annotation-{assembly}"
        ends[assembly], exons[assembly] = defaultdict(set), defaultdict(set)
        for row in rows_of(folder / f"gencode_genes.{assembly}.no_chr19.tsv.gz"):
            ends[assembly][row["chrom"]] |= {int(row["start"]) - 1, int(row["end"])}
        for row in rows_of(folder / f"gencode_exons.{assembly}.no_chr19.tsv.gz"):
            if row["gene_type"] in _GENES and int(row["level"]) <= 2:
                exon = int(row["start"]) - 1, int(row["end"]), row["Strand"]
                exons[assembly][row["chrom"]].add(exon)
    for piece in pieces(data):
        contigs[piece.contig] = piece.letters
        for start, end, strand in exons[piece.assembly][piece.chrom]:
            for edge, after in ((start, False), (end, True)):
                at = edge - piece.first
                inside = _EDGE <= at <= len(piece.letters) - _EDGE
                if not inside or edge in ends[piece.assembly][piece.chrom]:
                    continue
                kind = "donor" if after == (strand == "+") else "acceptor"
                pair = piece.letters[at : at + 2] if after else piece.letters[at - 2 : at]
                if pair in _consensus(kind, strand):
                    sites.add(Site(piece.contig, at if after else at - 1, kind, strand))
    return contigs, sites


def _consensus(kind: str, strand: str) -> tuple[str, ...]:
    """Two bases of an intron beside an exon, as the forward strand has them."""
    if kind == "donor":
        return ("GT", "GC") if strand == "+" else ("AC", "GC")
    return ("AG",) if strand == "+" else ("CT",)


def main() -> None:
    """Run the command."""
    if len(sys.argv) != 4 or sys.argv[1] not in ("splice-worm", "splice-human"):
        sys.exit(__doc__)
    contigs, sites = (worm if sys.argv[1] == "splice-worm" else human)(Path(sys.argv[2]))
    out = Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    write_genome(out / "genome.fa", contigs)
    with (out / "sites.bed").open("w") as file:
        for site in sorted(sites):
            columns = (site.contig, site.at, site.at + 1, site.kind, 0, site.strand)
            file.write("\t".join(map(str, columns)) + "\n")


if __name__ == "__main__":
    main()
