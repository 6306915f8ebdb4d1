"""Labelled sets that are no suite of `findna evaluate`, as folders of splits that it can read.

    python docs/benchmarks/other_sets.py DATA OUT
    findna evaluate hg38.fa --data OUT -o figures/

DATA holds epdnew_promoters_300, uci_splice, cdna_gene_family and genomic_benchmarks. Published
splits are used where there are any: EPDnew folds 1 to 3 train and fold 4 tests; intervals of
GenomicBenchmarks carry theirs in the name. Sets without (named ``..._random_split``) are divided at
random, a quarter for testing.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np

from findna.genome.intervals import Interval
from findna.genome.windows import resize


def read(path: Path) -> list[str]:
    with gzip.open(path, "rt") as file:
        return [line.rstrip("\r\n") for line in file]


def write(folder: Path, suffix: str, header: list[str], **splits: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        (folder / f"{split}.{suffix}").write_text("\n".join([*header, *rows]) + "\n")


def random_split(path: Path, folder: Path) -> None:
    """Three quarters to train, one to test; the same at every call."""
    header, *rows = read(path)
    order = np.random.default_rng(0).permutation(len(rows))
    n = len(rows) * 3 // 4
    train, test = ([rows[i] for i in np.sort(part)] for part in (order[:n], order[n:]))
    write(folder, "csv", [header], train=train, test=test)


def middle(row: str, length: int = 200) -> str:
    """A BED row about the middle of an interval."""
    chrom, start, end, *rest = row.split("\t")
    found = resize(Interval(chrom, int(start), int(end)), window=length)
    return "\t".join([chrom, *map(str, found), *rest])


def main() -> None:
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    folds = [read(data / "epdnew_promoters_300" / f"fold_{i}.csv.gz") for i in (1, 2, 3, 4)]
    train = [row for fold in folds[:3] for row in fold[1:]]
    write(out / "epdnew_promoters_300", "csv", folds[0][:1], train=train, test=folds[3][1:])
    random_split(data / "uci_splice" / "splice.csv.gz", out / "uci_splice_random_split")
    for species in ("chimp", "dog"):
        path = data / "cdna_gene_family" / f"{species}.csv.gz"
        random_split(path, out / f"cdna_gene_family_{species}_random_split")
    benchmarks = data / "genomic_benchmarks"
    random_split(
        benchmarks / "human_nontata_promoters" / "test.csv.gz",
        out / "human_nontata_promoters_random_split",
    )
    for name in ("human_enhancers_ensembl", "human_ensembl_regulatory", "human_ocr_ensembl"):
        (path,) = (benchmarks / "intervals").glob(f"{name}.*.bed.gz")
        rows = read(path)
        parts = {split: [r for r in rows if f"|{split}|" in r] for split in ("train", "test")}
        write(out / f"{name}_part", "bed", [], **parts)
        if name == "human_ensembl_regulatory":  # whose classes are told apart by length alone
            middles = {split: list(map(middle, rows)) for split, rows in parts.items()}
            write(out / f"{name}_part_200bp", "bed", [], **middles)


if __name__ == "__main__":
    main()
