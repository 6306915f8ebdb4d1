"""Devices, and how an encoder computes on them."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from dataclasses import dataclass

import torch

from findna.console import counted
from findna.errors import ConfigError

PRECISIONS = ("fp32", "bf16")

MAX_TOKENS = {"cpu": 8_192, "mps": 65_536, "cuda": 262_144}
"""Default token budget of a batch: on a CPU, about what its caches hold."""


@dataclass(frozen=True)
class Compute:
    """Device, precision ("fp32" or "bf16") and token budget of a batch; passed on whole.

    The budget changes memory and speed, not results; by default it is that of `MAX_TOKENS`.
    """

    device: torch.device
    precision: str = "fp32"
    max_tokens: int | None = None

    @property
    def budget(self) -> int:
        """Tokens of a batch."""
        return self.max_tokens or MAX_TOKENS[self.device.type]

    def autocast(self) -> torch.autocast:
        """Return a context in which the encoder computes with this precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def resolve_device(name: str) -> torch.device:
    """Return the device of a name: auto, cpu, cuda, cuda:N or mps; auto prefers a GPU.

    Raises
    ------
    ConfigError
        The name is unknown or this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    unknown = ConfigError(f"unknown device {name}; use auto, cpu, cuda, cuda:N or mps")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise unknown from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigError(f"no device {name}: torch sees {count} CUDA devices; use --device cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("no device mps on this machine; use --device cpu")
    if device.type not in ("cpu", "cuda", "mps"):
        raise unknown
    return device


def describe(device: torch.device) -> str:
    """Return a device in words, for cards and reports."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    machine = platform.machine()
    article = "an" if machine[:1].lower() in tuple("aeix") else "a"  # x86_64, arm64
    return f"{counted(torch.get_num_threads(), 'thread')} of {article} {machine} CPU"


def facts(device: torch.device) -> dict[str, str]:
    """Return what a device, the CPU and the GPUs of this machine can do, by name."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        gpus.append("mps")
    return {
        "device": describe(device),
        "GPUs": ", ".join(gpus) or "none",
        "CPU threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores",
        "CPU vectors": torch.backends.cpu.get_cpu_capability(),
        "CPU bf16": ", ".join(_bf16_units()) or "no units for it",
    }


def _bf16_units() -> list[str]:
    """Return the units of the CPU for bf16 that torch sees; older versions cannot be asked."""
    questions = {"AVX512_BF16": "_is_avx512_bf16_supported", "AMX": "_is_amx_tile_supported"}
    return [unit for unit, name in questions.items() if getattr(torch.cpu, name, bool)()]


def keep_freed_memory() -> None:
    """Let this process keep the memory it frees, for its next use.

    glibc hands every large block back to the system, and a training step asks for hundreds of
    them anew: a tenth of its time on a CPU goes into pages that are taken and cleared again.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # M_... of malloc.h
    mallopt(mmap_max, 0)
    mallopt(top_pad, 2**28)
    mallopt(trim_threshold, 2**31 - 1)
