"""Time of the parts of one batch, and the share of a large product's rate that is reached.

    python docs/benchmarks/encoder_profile.py

Processor time of one thread: the products of the MLPs, and the rest of a layer (normalisation,
rotation, sums), for 8 windows of 1 kb through the shipped model; beside them one product of 4,096
by 4,096 matrices through the same operator. Medians of some turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from findna.model.checkpoint import load_checkpoint
from findna.model.chordmixer import Rotation
from findna.model.devices import Compute
from findna.model.linear import mlp

N_WINDOWS, WINDOW, ROUNDS, LARGE = 8, 1_000, 9, 4_096


def seconds(run: Callable[[], object]) -> float:
    """Processor time of a turn, the median of some."""
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return statistics.median(times[1:])


def main() -> None:
    torch.set_num_threads(1)
    encoder = load_checkpoint("tiny").model.encoder.eval()
    config, total = encoder.config, N_WINDOWS * WINDOW
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(rng.integers(0, 4, total).astype(np.uint8))
    offsets = torch.arange(N_WINDOWS + 1) * WINDOW
    layers = list(islice(encoder.mixer.layers(), config.readout or None))
    work = 4 * total * config.dim * config.hidden * len(layers)  # multiplications and additions
    large = torch.randn(LARGE, LARGE)
    print(
        "| precision | ms | products | rotation | normalisation | the rest "
        "| GFLOP/s of the products | of a large product | share reached |"
    )
    print("|---" * 9 + "|")
    for precision in ("fp32", "bf16"):
        with torch.inference_mode(), Compute(torch.device("cpu"), precision).autocast():
            kind = torch.bfloat16 if precision == "bf16" else torch.float32
            hidden = torch.randn(total, config.dim).to(kind)
            rotation = Rotation(offsets, total, config.n_tracks, config.track_size)

            def products(hidden: Tensor = hidden) -> None:
                for layer in layers:
                    mlp(hidden, layer.fc1.weight, layer.fc1.bias, layer.fc2.weight, layer.fc2.bias)

            def norms(hidden: Tensor = hidden) -> None:
                for layer in layers:
                    layer.norm(hidden)

            def rotations(hidden: Tensor = hidden, rotation: Rotation = rotation) -> None:
                for _ in layers:
                    rotation(hidden)

            x = large.to(kind)
            ceiling = (
                2
                * LARGE**3
                / seconds(
                    lambda x=x: torch.ops.mkldnn._linear_pointwise(x, x, None, "none", [], "none")
                )
            )
            whole = seconds(lambda: encoder.embed(tokens, offsets))
            parts = [seconds(run) for run in (products, rotations, norms)]
            rate = work / parts[0]
            shares = " | ".join(f"{part / whole:.0%}" for part in [*parts, whole - sum(parts)])
            print(
                f"| {precision} | {1e3 * whole:.0f} | {shares} | {rate / 1e9:.0f} "
                f"| {ceiling / 1e9:.0f} | {rate / ceiling:.0%} |"
            )


if __name__ == "__main__":
    main()
