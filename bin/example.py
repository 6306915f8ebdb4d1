#!/usr/bin/env python
"""Make findna/shipped/example from the human genome: run by hand, once.

    bin/example.py --data ../shared/data

Cuts 200 kb of hg38 chr20 around its densest cluster of promoters, with the EPDnew starts of
transcription, the GENCODE genes and the common SNPs inside. Coordinates count from the first
base of the excerpt. None of its promoters is in the training data of the task ``promoter``.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import pysam

from findna.example import FOLDER

CHROM, START, END = "chr20", 3_050_000, 3_250_000
CONTIG = "chr20part"
_LINE = 60  # letters per line of FASTA
UPSTREAM, DOWNSTREAM = 249, 50  # of the windows that the task promoter was trained on


def table(path: Path) -> Iterator[dict[str, str]]:
    """Read a table with a header."""
    with gzip.open(path, "rt") as file:
        yield from csv.DictReader(file, delimiter="\t")


def write_genome(data: Path) -> str:
    """Write the excerpt as FASTA and return its letters."""
    with pysam.FastaFile(str(data / "human-hg38" / "hg38.chr2_chr20_chr21.fa.gz")) as genome:
        letters: str = genome.fetch(CHROM, START, END)
    lines = [f">{CONTIG} hg38 {CHROM}:{START + 1:,}-{END:,}"]
    lines += [letters[i : i + _LINE] for i in range(0, len(letters), _LINE)]
    with pysam.BGZFile(str(FOLDER / "genome.fa.gz"), "wb") as file:
        file.write(("\n".join(lines) + "\n").encode())
    return letters


def read_starts(data: Path) -> list[tuple[int, str, str]]:
    """Return position, name and strand of the starts of transcription, by position."""
    path = data / "regions" / "epdnew_human_tss.no_chr19.hg38.bed.gz"
    with gzip.open(path, "rt") as file:
        rows = [line.split() for line in file]
    return sorted(
        (int(row[1]) - START, row[3], row[5])
        for row in rows
        if row[0] == CHROM and START + 1_000 <= int(row[1]) < END - 1_000
    )


def write_bed(name: str, rows: list[tuple[int, int, str, str]]) -> None:
    """Write BED6 rows."""
    lines = [f"{CONTIG}\t{a}\t{b}\t{label}\t0\t{strand}\n" for a, b, label, strand in rows]
    (FOLDER / name).write_text("".join(lines))


def elsewhere(starts: list[tuple[int, str, str]]) -> list[tuple[int, int, str, str]]:
    """Draw as many windows that lie at least 2 kb from every start of transcription."""
    rng = random.Random(1)
    rows: list[tuple[int, int, str, str]] = []
    while len(rows) < len(starts):
        at = rng.randrange(1_000, END - START - 1_000)
        if all(abs(at - position) > 2_000 for position, _, _ in starts):
            rows.append((at, at + UPSTREAM + 1 + DOWNSTREAM, f"elsewhere_{len(rows) + 1}", "+"))
    return rows


def main() -> None:
    """Write all files of the example."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the real data")
    data = parser.parse_args().data
    FOLDER.mkdir(exist_ok=True)
    letters = write_genome(data)
    starts = read_starts(data)
    write_bed("tss.bed", [(at, at + 1, name, strand) for at, name, strand in starts])
    promoters = [
        (at - up, at + 1 + down, name, strand)
        for at, name, strand in starts
        for up, down in [(UPSTREAM, DOWNSTREAM) if strand == "+" else (DOWNSTREAM, UPSTREAM)]
    ]
    write_bed("regions.bed", sorted(promoters + elsewhere(starts)))
    genes = [
        (
            int(gene["start"]) - 1 - START,
            int(gene["end"]) - START,
            gene["gene_name"],
            gene["Strand"],
        )
        for gene in table(data / "annotation-hg38" / "gencode_genes.hg38.no_chr19.tsv.gz")
        if gene["chrom"] == CHROM
        and gene["gene_type"] == "protein_coding"
        and int(gene["start"]) > START
        and int(gene["end"]) <= END
    ]
    write_bed("genes.bed", sorted(genes))
    snps = table(data / "annotation-hg38" / "common_snps.in_our_sequence.hg38.no_chr19.tsv.gz")
    header = [
        "##fileformat=VCFv4.2",
        '##FILTER=<ID=PASS,Description="All filters passed">',
        f"##contig=<ID={CONTIG},length={len(letters)}>",
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
    ]
    records = [
        (int(snp["pos"]) - START, snp["id"], snp["ref"], snp["alt"])
        for snp in snps
        if snp["chrom"] == CHROM and START < int(snp["pos"]) <= END
    ]
    for position, name, ref, _ in records:
        if letters[position - 1].upper() != ref:
            raise SystemExit(f"{name}: the genome does not have its REF {ref}")
    lines = [
        f"{CONTIG}\t{position}\t{name}\t{ref}\t{alt}\t.\tPASS\t."
        for position, name, ref, alt in sorted(records)
    ]
    (FOLDER / "variants.vcf").write_text("\n".join(header + lines) + "\n")
    print(f"{len(starts)} starts, {len(genes)} genes, {len(records)} variants -> {FOLDER}")


if __name__ == "__main__":
    main()
