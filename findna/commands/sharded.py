"""The processes of a torchrun job: each makes a shard of an output, or all train one model."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch.distributed

from findna import console
from findna.commands.merge import MergeSummary, merge
from findna.errors import ConfigError, OutputError
from findna.model.collective import PATIENCE, Job
from findna.model.devices import Compute
from findna.outputs.destination import Destination
from findna.outputs.shards import Shard


def run_sharded(
    job: Job,
    run: Callable[..., Any],
    *inputs: Any,
    output: Destination,
    compute: Compute,
    embeddings: Path | None = None,
    **options: Any,
) -> MergeSummary | None:
    """Run a command on this process's shard; when all are done, the first process merges them.

    Shards are kept in a folder beside the output until then.

    Parameters
    ----------
    run : callable
        `embed`, `predict` or `variants` of `findna.commands`.
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
    if output.shard is not None:
        raise ConfigError("--shard: under torchrun each process takes a shard of its own")
    own = Shard(job.rank + 1, job.size)
    if output.write_index:
        raise ConfigError("--write-index: under torchrun, index the merged file (tabix) instead")
    if output.multiqc is not None:
        raise ConfigError("--multiqc counts the rows of one process; leave it out under torchrun")
    finals = [replace(output, resume=False)]
    if embeddings is not None:
        finals.append(replace(output, path=embeddings, form="h5", resume=False))
    for final in finals:
        replace(final, shard=own).check()
    folders = [final.file.with_name(final.file.name + ".shards") for final in finals]
    for folder in folders:
        if folder.is_symlink():
            raise OutputError(
                f"{folder}: is a symbolic link; shards are kept in a folder: remove it"
            )
        folder.mkdir(exist_ok=True)
    if compute.device == torch.device("cuda"):
        compute = replace(compute, device=torch.device("cuda", job.local_rank))
    if job.rank:
        console.set_quiet(True)
    parts = [
        folder / f"{own.number}.{final.file.name}"
        for folder, final in zip(folders, finals, strict=True)
    ]
    torch.distributed.init_process_group("gloo", timeout=PATIENCE)
    try:
        if embeddings is not None:
            options["embeddings"] = parts[1]
        mine = replace(output, path=parts[0], shard=own, force=True)
        run(*inputs, mine, compute=compute, **options)
        torch.distributed.barrier()
        if job.rank:
            return None
        for final, folder in zip(finals, folders, strict=True):
            numbers = range(1, job.size + 1)
            summary = merge([folder / f"{i}.{final.file.name}" for i in numbers], final)
            _remove_shards(folder, final.file.name)
        return summary
    finally:
        torch.distributed.destroy_process_group()


def _remove_shards(folder: Path, name: str) -> None:
    """Remove shards and their notes, and the folder unless it holds something else."""
    shard = re.compile(rf"[0-9]+\.{re.escape(name)}(\.shard\.json)?")
    for path in folder.iterdir():
        if shard.fullmatch(path.name) and path.is_file():
            path.unlink()
    with suppress(OSError):
        folder.rmdir()
