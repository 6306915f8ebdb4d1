"""The encoder's products in 8 bits beside fp32 and bf16, in one run: rate, and closeness to fp32.

    python docs/benchmarks/int8.py GENOME.fa CONTIG

Weights have a scale per row; activations a static one, from other windows of the same contig
(largest value before the products, 99.99 % quantile between them). Both products go through
oneDNN's quantised linear layer, the GELU fused. Normalisation, rotation and sums are in bf16.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from findna.genome.fasta import Genome
from findna.model.checkpoint import load_checkpoint
from findna.model.chordmixer import MixerLayer, Rotation
from findna.model.devices import Compute
from findna.model.encoder import Encoder

N_WINDOWS, WINDOW, ROUNDS = 16, 1_000, 7
ZERO = 128  # of activations before the first product, which lie on both sides of 0
LEAST_GELU = -0.17


def eight_bits(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Packed weight, scale of each row, zero points."""
    scale = weight.abs().amax(1) / 127
    rounded = (weight / scale[:, None]).round().clamp(-128, 127).to(torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(rounded, None)
    return packed, scale.float(), torch.zeros(len(scale), dtype=torch.int64)


class Eight:
    """The layers of an encoder in 8 bits."""

    def __init__(self, encoder: Encoder, tokens: Tensor, offsets: Tensor) -> None:
        self.encoder, self.layers = encoder, []
        hidden, rotation = start(encoder, tokens, offsets)
        for layer in layers_of(encoder):
            x = layer.norm(hidden)
            between = F.gelu(layer.fc1(x))
            most = between.flatten().kthvalue(int(0.9999 * between.numel())).values
            step = float(most - LEAST_GELU) / 255
            scales = float(x.abs().max()) / 127, step, round(-LEAST_GELU / step)
            weights = eight_bits(layer.fc1.weight), eight_bits(layer.fc2.weight)
            self.layers.append((layer, scales, *weights))
            hidden = hidden + rotation(layer.fc2(between))

    def __call__(self, tokens: Tensor, offsets: Tensor) -> Tensor:
        product: Any = torch.ops.onednn.qlinear_pointwise.default
        hidden, rotation = start(self.encoder, tokens, offsets)
        hidden = hidden.bfloat16()
        for layer, (before, between, zero), first, second in self.layers:
            dim, norm = (len(layer.norm.weight),), layer.norm
            x = F.layer_norm(hidden, dim, norm.weight.bfloat16(), norm.bias.bfloat16()).float()
            x = torch.quantize_per_tensor(x, before, ZERO, torch.quint8).int_repr()
            x = product(x, before, ZERO, *first, layer.fc1.bias, between, zero, torch.uint8,
                        "gelu", [], "none")  # fmt: skip
            x = product(x, between, zero, *second, layer.fc2.bias, 1.0, 0, torch.bfloat16,
                        "none", [], "")  # fmt: skip
            hidden = hidden + rotation(x)
        return hidden


def start(encoder: Encoder, tokens: Tensor, offsets: Tensor) -> tuple[Tensor, Rotation]:
    """Embedded tokens and the rotation of the batch."""
    config = encoder.config
    hidden = F.linear(F.one_hot(tokens.long(), 6)[:, :5].float(), *encoder.embedding.parameters())
    return hidden, Rotation(offsets, len(tokens), config.n_tracks, config.track_size)


def layers_of(encoder: Encoder) -> list[MixerLayer]:
    return list(islice(encoder.mixer.layers(), encoder.config.readout or None))


def means(hidden: Tensor) -> Tensor:
    return hidden.float().view(N_WINDOWS, WINDOW, -1).mean(1)


@torch.inference_mode()
def main() -> None:
    warnings.simplefilter("ignore", UserWarning)  # torch: its quantised tensors are deprecated
    torch.set_num_threads(1)
    encoder = load_checkpoint("tiny").model.encoder.eval()
    rng = np.random.default_rng(0)
    batches = []
    with Genome(Path(sys.argv[1])) as genome:
        for _ in range(2):
            at = rng.integers(0, genome.contigs[sys.argv[2]] - WINDOW, N_WINDOWS).tolist()
            windows = [genome.fetch(sys.argv[2], start, start + WINDOW) for start in at]
            batches.append(torch.from_numpy(np.concatenate(windows)))
    offsets = torch.arange(N_WINDOWS + 1) * WINDOW
    eight = Eight(encoder, batches[0], offsets)

    def own(precision: str) -> Tensor:
        with Compute(torch.device("cpu"), precision).autocast():
            return encoder.embed(batches[1], offsets)

    runs: dict[str, Callable[[], Tensor]] = {
        "fp32": lambda: own("fp32"),
        "bf16": lambda: own("bf16"),
        "int8": lambda: eight(batches[1], offsets),
    }
    exact, times = means(runs["fp32"]()), {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            started = time.process_time()
            run()
            times[name].append(time.process_time() - started)
    print("| | regions/s | times fp32 | lowest cosine | largest relative difference |")
    print("|---|---|---|---|---|")
    for name, run in runs.items():
        vectors = means(run())
        apart = ((vectors - exact).norm(dim=1) / exact.norm(dim=1)).max()
        cosine = F.cosine_similarity(vectors, exact).min()
        rate, times_as_fast = N_WINDOWS / min(times[name]), min(times["fp32"]) / min(times[name])
        print(f"| {name} | {rate:.0f} | {times_as_fast:.2f} | {cosine:.6f} | {apart:.4f} |")


if __name__ == "__main__":
    main()
