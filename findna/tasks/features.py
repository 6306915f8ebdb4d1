"""Features that the head of a task reads: pooled hidden states, and frequencies of k-mers."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from findna import __version__
from findna.console import progress
from findna.genome.batching import Sequences
from findna.genome.encoding import Tokens
from findna.model.checkpoint import digest_of
from findna.model.devices import Compute
from findna.model.encoder import Encoder
from findna.model.inference import region_vectors
from findna.model.pooling import Pooling
from findna.outputs.results import RegionVectors
from findna.tasks.feature_cache import FeatureCache
from findna.tasks.kmers import kmer_counts, n_kmers

Matrix = npt.NDArray[np.float32]

POOLS = ("mean", "max", "std", "center")
"""Poolings of a table, in its order."""

MOST_BINS = 16

VERSION = 1
"""Of the vectors of a table: another one if the same encoder and sequences give other vectors."""


@dataclass(frozen=True)
class Features:
    """The features that a head uses, joined in this order.

    Parameters
    ----------
    pools : tuple of str
        Names out of POOLS.
    bins : int
        Number of equal bins: 0, or a power of 2 up to MOST_BINS.
    k : int
        Length of the k-mers whose frequencies are appended; 0 for none.
    both_strands : bool
        Average with the reverse complement, whose bins are turned round; count k-mers on both
        strands.
    readout : int
        Layers after which hidden states are read; 0: as for the encoder's embeddings.
    """

    pools: tuple[str, ...] = ("mean",)
    bins: int = 0
    k: int = 0
    both_strands: bool = True
    readout: int = 0

    @property
    def pooling(self) -> Pooling:
        """Pooling of the hidden states."""
        return Pooling(self.pools, self.bins, both_strands=self.both_strands)

    def size(self, dim: int) -> int:
        """Return the number of features, for an encoder of ``dim`` channels."""
        kmers = n_kmers(self.k, self.both_strands) if self.k else 0
        return dim * (len(self.pools) + self.bins) + kmers

    def of(self, vectors: RegionVectors, sequence: Tokens | None = None) -> Matrix:
        """Return the features of one region, shape (size,); ``sequence`` is needed if k > 0."""
        parts = [vectors.pooled[pool] for pool in self.pools] + [vectors.bins.ravel()]
        if self.k:
            assert sequence is not None
            parts.append(kmer_counts([sequence], self.k, self.both_strands).toarray()[0])
        return np.concatenate(parts)

    def __str__(self) -> str:
        parts = list(self.pools)
        if self.bins:
            parts.append(f"{self.bins} bins")
        if self.k:
            parts.append(f"{self.k}-mers")
        strands = "both strands" if self.both_strands else "forward strand"
        after = f", after layer {self.readout}" if self.readout else ""
        return f"{' + '.join(parts)}, {strands}{after}"


class FeatureTable:
    """All features of n sequences, so that choosing among them costs no encoding.

    A sequence is encoded when one of its features is first asked for: on every strand, with every
    pooling. The vectors are kept, about 15 kB a sequence, strand and readout with 192 channels.
    With ``strands`` 1 the reverse complements, and features of both strands, are left out; with
    other ``pools`` and ``bins`` the features that they do not give. With a ``cache`` all sequences
    are encoded at once, unless an earlier run has kept their vectors.
    """

    def __init__(
        self,
        encoder: Encoder,
        sequences: list[Tokens],
        compute: Compute,
        *,
        strands: int = 2,
        pools: tuple[str, ...] = POOLS,
        bins: int = MOST_BINS,
        cache: FeatureCache | None = None,
    ) -> None:
        self.sequences = sequences
        self.strands = strands
        self.pools, self.bins = pools, bins
        self._encoder = encoder
        self._compute = compute
        self._cache = cache
        # by readout: (strands, n, len(pools) + bins, dim), and a mask of the encoded rows
        self._vectors: dict[int, tuple[Matrix, npt.NDArray[np.bool_]]] = {}

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def dim(self) -> int:
        """Channels of the encoder."""
        return self._encoder.config.dim

    def is_kept(self, readout: int) -> bool:
        """Return whether an earlier run has kept the vectors of all sequences."""
        if self._cache is None:
            return False
        name = self._digest(readout)
        return all(self._cache.holds(f"{name}.{i}") for i in range(self.strands))

    def vectors(self, readout: int, rows: npt.NDArray[np.int64]) -> Matrix:
        """Return the vectors of all sequences, of which these rows at least are encoded.

        Shape (strands, n, len(pools) + bins, dim), float32: of the forward strand and of the
        reverse complement, whose bins are turned round.
        """
        if readout not in self._vectors:
            shape = (self.strands, len(self), len(self.pools) + self.bins, self.dim)
            # rows that nobody asks for take no memory: pages of it are only made when written
            self._vectors[readout] = np.empty(shape, np.float32), np.zeros(len(self), np.bool_)
        vectors, encoded = self._vectors[readout]
        missing = np.unique(rows[~encoded[rows]])
        if len(missing) and self._cache is not None:
            self._fill(readout, self._cache, vectors)
            encoded[:] = True
        elif len(missing):
            self._encode(readout, missing, range(self.strands), vectors)
            encoded[missing] = True
        return vectors

    def _fill(self, readout: int, cache: FeatureCache, into: Matrix) -> None:
        """Fill the vectors of all sequences with what is kept of them; encode and keep the rest."""
        name = self._digest(readout)
        strands = [i for i in range(self.strands) if not cache.load(f"{name}.{i}", into[i])]
        self._encode(readout, np.arange(len(self)), strands, into)
        for i in strands:
            cache.save(f"{name}.{i}", into[i])

    def _digest(self, readout: int) -> str:
        """Return a digest of all that decides the vectors, but for the strand; hexadecimal."""
        encoder, compute = self._encoder, self._compute
        weights = digest_of(encoder.config, encoder.state_dict())
        reading = readout, self.pools, self.bins, compute.precision, compute.device.type
        sha256 = hashlib.sha256(repr((__version__, VERSION, weights, *reading)).encode())
        for sequence in self.sequences:
            sha256.update(len(sequence).to_bytes(8, "little"))
            sha256.update(sequence.tobytes())
        return sha256.hexdigest()

    def _encode(
        self, readout: int, rows: npt.NDArray[np.int64], strands: Collection[int], into: Matrix
    ) -> None:
        source = Sequences([self.sequences[row] for row in rows])
        encoder = self._encoder.read_after(readout)
        pooling = Pooling(self.pools, self.bins)
        action = f"encode, layer {readout}" if readout else "encode"
        with progress(len(strands) * len(rows), "sequences", action) as bar:
            for strand in strands:
                regions = source.rows(reverse=strand == 1)
                for i, vectors in region_vectors(regions, source, encoder, pooling, self._compute):
                    assert vectors is not None
                    row = into[strand, rows[i]]
                    n_pools = len(self.pools)
                    row[:n_pools] = [vectors.pooled[pool] for pool in self.pools]
                    row[n_pools:] = vectors.bins[::-1] if strand else vectors.bins
                    bar.update()

    def matrix(self, features: Features, rows: npt.NDArray[np.int64]) -> Matrix:
        """Return features of these rows; shape (len(rows), features.size(dim)), float32."""
        result = np.empty((len(rows), features.size(self.dim)), np.float32)
        columns = [self.pools.index(pool) for pool in features.pools]
        spans = [(column, column + 1) for column in columns]
        if features.bins:
            joined = self.bins // features.bins
            firsts = range(len(self.pools), len(self.pools) + self.bins, joined)
            spans += [(first, first + joined) for first in firsts]
        end = 0
        if spans:  # k-mers alone need no encoding
            vectors = self.vectors(features.readout, rows)[: 2 if features.both_strands else 1]
        for first, last in spans:
            start, end = end, end + self.dim
            result[:, start:end] = vectors[:, rows, first:last].mean((0, 2))
        if features.k:
            chosen = [self.sequences[row] for row in rows]
            result[:, end:] = kmer_counts(chosen, features.k, features.both_strands).toarray()
        return result
