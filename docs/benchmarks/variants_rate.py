"""Rates of `findna variants` and `findna explain`, and what each of their savings is worth.

Three ways to the same numbers, in turn and in one run. "One by one" is what one writes first: for
each allele and strand the model on one window at a time (reference, alternate, and a masked window
of each), with the layers as the paper's code has them (`F.linear`, GELU, split, roll,
concatenate). "Every state" batches windows and encodes equal ones once, but computes each layer at
each position. "Findna" computes only states that differ and that are read (`findna.model.sharing`).

Times are those of the processor. Rows are those that the MLPs of all layers compute, for each
allele or replacement: what is necessary, and a bound of what can be gained. Files are not written.

    python docs/benchmarks/variants_rate.py GENOME.fa VCF --records 120 --window 128 512
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import findna.model.chordmixer
import findna.model.inference
from findna.genome.encoding import NUCLEOTIDES
from findna.genome.fasta import Genome
from findna.model.checkpoint import Checkpoint, load_checkpoint
from findna.model.devices import Compute, describe, resolve_device
from findna.model.encoder import Encoder
from findna.model.sharing import Read
from findna.tasks.task import load_task
from findna.variants.alleles import Examiner
from findna.variants.haplotypes import Haplotype, Pair
from findna.variants.mutagenesis import Stretch, masked_effects, task_effects
from findna.variants.scores import Scorer, cosine_distance, scored
from findna.variants.vcf import VcfRecord, VcfSource

CHANNEL = {token: i for i, token in enumerate(NUCLEOTIDES)}
TASK, TASK_WINDOW = "promoter", 300


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

    def __init__(self, checkpoint: Checkpoint, compute: Compute) -> None:
        self.model = checkpoint.model.to(compute.device)
        self.compute = compute

    def hidden(self, tokens: np.ndarray, readout: bool) -> torch.Tensor:
        encoder = self.model.encoder
        full = np.append(tokens, np.full(encoder.config.n_cls, 5, np.uint8))
        packed = torch.from_numpy(full).to(self.compute.device)
        n_layers = encoder.config.readout if readout else 0
        with self.compute.autocast():
            return plain_forward(encoder, packed, n_layers)[: len(tokens)].float()

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


def every_state(
    encoder: Encoder, tokens: Tensor, offsets: Tensor, reads: list[Read]
) -> list[Tensor]:
    """Hidden states without sharing: each window that is read through all the layers it takes."""
    found = []
    for n_layers, positions in reads:
        if positions is None:
            positions = torch.arange(len(tokens), device=tokens.device)
        hidden = torch.empty((len(tokens), encoder.config.dim), device=tokens.device)
        read = torch.zeros(len(offsets) - 1, dtype=torch.bool, device=tokens.device)
        read[torch.searchsorted(offsets, positions, right=True) - 1] = True
        sizes = offsets.diff()
        chosen = read.repeat_interleave(sizes)
        if len(positions):
            packed = F.pad(sizes[read].cumsum(0), (1, 0))
            hidden[chosen] = encoder(tokens[chosen], packed, n_layers).float()
        found.append(hidden[positions])
    return found


@contextmanager
def computing(states: Callable[..., list[Tensor]]) -> Iterator[None]:
    """Let findna compute hidden states in this way."""
    usual = findna.model.inference.shared_states
    findna.model.inference.shared_states = states
    try:
        yield
    finally:
        findna.model.inference.shared_states = usual


class Rows:
    """Number of rows that the MLPs of findna's layers have computed."""

    def __init__(self) -> None:
        self.n, self.mlp = 0, findna.model.chordmixer.mlp
        findna.model.chordmixer.mlp = self

    def __call__(self, x: Tensor, *weights: Tensor) -> Tensor:
        self.n += len(x)
        return self.mlp(x, *weights)


Run = Callable[[], np.ndarray]


def variant_runs(
    records: list[VcfRecord], examiner: Examiner, checkpoint: Checkpoint, compute: Compute
) -> dict[str, Run]:
    """Three ways to the scores of all alleles; each gives (n_alleles, n_scores)."""
    scorer, alone = Scorer(checkpoint, compute=compute), OneByOne(checkpoint, compute)

    def batched() -> np.ndarray:
        found = scored(map(examiner.examine, records), scorer, 4 * compute.budget)
        return np.array([effect.values[:2] for _, effects in found for effect in effects if effect])

    def one_by_one() -> np.ndarray:
        items = map(examiner.examine, records)
        return np.array([alone(found[0]) for item in items for found in item.windows if found])

    return {"one by one": one_by_one, **two_ways(batched)}


def explain_runs(
    effects: Callable[[list[tuple[None, Stretch]]], Iterator], stretch: Stretch
) -> dict[str, Run]:
    """Two ways to the changes of all bases of a stretch; each gives (n_replacements, 1)."""

    def changes() -> np.ndarray:
        ((_, found),) = effects([(None, stretch)])
        return found.changes[stretch.known][~stretch.is_there][:, None]

    return two_ways(changes)


def two_ways(run: Run) -> dict[str, Run]:
    """A run without and with sharing."""

    def without() -> np.ndarray:
        with computing(every_state):
            return run()

    return {"every state": without, "findna": run}


def report(what: str, precision: str, runs: dict[str, Run], rounds: int, rows: Rows) -> None:
    """Run all in turn, several times, and print a row of the table for each."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    values, computed = {}, {}
    for _ in range(rounds + 1):  # the first round warms up
        for name, run in runs.items():
            rows.n, started = 0, time.process_time()
            values[name] = run()
            times[name].append(time.process_time() - started)
            computed[name] = rows.n / len(values[name])
    for name in runs:
        rate = len(values[name]) / statistics.median(times[name][1:])
        ratios = [a / b for a, b in zip(times[name][1:], times["findna"][1:], strict=True)]
        difference = np.abs(values[name] - values["findna"]).max()
        necessary = f"{computed[name]:,.0f}" if computed[name] else ""
        print(
            f"| {what} | {precision} | {name} | {rate:.1f} | {statistics.median(ratios):.2f} ("
            f"{min(ratios):.2f}-{max(ratios):.2f}) | {necessary} | {difference:.1e} |",
            flush=True,
        )


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("genome", type=Path)
    parser.add_argument("vcf")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--window", type=int, nargs="+", default=[512])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--max-tokens", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = resolve_device(arguments.device)
    checkpoint, task, rows = load_checkpoint(arguments.model), load_task(TASK), Rows()
    print(f"{describe(device)}\n")
    print("| what | precision | | per second | findna is faster by (min-max) | rows of MLPs | "
          "largest difference |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    with Genome(arguments.genome) as genome, VcfSource(arguments.vcf) as source:
        with source.open() as reader:
            records = list(islice(reader.records, arguments.records))
        for window in arguments.window:
            examiner = Examiner(genome, window)
            tokens = next(pair for x in records for pair in examiner.examine(x).windows if pair)
            tokens = tokens[0][0][0].tokens  # of the first allele, reference, forward
            middle = (len(tokens) - TASK_WINDOW) // 2
            for precision in arguments.precision:
                compute = Compute(device, precision, arguments.max_tokens)
                likelihoods = partial(masked_effects, model=checkpoint.model, compute=compute)
                log_odds = partial(
                    task_effects, task=task, output=task.config.output(), compute=compute
                )
                kinds = {
                    f"alleles, {window} bp": variant_runs(records, examiner, checkpoint, compute),
                    f"replacements, likelihood, {window} bp": explain_runs(
                        likelihoods, Stretch(tokens, 0, len(tokens))
                    ),
                }
                if middle >= 0:
                    around = Stretch(tokens[middle : middle + TASK_WINDOW], 0, TASK_WINDOW)
                    kinds[f"replacements, {TASK}, {TASK_WINDOW} bp"] = explain_runs(
                        log_odds, around
                    )
                for what, runs in kinds.items():
                    report(what, precision, runs, arguments.rounds, rows)


if __name__ == "__main__":
    main()
