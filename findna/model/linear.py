"""Matrix products of the encoder, through oneDNN where that is faster.

On a CPU, torch multiplies fp32 matrices with MKL, which on processors of other makers runs at
less than half the rate of oneDNN's kernels for the same product (docs/benchmarks/rates.md). torch
ships oneDNN's linear layer, with the bias and an optional exact GELU fused, as an operator of
its own; everything here falls back to the ordinary one where that operator is missing.
"""

from functools import cache
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


@cache
def multiplies_bf16() -> bool:
    """Return whether oneDNN has bf16 kernels for this CPU (they need AVX-512)."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False


def _onednn_type(x: Tensor, weight: Tensor) -> torch.dtype | None:
    """Return the type oneDNN multiplies in: fp32, or bf16 under autocast; None if it cannot."""
    if (
        _onednn is None
        or torch.compiler.is_compiling()
        or x.device.type != "cpu"
        or weight.dtype != torch.float32
    ):
        return None
    if torch.is_autocast_enabled("cpu"):
        bf16 = torch.get_autocast_dtype("cpu") == torch.bfloat16 and multiplies_bf16()
        return torch.bfloat16 if bf16 else None
    return torch.float32 if x.dtype == torch.float32 else None


def _product(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool = False) -> Tensor:
    """Return ``x @ weight.T + bias`` through oneDNN, optionally followed by exact GELU."""
    product: Tensor = _onednn(x, weight, bias, "gelu" if gelu else "none", [], "none")
    return product


class _Mlp(torch.autograd.Function):
    """Two linear layers with a GELU between, all in one type; see `mlp`."""

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
    """Return ``w2 gelu(w1 x + b1) + b2`` with the exact (erf) GELU.

    ``x`` and the result have shape (total, dim), ``w1`` (hidden, dim) and ``w2`` (dim, hidden).
    Under bf16 autocast the result is bf16.
    """
    kind = _onednn_type(x, w1)
    if kind is None:
        return F.linear(F.gelu(F.linear(x, w1, b1)), w2, b2)
    x, w1, b1, w2, b2 = (tensor.to(kind) for tensor in (x.contiguous(), w1, b1, w2, b2))
    if torch.is_grad_enabled() and (x.requires_grad or w1.requires_grad):
        result: Tensor = _Mlp.apply(x, w1, b1, w2, b2)  # type: ignore[no-untyped-call]  # torch
        return result
    return _product(_product(x, w1, b1, gelu=True), w2, b2)
