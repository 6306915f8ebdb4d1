"""Frozen embeddings against random weights and k-mer counts, on labelled sets of sequences.

Mean-pooled vectors of both strands, standardised, then logistic regression; the regularisation
of every method, and k of the k-mers, are chosen on validation AUROC. Test data are used once,
for the figures. Seeds differ in the random encoder's weights and in which training sequences are
drawn where there are more than --most.

    python docs/benchmarks/frozen_embeddings.py DATA --model tiny > table.md

DATA is a folder of GUE-like sets: DATA/<set>/{train,dev,test}.csv.gz with sequence,label columns.
A set without train.csv.gz is trained on three quarters of dev and validated on the rest; it is
marked with a star. Sets with train are validated on dev.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from findna.encoding import BLANK, encode, reverse_complement
from findna.model.checkpoint import Model, load_checkpoint
from findna.model.encoder import Encoder

SETS = (
    "prom/prom_core_all", "prom/prom_core_notata", "prom/prom_core_tata", "prom/prom_300_tata",
    "prom/prom_300_notata", "tf/0", "tf/1", "tf/2", "tf/3", "mouse/0", "mouse/2", "mouse/4",
    "EMP/H3", "EMP/H4ac", "EMP/H3K4me3", "splice/reconstructed",
)  # fmt: skip
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Inverse regularisation, C, of logistic regression on standardised vectors."""
KMER_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
KS = (3, 4, 5, 6)


def read(path: Path) -> tuple[list[bytes], np.ndarray]:
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [row[0].encode() for row in rows], np.array([int(row[1]) for row in rows])


def load_set(folder: Path, most: int, seed: int) -> tuple[dict, bool]:
    """Splits of one set; ``most`` training sequences, drawn by seed."""
    rng = np.random.default_rng(seed)
    splits = {name: read(folder / f"{name}.csv.gz") for name in ("dev", "test")}
    if (folder / "train.csv.gz").exists():
        splits["train"] = read(folder / "train.csv.gz")
        only_dev = False
    else:
        sequences, labels = splits["dev"]
        order = rng.permutation(len(labels))
        cut = len(order) * 3 // 4
        for name, part in (("train", order[:cut]), ("dev", order[cut:])):
            splits[name] = ([sequences[i] for i in part], labels[part])
        only_dev = True
    sequences, labels = splits["train"]
    if len(labels) > most:
        part = rng.choice(len(labels), most, replace=False)
        splits["train"] = ([sequences[i] for i in part], labels[part])
    return splits, only_dev


@torch.inference_mode()
def embed(encoder: Encoder, sequences: list[bytes], budget: int = 8192) -> np.ndarray:
    """Mean over bases and strands; (n, dim)."""
    n_cls = encoder.config.n_cls
    cls = np.full(n_cls, BLANK, np.uint8)
    vectors, batch = [], []

    def flush() -> None:
        lengths = [len(tokens) + n_cls for tokens in batch]
        packed = np.concatenate([part for tokens in batch for part in (tokens, cls)])
        offsets = torch.tensor([0, *lengths]).cumsum(0)
        hidden = encoder(torch.from_numpy(packed), offsets)
        means = [
            hidden[a : b - n_cls].mean(0)
            for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        ]
        both = torch.stack(means).view(-1, 2, hidden.shape[1]).mean(1)
        vectors.append(both.numpy())
        batch.clear()

    total = 0
    for sequence in sequences:
        tokens = encode(sequence)
        if batch and total + 2 * len(tokens) > budget:
            flush()
            total = 0
        batch += [tokens, reverse_complement(tokens)]
        total += 2 * len(tokens)
    flush()
    return np.concatenate(vectors)


def kmer_counts(sequences: list[bytes], k: int) -> sparse.csr_matrix:
    """Counts of canonical k-mers (a k-mer and its reverse complement are one), per 100 bp."""
    base = np.array([0, 1, 2, -1, 3, -1])  # id of A, C, G, N, T, blank among four
    rows, columns = [], []
    for i, sequence in enumerate(sequences):
        tokens = encode(sequence)
        for strand in (tokens, reverse_complement(tokens)):
            digits = base[strand]
            windows = np.lib.stride_tricks.sliding_window_view(digits, k)
            windows = windows[(windows >= 0).all(1)]
            columns.append(windows @ (4 ** np.arange(k)))
            rows.append(np.full(len(windows), i))
    columns, rows = np.concatenate(columns), np.concatenate(rows)
    weights = np.array([100 / max(len(s), 1) for s in sequences])[rows]
    return sparse.csr_matrix((weights, (rows, columns)), shape=(len(sequences), 4**k))


def auroc(model: LogisticRegression, x, y: np.ndarray) -> float:
    if len(model.classes_) == 2:
        return roc_auc_score(y, model.decision_function(x))
    return roc_auc_score(y, model.predict_proba(x), multi_class="ovr", average="macro")


def fit(features: dict, labels: dict, strengths: tuple[float, ...]) -> tuple[float, float]:
    """Validation and test AUROC of the strength that is best on validation."""
    scaler = StandardScaler(with_mean=not sparse.issparse(features["train"]))
    x = {"train": scaler.fit_transform(features["train"])}
    x |= {name: scaler.transform(features[name]) for name in ("dev", "test")}
    best = (-1.0, -1.0)
    for strength in strengths:
        model = LogisticRegression(C=strength, max_iter=500, tol=1e-3)
        model.fit(x["train"], labels["train"])
        found = auroc(model, x["dev"], labels["dev"])
        if found > best[0]:
            best = (found, auroc(model, x["test"], labels["test"]))
    return best


def random_encoder(model: Encoder, seed: int) -> Encoder:
    torch.manual_seed(seed)
    return Model(model.config).encoder.requires_grad_(False).eval()


def one_seed(folder: Path, model: str, most: int, seed: int) -> dict:
    """Test AUROC of each method on one set."""
    torch.set_num_threads(1)
    splits, only_dev = load_set(folder, most, seed)
    labels = {name: y for name, (_, y) in splits.items()}
    encoder = load_checkpoint(model).model.encoder
    result = {"only_dev": only_dev, "train": len(labels["train"]), "test": len(labels["test"]),
              "classes": len(set(labels["train"].tolist()))}  # fmt: skip
    for name, chosen in (("findna", encoder), ("random", random_encoder(encoder, seed))):
        features = {split: embed(chosen, sequences) for split, (sequences, _) in splits.items()}
        result[name] = fit(features, labels, STRENGTHS)[1]
    scores = []
    for k in KS:
        features = {split: kmer_counts(sequences, k) for split, (sequences, _) in splits.items()}
        scores.append((*fit(features, labels, KMER_STRENGTHS), k))
    _, result["kmer"], result["k"] = max(scores)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of sets")
    parser.add_argument("--model", default="tiny", help="model name or folder")
    parser.add_argument("--sets", nargs="+", default=SETS, help="sets to measure")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--most", type=int, default=8000, help="most training sequences")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write every single figure here")
    arguments = parser.parse_args()
    started = time.time()
    jobs = [(name, seed) for name in arguments.sets for seed in range(arguments.seeds)]
    with ProcessPoolExecutor(arguments.processes) as pool:
        futures = [
            pool.submit(one_seed, arguments.data / name, arguments.model, arguments.most, seed)
            for name, seed in jobs
        ]
        results = {}
        for (name, seed), future in zip(jobs, futures, strict=True):
            results.setdefault(name, []).append(future.result() | {"seed": seed})
            print(f"{name} {seed}: {results[name][-1]}", file=sys.stderr)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    checkpoint = load_checkpoint(arguments.model)
    print(f"Model {checkpoint.name} `{checkpoint.digest[:12]}`, {arguments.seeds} seeds, "
          f"{(time.time() - started) / 60:.0f} min on {arguments.processes} cores.\n")  # fmt: skip
    print("| set | train -> test | findna | random weights | k-mers (k) | findna - random "
          "| findna - k-mers |\n|---|---|---|---|---|---|---|")  # fmt: skip
    means = []
    for name, runs in results.items():
        values = {m: np.array([r[m] for r in runs]) for m in ("findna", "random", "kmer")}
        means.append([values[m].mean() for m in values])
        cells = [f"{v.mean():.3f} ± {v.std():.3f}" for v in values.values()]
        cells[2] += f" ({'/'.join(sorted({str(r['k']) for r in runs}))})"
        ours, random, kmer = means[-1]
        star = "*" if runs[0]["only_dev"] else ""
        print(f"| {name}{star} | {runs[0]['train']} -> {runs[0]['test']} | {' | '.join(cells)} "
              f"| {ours - random:+.3f} | {ours - kmer:+.3f} |")  # fmt: skip
    ours, random, kmer = np.mean(means, axis=0)
    print(f"| mean | | {ours:.3f} | {random:.3f} | {kmer:.3f} | {ours - random:+.3f} "
          f"| {ours - kmer:+.3f} |")  # fmt: skip


if __name__ == "__main__":
    main()
