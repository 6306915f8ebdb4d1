"""k-mer counts of many sequences as one sparse matrix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

from findna.genome.encoding import NUCLEOTIDES, Tokens

MAX_K = 12
"""Longest k-mer; a matrix has up to 4^k columns."""

_CHUNK = 4_000_000  # bases counted at a time: bounds the memory in between
_NO_BASE = 4
_BASE: Tokens = np.full(256, _NO_BASE, dtype=np.uint8)
_BASE[list(NUCLEOTIDES)] = range(4)  # A, C, G, T in alphabetical order


def n_kmers(k: int, both_strands: bool = True) -> int:
    """Return the number of columns of ``kmer_counts``."""
    if not 1 <= k <= MAX_K:
        raise ValueError(f"k must lie between 1 and {MAX_K}, not {k}")
    palindromes = 2**k if k % 2 == 0 else 0
    return int(4**k + palindromes) // 2 if both_strands else int(4**k)


@lru_cache(maxsize=2)
def _canonical_columns(k: int) -> npt.NDArray[np.int32]:
    """Return the column that a k-mer shares with its reverse complement; shape (4^k,)."""
    codes = np.arange(4**k, dtype=np.int32)
    opposite, rest = np.zeros_like(codes), codes.copy()
    for _ in range(k):
        opposite = opposite * 4 + (3 - rest % 4)  # base b pairs with 3 - b
        rest //= 4
    # the alphabetically smaller of the two stands for both
    columns = np.cumsum(codes <= opposite, dtype=np.int32) - 1
    shared: npt.NDArray[np.int32] = columns[np.minimum(codes, opposite)]
    return shared


def kmer_codes(tokens: Tokens, k: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Return the number of the k-mer at each position, in alphabetical order, and if it has no N.

    Both have shape (len(tokens) - k + 1,).
    """
    return _codes(_BASE[tokens], k)


def _codes(bases: Tokens, k: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    n_starts = max(len(bases) - k + 1, 0)
    codes = np.zeros(n_starts, dtype=np.int32)
    known = np.ones(n_starts, dtype=bool)
    for offset in range(k):
        base = bases[offset : offset + n_starts]
        codes = codes * 4 + (base & 3)
        known &= base != _NO_BASE
    return codes, known


def kmer_counts(
    sequences: Sequence[Tokens], k: int, both_strands: bool = True
) -> sparse.csr_matrix:
    """Return k-mers per 100 bp of each sequence; shape (n, n_kmers(k, both_strands)), float32.

    Columns are k-mers in alphabetical order. k-mers with an N are left out; a sequence shorter
    than k gives an empty row. With ``both_strands`` a k-mer and its reverse complement share a
    column, so a sequence and its reverse complement have the same row.
    """
    lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
    chunks = (np.cumsum(lengths) - 1).clip(0) // _CHUNK
    edges = np.searchsorted(chunks, np.arange(chunks[-1] + 2 if len(chunks) else 0))
    parts = [
        _count(sequences[a:b], lengths[a:b], k, both_strands) for a, b in pairwise(edges) if a < b
    ]
    if not parts:
        return sparse.csr_matrix((0, n_kmers(k, both_strands)), dtype=np.float32)
    return sparse.vstack(parts, format="csr") if len(parts) > 1 else parts[0]


def _count(
    sequences: Sequence[Tokens], lengths: npt.NDArray[np.int64], k: int, both_strands: bool
) -> sparse.csr_matrix:
    shape = (len(sequences), n_kmers(k, both_strands))
    bases = _BASE[np.concatenate(sequences)]  # (total,)
    n_starts = len(bases) - k + 1
    if n_starts < 1:
        return sparse.csr_matrix(shape, dtype=np.float32)
    codes, valid = _codes(bases, k)
    for end in range(1, k):  # k-mers that would run into the next sequence
        crossing = np.cumsum(lengths) - end
        valid[crossing[(crossing >= 0) & (crossing < n_starts)]] = False
    rows = np.repeat(np.arange(len(sequences), dtype=np.int32), lengths)[:n_starts][valid]
    columns = _canonical_columns(k)[codes[valid]] if both_strands else codes[valid]
    ones = np.ones(len(rows), dtype=np.float32)
    counts = sparse.csr_matrix((ones, (rows, columns)), shape=shape)  # sums duplicates
    per_row = np.diff(counts.indptr)
    counts.data *= np.repeat((100 / lengths.clip(1)).astype(np.float32), per_row)
    return counts
