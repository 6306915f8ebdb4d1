"""Processes that train one model together: how they join, fail and end.

`findna.model.collective` computes over them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.distributed
from torch.distributed.rendezvous import rendezvous

from findna import console
from findna.model.collective import PATIENCE, current_job


@contextmanager
def training_job(device: str) -> Iterator[str]:
    """Join the processes that train one model; yields the name of this one's device.

    The first process that meets an error reports it. The others, which find it gone or have met
    the same error, end in silence with its exit code.
    """
    job = current_job()
    if job is None:
        yield device
        return
    if torch.cuda.is_available() and device in ("auto", "cuda"):
        device = f"cuda:{job.local_rank}"
        torch.cuda.set_device(job.local_rank)
    if job.rank:
        console.set_quiet(True)
        console.set_up(quiet=True)
    store, rank, size = next(rendezvous("env://"))
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo",
        store=store,
        rank=rank,
        world_size=size,
        timeout=PATIENCE,
    )
    try:
        yield device
        torch.distributed.barrier()  # the first process writes for longer
    except BaseException as error:
        if store.add("failed", 1) == 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, once another has ended
            code = 130 if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_code", 1)
            store.set("exit_code", str(code))
            raise
        os._exit(int(store.get("exit_code")))
    torch.distributed.destroy_process_group()
    if job.rank:
        # they have no more to do, and a thread of torch's that still runs aborts an ordinary end
        os._exit(0)


def from_first(value: Any = None) -> Any:
    """Return in every process what the first one gave."""
    values = [value]
    torch.distributed.broadcast_object_list(values)
    return values[0]
