"""Folders of weights and settings, of models and of tasks: safetensors beside JSON.

Weights and settings come from outside: whatever does not fit is refused by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from findna.errors import CheckpointError, ConfigError
from findna.outputs.files import replaced
from findna.settings import from_dict

FORMAT = 1
_LARGEST_JSON = 1 << 20  # bytes
Settings = TypeVar("Settings")


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def to_json(values: Any) -> str:
    """Return values as JSON that people can read: a list of numbers is one line."""
    text = json.dumps(values, indent=2)  # line ends are between values, never in one
    return re.sub(r"\[\n *([-+.\deE,\s]+?)\n *\]", _on_one_line, text)


def _on_one_line(found: re.Match[str]) -> str:
    return "[" + re.sub(r"\n *", " ", found[1]) + "]"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Replace a safetensors file in one step; equal tensors give equal bytes."""
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with replaced(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # of an ordinary new file; safetensors makes it private
        save_file(contiguous, temporary, metadata)
        temporary.chmod(mode)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file, or raise CheckpointError; tensors stay mapped, see `own_tensors`."""
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, MemoryError) as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file: {' '.join(str(error).split())}"
        ) from error


UNREADABLE = (SafetensorError, OSError, LookupError, ValueError, TypeError, RecursionError)
"""Errors by which a damaged training state tells itself."""


def read_state(path: Path, device: str = "cpu") -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the metadata and the tensors of a training state, or raise one of `UNREADABLE`."""
    with safe_open(path, "pt", device=device) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
        return file.metadata() or {}, tensors


def own_tensors(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return finite float32 copies of tensors, or raise CheckpointError.

    Unlike mapped ones they stay as they are when their file changes.
    """
    copies = {name: tensor.to(torch.float32, copy=True) for name, tensor in tensors.items()}
    if not all(bool(torch.isfinite(tensor).all()) for tensor in copies.values()):
        raise CheckpointError(f"{path}: holds values that are not finite")
    return copies


def read_settings(
    path: Path, owner: str, key: str, kind: type[Settings]
) -> tuple[Settings, dict[str, Any]]:
    """Read a JSON file: the settings under one of its keys, and all that it holds.

    ``owner`` is model or task, for messages; ``kind`` is the dataclass of the settings.

    Raises
    ------
    CheckpointError
        It is not JSON, of a newer format, or holds impossible values.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise CheckpointError(f"{path}: larger than 1 MiB; not a {owner}'s configuration")
        values = json.loads(path.read_text())
        if not isinstance(values, dict) or not isinstance(values.get(key), dict):
            raise CheckpointError(f"{path}: not a {owner}'s configuration: no {key} in it")
        if values.get("format") != FORMAT:
            raise CheckpointError(
                f"{path}: format {values.get('format')!r}; this findna reads format {FORMAT}: "
                "upgrade findna"
            )
        return from_dict(kind, values[key]), values
    except (ValueError, TypeError, RecursionError, ConfigError) as error:
        raise CheckpointError(f"{path}: {' '.join(str(error).split())}") from error
