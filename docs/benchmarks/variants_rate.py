"""Rate of `findna variants` against scoring one variant after the other, in one run.

One by one is what one writes first: for each allele and strand, the model on one window at a time
(reference, alternate, and a masked window for each). "Plain" has the layers as the paper's code has
them (`F.linear`, GELU, split, roll, concatenate); "same kernels" is findna's own encoder, so that
what is left is what batching and the sharing of windows save. All three give the same scores;
files are not written. Times are those of the clock: run it on an idle machine.

    python docs/benchmarks/variants_rate.py GENOME.fa VCF --records 120 --window 32 512
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from findna.genome.encoding import NUCLEOTIDES
from findna.genome.fasta import Genome
from findna.model.checkpoint import Checkpoint, load_checkpoint
from findna.model.devices import Compute, describe, resolve_device
from findna.model.encoder import Encoder
from findna.variants.alleles import Examiner
from findna.variants.haplotypes import Haplotype, Pair
from findna.variants.scores import Scorer, cosine_distance, scored
from findna.variants.vcf import VcfSource

CHANNEL = {token: i for i, token in enumerate(NUCLEOTIDES)}


def plain_forward(encoder: Encoder, tokens: Tensor, n_layers: int) -> Tensor:
    """Hidden states of one window; n_layers 0 is all of them and the last normalisation."""
    config = encoder.config
    rows = F.one_hot(tokens.long(), 6)[..., :5].float()
    hidden = F.linear(rows, encoder.embedding.weight, encoder.embedding.bias)
    layers = [layer for block in encoder.mixer.blocks for layer in block]
    for layer in layers[: n_layers or None]:
        x = hidden if layer.norm is None else layer.norm(hidden)
        x = F.linear(F.gelu(F.linear(x, layer.fc1.weight, layer.fc1.bias)),
                     layer.fc2.weight, layer.fc2.bias)  # fmt: skip
        tracks = x.split(config.track_size, dim=-1)
        rolled = [torch.roll(t, -(2**i), dims=0) for i, t in enumerate(tracks[1:])]
        hidden = hidden + torch.cat([tracks[0], *rolled], dim=-1)
    return hidden if n_layers or encoder.mixer.norm is None else encoder.mixer.norm(hidden)


class OneByOne:
    """Four windows per strand, each a call of the model of its own."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, plain: bool) -> None:
        self.model = checkpoint.model.to(device)
        self.device = device
        self.plain = plain

    def hidden(self, tokens: np.ndarray, readout: bool) -> torch.Tensor:
        encoder = self.model.encoder
        full = np.append(tokens, np.full(encoder.config.n_cls, 5, np.uint8))
        packed = torch.from_numpy(full).to(self.device)
        n_layers = encoder.config.readout if readout else 0
        if self.plain:
            return plain_forward(encoder, packed, n_layers)[: len(tokens)]
        offsets = torch.tensor([0, len(full)], device=self.device)
        return encoder(packed, offsets, n_layers)[: len(tokens)]

    def likelihood(self, haplotype: Haplotype) -> float:
        if len(haplotype.allele) == 0:
            return 0.0
        hidden = self.hidden(haplotype.blanked(), readout=False)[haplotype.start : haplotype.end]
        logits = self.model.masked_nucleotide(hidden)[:, list(NUCLEOTIDES)]
        logp = F.log_softmax(logits.double(), 1).cpu()
        return sum(float(logp[i, CHANNEL[int(x)]]) for i, x in enumerate(haplotype.allele))

    def __call__(self, pairs: tuple[Pair, ...]) -> list[float]:
        means, ratio = [], 0.0
        for side in (0, 1):
            both = [self.hidden(p[side].tokens, readout=True).mean(0).cpu().numpy() for p in pairs]
            means.append(np.mean(both, 0, np.float64))
        for ref, alt in pairs:
            ratio += (self.likelihood(alt) - self.likelihood(ref)) / 2
        return [cosine_distance(*means), ratio]


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("genome", type=Path)
    parser.add_argument("vcf")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--window", type=int, nargs="+", default=[512])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--max-tokens", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = resolve_device(arguments.device)
    checkpoint = load_checkpoint(arguments.model)
    max_tokens = arguments.max_tokens or (8_192 if device.type == "cpu" else 262_144)
    scorer = Scorer(checkpoint, compute=Compute(device, max_tokens=max_tokens))
    alone = {
        "one by one, plain": OneByOne(checkpoint, device, plain=True),
        "one by one, same kernels": OneByOne(checkpoint, device, plain=False),
    }
    print(f"{describe(device)}")
    print("| window | | alleles/s | batched is faster by (min-max of the rounds) | "
          "largest difference |")  # fmt: skip
    print("|---|---|---|---|---|")
    with Genome(arguments.genome) as genome, VcfSource(arguments.vcf) as source:
        with source.open() as reader:
            records = list(islice(reader.records, arguments.records))
        for window in arguments.window:
            examiner = Examiner(genome, window)

            def batched(examiner: Examiner) -> list[list[float]]:
                items = (examiner.examine(record) for record in records)
                found = scored(items, scorer, 4 * max_tokens)
                return [effect.values for _, effects in found for effect in effects if effect]

            def one_by_one(score: OneByOne, examiner: Examiner) -> list[list[float]]:
                items = (examiner.examine(record) for record in records)
                return [score(found[0]) for item in items for found in item.windows if found]

            runs = {name: partial(one_by_one, score, examiner) for name, score in alone.items()}
            report(window, runs | {"batched": partial(batched, examiner)}, arguments.rounds)


def report(window: int, runs: dict[str, Callable[[], list[list[float]]]], rounds: int) -> None:
    """Run all in turn, several times, and print a row for each."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    scores = {}
    for _ in range(rounds + 1):  # the first round warms up
        for name, run in runs.items():
            started = time.perf_counter()
            scores[name] = np.array(run())
            times[name].append(time.perf_counter() - started)
    for name in runs:
        rate = len(scores[name]) / statistics.median(times[name][1:])
        ratios = [a / b for a, b in zip(times[name][1:], times["batched"][1:], strict=True)]
        difference = np.abs(scores[name] - scores["batched"]).max()
        print(
            f"| {window} | {name} | {rate:.1f} | {statistics.median(ratios):.2f} ("
            f"{min(ratios):.2f}-{max(ratios):.2f}) | {difference:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
