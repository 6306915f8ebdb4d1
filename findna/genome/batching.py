"""Windows meet the genome: token ids of many windows packed end to end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from findna.genome.encoding import BLANK, N, Tokens, reverse_complement
from findna.genome.windows import Region, Window, tile

Item = TypeVar("Item")

MOST_PIECES = 16_384
"""Rows after which a batch is closed: bounds what is held where few of them can be read."""


class SequenceSource(Protocol):
    """Source of token ids: a `findna.genome.fasta.Genome`, or sequences held in memory."""

    def fetch(self, chrom: str, start: int, end: int) -> Tokens:
        """Return the token ids of an interval, 0-based and half-open."""
        ...


class Contigs(SequenceSource, Protocol):
    """A source whose contigs are known."""

    @property
    def contigs(self) -> dict[str, int]:
        """Length of every contig in bp, by its name."""
        ...


@dataclass(frozen=True)
class Piece(Generic[Item]):
    """A window of a batch; or, without a window, a row that only keeps its place.

    Parameters
    ----------
    item : object
        Row of the window. It travels with the window, so that its result needs no looking up.
    flipped : bool
        Read as the reverse complement of its region.
    n_unknown : int
        Number of N.
    """

    item: Item
    window: Window | None
    flipped: bool = False
    n_unknown: int = 0

    def __len__(self) -> int:
        return 0 if self.window is None else self.window.end - self.window.start

    @property
    def start(self) -> int:
        """First base of the window within its region."""
        return 0 if self.window is None else self.window.start


@dataclass(frozen=True)
class Batch(Generic[Item]):
    """Windows packed for the encoder; no padding anywhere.

    Parameters
    ----------
    tokens : ndarray, shape (total,), uint8
        Windows end to end, each with its CLS positions behind it.
    offsets : ndarray, shape (n_windows + 1,), int64
        Window i is ``tokens[offsets[i]:offsets[i + 1]]``, CLS positions included.
    pieces : list of Piece
        Rows in their order: the windows, and the rows that have none.
    """

    tokens: Tokens
    offsets: npt.NDArray[np.int64]
    pieces: list[Piece[Item]]

    def window_numbers(self, n_cls: int) -> npt.NDArray[np.int64]:
        """Return the window of each position, (total,), or -1 at CLS positions."""
        sizes = np.diff(self.offsets)
        numbers = np.repeat(np.arange(len(sizes)), sizes)
        for i in range(1, n_cls + 1):
            numbers[self.offsets[1:] - i] = -1
        return numbers

    def only(self, chosen: npt.NDArray[np.bool_]) -> Batch[Item]:
        """Return some of the windows; ``chosen`` has shape (n_windows,)."""
        sizes = np.diff(self.offsets)
        pieces = [piece for piece in self.pieces if piece.window is not None]
        return Batch(
            self.tokens[np.repeat(chosen, sizes)],
            np.cumsum([0, *sizes[chosen]], dtype=np.int64),
            [piece for piece, is_chosen in zip(pieces, chosen, strict=True) if is_chosen],
        )


def read_window(genome: SequenceSource, window: Window) -> Tokens:
    """Return the token ids of a window in the reading direction of its region; overhang is N."""
    region = window.region
    slices = region.slice(window.start, window.end)
    parts = [genome.fetch(region.chrom, start, end) for start, end in slices]
    tokens = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return reverse_complement(tokens) if region.reverse else tokens


def _pack(sequences: list[Tokens], pieces: list[Piece[Item]], n_cls: int) -> Batch[Item]:
    cls = np.full(n_cls, BLANK, dtype=np.uint8)
    parts = [part for sequence in sequences for part in (sequence, cls)]
    lengths = [len(sequence) + n_cls for sequence in sequences]
    tokens = np.concatenate([np.empty(0, np.uint8), *parts])
    return Batch(tokens, np.cumsum([0, *lengths], dtype=np.int64), pieces)


def _windows(region: Region | None, longest: int | None) -> list[Window]:
    if region is None:
        return []
    return [Window(region, start, end) for start, end in tile(len(region), longest)]


def batches(
    rows: Iterable[tuple[Item, Region | None]],
    genome: SequenceSource,
    *,
    max_tokens: int,
    longest: int | None,
    n_cls: int = 0,
    both_strands: bool = False,
) -> Iterator[Batch[Item]]:
    """Pack the windows of rows, in their order, up to a token budget.

    Parameters
    ----------
    rows : iterable of (item, Region or None)
        A row without a region takes no tokens and keeps its place.
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
    pieces: list[Piece[Item]] = []
    total = 0
    for item, region in rows:
        if region is None:
            pieces.append(Piece(item, None))
        for window in _windows(region, longest):
            forward = read_window(genome, window)
            unknown = forward.tobytes().count(N)
            for flipped in (False, True) if both_strands else (False,):
                size = len(forward) + n_cls
                if sequences and total + size > max_tokens:
                    yield _pack(sequences, pieces, n_cls)
                    sequences, pieces, total = [], [], 0
                sequences.append(reverse_complement(forward) if flipped else forward)
                pieces.append(Piece(item, window, flipped, 0 if flipped else unknown))
                total += size
        if len(pieces) >= MOST_PIECES:
            yield _pack(sequences, pieces, n_cls)
            sequences, pieces, total = [], [], 0
    if pieces:
        yield _pack(sequences, pieces, n_cls)


class Sequences:
    """Sequences held in memory, read like a genome: the contig of sequence i is ``str(i)``."""

    def __init__(self, sequences: Sequence[Tokens]) -> None:
        self._sequences = sequences

    @property
    def contigs(self) -> dict[str, int]:
        """Length of every sequence in bp, by its contig."""
        return {str(i): len(sequence) for i, sequence in enumerate(self._sequences)}

    def fetch(self, chrom: str, start: int, end: int) -> Tokens:
        """Return the token ids of part of a sequence."""
        return self._sequences[int(chrom)][start:end]

    def rows(self, reverse: bool = False) -> list[tuple[int, Region | None]]:
        """Return the number of every sequence and its region: all of it."""
        return [
            (i, Region(str(i), ((0, len(sequence)),), reverse))
            for i, sequence in enumerate(self._sequences)
        ]


def distinct(windows: Iterable[Tokens]) -> tuple[list[bytes], Sequences]:
    """Return the letters of windows and their source, without repetition, as they first occur."""
    found = {tokens.tobytes(): tokens for tokens in windows}
    return list(found), Sequences(list(found.values()))
