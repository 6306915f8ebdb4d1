r"""Promoter tasks on starts of transcription among random positions of a genome.

    python bin/site_data.py promoter-human DATA WORK
    python bin/task_data.py promoter DATA > WORK/promoter.csv
    python docs/benchmarks/promoters_in_genome.py WORK TSS.bed.gz --task promoter \
        --learn WORK/promoter.csv

TSS is DATA/regions/epdnew_human_tss.no_chr19.hg38.bed.gz. Its starts on the contigs that are
tested, by strand, and 60 random positions for each, on either strand: windows of -249 to +50
without N, those of random positions without a base of a promoter. Prints AUROC, AUPRC (95 %
interval: bootstrap over rows, 500 draws) and precision at half recall of each task, of GC content
and of CpG counted within 300 bp and 1 kb; with --learn also of k-mer regression on the task's
training set, a fifth of which chooses, and how many starts share words with a promoter of it.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from findna.evaluation.baselines import KmerTable, kmer_regression
from findna.genome.encoding import C, G, N, decode, reverse_complement
from findna.genome.fasta import Genome
from findna.labelled.sets import read_labelled
from findna.tasks.probe import Problem

BEFORE, AFTER = 249, 50  # bp about a point
AROUND = 500  # bp on either side within which CpG is counted, at most


def rows(path: Path) -> list[list[str]]:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as file:
        return [line.rstrip("\n").split("\t") for line in file]


def points(
    genome: Genome,
    taken: dict[str, np.ndarray],
    starts: list[list[str]],
    contigs: list[str],
    n: int,
) -> list[tuple[str, int, str, int]]:
    """Contig, position, strand and label of the starts, and of n random positions for each."""

    def inside(contig: str, at: int, strand: str) -> slice | None:
        low = at - (BEFORE if strand == "+" else AFTER)
        if low < AROUND or low + BEFORE + AFTER + 1 + AROUND > genome.contigs[contig]:
            return None
        return slice(low, low + BEFORE + AFTER + 1)

    found = []
    for chrom, start, _, _, _, strand in starts:
        contig = f"hg38.{chrom}"
        if contig in contigs:
            window = inside(contig, int(start), strand)
            if window and not (genome.fetch(contig, window.start, window.stop) == N).any():
                found.append((contig, int(start), strand, 1))
    n_starts, rng = len(found), np.random.default_rng(0)
    lengths = np.array([genome.contigs[contig] for contig in contigs], float)
    while len(found) < n_starts * (1 + n):
        contig = contigs[rng.choice(len(contigs), p=lengths / lengths.sum())]
        at, strand = int(rng.integers(genome.contigs[contig])), "+-"[rng.integers(2)]
        window = inside(contig, at, strand)
        if window and not taken[contig][window].any():
            found.append((contig, at, strand, 0))
    return found


def learnt(path: Path, windows: list[np.ndarray]) -> np.ndarray:
    """Probability of a promoter by k-mer regression on a labelled set."""
    data = read_labelled(path)
    n, order = len(data), np.random.default_rng(0).permutation(len(data))
    cut = len(data) * 4 // 5
    labels = np.concatenate([data.labels, np.zeros(len(windows), np.int64)])
    train, valid = np.sort(order[:cut]), np.sort(order[cut:])
    problem = Problem(data.kind, len(data.classes), labels, train, valid)
    table, tested = KmerTable([*data.sequences, *windows]), np.arange(n, len(labels))
    return kmer_regression(table, problem, tested, seed=0)[0][:, 1]


def sharing(path: Path, windows: list[np.ndarray]) -> int:
    """Number of windows with more than 15 words of 32 bp of the promoters of a labelled set."""
    data = read_labelled(path)
    known = set()
    for sequence, label in zip(data.sequences, data.labels, strict=True):
        if label:
            known |= words_of(sequence)
    return sum(
        max(len(words_of(each) & known), len(words_of(reverse_complement(each)) & known)) > 15
        for each in windows
    )


def words_of(tokens: np.ndarray) -> set[str]:
    letters = decode(tokens)
    return {letters[i : i + 32] for i in range(len(letters) - 31)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder with genome.fa and sites.bed")
    parser.add_argument("tss", type=Path, help="BED6 of starts of transcription, hg38")
    parser.add_argument("--task", action="append", default=[])
    parser.add_argument("--learn", type=Path, help="training set of the task, CSV")
    parser.add_argument("--contigs", nargs="+", default=["hg38.chr20", "hg38.chr21"])
    parser.add_argument("--negatives", type=int, default=60, help="random positions per start")
    options = parser.parse_args()
    with Genome(options.work / "genome.fa") as genome:
        tokens = {name: genome.fetch(name, 0, genome.contigs[name]) for name in options.contigs}
        taken = {name: each == N for name, each in tokens.items()}
        for contig, start, end, *_ in rows(options.work / "sites.bed"):
            if contig in taken:
                taken[contig][int(start) : int(end)] = True
        found = points(genome, taken, rows(options.tss), options.contigs, options.negatives)
    labels = np.array([label for *_, label in found])
    scores: dict[str, np.ndarray] = {}
    for width in (300, 2 * AROUND):
        for name in ("GC content", "CpG"):
            values = []
            for contig, at, _, _ in found:
                window = tokens[contig][at - width // 2 : at + width // 2]
                pairs = (window[:-1] == C) & (window[1:] == G)
                values.append(np.isin(window, (C, G)).sum() if name != "CpG" else pairs.sum())
            scores[f"{name}, {width} bp"] = np.array(values)
    if options.learn:
        windows = []
        for contig, at, strand, _ in found:
            low = at - (BEFORE if strand == "+" else AFTER)
            window = tokens[contig][low : low + BEFORE + AFTER + 1]
            windows.append(window if strand == "+" else reverse_complement(window))
        scores["k-mer regression"] = learnt(options.learn, windows)
        starts = [window for window, label in zip(windows, labels, strict=True) if label]
        print(f"{sharing(options.learn, starts)} starts share words with a promoter of --learn")
    with tempfile.TemporaryDirectory() as folder:
        regions = Path(folder) / "points.bed"
        regions.write_text(
            "".join(f"{c}\t{at}\t{at + 1}\t{y}\t0\t{strand}\n" for c, at, strand, y in found)
        )
        for task in options.task:
            words = ["findna", "predict", options.work / "genome.fa", regions, "-t", task, "-q"]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            scores[f"task {task}"] = np.array(
                [float(line.split("\t")[7]) for line in done.stdout.splitlines()]
            )
    print(f"{labels.sum()} starts, {(labels == 0).sum()} random positions\n")
    print("| | AUROC | AUPRC (95 %) | precision at half recall |\n|---|---|---|---|")
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(labels), len(labels)) for _ in range(500)]
    for name, values in scores.items():
        precision, recall, _ = precision_recall_curve(labels, values)
        spread = [average_precision_score(labels[draw], values[draw]) for draw in draws]
        low, high = np.percentile(spread, [2.5, 97.5])
        print(
            f"| {name} | {roc_auc_score(labels, values):.3f} | "
            f"{average_precision_score(labels, values):.3f} ({low:.3f}-{high:.3f}) | "
            f"{precision[recall >= 0.5].max():.3f} |"
        )


if __name__ == "__main__":
    main()
