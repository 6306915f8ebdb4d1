"""Training of an encoder and a head by epochs, and its state after each, to go on from."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from findna.errors import CheckpointError, ConfigError
from findna.model.folders import UNREADABLE, read_state, save_tensors
from findna.outputs.files import UNFINISHED

logger = logging.getLogger(__name__)

STATE = "training.safetensors"

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""Tensors that AdamW keeps of each parameter."""


def _best(history: Sequence[Mapping[str, float]]) -> int:
    """Return the number of the best epoch, the first of equals."""
    best = max(history, key=lambda x: -math.inf if math.isnan(x["valid"]) else x["valid"])
    return int(best["epoch"])


@dataclass
class Training:
    """Weights under training, those of the best epoch, and what training goes on from.

    Parameters
    ----------
    network : Module
        Encoder and head.
    rng : Generator
        Draws what is read; torch's own blanks features.
    history : list of dict
        ``epoch`` (0: before training), ``valid`` and, but for epoch 0, ``loss``.
    best : dict of Tensor
        Weights of the best epoch, on the CPU.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    rng: np.random.Generator
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0

    @property
    def epoch(self) -> int:
        """The last epoch that is done."""
        return int(self.history[-1]["epoch"]) if self.history else 0

    @property
    def best_epoch(self) -> int:
        """The epoch that is best on the validation set."""
        return _best(self.history)

    def add(self, **figures: float) -> None:
        """Add the figures of an epoch, and keep the weights if it is the best."""
        self.history.append(figures)
        if self.best_epoch == figures["epoch"]:
            weights = self.network.state_dict().items()
            self.best = {name: value.detach().cpu().clone() for name, value in weights}

    def is_over(self, epochs: int, patience: int) -> bool:
        """Return whether all epochs are done, the last were no better, or the loss is not finite.

        Epochs may rise below epoch 0 for a while: patience counts from the best of the others.
        """
        trained = [line for line in self.history if line["epoch"]]
        if not trained:
            return False
        waited = self.epoch - _best(trained)
        return self.epoch >= epochs or waited >= patience or not math.isfinite(trained[-1]["loss"])

    def finish(self) -> None:
        """Give the network the weights of the best epoch, on the CPU."""
        self.network.cpu()
        self.network.load_state_dict(self.best)
        self.network.requires_grad_(False).eval()


@dataclass(frozen=True)
class KeptTraining:
    """The file that keeps the state of a training after each epoch, and what it belongs to.

    Parameters
    ----------
    folder : Path
        Of the task; once that is written, the state is gone.
    facts : mapping
        What decides the result: settings, data and the model to begin with, as JSON has them.
    resume : bool
        Go on from the state of an interrupted run, if there is one.
    """

    folder: Path
    facts: Mapping[str, Any]
    resume: bool = False

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / UNFINISHED / STATE

    def save(self, training: Training, device: torch.device) -> None:
        """Write the state, replaced in one step."""
        tensors = {f"network.{k}": v for k, v in training.network.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in training.best.items()}
        for number, parameter in enumerate(_parameters(training.optimizer)):
            moments = training.optimizer.state[parameter]
            tensors |= {f"optimizer.{number}.{k}": moments[k] for k in _MOMENTS if k in moments}
        tensors["random.cpu"] = torch.get_rng_state()
        if device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(device)
        metadata = {
            "facts": self.facts,
            "step": training.step,
            "history": training.history,
            "random": training.rng.bit_generator.state,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(self.path, tensors, {k: json.dumps(v) for k, v in metadata.items()})

    def load(self, training: Training, device: torch.device) -> None:
        """Set a training to the state that was kept, if it is to go on and there is one.

        Raises
        ------
        CheckpointError
            The file is damaged.
        ConfigError
            It belongs to a run with other settings or on other data.
        """
        if not self.path.exists():
            return
        if not self.resume:
            logger.warning(
                "%s holds the training of an interrupted run; this one begins anew, --resume goes "
                "on there",
                self.path,
            )
            return
        try:
            texts, tensors = read_state(self.path)
            metadata = {name: json.loads(text) for name, text in texts.items()}
            facts = dict(metadata["facts"])
        except UNREADABLE as error:
            raise self._damaged(error) from error
        wanted = json.loads(json.dumps(self.facts))
        if facts != wanted:
            changed = [k for k in {**wanted, **facts} if facts.get(k) != wanted.get(k)]
            raise ConfigError(
                f"{self.path}: the run to resume has other {', '.join(changed)}; repeat its "
                "options, or begin anew without --resume"
            )
        try:
            self._restore(training, tensors, metadata, device)
        except (RuntimeError, LookupError, ValueError, TypeError) as error:
            raise self._damaged(error) from error

    def _restore(
        self,
        training: Training,
        tensors: Mapping[str, Tensor],
        metadata: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        def under(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        try:
            for prefix in ("best.", "network."):
                training.network.load_state_dict(under(prefix))
        except RuntimeError as error:  # which names every tensor that does not fit
            raise ValueError("its tensors do not fit its settings") from error
        training.best = {k: v.clone() for k, v in under("best.").items()}
        for number, parameter in enumerate(_parameters(training.optimizer)):
            moments = under(f"optimizer.{number}.")
            if moments and (
                moments.keys() != set(_MOMENTS)
                or any(moments[name].shape != parameter.shape for name in _MOMENTS[1:])
            ):
                raise ValueError(f"moments of parameter {number} do not fit")
            training.optimizer.state[parameter] = {
                name: value.clone() if name == "step" else value.to(parameter, copy=True)
                for name, value in moments.items()
            }
        training.rng.bit_generator.state = metadata["random"]
        training.step = int(metadata["step"])
        training.history[:] = [_line(**line) for line in metadata["history"]]
        if not training.epoch:
            raise ValueError("no epoch is done")
        torch.set_rng_state(tensors["random.cpu"])
        if device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], device)
        logger.info("%s: going on after epoch %d", self.path, training.epoch)

    def _damaged(self, error: Exception) -> CheckpointError:
        text = " ".join(str(error).split())
        return CheckpointError(f"{self.path}: not a training state: {text}; remove it")


def _line(epoch: int, valid: float, **loss: float) -> dict[str, float]:
    """Return the figures of an epoch as `Training.add` takes them."""
    rest = {"loss": float(loss["loss"])} if epoch else {}
    return {"epoch": int(epoch), **rest, "valid": float(valid)}


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
