"""Training sets of tasks that ship and that are put together from several files, as CSV.

python bin/task_data.py promoter DATA > promoter.csv
python bin/task_data.py regulatory DATA > regulatory.csv

DATA is the folder that bin/train-tasks names.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from findna.genome.encoding import N, decode, reverse_complement
from findna.genome.fasta import Genome

HG38 = "human-hg38/hg38.chr2_chr20_chr21.fa.gz"
_RANDOM_WINDOWS = 8_000
_REGULATORY_WINDOW = 200  # bp; the shortest length that many of those regions have


def lines(path: Path) -> Iterator[str]:
    """Lines of a gzip file without their ends."""
    with gzip.open(path, "rt") as file:
        yield from (line.rstrip("\r\n") for line in file)


def windows_of_starts(data: Path) -> set[str]:
    """-249 to +50 around every known start in the hg38 sequence: kept for the test in a genome."""
    found = set()
    with Genome(data / HG38) as genome:
        for line in lines(data / "regions" / "epdnew_human_tss.no_chr19.hg38.bed.gz"):
            chrom, at, _, _, _, strand = line.split("\t")
            if chrom in genome.contigs:
                low = int(at) - (249 if strand == "+" else 50)
                tokens = genome.fetch(chrom, low, low + 300)
                found.add(decode(reverse_complement(tokens) if strand == "-" else tokens))
    return found


def promoter(data: Path) -> Iterator[tuple[str, str]]:
    """Folds 1 to 3 of EPDnew without the starts in hg38, and random windows of other sequence."""
    kept_apart = windows_of_starts(data)
    for fold in (1, 2, 3):
        rows = lines(data / "epdnew_promoters_300" / f"fold_{fold}.csv.gz")
        next(rows)
        for row in rows:
            sequence, label = row.split(",")
            if sequence.upper() not in kept_apart:
                yield sequence, label
    rng = np.random.default_rng(0)
    with Genome(data / "human-hg16-encode" / "hg16.ENm001_ENm002.fa.gz") as genome:
        names, lengths = list(genome.contigs), np.array(list(genome.contigs.values()))
        n = 0
        while n < _RANDOM_WINDOWS:
            chrom = names[rng.choice(len(names), p=lengths / lengths.sum())]
            start = int(rng.integers(0, genome.contigs[chrom] - 300))
            tokens = genome.fetch(chrom, start, start + 300)
            if not (tokens == N).any():
                yield decode(reverse_complement(tokens) if rng.random() < 0.5 else tokens), "0"
                n += 1


def regulatory(data: Path) -> Iterator[tuple[str, str]]:
    """What is at hand of the published train split: a subset, and the intervals in hg38.

    Those too short for the window that the task reads are left out.
    """
    folder = data / "genomic_benchmarks"
    names = {"0": "promoter", "1": "enhancer", "2": "open_chromatin"}
    rows = lines(folder / "human_ensembl_regulatory" / "train.subset.csv.gz")
    next(rows)
    for row in rows:
        sequence, label = row.split(",")
        if len(sequence) >= _REGULATORY_WINDOW:
            yield sequence, names[label]
    intervals = folder / "intervals" / "human_ensembl_regulatory.chr2_chr20_chr21.hg38.bed.gz"
    with Genome(data / HG38) as genome:
        for line in lines(intervals):
            chrom, start, end, name = line.split("\t")[:4]
            label, split, _ = name.split("|")
            if split == "train" and int(end) - int(start) >= _REGULATORY_WINDOW:
                sequence = decode(genome.fetch(chrom, int(start), int(end)))
                yield sequence, {"ocr": "open_chromatin"}.get(label, label)


def main() -> None:
    """Print the set that is named."""
    name, data = sys.argv[1], Path(sys.argv[2])
    print("sequence,label")
    for sequence, label in {"promoter": promoter, "regulatory": regulatory}[name](data):
        print(sequence, label, sep=",")


if __name__ == "__main__":
    main()
