"""The only inference loop: batches in, hidden states out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from findna.batching import Batch
from findna.model.encoder import Encoder

PRECISIONS = ("fp32", "bf16")

MAX_TOKENS = {"cpu": 8_192, "mps": 65_536, "cuda": 262_144}
"""Default token budget of a batch: on a CPU, about what its caches hold (docs/benchmarks.md)."""


def forward_batches(
    encoder: Encoder,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    precision: str = "fp32",
) -> Iterator[tuple[Batch, Tensor]]:
    """Hidden states (total, dim) of each batch, in order.

    On a GPU the next batch is read while the one before is computed.
    """
    encoder = encoder.to(device).eval()
    amp = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
    waiting: tuple[Batch, Tensor] | None = None
    for batch in batches:
        with torch.inference_mode(), amp:
            tokens = torch.from_numpy(batch.tokens).to(device, non_blocking=True)
            offsets = torch.from_numpy(batch.offsets).to(device, non_blocking=True)
            hidden = encoder.embed(tokens, offsets)
        if device.type == "cpu":
            yield batch, hidden
            continue
        if waiting is not None:
            yield waiting
        waiting = (batch, hidden)
    if waiting is not None:
        yield waiting
