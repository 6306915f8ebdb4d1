"""The genome as one flat array of token ids, and windows drawn from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from findna.encoding import SOFT_MASK, N, Tokens
from findna.errors import ConfigError, GenomeError

LONGEST_N_RUN = 10
"""A run of this many N ends a stretch: no window is drawn across it."""


class Sequences(Protocol):
    """What the corpus needs of a genome."""

    contigs: dict[str, int]

    def chunks(self, chrom: str) -> Iterable[Tokens]:
        """Token ids of a contig with its soft mask, piece by piece."""
        ...


class Windows(NamedTuple):
    """Windows of one length, each field of shape (n, length).

    Parameters
    ----------
    tokens : Tensor, uint8
    repeats : Tensor, bool
        Where the genome is soft-masked.
    nearby : Tensor, uint8
        What the teacher sees in their place: windows nearby, or the same ones.
    """

    tokens: Tensor
    repeats: Tensor
    nearby: Tensor


@dataclass(frozen=True)
class Stretch:
    """Part of a contig without long runs of N, as positions in the flat array."""

    contig: str
    start: int
    end: int


def _stretches(tokens: Tokens, contig: str, base: int) -> list[Stretch]:
    """Maximal stretches of one contig without ``LONGEST_N_RUN`` consecutive N."""
    is_n = np.concatenate(([False], tokens & ~np.uint8(SOFT_MASK) == N, [False]))
    edges = np.flatnonzero(np.diff(is_n.astype(np.int8)))
    runs = edges.reshape(-1, 2)
    runs = runs[runs[:, 1] - runs[:, 0] >= LONGEST_N_RUN]
    starts = np.concatenate(([0], runs[:, 1]))
    ends = np.concatenate((runs[:, 0], [len(tokens)]))
    return [
        Stretch(contig, base + int(start), base + int(end))
        for start, end in zip(starts, ends, strict=True)
        if end > start
    ]


class Corpus:
    """Token ids of all contigs end to end, memory-mapped, with the stretches to draw from.

    Parameters
    ----------
    tokens : Tensor, shape (total,), uint8
        Each with its soft mask (`findna.encoding.SOFT_MASK`).
    stretches : list of Stretch
    """

    def __init__(self, tokens: Tensor, stretches: Sequence[Stretch]) -> None:
        self.tokens = tokens
        self.stretches = list(stretches)
        self._starts: dict[tuple[int, str], tuple[Tensor, Tensor]] = {}

    @classmethod
    def build(cls, genome: Sequences, path: Path) -> Corpus:
        """Write a genome's token ids to ``path`` (one byte per bp) and map it.

        Raises
        ------
        GenomeError
            The genome holds nothing but N.
        """
        stretches, base = [], 0
        with path.open("wb") as file:
            for contig, length in genome.contigs.items():
                for chunk in genome.chunks(contig):
                    file.write(chunk.tobytes())
                file.flush()
                if length:
                    written = np.memmap(path, np.uint8, "r", offset=base, shape=(length,))
                    stretches += _stretches(written, contig, base)
                base += length
        if not stretches:
            raise GenomeError("the genome holds no A, C, G or T to train on")
        # "c" maps the file privately and writable, which torch asks for; nothing writes to it
        mapped: npt.NDArray[np.uint8] = np.memmap(path, np.uint8, "c", shape=(base,))
        return cls(torch.from_numpy(mapped), stretches)

    @property
    def n_bases(self) -> int:
        """Positions in all stretches, bp."""
        return sum(stretch.end - stretch.start for stretch in self.stretches)

    def only(self, contigs: Iterable[str], keep: bool = True) -> Corpus:
        """The stretches of these contigs, or (``keep=False``) of all others."""
        chosen = set(contigs)
        kept = [s for s in self.stretches if (s.contig in chosen) == keep]
        return Corpus(self.tokens, kept)

    def within(self, intervals: Iterable[tuple[str, int, int]], genome: Sequences) -> Corpus:
        """The parts of the stretches that lie in these intervals (sorted, not overlapping)."""
        base, bases = 0, {}
        for contig, length in genome.contigs.items():
            bases[contig] = base
            base += length
        by_contig: dict[str, list[tuple[int, int]]] = {}
        for contig, start, end in intervals:
            by_contig.setdefault(contig, []).append((bases[contig] + start, bases[contig] + end))
        kept = [
            Stretch(stretch.contig, max(start, stretch.start), min(end, stretch.end))
            for stretch in self.stretches
            for start, end in by_contig.get(stretch.contig, [])
            if max(start, stretch.start) < min(end, stretch.end)
        ]
        return Corpus(self.tokens, kept)

    def to(self, device: torch.device) -> Corpus:
        """The same corpus with its tokens on a device."""
        return Corpus(self.tokens.to(device), self.stretches)

    def check_length(self, length: int) -> None:
        """Raise ConfigError unless a window of this length (bp) fits somewhere."""
        if not any(s.end - s.start >= length for s in self.stretches):
            longest = max((s.end - s.start for s in self.stretches), default=0)
            raise ConfigError(
                f"no stretch of sequence is {length} bp long (longest: {longest}); "
                "draw shorter windows (lengths) or give more sequence"
            )

    def _weights(self, length: int, sampling: str) -> tuple[Tensor, Tensor]:
        """First position and cumulated probability of each stretch for one window length."""
        key = (length, sampling)
        if key not in self._starts:
            fits = [s for s in self.stretches if s.end - s.start >= length]
            places = np.array([s.end - s.start - length + 1 for s in fits], dtype=np.float64)
            if sampling == "contig":
                names, contig = np.unique([s.contig for s in fits], return_inverse=True)
                per_contig = np.bincount(contig, weights=places, minlength=len(names))
                places /= per_contig[contig] * len(names)
            else:
                places /= places.sum()
            starts = torch.tensor([[s.start, s.end - length + 1] for s in fits])
            self._starts[key] = (
                starts.to(self.tokens.device),
                torch.from_numpy(places).cumsum(0).to(self.tokens.device),
            )
        return self._starts[key]

    def draw(
        self,
        n: int,
        length: int,
        sampling: str,
        generator: torch.Generator,
        distance: tuple[int, int] = (0, 0),
    ) -> Windows:
        """Windows drawn at random, each field of shape (n, length).

        Parameters
        ----------
        sampling : {"position", "contig"}
            Any position alike, or a contig first and then a position in it.
        distance : tuple of int
            Least and greatest distance, in bp between starts, of the window nearby.
        """
        bounds, cumulated = self._weights(length, sampling)
        device = self.tokens.device
        u = torch.rand(2, n, generator=generator, device=device, dtype=torch.float64)
        stretch = torch.searchsorted(cumulated, u[0] * cumulated[-1]).clamp(max=len(bounds) - 1)
        first, end = bounds[stretch].unbind(1)
        start = first + (u[1] * (end - first)).long()
        within = torch.arange(length, device=device)
        drawn = self.tokens[start[:, None] + within]
        tokens = nearby = drawn & (SOFT_MASK - 1)
        if distance[1]:
            there = _nearby(start, first, end - 1, distance, generator)
            nearby = self.tokens[there[:, None] + within] & (SOFT_MASK - 1)
        return Windows(tokens, drawn >= SOFT_MASK, nearby)


def _nearby(
    start: Tensor,
    first: Tensor,
    last: Tensor,
    distance: tuple[int, int],
    generator: torch.Generator,
) -> Tensor:
    """Starts that lie so far before or after others, from first to last; all of shape (n,).

    A stretch too short for that gives the end of it that is further away.
    """
    device = start.device
    least, most = distance
    size = torch.randint(least, most + 1, start.shape, generator=generator, device=device)
    sign = torch.randint(2, start.shape, generator=generator, device=device) * 2 - 1
    there, opposite = start + sign * size, start - sign * size
    further = torch.where(start - first > last - start, first, last)
    for candidate in (opposite, there):
        fits = (candidate >= first) & (candidate <= last)
        further = torch.where(fits, candidate, further)
    return further
