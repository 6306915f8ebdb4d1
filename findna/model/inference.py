"""The only inference loop: regions in, batches through the encoder, vectors out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from findna.genome.batching import Batch, Item, Sequences, SequenceSource, batches
from findna.genome.encoding import BLANK, NUCLEOTIDES, Tokens
from findna.genome.windows import Region
from findna.model.checkpoint import Model
from findna.model.devices import Compute, sent
from findna.model.encoder import Encoder
from findna.model.heads import MaskedNucleotideHead
from findna.model.pooling import Pooler, Pooling
from findna.model.sharing import all_states, shared_states
from findna.outputs.results import RegionVectors

LogProbabilities = npt.NDArray[np.float64]

Reads = Sequence[tuple[int, npt.NDArray[np.int64] | None]]
"""After how many layers (0: all, and the last normalisation), and which positions; None for all."""


def read_batches(
    encoder: Encoder, asked: Iterable[tuple[Batch[Item], Reads]], compute: Compute
) -> Iterator[tuple[Batch[Item], Reads, list[Tensor]]]:
    """Yield each batch, in order, with the hidden states of its reads; each (n_positions, dim).

    On a GPU a batch is handed out once the next one is read: it is computed meanwhile, and whoever
    reads its hidden states waits for nothing else. There nothing is shared: to find what could be
    makes the host wait.
    """
    device, amp = compute.device, compute.autocast()
    encoder = encoder.to(device).eval()
    states_of = shared_states if device.type == "cpu" else all_states
    waiting: tuple[Batch[Item], Reads, list[Tensor]] | None = None
    for batch, reads in asked:
        if waiting is not None:
            yield waiting
            waiting = None
        with torch.inference_mode(), amp:
            tokens, offsets = sent(batch.tokens, device), sent(batch.offsets, device)
            wanted = [(n, None if which is None else sent(which, device)) for n, which in reads]
            states = states_of(encoder, tokens, offsets, wanted)
        if device.type == "cpu":
            yield batch, reads, states
        else:
            waiting = (batch, reads, states)
    if waiting is not None:
        yield waiting


def forward_batches(
    encoder: Encoder, packed: Iterable[Batch[Item]], compute: Compute
) -> Iterator[tuple[Batch[Item], Tensor]]:
    """Yield each batch, in order, with the hidden states of embeddings; (total, dim)."""
    all_of_them: Reads = [(encoder.config.readout, None)]
    asked = ((batch, all_of_them) for batch in packed)
    for batch, _, (hidden,) in read_batches(encoder, asked, compute):
        yield batch, hidden


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


def read_windows(
    rows: Iterable[tuple[Item, Region | None]],
    source: SequenceSource,
    encoder: Encoder,
    poolings: Sequence[tuple[int, Pooling]],
    compute: Compute,
    head: MaskedNucleotideHead | None = None,
) -> Iterator[tuple[Item, list[RegionVectors] | LogProbabilities | None]]:
    """Yield each row with what is read of its region, a window: all in one pass.

    Parameters
    ----------
    poolings : sequence of (int, Pooling)
        Vectors to make of windows, and the layers after which they are read (0: all).
    head : MaskedNucleotideHead, optional
        Reads the windows of which bases are masked.

    Yields
    ------
    item : object
    read : list of RegionVectors, or ndarray, shape (n_masked, 4), float64
        One for each pooling; or, of a window with masked bases, their log-probabilities. Columns
        are A, C, G, T: the softmax leaves out the head's N. None without a region.
    """
    n_cls = encoder.config.n_cls
    packed = batches(rows, source, max_tokens=compute.budget, longest=None, n_cls=n_cls)

    def asked() -> Iterator[tuple[Batch[Item], Reads]]:
        for batch in packed:
            masked, n_masked = _masked(batch, n_cls)
            others = np.flatnonzero(np.repeat(n_masked == 0, np.diff(batch.offsets)))
            yield batch, [(0, masked), *((n_layers, others) for n_layers, _ in poolings)]

    poolers: list[Pooler[Item]] = [Pooler(pooling, n_cls) for _, pooling in poolings]
    for batch, _, (of_masked, *of_others) in read_batches(encoder, asked(), compute):
        _, n_masked = _masked(batch, n_cls)
        others = batch.only(n_masked == 0)
        pooled = [pooler(hidden, others) for pooler, hidden in zip(poolers, of_others, strict=True)]
        of_rows = zip(*pooled, strict=True)
        logp = np.empty((0, 4)) if head is None else _log_probabilities(head, of_masked)
        of_windows = iter(np.split(logp, np.cumsum(n_masked)[:-1]))
        for piece in batch.pieces:
            if piece.window is None:
                yield piece.item, None
            elif len(of_window := next(of_windows)):
                yield piece.item, of_window
            else:
                yield piece.item, [vectors for _, vectors in next(of_rows, ()) if vectors]


def masked_log_probabilities(
    rows: Iterable[tuple[Item, Region | None]],
    source: SequenceSource,
    model: Model,
    compute: Compute,
) -> Iterator[tuple[Item, LogProbabilities | None]]:
    """Yield each row with the log-probabilities of the masked bases of its region.

    Yields
    ------
    item : object
    log_probabilities : ndarray, shape (n_masked, 4), float64
        As of `read_windows`.
    """
    head = model.masked_nucleotide
    for item, read in read_windows(rows, source, model.encoder, (), compute, head):
        yield item, None if isinstance(read, list) else read


def _masked(batch: Batch[Any], n_cls: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the positions of masked bases, and the number of them in each window."""
    windows = batch.window_numbers(n_cls)
    masked = np.flatnonzero((batch.tokens == BLANK) & (windows >= 0))
    return masked, np.bincount(windows[masked], minlength=len(batch.offsets) - 1)


def _log_probabilities(head: MaskedNucleotideHead, hidden: Tensor) -> LogProbabilities:
    channels = sent(np.array(NUCLEOTIDES), hidden.device)
    with torch.inference_mode():
        logits = head.to(hidden.device)(hidden.float())[:, channels]
        logp: LogProbabilities = logits.cpu().double().log_softmax(1).numpy()
    return logp
