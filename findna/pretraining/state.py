"""What a run continues from: weights, optimiser and step, in one safetensors file."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from findna.errors import CheckpointError, ConfigError
from findna.model.folders import save_tensors
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
"""What AdamW and Muon keep of each parameter."""


_DAMAGE = (
    SafetensorError,
    OSError,
    LookupError,
    ValueError,
    TypeError,
    RecursionError,
    ConfigError,
)
"""What reading a file raises that is not a training state."""


@dataclass
class TrainingState:
    """Everything a resumed run continues from."""

    model: SelfDistillation
    optimizers: list[torch.optim.Optimizer]
    data: Any = None
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def start(cls, config: PretrainConfig, data: Any, device: torch.device) -> TrainingState:
        """Return initial weights, from the seed; ``data`` says what they are trained on."""
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            model = SelfDistillation(config).to(device)
        named = dict(model.student.named_parameters())
        hidden = [
            name for name in named if name.startswith("encoder.mixer.") and named[name].dim() == 2
        ]
        optimizers: list[torch.optim.Optimizer] = []
        if config.optimizer == "muon":
            optimizers.append(
                Muon([named.pop(name) for name in hidden], config.muon_lr, config.weight_decay)
            )
        groups: list[dict[str, Any]] = [
            {"params": [p for p in named.values() if p.dim() >= 2]},
            {"params": [p for p in named.values() if p.dim() < 2], "weight_decay": 0.0},
        ]
        optimizers.append(
            torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)
        )
        return cls(model, optimizers, data)

    def moments(self, parameter: Tensor) -> dict[str, Tensor]:
        """Return what the optimiser of a parameter keeps of earlier steps."""
        for optimizer in self.optimizers:
            if any(p is parameter for group in optimizer.param_groups for p in group["params"]):
                kept: dict[str, Tensor] = optimizer.state[parameter]
        return kept

    def set_lr(self, share: float) -> None:
        """Set every learning rate to a share of its highest."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = share * optimizer.defaults["lr"]

    def _named_moments(self) -> dict[str, Tensor]:
        return {
            f"optimizer.{name}.{moment}": value
            for name, parameter in self.model.student.named_parameters()
            for moment, value in self.moments(parameter).items()
        }

    def save(self, path: Path) -> None:
        """Write weights, optimiser and step in one file, replaced in one step."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        metadata = {
            "step": str(self.step),
            "seconds": repr(self.seconds),
            "config": json.dumps(to_dict(self.model.config)),
            "data": json.dumps(self.data),
        }
        save_tensors(path, tensors | self._named_moments(), metadata)

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
            with safe_open(path, "pt", device=str(device)) as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
            stored = json.loads(metadata["config"])
            saved = from_stored(stored)
            read = replace(saved.encoder, readout=config.encoder.readout)
            same = {name: getattr(config, name) for name in RESUMABLE}
            saved = replace(saved, encoder=read, **same)
            step, seconds = int(metadata["step"]), float(metadata["seconds"])
            saved_data = json.loads(metadata["data"])
        except _DAMAGE as error:
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
        prefix = "model."
        weights = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        weights.pop("queue", None)  # of earlier versions, and empty (`REMOVED`)
        try:
            state.model.load_state_dict(weights)
        except RuntimeError as error:  # which names every tensor that does not fit
            raise CheckpointError(f"{path}: its tensors do not fit its settings") from error
        for name, parameter in state.model.student.named_parameters():
            moments = {
                moment: tensors[key]
                for moment in _MOMENTS
                if (key := f"optimizer.{name}.{moment}") in tensors
            }
            for moment, value in moments.items():
                if value.shape != (() if moment == "step" else parameter.shape):
                    raise CheckpointError(f"{path}: moments of {name} do not fit its settings")
            state.moments(parameter).update(moments)
        return state
