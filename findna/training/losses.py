"""The two losses, and what balances the teacher's outputs. One function each."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from findna.encoding import ALPHABET, NUCLEOTIDES

UNIFORM_MNM = {"softmax": math.log(4), "binary": math.log(2)}
"""Masked-nucleotide loss of outputs that are all alike, nats."""

_BASES = list(NUCLEOTIDES)
_CLASS = np.searchsorted(_BASES, np.arange(len(ALPHABET))).clip(max=len(_BASES) - 1)
"""Class of each token among A, C, G, T; that of N is not used."""


def masked_nucleotide_loss(outputs: Tensor, tokens: Tensor, selected: Tensor, kind: str) -> Tensor:
    """How badly the selected nucleotides are restored (`L_MNM`); a scalar, in nats.

    Parameters
    ----------
    outputs : Tensor, shape (..., 5), float
        Outputs of the masked-nucleotide head.
    tokens : Tensor, shape (...), uint8
        The nucleotides that were there.
    selected : Tensor, shape (...), bool
        Where they had to be restored; never at an N.
    kind : {"binary", "softmax"}
        Binary cross-entropy on each of the five outputs (the published loss), or cross-entropy
        over A, C, G and T.
    """
    weight = selected.to(outputs.dtype)
    if kind == "binary":
        target = F.one_hot(tokens.long(), len(ALPHABET)).to(outputs.dtype)
        loss = F.binary_cross_entropy_with_logits(outputs, target, reduction="none").mean(-1)
    else:
        # N takes part in no softmax; where it is the token, the weight is 0 whatever its class
        outputs = outputs[..., _BASES]
        classes = torch.from_numpy(_CLASS).to(tokens.device)[tokens.int()]
        loss = F.cross_entropy(outputs.flatten(0, -2), classes.flatten(), reduction="none")
        loss = loss.view(tokens.shape)
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def contrastive_loss(student: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of the student's outputs against the teacher's targets (`L_CL`); a scalar.

    Parameters
    ----------
    student : Tensor, shape (n, k), float
    target : Tensor, shape (n, k), float
        The teacher's centred and sharpened probabilities.
    """
    return -(target * F.log_softmax(student / temperature, dim=-1)).sum(-1).mean()


def centre_and_sharpen(teacher: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Softmax of the teacher's outputs less their running centre; (n, k), rows sum to 1."""
    return F.softmax((teacher - centre) / temperature, dim=-1)


def sinkhorn(teacher: Tensor, temperature: float, iterations: int = 3) -> Tensor:
    """Teacher's probabilities with all outputs used alike over the batch; (n, k), rows sum to 1.

    Source: Sinkhorn-Knopp centring, Caron et al., SwAV, 2020; Oquab et al., DINOv2, 2023.
    """
    scores = (teacher / temperature).t()  # (k, n)
    scores = torch.exp(scores - scores.max())
    scores = scores / scores.sum()
    k, n = scores.shape
    for _ in range(iterations):
        scores = scores / (scores.sum(1, keepdim=True) * k)
        scores = scores / (scores.sum(0, keepdim=True) * n)
    return (scores * n).t()
