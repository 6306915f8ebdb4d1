"""Sums over the processes that train one model; in a single process everything is itself.

Every process calls the same functions in the same order.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

_alone = False


def size() -> int:
    """Return the number of processes that train together."""
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if together and not _alone else 1


def rank() -> int:
    """Return the number of this process, from 0; the first writes."""
    return torch.distributed.get_rank() if size() > 1 else 0


@contextmanager
def alone() -> Iterator[None]:
    """Compute in this process alone, while the others wait."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def share(rows: slice) -> slice:
    """Return this process's part of a slice of rows; parts differ by one row at most."""
    n, i = rows.stop - rows.start, rank()
    return slice(rows.start + i * n // size(), rows.start + (i + 1) * n // size())


class _Total(torch.autograd.Function):
    """Sum over processes; each process's loss depends on the sum, so its gradient is one too."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        summed = values.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(_: Any, *grads: Tensor) -> Tensor:
        return _Total.forward(None, grads[0])


def total(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes; gradients pass."""
    if size() == 1:
        return values
    summed: Tensor = _Total.apply(values)  # type: ignore[no-untyped-call]  # torch
    return summed


def gather(rows: Tensor) -> tuple[Tensor, int]:
    """Return the rows of all processes in order, and the index of this one's first row.

    Rows have shape (n, ...), where n may differ between processes; gradients pass.
    """
    if size() == 1:
        return rows, 0
    counts = torch.zeros(size(), dtype=torch.int64, device=rows.device)
    counts[rank()] = len(rows)
    ends = total(counts).cumsum(0).tolist()
    first = ends[rank()] - len(rows)
    before, after = (rows.new_zeros(n, *rows.shape[1:]) for n in (first, ends[-1] - ends[rank()]))
    return total(torch.cat((before, rows, after))), first


def mean(rows: Tensor) -> Tensor:
    """Return the mean over the rows of all processes; (n, k) -> (k,), gradients pass."""
    if size() == 1:
        return rows.mean(0)
    sums = total(torch.cat((rows.sum(0), rows.new_full((1,), len(rows)))))  # (k + 1,)
    return sums[:-1] / sums[-1]


@torch.no_grad()
def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up the gradients of all processes, in one exchange.

    Losses are shares of the whole batch's, so gradients are summed: DistributedDataParallel
    averages, exchanges once per micro-batch unless told, and wants every parameter used.
    """
    if size() == 1:
        return
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([grad.flatten() for grad in grads])
    torch.distributed.all_reduce(flat)
    parts = torch.split(flat, [grad.numel() for grad in grads])
    torch._foreach_copy_(grads, [p.view_as(g) for p, g in zip(parts, grads, strict=True)])


_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")
PATIENCE = timedelta(days=30)  # of a process that is done for the others


@dataclass(frozen=True)
class Job:
    """Place of a process in its job; ``local_rank`` is its number on its machine."""

    rank: int
    size: int
    local_rank: int


def current_job() -> Job | None:
    """Return this process's place in its torchrun job; None if it is alone."""
    if not all(os.environ.get(name) for name in _VARIABLES):
        return None
    job = Job(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    return job if job.size > 1 else None
