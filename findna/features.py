"""What the head of a task sees of a sequence: pooled hidden states, and counts of k-mers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from findna.encoding import Tokens
from findna.inference import region_vectors
from findna.kmers import kmer_counts, n_kmers
from findna.model.encoder import Encoder
from findna.model.pooling import Pooling, RegionVectors
from findna.windows import Region

Matrix = npt.NDArray[np.float32]

POOLS = ("mean", "max", "std", "center")
"""Poolings that a table holds, in its order."""
MOST_BINS = 16


@dataclass(frozen=True)
class Features:
    """Which of the possible features a head uses, in the order in which they are joined.

    Parameters
    ----------
    pools : tuple of str
        Some of POOLS.
    bins : int
        Number of equal bins: 0, or a power of 2 up to MOST_BINS.
    k : int
        Length of the k-mers whose frequencies are appended; 0 for none.
    both_strands : bool
        Average with the reverse complement, read backwards so that bins stay where they are;
        k-mers are then counted on both strands.
    """

    pools: tuple[str, ...] = ("mean",)
    bins: int = 0
    k: int = 0
    both_strands: bool = True

    @property
    def pooling(self) -> Pooling:
        """The part that comes from the encoder."""
        return Pooling(self.pools, self.bins, both_strands=self.both_strands)

    def size(self, dim: int) -> int:
        """Number of features, for an encoder of ``dim`` channels."""
        kmers = n_kmers(self.k, self.both_strands) if self.k else 0
        return dim * (len(self.pools) + self.bins) + kmers

    def of(self, vectors: RegionVectors, sequence: Tokens | None = None) -> Matrix:
        """Features of one region; shape (size,). ``sequence`` is only read where k > 0."""
        parts = [vectors.pooled[pool] for pool in self.pools] + [vectors.bins.ravel()]
        if self.k:
            assert sequence is not None
            parts.append(kmer_counts([sequence], self.k, self.both_strands).toarray()[0])
        return np.concatenate(parts)

    def __str__(self) -> str:
        parts = [*self.pools, *([f"{self.bins} bins"] if self.bins else [])]
        parts += [f"{self.k}-mers"] if self.k else []
        return " + ".join(parts) + (", both strands" if self.both_strands else ", forward strand")


class FeatureTable:
    """Every feature of some sequences, so that choosing among them costs no encoding.

    Parameters
    ----------
    sequences : list of Tokens, length n
    vectors : ndarray, shape (2, n, len(POOLS) + MOST_BINS, dim), float32
        Of the forward strand and of the reverse complement (its bins turned round).
    """

    def __init__(self, sequences: list[Tokens], vectors: Matrix) -> None:
        self.sequences = sequences
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def dim(self) -> int:
        """Channels of the encoder."""
        return int(self.vectors.shape[-1])

    def matrix(self, features: Features, rows: npt.NDArray[np.int64]) -> Matrix:
        """Features of some rows; shape (len(rows), features.size(dim))."""
        columns = [POOLS.index(pool) for pool in features.pools]
        joined = MOST_BINS // features.bins if features.bins else 0
        width = features.size(self.dim)
        result = np.empty((len(rows), width), np.float32)
        end = 0
        for column in columns:
            start, end = end, end + self.dim
            result[:, start:end] = self._strands(rows, column, column + 1, features.both_strands)
        for i in range(features.bins):
            first = len(POOLS) + i * joined
            start, end = end, end + self.dim
            result[:, start:end] = self._strands(rows, first, first + joined, features.both_strands)
        if features.k:
            chosen = [self.sequences[row] for row in rows]
            result[:, end:] = kmer_counts(chosen, features.k, features.both_strands).toarray()
        return result

    def _strands(self, rows: npt.NDArray[np.int64], first: int, last: int, both: bool) -> Matrix:
        """Mean over some vectors of each row, and over the strands."""
        part = self.vectors[: 2 if both else 1, :, first:last]
        mean: Matrix = part[:, rows].mean((0, 2))
        return mean


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


def extract(
    encoder: Encoder,
    sequences: list[Tokens],
    *,
    device: torch.device,
    precision: str = "fp32",
    max_tokens: int | None = None,
    strands: int = 2,
    advance: Callable[[], object] = lambda: None,
) -> FeatureTable:
    """Encode sequences once, with every pooling that a head may use.

    Parameters
    ----------
    strands : int
        1 leaves the reverse complements out (and the table without them).
    advance : callable
        Called once per sequence and strand.
    """
    source = Sequences(sequences)
    shape = (strands, len(sequences), len(POOLS) + MOST_BINS, encoder.config.dim)
    vectors = np.empty(shape, np.float32)
    for strand in range(strands):
        found = region_vectors(
            source.regions(strand == 1), source, encoder, Pooling(POOLS, MOST_BINS),
            device=device, precision=precision, max_tokens=max_tokens,
        )  # fmt: skip
        for row in found:
            into = vectors[strand, row.index]
            into[: len(POOLS)] = [row.pooled[pool] for pool in POOLS]
            into[len(POOLS) :] = row.bins[::-1] if strand else row.bins
            advance()
    return FeatureTable(sequences, vectors)
