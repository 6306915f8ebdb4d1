"""Frozen embeddings against random weights and k-mer counts, on labelled sets of sequences.

Mean-pooled vectors of both strands, standardised, then logistic regression. Its regularisation
for every method, and k of the k-mers, are chosen by validation AUROC; the test split is used for
the figures only. A seed decides the random encoder's weights and which three quarters of the
training sequences are used.

    python docs/benchmarks/frozen_embeddings.py DATA --model tiny > table.md

DATA is a folder of sets: DATA/<set>/{train,dev,test}.csv.gz with the columns sequence,label. Sets
with a train split are validated on dev; a set without is trained on three quarters of dev,
validated on the rest, and marked with a star. At most --most sequences of a split are used,
drawn once.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
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

from findna.config import EncoderConfig
from findna.encoding import BLANK, encode, reverse_complement
from findna.model.checkpoint import Model, load_checkpoint
from findna.model.encoder import Encoder

SETS = (
    "prom/prom_core_notata", "prom/prom_core_tata", "prom/prom_300_tata", "tf/0", "tf/3",
    "mouse/0", "mouse/2", "mouse/4", "EMP/H3",
)  # fmt: skip
STRENGTHS = {"vectors": (1e-3, 1e-2, 1e-1, 1.0), "k-mers": (1e-4, 1e-3, 1e-2)}
"""C of logistic regression on standardised features: the inverse of the regularisation."""
KS = (3, 4, 5, 6)
BUDGET = 8192  # tokens per batch


def read(path: Path, most: int) -> tuple[list[bytes], np.ndarray]:
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.reader(file))[1:]
    if len(rows) > most:
        rows = [rows[i] for i in np.random.default_rng(0).choice(len(rows), most, replace=False)]
    return [row[0].encode() for row in rows], np.array([int(row[1]) for row in rows])


@torch.inference_mode()
def embed(encoder: Encoder, sequences: list[bytes]) -> np.ndarray:
    """Mean over bases and strands; (n, dim)."""
    n_cls = encoder.config.n_cls
    cls = np.full(n_cls, BLANK, np.uint8)
    vectors, batch = [], []

    def flush() -> None:
        packed = np.concatenate([part for tokens in batch for part in (tokens, cls)])
        offsets = np.cumsum([0, *(len(tokens) + n_cls for tokens in batch)])
        hidden = encoder.embed(torch.from_numpy(packed), torch.from_numpy(offsets))
        ends = zip(offsets[:-1], offsets[1:] - n_cls, strict=True)
        means = torch.stack([hidden[a:b].mean(0) for a, b in ends])
        vectors.append(means.view(-1, 2, hidden.shape[1]).mean(1).numpy())
        batch.clear()

    for sequence in sequences:
        tokens = encode(sequence)
        if batch and sum(map(len, batch)) + 2 * len(tokens) > BUDGET:
            flush()
        batch += [tokens, reverse_complement(tokens)]
    flush()
    return np.concatenate(vectors)


def kmer_counts(sequences: list[bytes], k: int) -> sparse.csr_matrix:
    """Counts of k-mers on both strands, per 100 bp; (n, 4^k)."""
    base = np.array([0, 1, 2, -1, 3, -1])  # of A, C, G, N, T, blank
    rows, columns, weights = [], [], []
    for i, sequence in enumerate(sequences):
        tokens = encode(sequence)
        for strand in (tokens, reverse_complement(tokens)):
            windows = np.lib.stride_tricks.sliding_window_view(base[strand], k)
            found = windows[(windows >= 0).all(1)] @ (4 ** np.arange(k))
            columns.append(found)
            rows.append(np.full(len(found), i))
            weights.append(np.full(len(found), 100 / len(sequence), np.float32))
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape=(len(sequences), 4**k))


def fit(features: list, labels: list[np.ndarray], kind: str) -> tuple[float, float]:
    """Validation and test AUROC of the regularisation that is best on validation."""
    scaler = StandardScaler(with_mean=kind == "vectors").fit(features[0])
    train, valid, test = (scaler.transform(x) for x in features)
    best = (-1.0, -1.0)
    for strength in STRENGTHS[kind]:
        model = LogisticRegression(C=strength, max_iter=300, tol=1e-3)
        model.fit(train, labels[0])
        found = roc_auc_score(labels[1], model.decision_function(valid))
        if found > best[0]:
            best = (found, roc_auc_score(labels[2], model.decision_function(test)))
    return best


def random_encoder(config: EncoderConfig, seed: int) -> Encoder:
    """The same encoder untrained, read after its last layer."""
    torch.manual_seed(seed)
    config = dataclasses.replace(config, readout=0)
    return Model(config).encoder.requires_grad_(False).eval()


def measure(folder: Path, model: str, seeds: int, most: int, methods: list[str]) -> list[dict]:
    """Test AUROC of each method on one set, one dictionary per seed."""
    torch.set_num_threads(1)
    encoder = load_checkpoint(model).model.encoder
    starred = not (folder / "train.csv.gz").exists()
    names = ["dev", "test"] if starred else ["train", "dev", "test"]
    splits = {name: read(folder / f"{name}.csv.gz", most) for name in names}
    results = []
    kmers: dict[int, list] = {}
    vectors: list[np.ndarray] = []
    for seed in range(seeds):
        pool = len(splits[names[0]][1])
        order = np.random.default_rng(seed).permutation(pool)
        chosen, rest = order[: pool * 3 // 4], order[pool * 3 // 4 :]

        def parts(features: list, chosen: np.ndarray = chosen, rest: np.ndarray = rest) -> list:
            """Train, validation and test rows of per-split features."""
            valid = features[0][rest] if starred else features[1]
            return [features[0][chosen], valid, features[-1]]

        labels = parts([y for _, y in splits.values()])
        result = {"seed": seed, "starred": starred, "sizes": [len(y) for y in labels]}
        if "findna" in methods:
            vectors = vectors or [embed(encoder, sequences) for sequences, _ in splits.values()]
            result["findna"] = fit(parts(vectors), labels, "vectors")[1]
        if "random" in methods:
            untrained = random_encoder(encoder.config, seed)
            random = [embed(untrained, sequences) for sequences, _ in splits.values()]
            result["random"] = fit(parts(random), labels, "vectors")[1]
        if "k-mers" in methods:
            for k in KS:
                if k not in kmers:
                    kmers[k] = [kmer_counts(sequences, k) for sequences, _ in splits.values()]
            scores = [(*fit(parts(kmers[k]), labels, "k-mers"), k) for k in KS]
            _, result["k-mers"], result["k"] = max(scores)
        results.append(result)
    return results


def report(results: dict[str, list[dict]]) -> None:
    """Markdown table of means and standard deviations over seeds."""
    print("| set | train, valid, test | findna | random weights | k-mers (k) | findna - random "
          "| findna - k-mers |\n|---|---|---|---|---|---|---|")  # fmt: skip
    means = []
    for name, runs in results.items():
        values = [np.array([run[m] for run in runs]) for m in ("findna", "random", "k-mers")]
        ours, random, kmer = (v.mean() for v in values)
        means.append([ours, random, kmer])
        cells = [f"{v.mean():.3f} ± {v.std():.3f}" for v in values]
        cells[2] += f" ({'/'.join(sorted({str(run['k']) for run in runs}))})"
        print(f"| {name}{'*' * runs[0]['starred']} | {', '.join(map(str, runs[0]['sizes']))} "
              f"| {' | '.join(cells)} | {ours - random:+.3f} | {ours - kmer:+.3f} |")  # fmt: skip
    ours, random, kmer = np.mean(means, axis=0)
    print(f"| mean of {len(means)} | | {ours:.3f} | {random:.3f} | {kmer:.3f} "
          f"| {ours - random:+.3f} | {ours - kmer:+.3f} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of sets")
    parser.add_argument("--model", default="tiny", help="model name or folder")
    parser.add_argument("--sets", nargs="+", default=SETS, help="sets to measure")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--most", type=int, default=5000, help="most sequences of a split")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--json", type=Path,
        help="keep every figure here; methods that it holds already are not measured again",
    )  # fmt: skip
    parser.add_argument(
        "--methods", nargs="+", default=["findna", "random", "k-mers"], help="what to measure"
    )
    arguments = parser.parse_args()
    started = time.time()
    results: dict[str, list[dict]] = {}
    if arguments.json and arguments.json.exists():
        results = json.loads(arguments.json.read_text())
    with ProcessPoolExecutor(arguments.processes) as pool:
        futures = {}
        for name in arguments.sets:
            known = results.get(name, [{}])[0]
            missing = [m for m in arguments.methods if m not in known]
            if missing:
                folder = arguments.data / name
                futures[name] = pool.submit(
                    measure, folder, arguments.model, arguments.seeds, arguments.most, missing
                )
        for name, future in futures.items():
            old = results.get(name, [{}] * arguments.seeds)
            results[name] = [a | b for a, b in zip(old, future.result(), strict=True)]
            if arguments.json:
                arguments.json.write_text(json.dumps(results, indent=1) + "\n")
            print(f"{name}: {results[name][0]}", file=sys.stderr)
    checkpoint = load_checkpoint(arguments.model)
    minutes = (time.time() - started) / 60
    print(f"Model {checkpoint.name} `{checkpoint.digest[:12]}`, {arguments.seeds} seeds, "
          f"{minutes:.0f} min in {arguments.processes} processes.\n")  # fmt: skip
    if set(arguments.methods) == {"findna", "random", "k-mers"}:
        report({name: results[name] for name in arguments.sets})


if __name__ == "__main__":
    main()
