r"""Tasks of windows on every tenth position of whole contigs, beside counting and learnt letters.

    python bin/site_data.py promoter-human DATA WORK
    python bin/task_data.py promoter DATA > WORK/promoter.csv
    zcat DATA/regions/epdnew_human_tss.no_chr19.hg38.bed.gz | sed s/^/hg38./ > WORK/points.bed
    python docs/benchmarks/windows_in_genome.py WORK --task promoter --stranded \
        --learn WORK/promoter.csv

    python bin/site_data.py ctcf DATA WORK
    python bin/task_data.py ctcf DATA > WORK/ctcf.csv
    awk -v OFS='\t' '$4 == "peak" {m = int(($2 + $3) / 2); print $1, m, m + 1, "peak", 0, "."}' \
        WORK/sites.bed > WORK/points.bed
    python docs/benchmarks/windows_in_genome.py WORK --task ctcf --upstream 50 --downstream 49 \
        --within 10 --learn WORK/ctcf.csv --matrix --contigs hg38.chr20 hg38.chr21 hg19.chr22

WORK has genome.fa, sites.bed (what is no negative) and points.bed (what is sought). Positives are
the tenth positions within --within bp of a point, by its strand where --stranded; with --within 0
the points themselves. Negatives are positions whose windows hold no N and no base of a site. All
positives are read, and of the negatives --random ones, each of which counts for as many as it was
drawn from: figures are those of every tenth position (of both strands, where --stranded). With
--per-point N there are N negatives for each point, and each counts once. Prints AUROC, AUPRC
(95 %: bootstrap over points, 200 draws) and precision at half recall of each task, of GC content
and CpG counted within 300 bp and 1 kb, of k-mer regression on --learn, a fifth of which chooses,
and with --matrix of a position weight matrix that EM learns from the sequences of the class.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from findna.evaluation.baselines import KmerTable, kmer_regression
from findna.genome.encoding import A, C, G, N, T, reverse_complement
from findna.genome.fasta import Genome
from findna.labelled.sets import read_labelled
from findna.tasks.probe import Problem

STEP = 10  # bp between positions
AROUND = 500  # bp on either side within which CpG is counted, at most
WIDTH = 20  # bp of a matrix
WORD = 8  # bp of the word that a matrix begins with
ROUNDS = 40  # of learning a matrix
LEARNT = 6_000  # sequences that a matrix learns from, at most


class Position(NamedTuple):
    """A position that is read; ``point`` is the number of its point, or -1."""

    contig: str
    at: int
    strand: str
    point: int


def rows(path: Path) -> list[list[str]]:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as file:
        return [line.rstrip("\n").split("\t") for line in file]


def positions(
    tokens: dict[str, np.ndarray], options: argparse.Namespace
) -> tuple[list[Position], float]:
    """Positives, then random negatives; how many negatives each of these stands for."""
    before, after = options.upstream, options.downstream
    strands = "+-" if options.stranded else "+"
    taken = {contig: each == N for contig, each in tokens.items()}
    for contig, start, end, *_ in rows(options.work / "sites.bed"):
        if contig in taken:
            taken[contig][int(start) : int(end)] = True
    found = []
    for number, (contig, start, _, _, _, strand) in enumerate(rows(options.work / "points.bed")):
        if contig not in tokens:
            continue
        point = int(start)
        low, high = point - options.within, point + options.within
        for at in range(-(-low // STEP) * STEP, high + 1, STEP) if options.within else [point]:
            if AROUND < at < len(tokens[contig]) - AROUND:
                window = tokens[contig][at - before - after : at + before + after + 1]
                if not (window == N).any():
                    own = strand if options.stranded else "+"
                    found.append(Position(contig, at, own, number))
    eligible = []
    for contig, each in taken.items():
        sums = np.concatenate([[0], np.cumsum(each)])
        at = np.arange(AROUND, len(each) - AROUND, STEP)
        for strand in strands:
            low = at - (before if strand == "+" else after)
            free = at[sums[low + before + after + 1] == sums[low]]
            eligible.extend((contig, int(place), strand) for place in free)
    rng = np.random.default_rng(0)
    n = options.per_point * len({x.point for x in found}) or options.random
    drawn = rng.choice(len(eligible), min(n, len(eligible)), replace=False)
    each = 1.0 if options.per_point else len(eligible) / len(drawn)
    found += [Position(*eligible[i], -1) for i in np.sort(drawn)]
    return found, each


def counted(tokens: dict[str, np.ndarray], found: list[Position]) -> dict[str, np.ndarray]:
    """GC content and CpG about each position."""
    scores = {}
    for width in (300, 2 * AROUND):
        windows = [tokens[x.contig][x.at - width // 2 : x.at + width // 2] for x in found]
        gc = [np.isin(window, (C, G)).sum() for window in windows]
        cpg = [((window[:-1] == C) & (window[1:] == G)).sum() for window in windows]
        scores[f"GC content, {width} bp"] = np.array(gc)
        scores[f"CpG, {width} bp"] = np.array(cpg)
    return scores


def kmers(path: Path, windows: list[np.ndarray]) -> np.ndarray:
    """Probability of the class by k-mer regression on a labelled set."""
    data = read_labelled(path)
    n, order = len(data), np.random.default_rng(0).permutation(len(data))
    cut = len(data) * 4 // 5
    labels = np.concatenate([data.labels, np.zeros(len(windows), np.int64)])
    train, valid = np.sort(order[:cut]), np.sort(order[cut:])
    problem = Problem(data.kind, len(data.classes), labels, train, valid)
    table, tested = KmerTable([*data.sequences, *windows]), np.arange(n, len(labels))
    return kmer_regression(table, problem, tested, seed=0)[0][:, 1]


def one_hot(windows: list[np.ndarray]) -> np.ndarray:
    """Windows of one length as (n, length, 4)."""
    return (np.stack(windows)[:, :, None] == [A, C, G, T]).astype(np.float32)


def hits(matrix: np.ndarray, letters: np.ndarray) -> np.ndarray:
    """Log-odds at every place of both strands, (n, 2, places)."""
    n = letters.shape[1] - len(matrix) + 1
    strands = (matrix, matrix[::-1, ::-1])
    scores = np.zeros((len(letters), 2, n), np.float32)
    for i, each in enumerate(strands):
        for k, column in enumerate(each):
            scores[:, i] += letters[:, k : k + n] @ column
    return scores


def learnt_matrix(path: Path) -> np.ndarray:
    """Log-odds of a motif that at most one place of each sequence of the class holds, by EM.

    It begins with the word that is most frequent among sequences of the class, against the others.
    """
    data = read_labelled(path)
    rng = np.random.default_rng(0)
    labels = np.asarray(data.labels)
    inside, outside = (
        one_hot([data.sequences[i] for i in rng.permutation(np.flatnonzero(labels == y))[:LEARNT]])
        for y in (1, 0)
    )
    background = outside.mean((0, 1)) / outside.mean((0, 1)).sum()
    shares = []
    for letters in (inside, outside):
        codes = letters.argmax(2)
        n = codes.shape[1] - WORD + 1
        numbers = sum(codes[:, k : k + n].astype(np.int64) * 4**k for k in range(WORD))
        seen = [np.unique(row) for row in numbers]
        shares.append(np.bincount(np.concatenate(seen), minlength=4**WORD) / len(letters))
    best = int(np.argmax(shares[0] - shares[1]))
    matrix = np.zeros((WIDTH, 4), np.float32)
    first = (WIDTH - WORD) // 2
    for k in range(WORD):
        share = np.full(4, 0.1)
        share[best // 4**k % 4] = 0.7
        matrix[first + k] = np.log(share / background)
    prior = 0.5
    for _ in range(ROUNDS):
        scores = hits(matrix, inside)
        odds = np.exp(scores) * prior / scores[0].size
        weights = odds / (1 - prior + odds.sum((1, 2), keepdims=True))
        prior = float(weights.sum((1, 2)).mean())
        n = weights.shape[2]
        counts = np.zeros((WIDTH, 4))
        for k in range(WIDTH):
            counts[k] += np.einsum("np,npa->a", weights[:, 0], inside[:, k : k + n])
            turned = np.einsum("np,npa->a", weights[:, 1], inside[:, WIDTH - 1 - k :][:, :n])
            counts[k] += turned[::-1]
        counts += background * 10
        matrix = np.log(counts / counts.sum(1, keepdims=True) / background).astype(np.float32)
    consensus = "".join("ACGT"[k] for k in matrix.argmax(1))
    print(f"matrix: {consensus}, in {prior:.0%} of the sequences of the class")
    return matrix


def predicted(genome: Path, found: list[Position], task: str) -> np.ndarray:
    """Probability of the class by findna predict."""
    with tempfile.TemporaryDirectory() as folder:
        regions = Path(folder) / "points.bed"
        lines = (f"{x.contig}\t{x.at}\t{x.at + 1}\t.\t0\t{x.strand}\n" for x in found)
        regions.write_text("".join(lines))
        words = ["findna", "predict", genome, regions, "-t", task, "-q"]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    return np.array([float(line.split("\t")[7]) for line in done.stdout.splitlines()])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder of genome.fa, sites.bed and points.bed")
    parser.add_argument("--task", action="append", default=[])
    parser.add_argument("--learn", type=Path, help="training set of the task, CSV")
    parser.add_argument("--matrix", action="store_true", help="learn a position weight matrix")
    parser.add_argument("--contigs", nargs="+", default=["hg38.chr20", "hg38.chr21"])
    parser.add_argument("--upstream", type=int, default=249, help="bp of the window before a point")
    parser.add_argument("--downstream", type=int, default=50, help="bp of the window after it")
    parser.add_argument("--within", type=int, default=50, help="bp of a point that count as it")
    parser.add_argument("--stranded", action="store_true")
    parser.add_argument("--per-point", type=int, default=0, help="negatives per point, of weight 1")
    parser.add_argument("--random", type=int, default=60_000, help="negatives that are read")
    options = parser.parse_args()
    with Genome(options.work / "genome.fa") as genome:
        tokens = {name: genome.fetch(name, 0, genome.contigs[name]) for name in options.contigs}
    found, each = positions(tokens, options)
    labels = np.array([x.point >= 0 for x in found])
    weights = np.where(labels, 1.0, each)
    scores = counted(tokens, found)
    if options.learn:
        windows = []
        for x in found:
            low = x.at - (options.upstream if x.strand == "+" else options.downstream)
            window = tokens[x.contig][low : low + options.upstream + options.downstream + 1]
            windows.append(window if x.strand == "+" else reverse_complement(window))
        scores["k-mer regression"] = kmers(options.learn, windows)
        if options.matrix:
            best = hits(learnt_matrix(options.learn), one_hot(windows)).max((1, 2))
            scores["position weight matrix"] = best
    for task in options.task:
        scores[f"task {task}"] = predicted(options.work / "genome.fa", found, task)
    points = np.array([x.point for x in found])
    distinct = np.unique(points[labels])
    print(
        f"{len(distinct)} points, {labels.sum()} positions about them; "
        f"{weights[~labels].sum():,.0f} others, of which {(~labels).sum():,} are read\n"
    )
    print("| | AUROC | AUPRC (95 %) | precision at half recall |\n|---|---|---|---|")
    rng = np.random.default_rng(0)
    draws = [np.bincount(rng.integers(0, len(distinct), len(distinct)), minlength=len(distinct))
             for _ in range(200)]  # fmt: skip
    place = np.searchsorted(distinct, points[labels])
    for name, values in scores.items():
        spread = []
        for draw in draws:
            drawn = weights.copy()
            drawn[labels] = draw[place]
            spread.append(average_precision_score(labels, values, sample_weight=drawn))
        low, high = np.percentile(spread, [2.5, 97.5])
        precision, recall, _ = precision_recall_curve(labels, values, sample_weight=weights)
        print(
            f"| {name} | {roc_auc_score(labels, values, sample_weight=weights):.3f} | "
            f"{average_precision_score(labels, values, sample_weight=weights):.3f} "
            f"({low:.3f}-{high:.3f}) | {precision[recall >= 0.5].max():.3f} |"
        )


if __name__ == "__main__":
    main()
