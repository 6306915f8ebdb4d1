"""The losses, and what balances the teacher's outputs. One function each."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from findna.encoding import ALPHABET, NUCLEOTIDES

_BASES = list(NUCLEOTIDES)
_CLASS = np.searchsorted(_BASES, np.arange(len(ALPHABET))).clip(max=len(_BASES) - 1)
"""Class of each token among A, C, G, T; that of N is not used."""
_TINY = float(np.finfo(np.float32).tiny)


def _weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of values under weights of the same shape; 0 where all weights are."""
    return (values * weight).sum() / weight.sum().clamp(min=1)


def masked_nucleotide_loss(outputs: Tensor, tokens: Tensor, weight: Tensor, kind: str) -> Tensor:
    """How badly the selected nucleotides are restored (`L_MNM`); a scalar, in nats.

    Parameters
    ----------
    outputs : Tensor, shape (..., 5), float
        Outputs of the masked-nucleotide head.
    tokens : Tensor, shape (...), uint8
        The nucleotides that were there.
    weight : Tensor, shape (...), float or bool
        What restoring each of them counts; 0 where nothing was hidden, and at every N.
    kind : {"binary", "softmax"}
        Binary cross-entropy on each of the five outputs (the published loss), or cross-entropy
        over A, C, G and T.
    """
    if kind == "binary":
        target = F.one_hot(tokens.long(), len(ALPHABET)).to(outputs.dtype)
        loss = F.binary_cross_entropy_with_logits(outputs, target, reduction="none").mean(-1)
    else:
        # N takes part in no softmax; where it is the token, the weight is 0 whatever its class
        outputs = outputs[..., _BASES]
        classes = torch.from_numpy(_CLASS).to(tokens.device)[tokens.int()]
        loss = F.cross_entropy(outputs.flatten(0, -2), classes.flatten(), reduction="none")
        loss = loss.view(tokens.shape)
    return _weighted_mean(loss, weight.to(loss.dtype))


def contrastive_loss(student: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of the student's outputs against the teacher's targets (`L_CL`); a scalar.

    Parameters
    ----------
    student : Tensor, shape (..., k), float
    target : Tensor, shape (..., k), float
        The teacher's centred and sharpened probabilities.
    """
    return -(target * F.log_softmax(student / temperature, dim=-1)).sum(-1).mean()


def infonce_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding one's own window among those of the batch; a scalar, in nats.

    Source: InfoNCE, van den Oord et al., 2018, against a momentum encoder as in Chen et al.,
    MoCo v3, 2021.

    Parameters
    ----------
    student, teacher : Tensor, shape (..., n, k), float
        Unit vectors; those of one window have the same index.
    """
    logits = student @ teacher.mT / temperature  # (..., n, n)
    right: Tensor = F.log_softmax(logits.float(), dim=-1).diagonal(dim1=-2, dim2=-1)  # (..., n)
    return -right.mean()


def token_loss(predicted: Tensor, target: Tensor, selected: Tensor) -> Tensor:
    """Mean square error of predicted hidden states at the selected positions; a scalar.

    Source: data2vec, Baevski et al., 2022.

    Parameters
    ----------
    predicted, target : Tensor, shape (..., dim), float
        The target is standardised: 1 is the loss of predicting its mean.
    selected : Tensor, shape (...), bool
    """
    error = (predicted.float() - target).square().mean(-1)
    return _weighted_mean(error, selected.to(error.dtype))


def koleo_loss(vectors: Tensor) -> Tensor:
    """Minus the mean logarithm of the distance to the nearest other vector; a scalar.

    Source: Sablayrolles et al., "Spreading vectors for similarity search", 2019; Oquab et al.,
    DINOv2, 2023.

    Parameters
    ----------
    vectors : Tensor, shape (n, dim), float
        Brought to unit length here; n is at least 2.
    """
    # neighbours are so near that the products of a lower precision could not tell them apart
    with torch.autocast(vectors.device.type, enabled=False):
        unit = F.normalize(vectors.float(), dim=-1)
        cosine = (unit @ unit.t()).fill_diagonal_(-1)
        nearest: Tensor = cosine.max(1).values  # (n,)
        return -(2 - 2 * nearest).clamp(min=1e-8).sqrt().log().mean()


def centre_and_sharpen(teacher: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Softmax of the teacher's outputs less their running centre; (n, k), rows sum to 1."""
    return F.softmax((teacher - centre) / temperature, dim=-1)


def sinkhorn(teacher: Tensor, temperature: float, iterations: int = 3) -> Tensor:
    """Teacher's probabilities with all outputs used alike over the batch; (n, k), rows sum to 1.

    A row that is minus infinity throughout takes no part; what it gets is 0.

    Source: Sinkhorn-Knopp centring, Caron et al., SwAV, 2020; Oquab et al., DINOv2, 2023.
    """
    scores = (teacher / temperature).t()  # (k, n)
    scores = torch.exp(scores - scores.max())
    scores = scores / scores.sum()
    k, n = scores.shape
    for _ in range(iterations):
        scores = scores / (scores.sum(1, keepdim=True) * k)
        scores = scores / (scores.sum(0, keepdim=True) * n).clamp(min=_TINY)
    return (scores * n).t()
