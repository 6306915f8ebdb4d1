"""What vectors and targets tell of a representation: spread, rank, alignment, entropy.

Every function takes a batch and returns a number; one that holds NaN gives NaN.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def relative_spread(vectors: Tensor) -> float:
    """Standard deviation between vectors, relative to their size; 0 if all are the same.

    Parameters
    ----------
    vectors : Tensor, shape (n, dim), float
    """
    size = vectors.pow(2).mean().sqrt()
    return (vectors.std(0).pow(2).mean().sqrt() / (size + 1e-12)).item()


def effective_rank(vectors: Tensor) -> float:
    """Exponential of the entropy of the singular values, from 1 to dim.

    Parameters
    ----------
    vectors : Tensor, shape (n, dim), float
        Their mean is taken away: what all windows share is not a direction in which they differ.

    Source: Garrido et al., "RankMe", 2023.
    """
    if not bool(torch.isfinite(vectors).all()):
        return math.nan
    values = torch.linalg.svdvals((vectors - vectors.mean(0)).double())
    share = values / values.sum().clamp(min=1e-12)
    return torch.exp(-(share * torch.log(share + 1e-12)).sum()).item()


def _directions(vectors: Tensor) -> Tensor:
    """Vectors less their mean, of length 1; (n, dim), float64."""
    return F.normalize((vectors - vectors.mean(0)).double(), dim=-1)


def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance between two views of one window, from 0 to 4; 2 if unrelated.

    Parameters
    ----------
    first, second : Tensor, shape (n, dim), float
        Vectors of the views, compared by direction once their means are taken away.

    Source: Wang and Isola, "Understanding Contrastive Representation Learning", 2020.
    """
    return (_directions(first) - _directions(second)).pow(2).sum(-1).mean().item()


def uniformity(vectors: Tensor) -> float:
    """Logarithm of the mean of exp(-2 d^2) over pairs of windows; 0 if all are one, down to -4.

    Parameters
    ----------
    vectors : Tensor, shape (n, dim), float
        Compared by direction once their mean is taken away.

    Source: Wang and Isola, 2020.
    """
    return torch.pdist(_directions(vectors)).pow(2).mul(-2).exp().mean().log().item()


def entropy(probabilities: Tensor) -> Tensor:
    """Entropy of each row, nats; (..., k) -> (...)."""
    wide = probabilities.double()
    return -torch.xlogy(wide, wide).sum(-1)
