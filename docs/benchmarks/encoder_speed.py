"""Rate of findna's packed encoder against a plain equal-length, padded one, in one run.

The plain one is what one writes first: nn.Linear, GELU, split, roll, concatenate on a padded
(batch, length, dim) tensor. Both have the published sizes and the same weights, fp32.

    python docs/benchmarks/encoder_speed.py DATA      # DATA holds the labelled intervals (BED)

The mixed lengths are those of real regions: every GenomicBenchmarks interval file in DATA and the
coding sequences in DATA/cdna_gene_family up to 4,776 bp. The sequence itself does not matter to
the rate and is random.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import statistics
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from findna.model.config import EncoderConfig
from findna.model.devices import MAX_TOKENS
from findna.model.encoder import Encoder

LONGEST = 4_776


def plain_forward(encoder: Encoder, tokens: Tensor) -> Tensor:
    """(batch, length) token ids, padded; the layers as the paper's code has them."""
    config = encoder.config
    rows = F.one_hot(tokens.long(), 6)[..., :5].float()
    hidden = F.linear(rows, encoder.embedding.weight, encoder.embedding.bias)
    for block in encoder.mixer.blocks:
        for layer in block:
            x = F.linear(hidden, layer.fc1.weight, layer.fc1.bias)
            x = F.linear(F.gelu(x), layer.fc2.weight, layer.fc2.bias)
            tracks = x.split(config.track_size, dim=-1)
            rolled = [torch.roll(t, -(2**i), dims=1) for i, t in enumerate(tracks[1:])]
            hidden = hidden + torch.cat([tracks[0], *rolled], dim=-1)
    return hidden


def run_plain(encoder: Encoder, lengths: list[int], batch: int) -> None:
    for i in range(0, len(lengths), batch):
        part = lengths[i : i + batch]
        tokens = torch.randint(0, 5, (len(part), max(part)), dtype=torch.uint8)
        plain_forward(encoder, tokens)


def run_packed(encoder: Encoder, lengths: list[int], budget: int) -> None:
    part: list[int] = []
    for length in [*lengths, None]:
        if part and (length is None or sum(part) + length > budget):
            tokens = torch.randint(0, 5, (sum(part),), dtype=torch.uint8)
            encoder(tokens, torch.tensor([0, *part]).cumsum(0))
            part = []
        if length is not None:
            part.append(length)


def real_lengths(data: Path, n: int) -> list[int]:
    lengths = []
    for path in sorted(data.glob("genomic_benchmarks/intervals/*.bed.gz")):
        with gzip.open(path, "rt") as file:
            rows = [line.split("\t") for line in file]
        lengths += [int(row[2]) - int(row[1]) for row in rows]
    for path in sorted(data.glob("cdna_gene_family/*.csv.gz")):
        with gzip.open(path, "rt", newline="") as file:
            lengths += [len(row[0]) for row in list(csv.reader(file))[1:]]
    lengths = [length for length in lengths if 70 <= length <= LONGEST]
    return np.random.default_rng(0).choice(lengths, n, replace=False).tolist()


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--regions", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8, help="regions per padded batch")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig()).eval()
    budget = MAX_TOKENS["cpu"]

    tokens = torch.randint(0, 5, (3, 500), dtype=torch.uint8)
    packed = encoder(tokens.flatten(), torch.arange(4) * 500)
    plain = plain_forward(encoder, tokens).flatten(0, 1)
    error = ((packed - plain).norm() / plain.norm()).item()
    print(f"same result: relative difference {error:.1e}")

    workloads = {
        "1,000 bp": [1000] * arguments.regions,
        "mixed": real_lengths(arguments.data, arguments.regions),
    }
    print("| lengths | regions | bp | plain, regions/s | packed, regions/s | ratio (min-max) |")
    print("|---|---|---|---|---|---|")
    for name, lengths in workloads.items():
        times: dict[str, list[float]] = {"plain": [], "packed": []}
        for _ in range(arguments.rounds + 1):  # the first round warms up
            for which in times:
                started = time.perf_counter()
                if which == "plain":
                    run_plain(encoder, lengths, arguments.batch)
                else:
                    run_packed(encoder, lengths, budget)
                times[which].append(time.perf_counter() - started)
        plain_s, packed_s = times["plain"][1:], times["packed"][1:]
        ratios = [a / b for a, b in zip(plain_s, packed_s, strict=True)]
        n = len(lengths)
        print(
            f"| {name} ({min(lengths)}-{max(lengths)}) | {n} | {sum(lengths)} "
            f"| {n / statistics.median(plain_s):.1f} | {n / statistics.median(packed_s):.1f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) |"
        )


if __name__ == "__main__":
    main()
