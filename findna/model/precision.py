"""The fastest arithmetic of this machine, decided once and kept."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from findna.errors import ConfigError
from findna.genome.encoding import encode
from findna.model.checkpoint import DEFAULT_MODEL, SHIPPED, load_checkpoint
from findna.model.devices import PRECISIONS, Compute, resolve_device
from findna.model.inference import mean_vectors
from findna.model.linear import multiplies_bf16
from findna.model.tolerances import BF16, largest
from findna.outputs.files import replaced
from findna.places import cache_folder

logger = logging.getLogger(__name__)

AUTO = "auto"
"""The precision that `compute_on` replaces by the fastest one."""

VARIABLE = "FINDNA_PRECISION"
"""Environment variable with the precision that `AUTO` stands for."""

_WORTH_IT = 1.15  # times as fast as fp32
_TURNS = 3
_WINDOW = 512  # bp


@dataclass(frozen=True)
class Decision:
    """The precision for a device, and what decided it.

    Parameters
    ----------
    speedup : float or None
        Time of fp32 over time of bf16; None if this device has no units for bf16.
    difference : float or None
        Largest relative difference between bf16 and fp32 vectors.
    """

    precision: str
    speedup: float | None = None
    difference: float | None = None

    def __str__(self) -> str:
        if self.speedup is None:
            return f"--precision auto takes {self.precision}: no units for bf16"
        return f"--precision auto takes {self.precision}: bf16 is {self.speedup} times as fast"


def compute_on(
    device: str = "auto", precision: str = AUTO, max_tokens: int | None = None
) -> Compute:
    """Return how to compute on the device of a name, with a precision that may be `AUTO`.

    Raises
    ------
    ConfigError
        This machine has no such device, or `VARIABLE` names no precision.
    """
    target = resolve_device(device)
    return Compute(target, resolve_precision(precision, target), max_tokens)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return the precision to compute with: for `AUTO` that of `VARIABLE`, else the fastest."""
    if precision != AUTO:
        return precision
    wanted = os.environ.get(VARIABLE) or AUTO
    if wanted not in (AUTO, *PRECISIONS):
        known = ", ".join((AUTO, *PRECISIONS))
        raise ConfigError(f"{VARIABLE}: no precision {wanted!r}; use one of {known}")
    return wanted if wanted != AUTO else fastest(device).precision


def fastest(device: torch.device, *, again: bool = False) -> Decision:
    """Return what was decided for this device, and decide now if nothing was.

    Decisions are kept in findna's cache folder, by device and version of torch. ``again``
    decides anew.
    """
    path, name = cache_folder() / "precision.json", _name(device)
    kept = _kept(path)
    if name in kept and not again:
        return kept[name]
    decision = _decide(device)
    logger.info("%s: %s", name, decision)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as temporary:
            values = {key: asdict(value) for key, value in {**kept, name: decision}.items()}
            temporary.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
    return decision


def _kept(path: Path) -> dict[str, Decision]:
    """Return the decisions of a file; none if it is missing or damaged."""
    try:
        stored = json.loads(path.read_text("utf-8"))
        kept = {name: Decision(**values) for name, values in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: value for name, value in kept.items() if value.precision in PRECISIONS}


def _name(device: torch.device) -> str:
    """Return a name of a processor that others of its kind share."""
    if device.type == "cuda":
        processor = torch.cuda.get_device_name(device)
    else:
        processor = f"{_cpu()} {torch.backends.cpu.get_cpu_capability()} {device.type}"
    return f"{processor}, torch {torch.__version__}"


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _decide(device: torch.device) -> Decision:
    """Let the default model encode made-up sequence in both, in turn; the quickest turn counts."""
    if device.type == "mps" or (device.type == "cpu" and not multiplies_bf16()):
        return Decision("fp32")
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return Decision("fp32")
    encoder = load_checkpoint(str(SHIPPED / DEFAULT_MODEL)).model.encoder
    n_windows = 4 if device.type == "cpu" else 256
    letters = np.random.default_rng(0).choice(list("ACGT"), (n_windows, _WINDOW))
    sequences = [encode("".join(row)) for row in letters]
    exact = Compute(device)
    rough = replace(exact, precision="bf16")
    seconds: dict[str, list[float]] = {compute.precision: [] for compute in (exact, rough)}
    vectors = {}
    for _ in range(_TURNS):
        for compute in (exact, rough):
            started = time.perf_counter()
            vectors[compute.precision] = mean_vectors(encoder, sequences, compute)
            seconds[compute.precision].append(time.perf_counter() - started)
    difference = largest(vectors["bf16"], vectors["fp32"])
    speedup = min(seconds["fp32"]) / min(seconds["bf16"])
    good = speedup >= _WORTH_IT and difference <= BF16
    return Decision("bf16" if good else "fp32", round(speedup, 2), round(difference, 5))
