"""Hidden states of windows in, vectors of regions out.

Every pooling but ``max``, ``std`` and ``cls`` is a mean over a span of the region, in bp and
possibly ending between two bases: ``mean`` over all of it, ``center`` over its middle, bin k of N
over [k L/N, (k+1) L/N). A base cut by the end of a span counts with the part that lies inside. So
poolings are symmetric under reversal, and any region has any number of bins.

A tiled region is pooled as if its tiles' hidden states lay end to end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from findna.genome.batching import Batch, Item, Piece
from findna.outputs.results import RegionVectors

Array = npt.NDArray[np.float32]
Spans = npt.NDArray[np.float64]
POOLINGS = ("mean", "max", "std", "cls", "center")
CENTER_WIDTH = 64
"""Width of the middle that ``center`` averages, bp; all of a shorter region."""


@dataclass(frozen=True)
class Pooling:
    """Vectors to make of the hidden states of a region.

    Parameters
    ----------
    kinds : tuple of str
        Names out of POOLINGS.
    bins : int
        Number of equal bins; 0 for none.
    per_base : bool
        Keep the hidden states themselves.
    both_strands : bool
        Average every vector with that of the reverse complement.
    """

    kinds: tuple[str, ...] = ("mean",)
    bins: int = 0
    per_base: bool = False
    both_strands: bool = False

    def spans(self, length: int) -> Spans:
        """Return the spans to average for a region of ``length`` bp; shape (n, 2), in bp.

        First the whole region, then its middle if ``center`` is wanted, then the bins.
        """
        rows = [(0.0, float(length))]
        if "center" in self.kinds:
            width = min(CENTER_WIDTH, length)
            rows.append(((length - width) / 2, (length + width) / 2))
        edges = np.arange(self.bins + 1) * length / max(self.bins, 1)
        return np.concatenate([np.array(rows), np.stack((edges[:-1], edges[1:]), axis=1)])


def segment_sums(
    hidden: Tensor, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> Tensor:
    """Sum rows [start, end) of hidden states; (total, dim) -> (n, dim), float32.

    Segments are ascending and do not overlap; an empty one sums to 0.
    """
    hidden = hidden.float()
    if hidden.device.type == "cpu":  # slices are several times faster than segment_reduce here
        return torch.stack(
            [hidden[a:b].sum(0) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        )
    edges = np.stack((starts, ends), axis=1).ravel()
    offsets = torch.from_numpy(edges).to(hidden.device)
    return torch.segment_reduce(hidden, "sum", offsets=offsets, axis=0, initial=0)[::2]


def _moments(hidden: Tensor, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return sum and sum of squares over each window; (total, dim) -> (n, 2, dim).

    In float64: a variance is a small difference of large sums.
    """
    rows = hidden.cpu() if hidden.device.type == "mps" else hidden  # which has no float64
    parts = [rows[a:b].double() for a, b in pairwise(starts)]
    return torch.stack([torch.stack((x.sum(0), x.square().sum(0))) for x in parts]).cpu().numpy()


class _OpenRegion:
    """Sums over the windows of a region seen so far; strand 1 is the reverse complement."""

    def __init__(self, length: int, pooling: Pooling, dim: int) -> None:
        self.length = length
        self.spans = pooling.spans(self.length)
        strands = 2 if pooling.both_strands else 1
        self.missing = strands * self.length
        self.n_unknown = 0
        self.sums = np.zeros((strands, len(self.spans), dim))
        self.moments = np.zeros((strands, 2, dim))
        self.cls = np.zeros((strands, dim))
        self.max = np.full((strands, dim), -np.inf, dtype=np.float32)
        self.per_base = np.zeros((self.length, dim), dtype=np.float32) if pooling.per_base else None


class Pooler(Generic[Item]):
    """Vectors of rows, made of the hidden states of batches as the last windows come in.

    Only the sums of one unfinished region are held: memory does not grow with the number of rows.
    """

    def __init__(self, pooling: Pooling, n_cls: int) -> None:
        self.pooling = pooling
        self.n_cls = n_cls
        self._open: _OpenRegion | None = None

    def __call__(
        self, hidden: Tensor, batch: Batch[Item]
    ) -> Iterator[tuple[Item, RegionVectors | None]]:
        """Yield the rows that are complete with this batch; ``hidden`` is (total, dim), float."""
        pieces = [piece for piece in batch.pieces if piece.window is not None]
        if not pieces:
            yield from ((piece.item, None) for piece in batch.pieces)
            return
        cls = None
        if "cls" in self.pooling.kinds:
            ends = batch.offsets[1:]
            cls = segment_sums(hidden, ends - self.n_cls, ends).double().cpu().numpy() / self.n_cls
        bases = self._in_reading_order(hidden, batch, pieces)  # (sum of lengths, dim)
        starts = np.cumsum([0, *map(len, pieces)])
        regions = self._regions(pieces, hidden.shape[1])
        sums = self._span_sums(bases, starts, pieces, regions)
        moments = _moments(bases, starts) if "std" in self.pooling.kinds else None
        i = 0
        for piece in batch.pieces:
            if piece.window is None:
                yield piece.item, None
                continue
            region = regions[i]
            strand, rows = int(piece.flipped), bases[starts[i] : starts[i + 1]]
            region.sums[strand] += sums[i]
            region.n_unknown += piece.n_unknown
            if "max" in self.pooling.kinds:
                highest = rows.amax(0).float().cpu().numpy()
                np.maximum(region.max[strand], highest, out=region.max[strand])
            if moments is not None:
                region.moments[strand] += moments[i]
            if cls is not None:
                region.cls[strand] += len(piece) * cls[i]
            if region.per_base is not None:
                region.per_base[piece.window.start : piece.window.end] += rows.float().cpu().numpy()
            i += 1
            region.missing -= len(piece)
            if region.missing == 0:
                yield piece.item, self._finish(region)

    def _regions(self, pieces: Sequence[Piece[Item]], dim: int) -> list[_OpenRegion]:
        """Return the region of each window; one may have begun in the batch before."""
        regions = []
        missing = self._open.missing if self._open is not None else 0
        for piece in pieces:
            if missing == 0:
                assert piece.window is not None
                self._open = _OpenRegion(len(piece.window.region), self.pooling, dim)
                missing = self._open.missing
            assert self._open is not None
            regions.append(self._open)
            missing -= len(piece)
        return regions

    def _in_reading_order(
        self, hidden: Tensor, batch: Batch[Item], pieces: Sequence[Piece[Item]]
    ) -> Tensor:
        """Return hidden states of the bases alone, those of flipped windows turned round again."""
        if self.n_cls == 0 and not self.pooling.both_strands:
            return hidden
        rows = [
            np.arange(end - 1, start - 1, -1) if piece.flipped else np.arange(start, end)
            for piece, start, end in zip(
                pieces, batch.offsets[:-1], batch.offsets[1:] - self.n_cls, strict=True
            )
        ]
        return hidden.index_select(0, torch.from_numpy(np.concatenate(rows)).to(hidden.device))

    def _span_sums(
        self,
        bases: Tensor,
        starts: npt.NDArray[np.int64],
        pieces: Sequence[Piece[Item]],
        regions: Sequence[_OpenRegion],
    ) -> npt.NDArray[np.float64]:
        """Sum over the part of each span inside each window; shape (n, n_spans, dim).

        A span from a to b is the bases floor(a) to floor(b) - 1, less the part of base floor(a)
        before a, plus the part of base floor(b) before b.
        """
        edges = np.stack(
            [
                np.clip(region.spans - piece.start, 0, len(piece))
                for piece, region in zip(pieces, regions, strict=True)
            ]
        )  # (n, n_spans, 2) within the window
        whole = np.floor(edges).astype(np.int64)
        rows, part = starts[:-1, None, None] + whole, edges - whole
        n, n_spans, dim = len(pieces), edges.shape[1], bases.shape[1]
        # spans of one group do not overlap: the whole, the middle, and all bins together
        groups = [[k] for k in range(n_spans - self.pooling.bins)]
        if self.pooling.bins:
            groups.append(list(range(n_spans - self.pooling.bins, n_spans)))
        sums = []
        for group in groups:
            first, after = rows[:, group, 0].ravel(), rows[:, group, 1].ravel()
            sums.append(segment_sums(bases, first, after).view(n, len(group), dim))
        total = torch.cat(sums, dim=1)  # (n, n_spans, dim)
        if part.any():
            at_edge = bases[torch.from_numpy(rows.clip(max=len(bases) - 1)).to(bases.device)]
            weight = torch.from_numpy(part).to(bases.device, torch.float32)
            cut = at_edge.float() * weight[..., None]  # (n, n_spans, 2, dim)
            total = total + cut[:, :, 1] - cut[:, :, 0]
        return total.double().cpu().numpy()

    def _finish(self, region: _OpenRegion) -> RegionVectors:
        widths = region.spans[:, 1] - region.spans[:, 0]
        means = (region.sums.mean(0) / widths[:, None]).astype(np.float32)
        first, second = region.moments[:, 0] / region.length, region.moments[:, 1] / region.length
        vectors = {
            "mean": means[0],
            "center": means[1] if "center" in self.pooling.kinds else means[0],
            "max": region.max.mean(0),
            "std": np.sqrt((second - first**2).clip(min=0)).mean(0).astype(np.float32),
            "cls": (region.cls.mean(0) / region.length).astype(np.float32),
        }
        per_base = None
        if region.per_base is not None:
            per_base = (region.per_base / len(region.sums)).astype(np.float16)
        return RegionVectors(
            region.length,
            region.n_unknown,
            {kind: vectors[kind] for kind in self.pooling.kinds},
            means[len(means) - self.pooling.bins :],
            per_base,
        )
