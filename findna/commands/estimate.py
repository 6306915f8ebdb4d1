"""Time and memory that a run would take on this device, from a second of measuring."""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import torch

from findna.genome.batching import SequenceSource
from findna.genome.windows import Region
from findna.model.checkpoint import Checkpoint, load_checkpoint
from findna.model.devices import Compute, describe
from findna.model.inference import region_vectors
from findna.model.pooling import Pooling
from findna.variants.haplotypes import Strands
from findna.variants.scores import Scorer

_SECONDS = 1.0  # that the measured part takes, about

_MOST_BATCHES = 20

_LONGEST = 20_000  # bp of a region that are encoded

_FEW_ALLELES = 4


@dataclass(frozen=True)
class Estimate:
    """Time and memory of a run; a guess from a small part of it.

    Parameters
    ----------
    command : {"embed", "variants"}
        With its default options.
    seconds : float
        Without loading the model.
    memory : int
        Peak memory of the process, bytes; it does not grow with the number of rows.
    gpu_memory : int, optional
        Peak memory on a CUDA device, bytes.
    """

    command: str
    model: str
    digest: str
    device: str
    seconds: float
    memory: int
    gpu_memory: int | None


def estimate_embed(
    sample: Sequence[Region], source: SequenceSource, total: int, model: str, compute: Compute
) -> Estimate:
    """Estimate what encoding ``total`` bp takes, from some of the regions.

    Parameters
    ----------
    sample : sequence of Region
        Not empty; read from ``source``, as often as it takes to fill a batch.
    """
    checkpoint = load_checkpoint(model)
    batch = compute.budget

    def seconds(bases: int) -> tuple[float, int]:
        """Return the time to encode at least so many bases, and their number."""
        regions, n = [], 0
        for number, region in enumerate(cycle(sample)):
            if n >= bases:
                break
            regions.append((number, _shortened(region)))
            n += len(regions[-1][1])
        started = time.perf_counter()
        encoder = checkpoint.model.encoder
        for _ in region_vectors(regions, source, encoder, Pooling(), compute):
            pass
        return time.perf_counter() - started, n

    first, _ = seconds(batch)  # also warms up
    measured, n = seconds(batch * max(min(int(_SECONDS / first), _MOST_BATCHES), 1))
    return _estimate("embed", checkpoint, compute.device, measured / n * total)


def _shortened(region: Region) -> Region:
    """Return a region, or the beginning of its first part if it is long."""
    parts = region.parts
    if len(region) > _LONGEST:
        start, end = parts[0]
        parts = ((start, min(end, start + _LONGEST)),)
    return Region(region.chrom, parts, region.reverse)


def estimate_variants(
    sample: Sequence[list[Strands]], alleles: int, model: str, compute: Compute
) -> Estimate:
    """Estimate what scoring so many alleles takes, from the windows of at least one."""
    checkpoint = load_checkpoint(model)
    scorer = Scorer(checkpoint, compute=compute)

    def seconds(n: int) -> float:
        started = time.perf_counter()
        scorer(sample[:n])
        return time.perf_counter() - started

    few = min(_FEW_ALLELES, len(sample))
    seconds(few)  # warms up
    n = min(max(int(few * _SECONDS / seconds(few)), few), len(sample))
    measured = seconds(n)
    return _estimate("variants", checkpoint, compute.device, measured / n * alleles)


def peak_memory() -> int:
    """Return the peak memory of this process so far, bytes."""
    if sys.platform == "linux":  # where ru_maxrss begins with the peak of the parent process
        found = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.M)
        if found:
            return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _estimate(command: str, model: Checkpoint, device: torch.device, seconds: float) -> Estimate:
    """Return an estimate with the peak memory of this process so far."""
    memory = peak_memory()
    on_gpu = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return Estimate(command, model.name, model.digest, describe(device), seconds, memory, on_gpu)
