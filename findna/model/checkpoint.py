"""Model folders: weights as safetensors, sizes as JSON, a model card.

A folder holds ``config.json``, ``model.safetensors`` and ``README.md`` (docs/formats.md). A
model is named in every output by the digest of its weights and sizes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from findna import __version__, places
from findna.errors import CheckpointError, ConfigError, did_you_mean
from findna.model.config import EncoderConfig
from findna.model.encoder import Encoder
from findna.model.folders import (
    FORMAT,
    own_tensors,
    read_settings,
    read_tensors,
    save_tensors,
    write_text,
)
from findna.model.heads import MaskedNucleotideHead
from findna.outputs.files import UNFINISHED, published_folder
from findna.settings import to_dict

CONFIG, WEIGHTS, CARD = places.CONFIG, "model.safetensors", "README.md"
SHIPPED = places.SHIPPED / places.MODELS
DEFAULT_MODEL = "tiny"


class Model(nn.Module):
    """An encoder with its masked-nucleotide head: what a model folder holds."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.masked_nucleotide = MaskedNucleotideHead(config)


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model folder."""

    name: str
    folder: Path
    digest: str
    model: Model
    training: dict[str, Any]

    @property
    def config(self) -> EncoderConfig:
        """Sizes of the encoder."""
        return self.model.encoder.config

    @property
    def facts(self) -> dict[str, Any]:
        """Name, digest and training length, for the record of an output."""
        return {"name": self.name, "digest": self.digest, "max_length": self.config.max_length}

    def __str__(self) -> str:
        return self.name


def digest_of(config: EncoderConfig, weights: Mapping[str, Tensor]) -> str:
    """Return SHA-256 over the encoder's sizes and every tensor's name, shape and bytes."""
    sha = hashlib.sha256(json.dumps(to_dict(config), sort_keys=True).encode())
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        sha.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        sha.update(tensor.numpy().tobytes())
    return sha.hexdigest()


def save_checkpoint(
    folder: Path,
    model: Model,
    training: dict[str, Any],
    card: str,
    dtype: torch.dtype = torch.float32,
) -> str:
    """Write a model folder; return the digest of its weights as they are when loaded again.

    Parameters
    ----------
    training : dict
        Origin of the weights: plain values, kept in config.json.
    card : str
        Text of README.md; ``{digest}`` in it is replaced.
    dtype : torch.dtype
        Of the stored weights; they are loaded as float32.
    """
    config = model.encoder.config
    weights = {name: tensor.to(dtype) for name, tensor in model.state_dict().items()}
    digest = digest_of(config, {name: tensor.float() for name, tensor in weights.items()})
    values = {
        "format": FORMAT,
        "findna_version": __version__,
        "encoder": to_dict(config),
        "digest": digest,
        "training": training,
    }
    with published_folder(folder, CONFIG) as complete:
        save_tensors(complete / WEIGHTS, weights, {"format": "pt"})
        write_text(complete / CARD, card.replace("{digest}", digest))
        write_text(complete / CONFIG, json.dumps(values, indent=2) + "\n")
    return digest


def shipped_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{CONFIG}"))


def find_model(model: str) -> Path:
    """Return the folder of a model given by name or path, checked as far as is cheap.

    Raises
    ------
    CheckpointError
        There is no such model, or it is a file rather than a folder.
    """
    named = places.find(places.MODELS, model)
    path = named or Path(model)
    if named is None and path.is_file():
        raise CheckpointError(
            f"{model}: a file, not a model folder; a published checkpoint is converted once with: "
            f"findna models import {model} -o FOLDER"
        )
    if not path.is_dir():
        known = places.every(places.MODELS)
        raise CheckpointError(
            f"no model {model}: neither a folder nor one of the known models "
            f"({', '.join(known)}){did_you_mean(model, known)}"
        )
    for name in (CONFIG, WEIGHTS):
        if not (path / name).is_file():
            hint = ""
            if (path / UNFINISHED).is_dir():
                hint = ": a run was stopped as it wrote it; run that again"
            raise CheckpointError(f"{path}: not a model folder: it holds no {name}{hint}")
    return path


def is_named(checkpoint: Checkpoint) -> bool:
    """Return whether the name of a model leads to its folder."""
    return places.named(places.MODELS, checkpoint.name, checkpoint.digest) == checkpoint.folder


def read_config(folder: Path) -> dict[str, Any]:
    """Read a folder's config.json and check its encoder sizes; see `read_settings`."""
    return read_settings(folder / CONFIG, "model", "encoder", EncoderConfig)[1]


def encoder_config(model: str | Checkpoint) -> EncoderConfig:
    """Return the sizes of a model's encoder, without loading it."""
    if isinstance(model, Checkpoint):
        return model.config
    return read_settings(find_model(model) / CONFIG, "model", "encoder", EncoderConfig)[0]


def training_length(model: str | Checkpoint) -> int:
    """Return the longest sequence (bp) a model was trained on, without loading it."""
    return encoder_config(model).max_length


def load_checkpoint(model: str | Checkpoint, cls: bool = False) -> Checkpoint:
    """Load a model by name or folder onto the CPU, in eval mode; one that is loaded stays as it is.

    With ``cls`` an imported model appends the CLS positions of its training; others always do.

    Raises
    ------
    CheckpointError
        The model is missing or malformed, or its files are not those of one run.
    ConfigError
        There are no CLS positions to append.
    """
    if isinstance(model, Checkpoint):
        return model
    folder = find_model(model)
    config, values = read_settings(folder / CONFIG, "model", "encoder", EncoderConfig)
    path = folder / WEIGHTS
    weights = read_tensors(path)
    with torch.device("meta"):
        network = Model(config)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(expected.keys() | shapes.keys()):
        if expected.get(name) != shapes.get(name):
            raise CheckpointError(
                f"{path}: tensor {name} has shape {shapes.get(name, 'missing')}; "
                f"the sizes in {CONFIG} ask for {expected.get(name, 'none')}"
            )
    weights = own_tensors(weights, path)
    digest = digest_of(config, weights)
    if digest != values.get("digest"):
        raise CheckpointError(
            f"{folder}: {CONFIG} and {WEIGHTS} are not what one run wrote (the weights are "
            f"{digest[:12]}, {CONFIG} says {str(values.get('digest'))[:12]}); make the model again"
        )
    network.load_state_dict(weights, assign=True)
    network.requires_grad_(False).eval()
    name = folder.name if folder.parent == SHIPPED else _name_of(folder.resolve())
    training = values.get("training")
    training = training if isinstance(training, dict) else {}
    if cls:
        network.encoder = network.encoder.with_cls(training.get("n_cls", config.n_cls))
        if network.encoder.config.n_cls == 0:
            raise ConfigError(f"model {model} was trained without CLS positions; leave out --cls")
    return Checkpoint(name, folder, digest, network, training)


def _name_of(folder: Path) -> str:
    """Return the name of a model's folder; of a task's encoder with that of the task."""
    of_task = folder.name == "encoder" and (folder.parent / "task.json").is_file()
    return f"{folder.parent.name}/{folder.name}" if of_task else folder.name


CITATION = (
    'Yu, Cheng, Khalitov, Olsson, Yang, "Self-Distillation Improves DNA Sequence Inference", '
    "arXiv:2405.08538 (2024)"
)
