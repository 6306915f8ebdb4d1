"""Losses, and the balancing of the teacher's outputs: one function each."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from findna.genome.encoding import ALPHABET, N

_TINY = torch.finfo(torch.float32).tiny

UNIFORM_MNM = {"softmax": math.log(4), "binary": math.log(2)}
"""Masked-nucleotide loss of outputs that are all alike, nats."""


def masked_nucleotide_loss(
    outputs: Tensor, tokens: Tensor, weight: Tensor, kind: str, count: Tensor | None = None
) -> Tensor:
    """Return how badly the selected nucleotides are restored (`L_MNM`); a scalar, in nats.

    Parameters
    ----------
    outputs : Tensor, shape (..., 5), float
        Outputs of the masked-nucleotide head.
    tokens : Tensor, shape (...), uint8
        The nucleotides that were there.
    weight : Tensor, shape (...), float or bool
        Weight of restoring each of them; 0 where nothing was hidden, and at every N.
    kind : {"binary", "softmax"}
        Binary cross-entropy on each of the five outputs (the published loss), or cross-entropy
        over A, C, G and T.
    count : Tensor, scalar, optional
        Sum of the weights that the loss is a mean over, if these are some of more.
    """
    if kind == "binary":
        target = F.one_hot(tokens.long(), len(ALPHABET)).to(outputs.dtype)
        loss = F.binary_cross_entropy_with_logits(outputs, target, reduction="none").mean(-1)
    else:
        # N takes part in no softmax; where it is the token, the weight is 0 whatever its class
        outputs = torch.cat((outputs[..., :N], outputs[..., N + 1 :]), dim=-1)
        classes = (tokens - (tokens >= N).to(tokens.dtype)).long()  # A, C, G, T: 0 to 3
        loss = F.cross_entropy(outputs.flatten(0, -2), classes.flatten(), reduction="none")
        loss = loss.view(tokens.shape)
    weight = weight.to(loss.dtype)
    count = weight.sum() if count is None else count
    return (loss * weight).sum() / count.clamp(min=1)


def contrastive_loss(student: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Return the cross-entropy of the student's outputs and the targets (`L_CL`); a scalar.

    Both have shape (..., k); targets are the teacher's centred and sharpened probabilities.
    """
    return -(target * F.log_softmax(student / temperature, dim=-1)).sum(-1).mean()


def infonce_loss(student: Tensor, teacher: Tensor, first: int, temperature: float) -> Tensor:
    """Return the cross-entropy of finding one's own window in the batch; a scalar, in nats.

    ``student``, (..., n, k), are unit vectors; ``teacher``, (..., m, k), are those of all windows,
    of which the student's first one is number ``first``.

    Source: InfoNCE, van den Oord et al., 2018, against a momentum encoder as in Chen et al.,
    MoCo v3, 2021.
    """
    logits = (student @ teacher.mT / temperature).float()  # (..., n, m)
    right = F.log_softmax(logits, dim=-1).diagonal(first, dim1=-2, dim2=-1)  # (..., n)
    return -right.mean()


def koleo_loss(vectors: Tensor, everyone: Tensor, first: int) -> Tensor:
    """Return minus the mean log distance to the nearest other vector; a scalar.

    ``vectors``, (n, dim), are brought to unit length here; ``everyone``, (m, dim), are all vectors,
    2 at least, of which the first of ``vectors`` is number ``first``.

    Source: Sablayrolles et al., "Spreading vectors for similarity search", 2019; Oquab et al.,
    DINOv2, 2023.
    """
    # neighbours are so near that the products of a lower precision could not tell them apart
    with torch.autocast(vectors.device.type, enabled=False):
        unit, others = (F.normalize(x.float(), dim=-1) for x in (vectors, everyone))
        number = torch.arange(len(others), device=others.device)
        own = number[first : first + len(unit), None] == number
        nearest = (unit @ others.t()).masked_fill(own, -1).max(1).values  # (n,)
        loss: Tensor = -(2 - 2 * nearest).clamp(min=1e-8).sqrt().log().mean()
        return loss


def centre_and_sharpen(teacher: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Return the softmax of outputs less their running centre; (n, k), rows sum to 1."""
    return F.softmax((teacher - centre) / temperature, dim=-1)


def sinkhorn(teacher: Tensor, temperature: float, iterations: int = 3) -> Tensor:
    """Return probabilities with all outputs used alike over the batch; (n, k), rows sum to 1.

    A row too far below the others for its exponentials to be told from 0 gets 0 throughout.

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
