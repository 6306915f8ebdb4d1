"""Checks that findna computes on this machine and device what it computes elsewhere."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from findna import __version__, places
from findna.commands.checks import Check
from findna.console import counted
from findna.errors import CheckpointError
from findna.genome.encoding import N, Tokens, encode, reverse_complement
from findna.model.checkpoint import (
    DEFAULT_MODEL,
    SHIPPED,
    Checkpoint,
    load_checkpoint,
    read_config,
    shipped_models,
)
from findna.model.devices import Compute, describe, facts, resolve_device
from findna.model.encoder import Encoder
from findna.model.inference import mean_vectors
from findna.model.precision import fastest
from findna.model.tolerances import BF16, OTHER_MACHINE, SAME_MACHINE, largest, relative
from findna.tasks.sites import load_any_task
from findna.tasks.task import SHIPPED as SHIPPED_TASKS
from findna.tasks.task import TASK

KNOWN = "known.json"
"""In the folder of a shipped model: a sequence, and the ``mean`` that findna embed gives it."""

LENGTHS = (1, 2, 17, 64, 250, 300, 301, 511, 512, 777, 999, 1000, 1001, 1500, 2400)

_PACKAGES = (
    *("torch", "numpy", "scipy", "scikit-learn", "h5py", "pysam", "pyfaidx", "pybedtools"),
    *("safetensors", "anndata", "pybigtools", "logomaker"),
)
"""Those of which results, or formats that are written, may depend; the last three are extras."""


def versions() -> dict[str, str]:
    """Return the versions that results may depend on, by name."""
    return {
        "findna": __version__,
        "python": platform.python_version(),
        **{package: _version(package) for package in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def environment(device: str = "auto") -> dict[str, dict[str, str]]:
    """Return what results and speed may depend on here, by section and name.

    Raises
    ------
    ConfigError
        This machine has no such device.
    """
    return {
        "versions": versions(),
        "compute": facts(resolve_device(device)),
        "folders": {
            "cache": _cache(places.cache_folder()),
            "FINDNA_HOME": _held(places.home()),
            "FINDNA_PATH": os.pathsep.join(map(_held, places.shared())) or "no folders",
        },
    }


def _cache(folder: Path) -> str:
    """Return the path and the size of a cache, which other runs may be changing."""
    sizes = []
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                sizes.append(path.stat().st_size)
    return f"{folder} ({sum(sizes) / 1e6:.1f} MB in {counted(len(sizes), 'file')})"


def _held(place: Path) -> str:
    models, tasks = (len(places.inside(place, kind)) for kind in (places.MODELS, places.TASKS))
    return f"{place} ({counted(models, 'model')}, {counted(tasks, 'task')})"


def selftest(device: str = "auto") -> Iterator[Check]:
    """Check the shipped weights, and what the shipped model makes of made-up sequence.

    Yields each check as soon as it is done; that of the weights is the last if it fails.

    Raises
    ------
    ConfigError
        This machine has no such device.
    """
    compute = Compute(resolve_device(device))
    target = compute.device
    weights = _weights()
    yield weights
    if not weights.passed:
        return
    checkpoint = load_checkpoint(str(SHIPPED / DEFAULT_MODEL))
    encoder = checkpoint.model.encoder
    sequences = _sequences()
    expected = mean_vectors(encoder, sequences, compute)
    device_name = describe(target)
    n = f"{len(sequences)} sequences of {min(LENGTHS)} to {max(LENGTHS)} bp"
    yield _known_answer(checkpoint, compute)
    alone = mean_vectors(encoder, sequences, replace(compute, max_tokens=1))
    yield Check.within(
        "batches", largest(alone, expected), SAME_MACHINE, f"{n}, each alone and together"
    )
    turned = mean_vectors(encoder, sequences[::-1], compute)[::-1]
    yield Check.within("order", largest(turned, expected), SAME_MACHINE, "the last one first")
    yield _threads(encoder, sequences)
    both = mean_vectors(encoder, sequences, compute, both_strands=True)
    opposite = [reverse_complement(sequence) for sequence in sequences]
    flipped = mean_vectors(encoder, opposite, compute, both_strands=True)
    yield Check.within(
        "strands", largest(flipped, both), SAME_MACHINE, "--both-strands of each reverse complement"
    )
    rough = mean_vectors(encoder, sequences, replace(compute, precision="bf16"))
    taken = fastest(target, again=True)
    yield Check.within(
        "precision", largest(rough, expected), BF16, f"bf16 beside fp32 on {device_name}; {taken}"
    )
    if target.type == "cpu":
        yield Check("devices", None, "not done: no GPU is used here")
    else:
        on_cpu = mean_vectors(encoder, sequences, Compute(torch.device("cpu")))
        yield Check.within(
            "devices", largest(expected, on_cpu), OTHER_MACHINE, f"{device_name} beside the CPU"
        )


def _sequences() -> list[Tokens]:
    """Return made-up sequences of every kind of length, every fifth with some N."""
    rng = np.random.default_rng(0)
    sequences = []
    for i, length in enumerate(LENGTHS):
        tokens = encode("".join(rng.choice(list("ACGT"), length)))
        if i % 5 == 4:
            tokens[length // 3 : length // 2] = N
        sequences.append(tokens)
    return sequences


def _weights() -> Check:
    """Hold every weight that ships against the digest beside it."""
    wrong, names = [], []
    for name in shipped_models():
        try:
            folder = SHIPPED / name
            matches = load_checkpoint(str(folder)).digest == read_config(folder).get("digest")
        except CheckpointError as error:
            wrong.append(str(error))
            continue
        names.append(name)
        if not matches:
            wrong.append(f"model {name} is not what its config.json says")
    for path in sorted(SHIPPED_TASKS.glob(f"*/{TASK}")):
        try:
            task = load_any_task(str(path.parent))
            _ = task.checkpoint  # held against task.json as it is loaded
        except CheckpointError as error:
            wrong.append(str(error))
            continue
        names.append(task.name)
    if wrong:
        return Check("weights", False, f"{'; '.join(wrong)}; install findna again")
    return Check("weights", True, f"digests of {', '.join(names)}")


def _known_answer(checkpoint: Checkpoint, compute: Compute) -> Check:
    known: dict[str, Any] = json.loads((checkpoint.folder / KNOWN).read_text())
    if known["digest"] != checkpoint.digest:
        return Check("known answer", False, f"{KNOWN} is that of other weights")
    tokens = encode(known["sequence"])
    (vector,) = mean_vectors(checkpoint.model.encoder, [tokens], compute)
    return Check.within(
        "known answer",
        relative(vector, np.array(known["mean"])),
        OTHER_MACHINE,
        f"the stored vector of a sequence of {len(tokens)} bp",
    )


def _threads(encoder: Encoder, sequences: list[Tokens]) -> Check:
    """Compare one CPU thread with all, which are at least two."""
    cpu, before = Compute(torch.device("cpu")), torch.get_num_threads()
    n_threads = max(before, 2)
    try:
        torch.set_num_threads(1)
        expected = mean_vectors(encoder, sequences, cpu)
        torch.set_num_threads(n_threads)
        vectors = mean_vectors(encoder, sequences, cpu)
    finally:
        torch.set_num_threads(before)
    return Check.within(
        "threads", largest(vectors, expected), SAME_MACHINE, f"{n_threads} CPU threads beside one"
    )
