r"""Precision of findna search among rows of one class and ten times as many elsewhere.

    python docs/benchmarks/search_precision.py DATA -@ 1

DATA has the folders human-hg38, human-hg16-encode, vertebrates-encode, regions, regions-human and
annotation-hg38. Windows of 300 bp of hg38 chr20, none of which overlaps another: up to 300 of a
class, and ten random ones for each that lie 400 bp or more from all of the class. Classes: starts
of transcription (EPDnew), CTCF sites (ENCODE cCRE CA-CTCF), and repeats of 280 to 320 bp, most of
which are Alu (RepeatMasker). Every window of the class is a query, the class members among its 10
and 50 nearest windows are counted, without itself. Orthologs: up to 200 windows of human ENm001
that share two or more 24-mers with one place in the mouse, each once in either sequence; their
places in the mouse, among ten random windows for each: how often the place is the nearest, or among
the ten nearest. Vectors are of both strands, k-mers too. 95 % intervals: bootstrap over
queries, 1000 draws. Half-whitened vectors of an encoder are ranked by findna.search itself.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from pathlib import Path

import numpy as np
import torch

import findna
from findna.evaluation.baselines import random_model
from findna.genome.encoding import N, encode, reverse_complement
from findna.genome.fasta import Genome
from findna.model.checkpoint import load_checkpoint, save_checkpoint

WIDTH = 300  # bp of a window
RANDOM = 10  # windows elsewhere for each of a class
APART = 400  # bp from the middle of a random window to those of the class
WORD = 24  # letters of the words that orthologs share

Windows = list[tuple[str, int, int]]


def rows(path: Path, contig: str) -> list[tuple[int, int]]:
    with gzip.open(path, "rt") as file:
        split = (line.split() for line in file)
        return [(int(row[1]), int(row[2])) for row in split if row[0] == contig]


def disjoint(genome: Genome, contig: str, middles: list[int], most: int) -> list[int]:
    """Some of these middles, in random order, whose windows neither overlap nor hold N."""
    taken, chosen, half = np.zeros(genome.contigs[contig], bool), [], WIDTH // 2
    for at in np.random.default_rng(0).permutation(middles).tolist():
        span = slice(at - half, at + half)
        inside = half <= at <= len(taken) - half and not taken[span].any()
        if inside and not (genome.fetch(contig, span.start, span.stop) == N).any():
            taken[span] = True
            chosen.append(at)
        if len(chosen) == most:
            break
    return chosen


def among(genome: Genome, contig: str, known: list[int], most: int) -> tuple[Windows, int]:
    """Windows of a class, then random ones; and how many are of the class."""
    members = disjoint(genome, contig, known, most)
    length, taken = genome.contigs[contig], np.zeros(genome.contigs[contig], bool)
    for at in known:
        taken[max(at - APART, 0) : at + APART] = True
    draws = np.random.default_rng(1).integers(0, length, 100 * RANDOM * most)
    free = draws[~taken[draws]].tolist()
    middles = members + disjoint(genome, contig, free, RANDOM * len(members))
    return [(contig, at - WIDTH // 2, at + WIDTH // 2) for at in middles], len(members)


def words(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Words of a sequence that occur once in it, as numbers, and where; none with N."""
    codes = np.zeros(len(tokens) - WORD + 1, np.int64)
    unknown = codes != 0
    for i in range(WORD):
        part = tokens[i : len(codes) + i]
        codes = codes * 4 + np.searchsorted(encode("ACGT"), part) % 4
        unknown |= part == N
    at = np.flatnonzero(~unknown)
    unique, first, n = np.unique(codes[at], return_index=True, return_counts=True)
    return unique[n == 1], at[first[n == 1]]


def orthologs(human: np.ndarray, other: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Starts of windows of one sequence, and of those of another that share words with them."""
    ours, at = words(human)
    pairs = []
    for strand, tokens in enumerate((other, reverse_complement(other))):
        theirs, places = words(tokens)
        _, i, j = np.intersect1d(ours, theirs, return_indices=True)
        order = np.argsort(at[i])
        here, there = at[i][order], places[j][order]
        for start in range(0, len(human) - WIDTH, WIDTH):
            own = slice(*np.searchsorted(here, [start, start + WIDTH - WORD]))
            shifts = there[own] - here[own]
            if len(shifts) >= 2 and np.ptp(shifts) <= WIDTH // 10:
                begin = start + int(np.median(shifts))
                begin = len(other) - begin - WIDTH if strand else begin
                pairs.append((start, begin))
    return [pairs[i] for i in np.random.default_rng(0).permutation(len(pairs))[:most]]


def kmers(sequences: list[np.ndarray], k: int) -> np.ndarray:
    """Counts of the k-mers of both strands; shape (n, 4^k)."""
    found = np.zeros((len(sequences), 4**k), np.float32)
    for row, tokens in zip(found, sequences, strict=True):
        for strand in (tokens, reverse_complement(tokens)):
            digits = np.searchsorted(encode("ACGT"), strand)
            codes = sum(digits[i : len(digits) - k + 1 + i] * 4 ** (k - 1 - i) for i in range(k))
            np.add.at(row, codes, 1)
    return found[:, np.unique(found.any(0).nonzero()[0])]


def similarities(vectors: np.ndarray, n_queries: int, how: str) -> np.ndarray:
    """Cosines of the first rows with the others; as `findna search` whitens, where it is half."""
    x, index = vectors.astype(np.float64), slice(n_queries, None)
    if how != "plain":
        mean, deviations = x[index].mean(0), x[index].std(0)
        x = x - mean
        if how == "standardised":
            x = x / np.where(deviations == 0, 1, deviations)
        else:
            variances, axes = np.linalg.eigh(x[index].T @ x[index] / (len(x) - n_queries))
            power = {"half": 0.25, "whole": 0.5}[how]
            x = x @ axes / np.maximum(variances, 1e-4 * variances.mean()) ** power
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    return np.round(x[:n_queries] @ x[index].T, 6)


class Case:
    """Queries and an index: windows, and which of the index are right for each query."""

    def __init__(
        self, genome: Genome, queries: Windows, index: Windows, right: np.ndarray, own: bool
    ) -> None:
        self.genome, self.queries, self.index = genome, queries, index
        self.right, self.own = right, own  # own: query i is row i of the index
        self.sequences = [genome.fetch(*window) for window in queries + index]

    def found(self, values: np.ndarray, k: int) -> np.ndarray:
        """Right rows among the k most alike of each query."""
        values = values.copy()
        if self.own:
            values[np.arange(len(values)), np.arange(len(values))] = -2
        order = np.argsort(-values, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(self.right, order, axis=1)

    def by_search(self, model: str, folder: Path) -> np.ndarray:
        """Similarities that findna.search gives, of 50 hits of each query; -1 of other rows."""
        path = folder / "index.h5"
        made = findna.embed(
            self.genome, self.index, model=model, both_strands=True, precision="bf16"
        )
        made.write(path, force=True)
        number = {window: i for i, window in enumerate(self.index)}
        values = np.full(self.right.shape, -1.0)
        hits = findna.search(self.genome, self.queries, index=path, k=50, model=model)
        for i, (_, best) in enumerate(hits):
            for hit in best:
                at = hit.interval
                values[i, number[at.chrom, at.start, at.end]] = hit.similarity
        return values

    def embedded(self, model: str) -> np.ndarray:
        """Vectors of the queries and of the index."""
        windows = self.queries + self.index
        return findna.embed(
            self.genome, windows, model=model, both_strands=True, precision="bf16"
        ).X


def cases(data: Path, genome: Genome, encode_pair: Genome) -> dict[str, Case]:
    contig = "chr20"
    known = {
        "promoters": [
            a for a, _ in rows(data / "regions/epdnew_human_tss.no_chr19.hg38.bed.gz", contig)
        ],
        "CTCF sites": [
            (a + b) // 2
            for a, b in rows(
                data / "regions-human/encode_ccre_v4.CA-CTCF.hg38.no_chr19.bed.gz", contig
            )
        ],
        "Alu-sized repeats": [
            (a + b) // 2
            for a, b in rows(
                data / "annotation-hg38/repeats.in_our_sequence.hg38.no_chr19.bed.gz", contig
            )
            if 280 <= b - a <= 320
        ],
    }
    made = {}
    for name, middles in known.items():
        index, n = among(genome, contig, middles, 300)
        right = np.tile(np.arange(len(index)) < n, (n, 1))
        made[name] = Case(genome, index[:n], index, right, own=True)
    human, mouse = (encode_pair.fetch(c, 0, encode_pair.contigs[c]) for c in ("human", "mouse"))
    pairs = orthologs(human, mouse, 200)
    starts = {begin: start for start, begin in reversed(pairs)}
    middles = [begin + WIDTH // 2 for begin in starts]
    index, n = among(encode_pair, "mouse", middles, 200)
    queries = [("human", starts[a], starts[a] + WIDTH) for _, a, _ in index[:n]]
    made["orthologs"] = Case(encode_pair, queries, index, np.eye(n, len(index), dtype=bool), False)
    return made


def shown(values: np.ndarray) -> str:
    """Mean of one value per query, with its 95 % interval."""
    rng = np.random.default_rng(0)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(1000)]
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{values.mean():.3f} ({low:.3f}-{high:.3f})".replace("0.", ".")


def write_pair(data: Path, path: Path) -> None:
    """Human and mouse ENm001 as one FASTA."""
    files = {
        "human": data / "human-hg16-encode/hg16.ENm001_ENm002.fa.gz",
        "mouse": data / "vertebrates-encode/encode_ENm001_ENm002.vertebrates.fa.gz",
    }
    with path.open("w") as out:
        for species, file in files.items():
            with gzip.open(file, "rt") as lines:
                wanted = False
                for line in lines:
                    if line[0] == ">":
                        wanted = line.startswith(f">{species}|ENm001|")
                    if wanted:
                        out.write(f">{species}\n" if line[0] == ">" else line)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("-@", "--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        untrained = random_model(load_checkpoint("tiny").config, 0)
        save_checkpoint(folder / "random", untrained, {}, "# random\n{digest}\n")
        write_pair(options.data, folder / "pair.fa")
        hg38 = Genome(options.data / "human-hg38/hg38.chr2_chr20_chr21.fa.gz")
        table: dict[str, list[str]] = {}
        head = []
        with hg38, Genome(folder / "pair.fa") as pair:
            for case_name, case in cases(options.data, hg38, pair).items():
                n, size = len(case.queries), len(case.index)
                near = (10, 50) if case.own else (1, 10)
                head += [f"{case_name} ({n} in {size}), {k}" for k in near]
                values: dict[str, np.ndarray] = {}
                vectors = case.embedded("tiny")
                values["`tiny`, findna search"] = case.by_search("tiny", folder)
                mine = similarities(vectors, n, "half")
                agree = case.found(mine, 50) == case.found(values["`tiny`, findna search"], 50)
                print(f"{case_name}: ranks agree with numpy in {agree.mean():.4f}", flush=True)
                values["`tiny`, whole whitening"] = similarities(vectors, n, "whole")
                values["`tiny`, plain cosine"] = similarities(vectors, n, "plain")
                random = str(folder / "random")
                values["random weights, findna search"] = case.by_search(random, folder)
                for k in (4, 6):
                    counts = kmers(case.sequences, k)
                    for how in ("half", "standardised", "plain"):
                        words_of = {"half": "half-whitened", "plain": "plain cosine"}.get(how, how)
                        values[f"{k}-mers, {words_of}"] = similarities(counts, n, how)
                for method, each in values.items():
                    table.setdefault(method, []).extend(
                        shown(
                            case.found(each, k).mean(1) if case.own else case.found(each, k).any(1)
                        )
                        for k in near
                    )
        print("\n| | " + " | ".join(head) + " |\n" + "|---" * (len(head) + 1) + "|")
        for method, cells in table.items():
            print(f"| {method} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
