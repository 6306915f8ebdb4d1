"""Nucleotides as token ids.

Ids follow the published checkpoint: the alphabet sorted, A, C, G, N, T. A sixth id, ``BLANK``,
stands for an all-zero one-hot row: a masked nucleotide or a CLS position.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.uint8]

ALPHABET = "ACGNT"
A, C, G, N, T = range(5)
BLANK = 5

NUCLEOTIDES = (A, C, G, T)
"""Ids of the four bases, in the order of the masked-nucleotide head's channels."""

SOFT_MASK = 8
"""Added to a token id where a FASTA file has a lower-case letter: a repeat, by UCSC's custom."""

COMPLEMENT: Tokens = np.array([T, G, C, N, A, BLANK], dtype=np.uint8)
"""``COMPLEMENT[id]`` is the id of the complementary base; N and BLANK are their own."""


_TOKEN_OF_BYTE: Tokens = np.full(256, N, dtype=np.uint8)  # every other IUPAC code counts as N
_TOKEN_OF_BYTE[list(b"ACGTUacgtu")] = [A, C, G, T, T] * 2

_SOFT_MASKED_OF_BYTE: Tokens = _TOKEN_OF_BYTE.copy()
_SOFT_MASKED_OF_BYTE[ord("a") : ord("z") + 1] |= SOFT_MASK

_BYTE_OF_TOKEN = np.frombuffer(ALPHABET.encode() + b".", dtype=np.uint8)


def encode(sequence: str | bytes) -> Tokens:
    """Return token ids, (length,), uint8; case is ignored, U is T, any other letter is N."""
    data = sequence.encode("latin-1", "replace") if isinstance(sequence, str) else sequence
    return _TOKEN_OF_BYTE[np.frombuffer(data, dtype=np.uint8)]


def encode_soft_masked(sequence: bytes) -> Tokens:
    """Return token ids, plus ``SOFT_MASK`` at lower-case letters; (length,), uint8."""
    return _SOFT_MASKED_OF_BYTE[np.frombuffer(sequence, dtype=np.uint8)]


def decode(tokens: Tokens) -> str:
    """Return the letters of token ids (uint8); BLANK is written as a dot."""
    return _BYTE_OF_TOKEN[tokens].tobytes().decode()


def reverse_complement(tokens: Tokens) -> Tokens:
    """Return the token ids of the opposite strand, read 5' to 3'."""
    return COMPLEMENT[tokens[::-1]]
