"""A position weight matrix: what a base is told by the letters about it alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from findna.genome.encoding import NUCLEOTIDES, N, Tokens

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PositionMatrix:
    """Log-odds of letters at the positions about a base.

    Parameters
    ----------
    log_odds : ndarray, shape (2 * reach + 1, 5)
        By position and token id; 0 for N.
    """

    log_odds: npt.NDArray[np.float64]

    @property
    def reach(self) -> int:
        """Positions on either side."""
        return len(self.log_odds) // 2

    @classmethod
    def fit(cls, windows: Sequence[Tokens], background: npt.NDArray[np.float64]) -> PositionMatrix:
        """Count the letters of windows about sites; one count more of every letter.

        Parameters
        ----------
        windows : sequence of Tokens
            Each of shape (2 * reach + 1,).
        background : ndarray, shape (5,)
            Frequencies of token ids.
        """
        table = np.stack(windows)  # (n, positions)
        counts = np.stack([(table == token).sum(0) for token in range(N + 2)], 1) + 1.0
        counts[:, N] = 0.0
        shares = counts / counts.sum(1, keepdims=True)  # (positions, 5)
        odds = np.zeros_like(shares)
        letters = list(NUCLEOTIDES)
        odds[:, letters] = np.log(shares[:, letters] / background[letters])
        return cls(odds)

    def scores(self, tokens: Tokens) -> Scores:
        """Return the log-odds at every base that has all its neighbours.

        ``tokens`` has shape (n + 2 * reach,), the result (n,).
        """
        n = len(tokens) - 2 * self.reach
        total = np.zeros(n, np.float32)
        for position, row in enumerate(self.log_odds.astype(np.float32)):
            total += row[tokens[position : position + n]]
        return total
