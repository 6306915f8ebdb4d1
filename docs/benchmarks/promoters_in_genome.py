"""A promoter task on real starts of transcription against random positions outside genes.

    python docs/benchmarks/promoters_in_genome.py GENOME TSS GENES --task promoter

GENOME is a FASTA; TSS a BED6 of starts of transcription (1 bp); GENES a BED of genes. Windows are
-249 to +50 around each start, by strand, without N. Positions are drawn with bedtools shuffle, on
random strands, outside genes and starts (1 kb around them included) and outside N. Prints the AUROC
of the task, of GC content alone and of CpG alone, and checks that the rows came back as they were.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from findna.genome.encoding import C, G, N, reverse_complement
from findna.genome.fasta import Genome
from findna.genome.intervals import Interval

WINDOW = (249, 51)  # bp before the start, and from the start on
AROUND = 1_000


def write(path: Path, rows: list[tuple[str, int, int]]) -> None:
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))


def unknown_stretches(genome: Genome) -> list[tuple[str, int, int]]:
    """Runs of N, as BED rows."""
    rows = []
    for chrom, length in genome.contigs.items():
        unknown = np.concatenate([chunk == N for chunk in genome.chunks(chrom)])
        edges = np.flatnonzero(np.diff(np.concatenate(([0], unknown, [0])).astype(np.int8)))
        rows += [(chrom, int(a), int(b)) for a, b in edges.reshape(-1, 2)]
        assert all(b <= length for _, _, b in rows if _ == chrom)
    return rows


def read(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt") as file:
        return [line.rstrip("\n").split("\t") for line in file]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("genome", type=Path)
    parser.add_argument("tss", type=Path)
    parser.add_argument("genes", type=Path)
    parser.add_argument("--task", action="append", required=True)
    parser.add_argument("--negatives", type=int, default=2000)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    with Genome(arguments.genome) as genome:
        starts = [row for row in read(arguments.tss) if row[0] in genome.contigs]
        genes = [row for row in read(arguments.genes) if row[0] in genome.contigs]
        windows = []
        for chrom, start, _, name, _, strand in starts:
            at = int(start)
            low = at - (WINDOW[0] if strand == "+" else WINDOW[1] - 1)
            interval = Interval(chrom, low, low + sum(WINDOW), name, strand)
            inside = low >= 0 and interval.end <= genome.contigs[chrom]
            if inside and not (genome.fetch(chrom, low, interval.end) == N).any():
                windows.append(interval)
        around = [(r[0], max(int(r[1]) - AROUND, 0), int(r[2]) + AROUND) for r in starts + genes]
        write(folder / "excluded.bed", around + unknown_stretches(genome))
        (folder / "sizes").write_text("".join(f"{c}\t{n}\n" for c, n in genome.contigs.items()))
        rows = [("chr20", 0, sum(WINDOW), f"random_{i}", 0, "+-"[i % 2]) for i in
                range(arguments.negatives)]  # fmt: skip
        write(folder / "seeds.bed", rows)
        shuffled = subprocess.run(
            ["bedtools", "shuffle", "-i", "seeds.bed", "-g", "sizes", "-excl", "excluded.bed",
             "-seed", "1"], cwd=folder, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        positives = "".join(
            f"{i.chrom}\t{i.start}\t{i.end}\t{i.name}\t1\t{i.strand}\n" for i in windows
        )
        regions = folder / "regions.bed"
        regions.write_text(positives + shuffled)
        lines = regions.read_text().splitlines()
        labels = np.array([1] * len(windows) + [0] * (len(lines) - len(windows)))
        gc, cpg = [], []
        for line in lines:
            chrom, start, end, _, _, strand = line.split("\t")
            tokens = genome.fetch(chrom, int(start), int(end))
            tokens = reverse_complement(tokens) if strand == "-" else tokens
            gc.append(np.isin(tokens, (C, G)).mean())
            cpg.append(((tokens[:-1] == C) & (tokens[1:] == G)).mean())
    print(f"{labels.sum()} starts, {len(labels) - labels.sum()} random positions outside genes")
    print(f"GC content alone: AUROC {roc_auc_score(labels, gc):.3f}")
    print(f"CpG alone: AUROC {roc_auc_score(labels, cpg):.3f}")
    for task in arguments.task:
        out = folder / "out.bed"
        subprocess.run(
            ["findna", "predict", "-q", "-s", "-f", "--task", task, str(arguments.genome),
             str(regions), "-o", str(out)], check=True,
        )  # fmt: skip
        kept = subprocess.run(["cut", "-f1-6", str(out)], check=True, capture_output=True).stdout
        assert kept == regions.read_bytes(), "the rows came back changed"
        scores = np.array([float(line.split("\t")[7]) for line in out.read_text().splitlines()])
        found = roc_auc_score(labels, scores)
        rng = np.random.default_rng(0)
        draws = [rng.integers(0, len(labels), len(labels)) for _ in range(1000)]
        low, high = np.percentile([roc_auc_score(labels[d], scores[d]) for d in draws], [2.5, 97.5])
        print(
            f"task {task}: AUROC {found:.3f} (95 % {low:.3f}-{high:.3f}); {len(scores)} rows out, "
            f"columns 1-6 equal to the input byte for byte; probability above 0.5: "
            f"{(scores[labels == 1] > 0.5).mean():.2f} of starts, "
            f"{(scores[labels == 0] > 0.5).mean():.2f} of random positions"
        )


if __name__ == "__main__":
    main()
