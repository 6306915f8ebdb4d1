"""The processes of a torchrun job: each makes a shard of an output, or all train one model."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed
from torch.distributed.rendezvous import rendezvous

from findna import log, progress
from findna.errors import ConfigError
from findna.io.output import check_output
from findna.merge import MergeSummary, merge
from findna.shards import Shard, check_parts

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")
_PATIENCE = timedelta(days=30)  # of a process that is done for the others


@dataclass(frozen=True)
class Job:
    """Place of a process in its job; ``local_rank`` is its number on its machine."""

    rank: int
    size: int
    local_rank: int


def current_job() -> Job | None:
    """The torchrun job that this process is one of several of."""
    if not all(os.environ.get(name) for name in _VARIABLES):
        return None
    job = Job(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    return job if job.size > 1 else None


def run_sharded(
    job: Job,
    run: Callable[..., Any],
    *inputs: Any,
    output: Path | None,
    device: str,
    shard: Shard | None,
    force: bool,
    embeddings: Path | None = None,
    **options: Any,
) -> MergeSummary | None:
    """Run a command on this process's shard; when all are done, the first process merges them.

    Shards are kept in a folder beside the output until then.

    Parameters
    ----------
    run : callable
        `findna.embed.embed`, `findna.predict.predict` or `findna.variants.variants`.
    inputs, options
        As for it.

    Returns
    -------
    MergeSummary, optional
        In the first process.

    Raises
    ------
    ConfigError
        A shard was asked for, or the output cannot be made in shards.
    """
    if shard is not None:
        raise ConfigError("--shard: under torchrun each process takes a shard of its own")
    own = Shard(job.rank + 1, job.size)
    check_parts(output, own, False)
    if options.get("write_index"):
        raise ConfigError("--write-index: under torchrun, index the merged file (tabix) instead")
    assert output is not None
    finals = [path for path in (output, embeddings) if path is not None]
    for path in finals:
        check_output(path, force)
    folders = [path.with_name(path.name + ".shards") for path in finals]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    if device in ("auto", "cuda") and torch.cuda.is_available():
        device = f"cuda:{job.local_rank}"
    if job.rank:
        progress.set_quiet(True)
    parts = [
        folder / f"{own.number}.{path.name}" for folder, path in zip(folders, finals, strict=True)
    ]
    torch.distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        more = {"embeddings": parts[1]} if embeddings is not None else {}
        run(*inputs, parts[0], device=device, shard=own, force=True, **more, **options)
        torch.distributed.barrier()
        if job.rank:
            return None
        for path, folder in zip(finals, folders, strict=True):
            numbers = range(1, job.size + 1)
            summary = merge([folder / f"{i}.{path.name}" for i in numbers], path, force)
            shutil.rmtree(folder)
        return summary
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def training_job(device: str) -> Iterator[str]:
    """Join the processes that train one model; yields the name of this one's device.

    Of what goes wrong the first process that notices speaks. The others, who find it gone or have
    come to the same error, end in silence, with its exit code.
    """
    job = current_job()
    if job is None:
        yield device
        return
    if torch.cuda.is_available() and device in ("auto", "cuda"):
        device = f"cuda:{job.local_rank}"
        torch.cuda.set_device(job.local_rank)
    if job.rank:
        progress.set_quiet(True)
        log.set_up(quiet=True)
    store, rank, size = next(rendezvous("env://"))
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo",
        store=store, rank=rank, world_size=size, timeout=_PATIENCE,
    )  # fmt: skip
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
    """What the first process of a training job gave here, in every process."""
    values = [value]
    torch.distributed.broadcast_object_list(values)
    return values[0]
