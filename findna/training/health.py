"""Signs that a representation has collapsed."""

import math

import torch
from torch import Tensor

SMALLEST_SPREAD = 1e-3
"""Below this relative spread a teacher counts as constant."""


def relative_spread(vectors: Tensor) -> float:
    """Standard deviation between vectors, relative to their size; 0 if all are the same.

    Parameters
    ----------
    vectors : Tensor, shape (n, dim), float
    """
    size = vectors.pow(2).mean().sqrt()
    return (vectors.std(0).pow(2).mean().sqrt() / (size + 1e-12)).item()


def effective_rank(vectors: Tensor) -> float:
    """Exponential of the entropy of the singular values; from 1 to dim, NaN for such vectors.

    Source: Garrido et al., "RankMe", 2023.
    """
    if not bool(torch.isfinite(vectors).all()):
        return math.nan
    values = torch.linalg.svdvals((vectors - vectors.mean(0)).double())
    share = values / values.sum().clamp(min=1e-12)
    return torch.exp(-(share * torch.log(share + 1e-12)).sum()).item()
