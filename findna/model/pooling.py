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
from typing import Any, Generic

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from findna.genome.batching import Batch, Item, Piece
from findna.model.devices import sent
from findna.outputs.results import RegionVectors

Array = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
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

    def spans(self, lengths: npt.ArrayLike) -> Spans:
        """Return the spans to average for regions of these lengths; shape (..., n_spans, 2), in bp.

        First the whole region, then its middle if ``center`` is wanted, then the bins.
        """
        length = np.asarray(lengths)[..., None]
        starts, ends = [0.0 * length], [1.0 * length]
        if "center" in self.kinds:
            width = np.minimum(CENTER_WIDTH, length)
            starts.append((length - width) / 2)
            ends.append((length + width) / 2)
        edges = np.arange(self.bins + 1) * length / max(self.bins, 1)
        starts.append(edges[..., :-1])
        ends.append(edges[..., 1:])
        return np.stack((np.concatenate(starts, -1), np.concatenate(ends, -1)), -1)


def segment_sums(hidden: Tensor, starts: Integers, ends: Integers) -> Tensor:
    """Sum rows [start, end) of hidden states; (total, dim) -> (n, dim), float32.

    Segments are ascending and do not overlap; an empty one sums to 0.
    """
    hidden = hidden.float()
    if hidden.device.type == "cpu":  # slices are several times faster than segment_reduce here
        return torch.stack(
            [hidden[a:b].sum(0) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        )
    edges = np.stack((starts, ends), axis=1).ravel()
    offsets = sent(edges, hidden.device)
    return torch.segment_reduce(hidden, "sum", offsets=offsets, axis=0, initial=0)[::2]


def _moments(hidden: Tensor, starts: Integers, ends: Integers) -> npt.NDArray[np.float64]:
    """Return sum and sum of squares over each window; (total, dim) -> (n, 2, dim).

    In float64: a variance is a small difference of large sums.
    """
    rows = hidden.cpu() if hidden.device.type == "mps" else hidden  # which has no float64
    parts = [rows[a:b].double() for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    return torch.stack([torch.stack((x.sum(0), x.square().sum(0))) for x in parts]).cpu().numpy()


@dataclass
class _Regions:
    """Sums over the windows of some regions seen so far; strand 1 is the reverse complement."""

    length: Integers  # (n,)
    spans: Spans  # (n, n_spans, 2)
    n_unknown: Integers  # (n,)
    sums: npt.NDArray[np.float64]  # (n, strands, n_spans, dim)
    moments: npt.NDArray[np.float64]  # (n, strands, 2, dim)
    cls: npt.NDArray[np.float64]  # (n, strands, dim)
    max: Array  # (n, strands, dim)
    per_base: list[Array]  # each (length, dim); empty unless asked for

    @classmethod
    def new(cls, lengths: list[int], pooling: Pooling, dim: int) -> _Regions:
        """Return regions of which nothing was seen."""
        n, strands = len(lengths), 2 if pooling.both_strands else 1
        length = np.array(lengths, np.int64)
        spans = pooling.spans(length)
        return _Regions(
            length,
            spans,
            np.zeros(n, np.int64),
            np.zeros((n, strands, spans.shape[1], dim)),
            np.zeros((n, strands, 2, dim)),
            np.zeros((n, strands, dim)),
            np.full((n, strands, dim), -np.inf, dtype=np.float32),
            [np.zeros((m, dim), np.float32) for m in lengths] if pooling.per_base else [],
        )

    def followed_by(self, others: _Regions) -> _Regions:
        """Return these regions and others."""
        pairs = zip(vars(self).values(), vars(others).values(), strict=True)
        columns: list[Any] = [
            a + b if isinstance(a, list) else np.concatenate((a, b)) for a, b in pairs
        ]
        return _Regions(*columns)

    @property
    def last(self) -> _Regions:
        """The last region alone."""
        return _Regions(*(column[-1:] for column in vars(self).values()))


class Pooler(Generic[Item]):
    """Vectors of rows, made of the hidden states of batches as the last windows come in.

    Only the sums of one unfinished region are held: memory does not grow with the number of rows.
    """

    def __init__(self, pooling: Pooling, n_cls: int) -> None:
        self.pooling = pooling
        self.n_cls = n_cls
        self._open: _Regions | None = None  # the unfinished one
        self._missing = 0  # of its bases, on all strands

    def __call__(
        self, hidden: Tensor, batch: Batch[Item]
    ) -> Iterator[tuple[Item, RegionVectors | None]]:
        """Yield the rows that are complete with this batch; ``hidden`` is (total, dim), float."""
        pieces = [piece for piece in batch.pieces if piece.window is not None]
        if not pieces:
            yield from ((piece.item, None) for piece in batch.pieces)
            return
        regions, numbers = self._regions(pieces, hidden.shape[1])
        with torch.inference_mode():
            self._add(hidden, batch, pieces, regions, np.array(numbers))
        n_complete = len(regions.length) - (self._missing > 0)
        self._open = regions.last if self._missing else None
        vectors = self._finish(regions, n_complete)
        lasts = [a != b for a, b in pairwise([*numbers, None])]
        windows = zip(numbers, lasts, strict=True)
        for piece in batch.pieces:
            if piece.window is None:
                yield piece.item, None
                continue
            number, is_last = next(windows)
            if is_last and number < n_complete:
                yield piece.item, vectors[number]

    def _regions(self, pieces: Sequence[Piece[Item]], dim: int) -> tuple[_Regions, list[int]]:
        """Return the regions of windows, and the number of each window's region among them.

        The first may have begun in the batch before, the last may go on in the next.
        """
        number, numbers = 0 if self._open is not None else -1, []
        lengths, strands = [], 2 if self.pooling.both_strands else 1
        for piece in pieces:
            if self._missing == 0:
                assert piece.window is not None
                lengths.append(len(piece.window.region))
                self._missing = strands * lengths[-1]
                number += 1
            numbers.append(number)
            self._missing -= len(piece)
        regions = _Regions.new(lengths, self.pooling, dim)
        return (regions if self._open is None else self._open.followed_by(regions)), numbers

    def _add(
        self,
        hidden: Tensor,
        batch: Batch[Item],
        pieces: Sequence[Piece[Item]],
        regions: _Regions,
        numbers: Integers,
    ) -> None:
        """Add the windows of a batch to their regions, of these numbers."""
        kinds = self.pooling.kinds
        bases, first, end = self._in_reading_order(hidden, batch, pieces)
        lengths = end - first
        places = numbers, np.array([piece.flipped for piece in pieces], np.int64)
        np.add.at(regions.n_unknown, numbers, [piece.n_unknown for piece in pieces])
        starts = np.array([piece.start for piece in pieces])
        sums = self._span_sums(
            bases, first, lengths, regions.spans[numbers] - starts[:, None, None]
        )
        np.add.at(regions.sums, places, sums)
        if "std" in kinds:
            np.add.at(regions.moments, places, _moments(bases, first, end))
        if "cls" in kinds:
            ends = batch.offsets[1:]
            cls = segment_sums(hidden, ends - self.n_cls, ends).double().cpu().numpy() / self.n_cls
            np.add.at(regions.cls, places, lengths[:, None] * cls)
        windows = list(zip(first.tolist(), end.tolist(), strict=True))
        if "max" in kinds:
            highest = torch.stack([bases[a:b].amax(0) for a, b in windows])
            np.maximum.at(regions.max, places, highest.float().cpu().numpy())
        if regions.per_base:
            rows = bases.float().cpu().numpy()
            for number, start, (a, b) in zip(numbers, starts, windows, strict=True):
                regions.per_base[number][start : start + b - a] += rows[a:b]

    def _in_reading_order(
        self, hidden: Tensor, batch: Batch[Item], pieces: Sequence[Piece[Item]]
    ) -> tuple[Tensor, Integers, Integers]:
        """Return hidden states, and the first and last rows of each window's bases among them.

        Those of flipped windows are turned round again.
        """
        starts, ends = batch.offsets[:-1], batch.offsets[1:] - self.n_cls
        if not self.pooling.both_strands:
            return hidden, starts, ends
        rows = [
            np.arange(end - 1, start - 1, -1) if piece.flipped else np.arange(start, end)
            for piece, start, end in zip(pieces, starts.tolist(), ends.tolist(), strict=True)
        ]
        order = sent(np.concatenate(rows), hidden.device)
        edges = np.concatenate(([0], np.cumsum(ends - starts)))
        return hidden.index_select(0, order), edges[:-1], edges[1:]

    def _span_sums(
        self, bases: Tensor, first: Integers, lengths: Integers, spans: Spans
    ) -> npt.NDArray[np.float64]:
        """Sum over the part of each span inside each window; shape (n, n_spans, dim).

        A span from a to b is the bases floor(a) to floor(b) - 1, less the part of base floor(a)
        before a, plus the part of base floor(b) before b.

        Parameters
        ----------
        first, lengths : ndarray, shape (n,)
            First base of each window, and their number.
        spans : ndarray, shape (n, n_spans, 2)
            Those of its region, counted from its own first base.
        """
        edges = spans.clip(0, lengths[:, None, None])
        whole = np.floor(edges).astype(np.int64)
        rows, part = first[:, None, None] + whole, edges - whole
        n, n_spans, dim = len(first), edges.shape[1], bases.shape[1]
        # spans of one group do not overlap: the whole, the middle, and all bins together
        groups = [[k] for k in range(n_spans - self.pooling.bins)]
        if self.pooling.bins:
            groups.append(list(range(n_spans - self.pooling.bins, n_spans)))
        sums = []
        for group in groups:
            low, high = rows[:, group, 0].ravel(), rows[:, group, 1].ravel()
            sums.append(segment_sums(bases, low, high).view(n, len(group), dim))
        total = torch.cat(sums, dim=1)  # (n, n_spans, dim)
        if part.any():
            at_edge = bases[sent(rows.clip(max=len(bases) - 1), bases.device)]
            weight = sent(part.astype(np.float32), bases.device)
            cut = at_edge.float() * weight[..., None]  # (n, n_spans, 2, dim)
            total = total + cut[:, :, 1] - cut[:, :, 0]
        return total.double().cpu().numpy()

    def _finish(self, regions: _Regions, n: int) -> list[RegionVectors]:
        """Return the vectors of the first ``n`` regions, which are complete."""
        kinds = self.pooling.kinds
        widths = regions.spans[:n, :, 1] - regions.spans[:n, :, 0]
        means = (regions.sums[:n].mean(1) / widths[..., None]).astype(np.float32)
        length = regions.length[:n, None]
        vectors = {"mean": means[:, 0]}
        if "center" in kinds:
            vectors["center"] = means[:, 1]
        if "max" in kinds:
            vectors["max"] = regions.max[:n].mean(1)
        if "std" in kinds:
            first, second = np.moveaxis(regions.moments[:n] / length[..., None, None], 2, 0)
            variances = (second - first**2).clip(min=0)
            vectors["std"] = np.sqrt(variances).mean(1).astype(np.float32)
        if "cls" in kinds:
            vectors["cls"] = (regions.cls[:n].mean(1) / length).astype(np.float32)
        bins = means[:, means.shape[1] - self.pooling.bins :]
        strands = regions.sums.shape[1]
        per_base = [(part / strands).astype(np.float16) for part in regions.per_base[:n]]
        return [
            RegionVectors(
                regions.length.item(i),
                regions.n_unknown.item(i),
                {kind: vectors[kind][i] for kind in kinds},
                bins[i],
                per_base[i] if per_base else None,
            )
            for i in range(n)
        ]
