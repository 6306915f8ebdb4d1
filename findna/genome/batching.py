"""Where windows meet the genome: token ids of many windows packed end to end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from findna.genome.encoding import BLANK, N, Tokens, reverse_complement
from findna.genome.windows import Region, Window, tile


class SequenceSource(Protocol):
    """Where token ids come from: a `findna.genome.fasta.Genome`, or sequences held in memory."""

    def fetch(self, chrom: str, start: int, end: int) -> Tokens:
        """Token ids of an interval, 0-based and half-open."""
        ...


@dataclass(frozen=True)
class Piece:
    """One window of a batch, and which way round it was read."""

    window: Window
    flipped: bool
    n_unknown: int

    def __len__(self) -> int:
        return self.window.end - self.window.start


@dataclass(frozen=True)
class Batch:
    """Windows packed for the encoder; no padding anywhere.

    Parameters
    ----------
    tokens : ndarray, shape (total,), uint8
        Windows end to end, each with its CLS positions behind it.
    offsets : ndarray, shape (n + 1,), int64
        Window i is ``tokens[offsets[i]:offsets[i + 1]]``, CLS positions included.
    pieces : list of Piece, length n
    """

    tokens: Tokens
    offsets: npt.NDArray[np.int64]
    pieces: list[Piece]


def read_window(genome: SequenceSource, window: Window) -> Tokens:
    """Token ids of a window in the reading direction of its region; overhang is N."""
    region = window.region
    pieces = [
        genome.fetch(region.chrom, start, end)
        for start, end in region.slice(window.start, window.end)
    ]
    tokens = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    return reverse_complement(tokens) if region.reverse else tokens


def _pack(sequences: list[Tokens], pieces: list[Piece], n_cls: int) -> Batch:
    cls = np.full(n_cls, BLANK, dtype=np.uint8)
    lengths = [len(sequence) + n_cls for sequence in sequences]
    return Batch(
        np.concatenate([part for sequence in sequences for part in (sequence, cls)]),
        np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))),
        pieces,
    )


def batches(
    regions: Iterable[Region],
    genome: SequenceSource,
    *,
    max_tokens: int,
    longest: int | None,
    n_cls: int = 0,
    both_strands: bool = False,
) -> Iterator[Batch]:
    """Windows of regions in their order, packed up to a token budget.

    Parameters
    ----------
    max_tokens : int
        Tokens per batch; a single window longer than this gets a batch of its own.
    longest : int, optional
        Tile regions longer than this (bp); None encodes each in one piece.
    n_cls : int
        CLS positions behind each window.
    both_strands : bool
        Every window also as its reverse complement, next to it.
    """
    sequences: list[Tokens] = []
    pieces: list[Piece] = []
    total = 0
    for region in regions:
        for start, end in tile(len(region), longest):
            window = Window(region, start, end)
            forward = read_window(genome, window)
            unknown = int(np.count_nonzero(forward == N))
            for flipped in (False, True) if both_strands else (False,):
                size = len(forward) + n_cls
                if pieces and total + size > max_tokens:
                    yield _pack(sequences, pieces, n_cls)
                    sequences, pieces, total = [], [], 0
                sequences.append(reverse_complement(forward) if flipped else forward)
                pieces.append(Piece(window, flipped, 0 if flipped else unknown))
                total += size
    if pieces:
        yield _pack(sequences, pieces, n_cls)


class Sequences:
    """Sequences held in memory, read like a genome: the contig of sequence i is ``str(i)``."""

    def __init__(self, sequences: Sequence[Tokens]) -> None:
        self._sequences = sequences

    def fetch(self, chrom: str, start: int, end: int) -> Tokens:
        """Token ids of part of a sequence."""
        return self._sequences[int(chrom)][start:end]

    def regions(self, reverse: bool = False) -> list[Region]:
        """Every sequence, whole."""
        return [
            Region(i, str(i), ((0, len(sequence)),), reverse)
            for i, sequence in enumerate(self._sequences)
        ]
