"""The two losses, and what balances the teacher's outputs. One function each."""

import torch
import torch.nn.functional as F
from torch import Tensor

from findna import collective
from findna.encoding import ALPHABET, N


def masked_nucleotide_loss(
    outputs: Tensor, tokens: Tensor, selected: Tensor, kind: str, count: Tensor | None = None
) -> Tensor:
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
    count : Tensor, scalar, optional
        Selected positions that the loss is a mean over, if these are some of more.
    """
    weight = selected.to(outputs.dtype)
    if kind == "binary":
        target = F.one_hot(tokens.long(), len(ALPHABET)).to(outputs.dtype)
        loss = F.binary_cross_entropy_with_logits(outputs, target, reduction="none").mean(-1)
    else:
        # N takes part in no softmax; where it is the token, the weight is 0 whatever its class
        outputs = torch.cat((outputs[..., :N], outputs[..., N + 1 :]), dim=-1)
        classes = (tokens - (tokens >= N).to(tokens.dtype)).long()  # A, C, G, T: 0 to 3
        loss = F.cross_entropy(outputs.flatten(0, -2), classes.flatten(), reduction="none")
        loss = loss.view(tokens.shape)
    count = weight.sum() if count is None else count
    return (loss * weight).sum() / count.clamp(min=1)


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
    scores = torch.exp(scores - collective.highest(scores.max()))
    for _ in range(iterations):
        scores = scores / collective.total(scores.sum(1, keepdim=True))
        scores = scores / scores.sum(0, keepdim=True)
    return scores.t()
