"""Muon: steps of equal size in all directions of a weight matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

_ITERATIONS = 5

_A, _B, _C = 3.4445, -4.7750, 2.0315
"""Coefficients of the iteration: they bring every singular value of (0, 1] near 1 the fastest."""


def orthogonalise(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix with all singular values 1; same shape, float32.

    Newton-Schulz iterations in bfloat16: singular values end between 0.7 and 1.2, which is
    enough here.
    """
    tall = len(matrix) > matrix.shape[1]
    x = (matrix.mT if tall else matrix).bfloat16().contiguous()
    x = x / (x.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = torch.addmm(x, torch.addmm(square, square, square, beta=_B, alpha=_C), x, beta=_A)
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum, each matrix of it made orthogonal before the step; for hidden layers' weights.

    ``parameters`` are weight matrices; ``momentum`` is Nesterov's. torch has an optimiser of this
    kind from version 2.9 on.

    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        settings = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(parameters, settings)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no loss is returned
        """Take one step; ``closure`` is not used."""
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            gradients = [p.grad for p in weights]
            for p in weights:
                if not self.state[p]:
                    self.state[p]["momentum"] = torch.zeros_like(p)
            moments = [self.state[p]["momentum"] for p in weights]
            torch._foreach_lerp_(moments, gradients, 1 - group["momentum"])
            ahead = torch._foreach_lerp(gradients, moments, group["momentum"])
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            for p, direction in zip(weights, ahead, strict=True):
                # the same change of what the layer puts out, whatever its shape
                scale = max(1.0, len(p) / p.shape[1]) ** 0.5
                p.add_(orthogonalise(direction), alpha=-group["lr"] * scale)
