"""Rate and loss of `--precision bf16` beside fp32, in one run: tables of docs/performance.md.

    python docs/benchmarks/precision.py DATA

DATA is the folder that bin/train-tasks names, with `variants`. Rates are of processor time, both
precisions in turn. AUROC is that of the test sequences of each set, by a logistic regression on
standardised mean vectors of at most 2,000 training sequences.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from findna.genome.encoding import Tokens
from findna.genome.fasta import Genome
from findna.labelled.files import find_splits
from findna.labelled.sets import LabelledSet, read_labelled
from findna.model.checkpoint import Checkpoint, load_checkpoint
from findna.model.devices import Compute, describe
from findna.model.inference import mean_vectors
from findna.model.tolerances import relative
from findna.tasks.task import load_task
from findna.variants.alleles import Examiner
from findna.variants.scores import Scorer, scored
from findna.variants.vcf import VcfSource

EXACT = Compute(torch.device("cpu"))
ROUGH = Compute(torch.device("cpu"), "bf16")
GENOME = "human-hg38/hg38.chr2_chr20_chr21.fa.gz"
VARIANTS = "variants/tissue_variant_effect.chr2_chr20_chr21.hg38.vcf.gz"
SETS = (
    "gue/mouse/0", "gue/mouse/2", "gue/prom/prom_300_tata", "gue/prom/prom_core_notata",
    "gue/prom/prom_core_tata", "gue/tf/0", "gue/tf/2", "gue/tf/3",
)  # fmt: skip
N_WINDOWS, WINDOW, ROUNDS, MOST = 64, 1_000, 5, 2_000
N_RECORDS, BASES = 200, 512


def windows(genome: Genome) -> list[Tokens]:
    """Windows of hg38 chr20 at random."""
    starts = np.random.default_rng(0).integers(100_000, 9_900_000, N_WINDOWS)
    return [genome.fetch("chr20", int(start), int(start) + WINDOW) for start in starts]


def regions(checkpoint: Checkpoint, sequences: list[Tokens]) -> None:
    """Rates of mean vectors, and how far those of bf16 lie from those of fp32."""
    encoder, seconds, vectors = checkpoint.model.encoder, {}, {}
    for _ in range(ROUNDS):
        for compute in (EXACT, ROUGH):
            started = time.process_time()
            vectors[compute.precision] = mean_vectors(encoder, sequences, compute)
            seconds.setdefault(compute.precision, []).append(time.process_time() - started)
    ratios = [a / b for a, b in zip(seconds["fp32"], seconds["bf16"], strict=True)]
    exact, rough = vectors["fp32"], vectors["bf16"]
    cosine = (exact * rough).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    apart = [relative(a, b) for a, b in zip(rough, exact, strict=True)]
    print(
        "| regions/s, fp32 | bf16 | times | lowest cosine | relative difference, median, highest |"
    )
    print("|---|---|---|---|---|")
    rates = [N_WINDOWS / statistics.median(seconds[p]) for p in ("fp32", "bf16")]
    print(
        f"| {rates[0]:.1f} | {rates[1]:.1f} | {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f}) | {cosine.min():.6f} | "
        f"{np.median(apart):.1e}, {max(apart):.1e} |\n"
    )


def some(data: LabelledSet) -> LabelledSet:
    return data.take(np.sort(np.random.default_rng(0).permutation(len(data))[:MOST]))


def auroc(checkpoint: Checkpoint, parts: list[LabelledSet], compute: Compute) -> float:
    encoder = checkpoint.model.encoder
    train, test = (mean_vectors(encoder, part.sequences, compute) for part in parts)
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit(train, parts[0].labels)
    return float(roc_auc_score(parts[1].labels, regression.predict_proba(test)[:, 1]))


def sets(checkpoint: Checkpoint, data: Path) -> None:
    """AUROC of a frozen probe on vectors of either precision."""
    print("| set | AUROC, fp32 | bf16 | difference |\n|---|---|---|---|")
    differences = []
    for name in SETS:
        found = find_splits(data / name)
        parts = [some(read_labelled(found[split])) for split in ("train", "test")]
        exact, rough = (auroc(checkpoint, parts, compute) for compute in (EXACT, ROUGH))
        differences.append(rough - exact)
        print(f"| {name} | {exact:.4f} | {rough:.4f} | {rough - exact:+.4f} |")
    print(f"| mean | | | {np.mean(differences):+.4f} |\n")


def variants(checkpoint: Checkpoint, genome: Genome, data: Path) -> None:
    """Ranks of scores in either precision, and their noise beside their spread."""
    scores = {}
    for compute in (EXACT, ROUGH):
        scorer = Scorer(checkpoint, tasks=[load_task("promoter")], compute=compute)
        with VcfSource(str(data / VARIANTS)) as source, source.open() as reader:
            examiner = Examiner(genome, BASES)
            items = (examiner.examine(x) for x in islice(reader.records, N_RECORDS))
            found = scored(items, scorer, 4 * compute.budget)
            scores[compute.precision] = np.array(
                [effect.values for _, effects in found for effect in effects if effect]
            )
    print(
        "| score | Spearman of bf16 and fp32 | rms difference / standard deviation |\n|---|---|---|"
    )
    for i, field in enumerate(scorer.fields):
        exact, rough = scores["fp32"][:, i], scores["bf16"][:, i]
        noise = np.sqrt(np.mean((exact - rough) ** 2)) / exact.std()
        print(f"| {field.id} | {spearmanr(exact, rough)[0]:.5f} | {noise:.4f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    torch.set_num_threads(1)
    checkpoint = load_checkpoint("tiny")
    print(f"{describe(torch.device('cpu'))}; {N_WINDOWS} windows of {WINDOW} bp\n")
    with Genome(data / GENOME) as genome:
        regions(checkpoint, windows(genome))
        sets(checkpoint, data)
        variants(checkpoint, genome, data)


if __name__ == "__main__":
    main()
