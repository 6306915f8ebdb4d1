"""The only inference loop: regions in, batches through the encoder, vectors out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from findna.genome.batching import Batch, Item, Sequences, SequenceSource, batches
from findna.genome.encoding import Tokens
from findna.genome.windows import Region
from findna.model.devices import Compute
from findna.model.encoder import Encoder
from findna.model.pooling import Pooler, Pooling
from findna.outputs.results import RegionVectors


def forward_batches(
    encoder: Encoder, packed: Iterable[Batch[Item]], compute: Compute, *, every_layer: bool = False
) -> Iterator[tuple[Batch[Item], Tensor]]:
    """Yield each batch, in order, with its hidden states (total, dim).

    They are those of embeddings; with ``every_layer`` those of the last layer, which the
    masked-nucleotide head reads. On a GPU the next batch is read while the one before is computed.
    """
    device, amp = compute.device, compute.autocast()
    encoder = encoder.to(device).eval()
    waiting: tuple[Batch[Item], Tensor] | None = None
    for batch in packed:
        with torch.inference_mode(), amp:
            tokens = torch.from_numpy(batch.tokens).to(device, non_blocking=True)
            offsets = torch.from_numpy(batch.offsets).to(device, non_blocking=True)
            if not len(tokens):  # rows without a sequence
                hidden = torch.empty((0, encoder.config.dim), device=device)
            else:
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
    rows: Iterable[tuple[Item, Region | None]],
    source: SequenceSource,
    encoder: Encoder,
    pooling: Pooling,
    compute: Compute,
    *,
    whole: bool = False,
) -> Iterator[tuple[Item, RegionVectors | None]]:
    """Yield each row with the vectors of its region, in the order of the rows.

    Rows are read as far as the next batch needs; one without a region has no vectors. With
    ``whole`` a region longer than the model's training length is encoded in one piece, not in
    tiles.
    """
    pooler: Pooler[Item] = Pooler(pooling, encoder.config.n_cls)
    packed = batches(
        rows,
        source,
        max_tokens=compute.budget,
        longest=None if whole else encoder.config.max_length,
        n_cls=encoder.config.n_cls,
        both_strands=pooling.both_strands,
    )
    for batch, hidden in forward_batches(encoder, packed, compute):
        yield from pooler(hidden, batch)


def mean_vectors(
    encoder: Encoder, sequences: Sequence[Tokens], compute: Compute, *, both_strands: bool = False
) -> npt.NDArray[np.float32]:
    """Return the mean vector of each sequence; shape (n, dim)."""
    source, pooling = Sequences(sequences), Pooling(both_strands=both_strands)
    rows = region_vectors(source.rows(), source, encoder, pooling, compute)
    return np.stack([vectors.pooled["mean"] for _, vectors in rows if vectors is not None])
