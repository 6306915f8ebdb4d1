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


def _byte_table() -> Tokens:
    table = np.full(256, N, dtype=np.uint8)  # every other IUPAC code counts as N
    for token, letter in enumerate(ALPHABET):
        table[ord(letter)] = table[ord(letter.lower())] = token
    table[ord("U")] = table[ord("u")] = T
    return table


def _soft_masked_table() -> Tokens:
    table = _byte_table()
    table[ord("a") : ord("z") + 1] |= SOFT_MASK
    return table


_TOKEN_OF_BYTE = _byte_table()

_SOFT_MASKED_OF_BYTE = _soft_masked_table()

_BYTE_OF_TOKEN = np.frombuffer(ALPHABET.encode() + b".", dtype=np.uint8)


def encode(sequence: str | bytes) -> Tokens:
    """Return the token ids of a sequence; case is ignored, U is T, any other letter is N.

    Parameters
    ----------
    sequence : str or bytes
        Letters of a nucleotide sequence.

    Returns
    -------
    ndarray, shape (length,), uint8
    """
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
