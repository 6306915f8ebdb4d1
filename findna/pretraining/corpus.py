"""The genome as one flat array of token ids, and windows drawn from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from findna.errors import ConfigError, GenomeError
from findna.genome.encoding import SOFT_MASK, N, Tokens
from findna.model.devices import sent

if TYPE_CHECKING:
    from findna.genome.fasta import Genome

LONGEST_N_RUN = 10
"""A run of this many N ends a stretch: no window is drawn across it."""


class Windows(NamedTuple):
    """Windows of one length, each field of shape (n, length).

    ``tokens``, uint8, are token ids; ``repeats``, bool, is true where the genome is soft-masked.
    """

    tokens: Tensor
    repeats: Tensor


@dataclass(frozen=True)
class UngappedStretch:
    """Part of a contig without long runs of N, as positions in the flat array."""

    contig: str
    start: int
    end: int

    @property
    def length(self) -> int:
        """Length, bp."""
        return self.end - self.start


def _stretches(tokens: Tokens, contig: str, base: int) -> list[UngappedStretch]:
    """Return the maximal stretches of one contig without ``LONGEST_N_RUN`` consecutive N."""
    is_n = np.concatenate(([False], tokens & ~np.uint8(SOFT_MASK) == N, [False]))
    runs = np.flatnonzero(np.diff(is_n.astype(np.int8))).reshape(-1, 2)
    runs = runs[runs[:, 1] - runs[:, 0] >= LONGEST_N_RUN]
    bounds = base + np.concatenate(([0], runs.ravel(), [len(tokens)])).reshape(-1, 2)
    return [UngappedStretch(contig, start, end) for start, end in bounds.tolist() if end > start]


class Corpus:
    """Token ids of all contigs end to end, memory-mapped, with the stretches to draw from.

    Parameters
    ----------
    tokens : Tensor, shape (total,), uint8
        Each with its soft mask (`findna.genome.encoding.SOFT_MASK`).
    device : torch.device, optional
        Device of the windows; that of the tokens by default.
    """

    def __init__(
        self,
        tokens: Tensor,
        stretches: Sequence[UngappedStretch],
        device: torch.device | None = None,
    ) -> None:
        self.tokens = tokens
        self.stretches = list(stretches)
        self.device = device or tokens.device
        self._starts: dict[tuple[int, str], tuple[Tensor, Tensor]] = {}

    @classmethod
    def build(cls, genome: Genome, path: Path) -> Corpus:
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
        return cls.mapped(path, stretches)

    @classmethod
    def mapped(cls, path: Path, stretches: Sequence[UngappedStretch]) -> Corpus:
        """Map the file that `build` wrote, in this process or another."""
        # "c" maps the file privately and writable, which torch asks for; nothing writes to it
        tokens: npt.NDArray[np.uint8] = np.memmap(path, np.uint8, "c")
        return cls(torch.from_numpy(tokens), stretches)

    @property
    def n_bases(self) -> int:
        """Positions in all stretches, bp."""
        return sum(stretch.length for stretch in self.stretches)

    def only(self, contigs: Iterable[str], keep: bool = True) -> Corpus:
        """Return the stretches of these contigs, or (``keep=False``) of all others."""
        chosen = set(contigs)
        kept = [s for s in self.stretches if (s.contig in chosen) == keep]
        return Corpus(self.tokens, kept, self.device)

    def within(self, intervals: Iterable[tuple[str, int, int]], genome: Genome) -> Corpus:
        """Return the stretches cut to these intervals (sorted, not overlapping)."""
        bases = dict(
            zip(genome.contigs, accumulate(genome.contigs.values(), initial=0), strict=False)
        )
        by_contig: dict[str, list[tuple[int, int]]] = {}
        for contig, start, end in intervals:
            by_contig.setdefault(contig, []).append((bases[contig] + start, bases[contig] + end))
        kept = [
            UngappedStretch(stretch.contig, max(start, stretch.start), min(end, stretch.end))
            for stretch in self.stretches
            for start, end in by_contig.get(stretch.contig, [])
            if max(start, stretch.start) < min(end, stretch.end)
        ]
        return Corpus(self.tokens, kept, self.device)

    def to(self, device: torch.device) -> Corpus:
        """Return the same corpus with its windows on a device.

        So are all tokens if they fit; of a GPU's free memory they may take a third. Otherwise
        windows are gathered here and copied.
        """
        fits = device.type != "cuda" or 3 * len(self.tokens) <= torch.cuda.mem_get_info(device)[0]
        return Corpus(self.tokens.to(device) if fits else self.tokens, self.stretches, device)

    def fits(self, length: int) -> bool:
        """Return True if a window of this length (bp) fits into a stretch."""
        return any(stretch.length >= length for stretch in self.stretches)

    def check_length(self, length: int) -> None:
        """Raise ConfigError unless a window of this length (bp) fits into a stretch."""
        if not self.fits(length):
            longest = max((stretch.length for stretch in self.stretches), default=0)
            raise ConfigError(
                f"no stretch of sequence is {length} bp long (longest: {longest}); "
                "draw shorter windows (lengths) or give more sequence"
            )

    def _weights(self, length: int, sampling: str) -> tuple[Tensor, Tensor]:
        """Return first position and cumulated probability of each stretch for one window length."""
        key = (length, sampling)
        if key not in self._starts:
            fits = [s for s in self.stretches if s.length >= length]
            places = np.array([s.length - length + 1 for s in fits], dtype=np.float64)
            if sampling == "contig":
                names, contig = np.unique([s.contig for s in fits], return_inverse=True)
                per_contig = np.bincount(contig, weights=places, minlength=len(names))
                places /= per_contig[contig] * len(names)
            else:
                places /= places.sum()
            starts = torch.tensor([[s.start, s.end - length + 1] for s in fits])
            self._starts[key] = (starts, torch.from_numpy(places).cumsum(0))
        return self._starts[key]

    def draw(self, n: int, length: int, sampling: str, generator: torch.Generator) -> Windows:
        """Return windows drawn at random, each field of shape (n, length).

        Parameters
        ----------
        sampling : {"position", "contig"}
            Any position alike, or a contig first and then a position in it.
        generator : torch.Generator
            One of the CPU draws the same windows for every device, which need not wait for it.
        """
        bounds, cumulated = self._weights(length, sampling)
        u = torch.rand(2, n, generator=generator, device=generator.device, dtype=torch.float64)
        u = u.cpu()
        stretch = torch.searchsorted(cumulated, u[0] * cumulated[-1]).clamp(max=len(bounds) - 1)
        first, end = bounds[stretch].unbind(1)
        start = sent(first + (u[1] * (end - first)).long(), self.tokens.device)
        position = start[:, None] + torch.arange(length, device=start.device)
        drawn = sent(self.tokens[position], self.device)
        return Windows(drawn & (SOFT_MASK - 1), drawn >= SOFT_MASK)
