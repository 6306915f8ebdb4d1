"""The only inference loop: regions in, batches through the encoder, vectors out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from findna.genome.batching import Batch, SequenceSource, batches
from findna.genome.windows import Region
from findna.model.devices import Compute
from findna.model.encoder import Encoder
from findna.model.pooling import Pooler, Pooling, RegionVectors


def forward_batches(
    encoder: Encoder,
    packed: Iterable[Batch],
    compute: Compute,
    *,
    every_layer: bool = False,
) -> Iterator[tuple[Batch, Tensor]]:
    """Hidden states (total, dim) of each batch, in order.

    On a GPU the next batch is read while the one before is computed.

    Parameters
    ----------
    every_layer : bool
        Those of the last layer, which the masked-nucleotide head reads, in place of those that
        embeddings are made of.
    """
    device, amp = compute.device, compute.autocast()
    encoder = encoder.to(device).eval()
    waiting: tuple[Batch, Tensor] | None = None
    for batch in packed:
        with torch.inference_mode(), amp:
            tokens = torch.from_numpy(batch.tokens).to(device, non_blocking=True)
            offsets = torch.from_numpy(batch.offsets).to(device, non_blocking=True)
            hidden = encoder(tokens, offsets) if every_layer else encoder.embed(tokens, offsets)
        if device.type == "cpu":
            yield batch, hidden
            continue
        if waiting is not None:
            yield waiting
        waiting = (batch, hidden)
    if waiting is not None:
        yield waiting


def region_vectors(
    regions: Iterable[Region],
    source: SequenceSource,
    encoder: Encoder,
    pooling: Pooling,
    compute: Compute,
    *,
    whole: bool = False,
) -> Iterator[RegionVectors]:
    """The vectors of each region, in the order of the regions.

    Parameters
    ----------
    regions : iterable of Region
        Numbered in ascending order; read as far as the next batch needs.
    whole : bool
        Encode regions longer than the model's training length in one piece instead of tiles.
    """
    pooler = Pooler(pooling, encoder.config.n_cls)
    packed = batches(
        regions,
        source,
        max_tokens=compute.budget,
        longest=None if whole else encoder.config.max_length,
        n_cls=encoder.config.n_cls,
        both_strands=pooling.both_strands,
    )
    for batch, hidden in forward_batches(encoder, packed, compute):
        yield from pooler(hidden, batch)
