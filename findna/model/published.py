"""Checkpoints of the published FinDNA code: the one place where a pickle is opened.

Only tensors are read (``weights_only=True``). docs/formats.md gives the layout.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from findna.errors import CheckpointError, ConfigError
from findna.model.checkpoint import CONFIG, Model, save_checkpoint
from findna.model.config import EncoderConfig
from findna.outputs.claims import claimed
from findna.outputs.files import check_folder

N_CLS = 10
"""CLS positions of the published pretraining; the authors' downstream code appends none."""

_PUBLISHED_KEY = re.compile(
    r"encoder\.SwanDNA_blocks\.(\d+)\.SwanDNA_blocks\.(\d+)\.column_transform\.(fc[12])\.(weight|bias)"
)


def _import_weights(state: Mapping[str, Tensor]) -> tuple[EncoderConfig, dict[str, Tensor]]:
    """Return sizes and renamed tensors of a published state dict; else raise ValueError."""
    weights, blocks, layers = {}, set(), set()
    for name, tensor in state.items():
        match = _PUBLISHED_KEY.fullmatch(name)
        if match:
            block, layer = int(match[1]), int(match[2])
            blocks.add(block)
            layers.add(layer)
            weights[f"encoder.mixer.blocks.{block}.{layer}.{match[3]}.{match[4]}"] = tensor
        elif name in ("embedding.weight", "embedding.bias"):
            weights[f"encoder.{name}"] = tensor
        elif name in ("linear.weight", "linear.bias"):
            weights[name.replace("linear", "masked_nucleotide")] = tensor
        else:
            raise ValueError(f"tensor {name!r} is not part of the published layout")
    for name in ("encoder.embedding.weight", "encoder.mixer.blocks.0.0.fc1.weight"):
        if name not in weights or weights[name].dim() != 2:
            raise ValueError(f"no matrix for {name}")
    dim = weights["encoder.embedding.weight"].shape[0]
    hidden = weights["encoder.mixer.blocks.0.0.fc1.weight"].shape[0]
    n_blocks, n_layers = max(blocks) + 1, max(layers) + 1
    if dim % (n_layers + 1):
        raise ValueError(f"{dim} channels cannot be split into {n_layers + 1} tracks")
    config = EncoderConfig(
        dim=dim,
        track_size=dim // (n_layers + 1),  # one track stays, one for each power of two
        hidden=hidden,
        n_blocks=n_blocks,
        layers_per_block=n_layers,
        norm="none",
        n_cls=0,
    )
    with torch.device("meta"):
        expected = Model(config).state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        wanted = tuple(expected[name].shape) if name in expected else "none"
        shape = tuple(weights[name].shape) if name in weights else "none"
        if wanted != shape:
            raise ValueError(f"{name} has shape {shape}, expected {wanted}")
    return config, {name: tensor.float().contiguous() for name, tensor in weights.items()}


def import_published(path: Path, which: str = "Teacher") -> Model:
    """Read a checkpoint of the published FinDNA code; ``which`` is "Teacher" or "Student".

    Raises
    ------
    CheckpointError
        It is anything but a published checkpoint.
    """
    refused = f"{path}: not a published FinDNA checkpoint"
    file = path.open("rb")  # torch may raise OSError too, for a damaged archive
    # torch has no one exception for a damaged file: any error means that it is not a checkpoint
    try:
        with file, warnings.catch_warnings():  # torch's remarks about a foreign pickle's dialect
            warnings.simplefilter("ignore")
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{refused}: it does not hold plain tensors") from error
    state = content.get(which) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(_is_plain(k, v) for k, v in state.items()):
        raise CheckpointError(f"{refused}: it holds no {which} weights")
    try:
        config, weights = _import_weights(state)
    except (ValueError, ConfigError) as error:
        raise CheckpointError(f"{refused}: {error}") from error
    model = Model(config)
    model.load_state_dict(weights)
    return model


def _is_plain(name: object, value: object) -> bool:
    """Return whether an entry of a state dict is a named, dense, finite tensor of real numbers."""
    return (
        isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and value.is_floating_point()
        and bool(torch.isfinite(value).all())
    )


def convert(published: Path, folder: Path, which: str = "Teacher", force: bool = False) -> str:
    """Write a published checkpoint as a model folder; return the digest of its weights.

    Raises
    ------
    CheckpointError
        It is anything but a published checkpoint.
    OutputError
        The folder is not empty and ``force`` is not set.
    """
    with claimed(folder):
        check_folder(folder, force, CONFIG)
        model = import_published(published, which)
        card = _CARD.format(file=published.name, which=which.lower(), digest="{digest}")
        training = {"imported_from": published.name, "network": which, "n_cls": N_CLS}
        return save_checkpoint(folder, model, training, card)


_CARD = """# {file}, {which}

Weights of the paper "Self-Distillation Improves DNA Sequence Inference" (Yu et al., 2024,
arXiv:2405.08538), converted by `findna models import`.

- Weights: sha256 `{digest}`
- Pretrained by its authors on windows of 1,000 bp of the human reference genome (hg38), with 10 CLS
  positions after each; both numbers are those of their recipe, not stored in the file.
- It appends no CLS positions, as in the authors' downstream code; `findna embed --cls` does.
- Licence: that of the source; findna grants none for it.
"""
