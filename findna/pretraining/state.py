"""State of a run to go on from: weights, optimiser and step, in one safetensors file."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from findna.errors import CheckpointError, ConfigError
from findna.model.checkpoint import Model
from findna.model.folders import UNREADABLE, read_state, save_tensors
from findna.model.precision import AUTO
from findna.pretraining.distillation import SelfDistillation
from findna.pretraining.muon import Muon
from findna.pretraining.recipe import (
    REMOVED,
    RESUMABLE,
    PretrainConfig,
    from_stored,
    removed_settings,
)
from findna.settings import to_dict

STATE = "training.safetensors"

_MOMENTS = ("step", "exp_avg", "exp_avg_sq", "momentum")
"""Tensors that AdamW and Muon keep of each parameter."""


def stored_precision(path: Path) -> str:
    """Return the precision that the run of a state computes with; `AUTO` if it cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            return str(json.loads((file.metadata() or {})["config"])["precision"])
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, RecursionError):
        return AUTO  # `TrainingState.load` tells what is wrong


@dataclass
class TrainingState:
    """Everything a resumed run continues from."""

    model: SelfDistillation
    optimizers: list[torch.optim.Optimizer]
    data: Any = None
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def start(
        cls, config: PretrainConfig, data: Any, device: torch.device, init: Model | None = None
    ) -> TrainingState:
        """Return initial weights; ``data`` says what they are trained on.

        They are drawn from the seed, or those of ``init``, a model of the same sizes, which has
        no projection head.
        """
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            model = SelfDistillation(config)
        if init is not None:
            for network in (model.student, model.teacher):
                network.load_state_dict({**network.state_dict(), **init.state_dict()})
        model.to(device)
        parameters = dict(model.student.named_parameters())
        optimizers: list[torch.optim.Optimizer] = []
        if config.optimizer == "muon":
            names = [k for k, p in parameters.items() if "encoder.mixer." in k and p.dim() == 2]
            matrices = [parameters.pop(name) for name in names]
            optimizers.append(Muon(matrices, config.muon_lr, config.weight_decay))
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters.values() if p.dim() >= 2]},
            {"params": [p for p in parameters.values() if p.dim() < 2], "weight_decay": 0.0},
        ]
        optimizers.append(
            torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)
        )
        return cls(model, optimizers, data)

    def moments(self, parameter: Tensor) -> dict[str, Tensor]:
        """Return the tensors that the optimiser of a parameter keeps of it."""
        for optimizer in self.optimizers:
            if any(p is parameter for group in optimizer.param_groups for p in group["params"]):
                kept: dict[str, Tensor] = optimizer.state[parameter]
        return kept

    def set_lr(self, share: float) -> None:
        """Set every learning rate to a share of its highest."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = share * optimizer.defaults["lr"]

    def save(self, path: Path) -> None:
        """Write weights, optimiser and step in one file, replaced in one step."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {
            f"optimizer.{name}.{moment}": value
            for name, parameter in self.model.student.named_parameters()
            for moment, value in self.moments(parameter).items()
        }
        metadata = {
            "step": str(self.step),
            "seconds": repr(self.seconds),
            "config": json.dumps(to_dict(self.model.config)),
            "data": json.dumps(self.data),
        }
        save_tensors(path, tensors, metadata)

    @classmethod
    def load(
        cls, path: Path, config: PretrainConfig, data: Any, device: torch.device
    ) -> TrainingState:
        """Continue from a file written by `save`.

        Raises
        ------
        CheckpointError
            The file is damaged.
        ConfigError
            It belongs to a run with other settings or on other data.
        """
        try:
            metadata, tensors = read_state(path, str(device))
            stored = json.loads(metadata["config"])
            saved = from_stored(stored)
            read = replace(saved.encoder, readout=config.encoder.readout)
            same = {name: getattr(config, name) for name in RESUMABLE}
            saved = replace(saved, encoder=read, **same)
            step, seconds = int(metadata["step"]), float(metadata["seconds"])
            saved_data = json.loads(metadata["data"])
        except (*UNREADABLE, ConfigError) as error:
            raise CheckpointError(f"{path}: not a training state: {error}") from error
        used = [k for k, v in removed_settings(stored).items() if v != REMOVED[k]]
        if used:
            raise ConfigError(
                f"{path}: the run to resume used {', '.join(used)}, since removed; resume it with "
                "the version of findna that began it, or start anew in another folder"
            )
        if saved != config:
            changed = [k for k, v in to_dict(config).items() if v != to_dict(saved)[k]]
            raise ConfigError(
                f"{path}: the run to resume has other settings for {', '.join(changed)}; "
                "repeat its options, or start anew in another folder"
            )
        if saved_data != data:
            raise ConfigError(
                f"{path}: the run to resume has other data (FASTA, regions, exclusions or held-out "
                "contigs); repeat them, or start anew in another folder"
            )
        state = cls.start(config, data, device)
        state.step, state.seconds = step, seconds
        weights = {
            k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")
        }
        weights.pop("queue", None)  # of earlier versions, and empty (`REMOVED`)
        try:
            state.model.load_state_dict(weights)
        except RuntimeError as error:  # which names every tensor that does not fit
            raise CheckpointError(f"{path}: its tensors do not fit its settings") from error
        for name, parameter in state.model.student.named_parameters():
            for moment in _MOMENTS:
                value = tensors.get(f"optimizer.{name}.{moment}")
                if value is None:
                    continue
                if value.shape != (() if moment == "step" else parameter.shape):
                    raise CheckpointError(f"{path}: moments of {name} do not fit its settings")
                state.moments(parameter)[moment] = value
        return state
