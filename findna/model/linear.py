"""Matrix products of the encoder, through oneDNN where that is faster.

On a CPU, torch multiplies fp32 matrices with MKL, which on processors of other makers runs at
less than half the rate of oneDNN's kernels for the same product (docs/benchmarks.md). torch
ships oneDNN's linear layer, with the bias and an optional exact GELU fused, as an operator of
its own; everything here falls back to the ordinary one where that operator is missing.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def _find_onednn() -> Any:
    try:
        available = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]  # torch
        return torch.ops.mkldnn._linear_pointwise.default if available else None
    except (AttributeError, RuntimeError):
        return None


_onednn: Any = _find_onednn()


def _fits_onednn(*tensors: Tensor) -> bool:
    return (
        _onednn is not None
        and not torch.compiler.is_compiling()
        and all(t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors)
    )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool = False) -> Tensor:
    """``x @ weight.T + bias`` through oneDNN, optionally followed by exact GELU."""
    product: Tensor = _onednn(x, weight, bias, "gelu" if gelu else "none", [], "none")
    return product


class _Mlp(torch.autograd.Function):
    """Two linear layers with a GELU between; see `mlp`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        before = _product(x, w1, b1)
        after = F.gelu(before)
        ctx.save_for_backward(x, before, after, w1, w2)
        return _product(after, w2, b2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        x, before, after, w1, w2 = ctx.saved_tensors
        grad = grads[0].contiguous()
        grad_after = _product(grad, w2.t().contiguous(), None)
        grad_before = torch.ops.aten.gelu_backward(grad_after, before)
        return (
            _product(grad_before, w1.t().contiguous(), None),
            grad_before.t() @ x,
            grad_before.sum(0),
            grad.t() @ after,
            grad.sum(0),
        )


def mlp(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """``w2 gelu(w1 x + b1) + b2`` with the exact (erf) GELU; shape (total, dim).

    Parameters
    ----------
    x : Tensor, shape (total, dim), float
    w1, b1 : Tensor, shapes (hidden, dim) and (hidden,)
    w2, b2 : Tensor, shapes (dim, hidden) and (dim,)
    """
    if not _fits_onednn(x, w1) or torch.is_autocast_enabled(x.device.type):
        return F.linear(F.gelu(F.linear(x, w1, b1)), w2, b2)
    if torch.is_grad_enabled() and (x.requires_grad or w1.requires_grad):
        result: Tensor = _Mlp.apply(x.contiguous(), w1, b1, w2, b2)  # type: ignore[no-untyped-call]
        return result
    return _product(_product(x.contiguous(), w1, b1, gelu=True), w2, b2)
