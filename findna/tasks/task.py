"""Task folders: a head, what it reads of a sequence, and the encoder it was trained on.

A folder holds ``task.json``, ``head.safetensors`` and ``README.md``, and a model folder
``encoder`` where the encoder was trained along with the head (docs/formats.md).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from findna import __version__
from findna.errors import CheckpointError, ConfigError
from findna.labelled.sets import CLASSES, KINDS, MULTILABEL, REGRESSION
from findna.model.checkpoint import Checkpoint, Model, load_checkpoint, save_checkpoint
from findna.model.encoder import Encoder
from findna.model.folders import FORMAT, own_tensors, read_settings, read_tensors, save_tensors
from findna.model.heads import TaskHead
from findna.outputs.files import replaced
from findna.outputs.results import TaskColumns
from findna.tasks.features import MOST_BINS, POOLS, Features, Matrix

TASK, HEAD, CARD, ENCODER = "task.json", "head.safetensors", "README.md", "encoder"

SHIPPED = Path(__file__).parents[1] / "shipped" / "tasks"

MODES = ("probe", "full")

_MOST_CLASSES = 10_000


def is_class_name(name: str) -> bool:
    """Whether a name can stand in a column, and in a list divided by commas."""
    return bool(name) and name.isprintable() and "," not in name


@dataclass(frozen=True)
class TaskConfig:
    """Everything but weights that decides a task's output. Stored: never rename a field.

    Parameters
    ----------
    kind : {"classes", "multilabel", "regression"}
    classes : tuple of str
        Names of classes, labels or targets. Of two classes the second is the positive one.
    window : int
        Length of every training sequence, bp; 0 where they differed.
    encoder, encoder_digest : str
        The model that reads the sequence; with mode ``full`` it lies in the task's folder.
    temperature : float
        Divides the logits before they become probabilities.
    """

    mode: str
    kind: str
    classes: tuple[str, ...]
    window: int
    encoder: str
    encoder_digest: str
    features: Features = field(default_factory=Features)
    temperature: float = 1.0

    def __post_init__(self) -> None:
        least = {CLASSES: 2, MULTILABEL: 1, REGRESSION: 1}
        if self.mode not in MODES or self.kind not in KINDS:
            raise ConfigError(f"unknown mode {self.mode!r} or kind {self.kind!r}")
        if not least[self.kind] <= len(self.classes) <= _MOST_CLASSES:
            raise ConfigError(
                f"{len(self.classes)} classes; a {self.kind} task has at least {least[self.kind]}"
            )
        if not all(map(is_class_name, self.classes)):
            raise ConfigError("a class name is empty, not printable or holds a comma")
        if not 0 <= self.window < 2**31:
            raise ConfigError(f"impossible window {self.window!r}")
        features = self.features
        if (
            not set(features.pools) <= set(POOLS)
            or features.bins not in (0, 2, 4, 8, MOST_BINS)
            or not 0 <= features.k <= 8
            or features.readout < 0
            or not (features.pools or features.bins)
        ):
            raise ConfigError(f"impossible features: {features}")
        if not 0 < self.temperature < 1e6:
            raise ConfigError(f"impossible temperature {self.temperature!r}")

    @property
    def positive(self) -> str | None:
        """The class whose probability is reported, where there are two."""
        return self.classes[1] if self.kind == CLASSES and len(self.classes) == 2 else None

    def output(self, name: str | None = None) -> int:
        """Return the index of an output: of the class that is named, or of the only one to report.

        Raises
        ------
        ConfigError
            There is no such class, or several and none was named.
        """
        known = ", ".join(self.classes)
        if name in self.classes:
            return self.classes.index(name)
        if name is not None:
            raise ConfigError(f"--class {name}: the task's classes are {known}")
        if self.positive is not None:
            return 1
        if len(self.classes) > 1:
            raise ConfigError(f"one class at a time: choose it with --class ({known})")
        return 0


def to_probabilities(logits: Matrix, kind: str, temperature: float) -> Matrix:
    """Return calibrated probabilities; (n, n_outputs) in and out; a regression is left as is."""
    if kind == REGRESSION:
        return logits
    scaled = torch.from_numpy(logits.astype(np.float64) / temperature)
    probabilities = scaled.softmax(1) if kind == CLASSES else scaled.sigmoid()
    return probabilities.numpy().astype(np.float32)


@dataclass(frozen=True)
class Task:
    """A loaded task folder."""

    name: str
    folder: Path
    config: TaskConfig
    head: TaskHead
    record: dict[str, Any]

    @property
    def encoder(self) -> str:
        """Name or folder of the encoder."""
        return str(self.folder / ENCODER) if self.config.mode == "full" else self.config.encoder

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The encoder, loaded when it is first needed.

        Raises
        ------
        CheckpointError
            It is missing, or not the one the head was trained on.
        """
        checkpoint = load_checkpoint(self.encoder)
        if checkpoint.digest != self.config.encoder_digest:
            raise CheckpointError(
                f"task {self.name} was trained on weights {self.config.encoder_digest[:12]}, but "
                f"{self.encoder} holds {checkpoint.digest[:12]}; train the task again "
                "(findna finetune)"
            )
        config, readout = checkpoint.config, self.config.features.readout
        if readout > config.n_layers:
            raise CheckpointError(
                f"{self.folder / TASK}: reads after layer {readout} of an encoder with "
                f"{config.n_layers}"
            )
        expected = self.config.features.size(config.dim)
        if expected != len(self.head.mean):
            raise CheckpointError(
                f"{self.folder / HEAD}: made for {len(self.head.mean)} features; the encoder and "
                f"{TASK} give {expected}"
            )
        return checkpoint

    @property
    def reader(self) -> Encoder:
        """The encoder, read after the layer that the head was trained on."""
        return self.checkpoint.model.encoder.read_after(self.config.features.readout)

    @property
    def columns(self) -> TaskColumns:
        """Names of the task's columns in an output."""
        return TaskColumns(
            self.name, self.digest, self.config.classes, self.config.kind == REGRESSION
        )

    @property
    def digest(self) -> str:
        """SHA-256 over what decides the output: configuration and head."""
        return _digest(self.config, self.head)

    def __str__(self) -> str:
        return self.name

    def probabilities(self, features: Matrix) -> Matrix:
        """Return probabilities, or values of a regression; (n, n_features) -> (n, n_outputs)."""
        with torch.inference_mode():
            logits = self.head(torch.from_numpy(features)).numpy()
        return to_probabilities(logits, self.config.kind, self.config.temperature)


def _plain(config: TaskConfig) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return values


def _digest(config: TaskConfig, head: TaskHead) -> str:
    sha = hashlib.sha256(json.dumps(_plain(config), sort_keys=True).encode())
    for name, tensor in sorted(head.state_dict().items()):
        sha.update(f"{name}:{tuple(tensor.shape)}".encode())
        sha.update(tensor.float().numpy().tobytes())
    return sha.hexdigest()


def save_task(
    folder: Path,
    config: TaskConfig,
    head: TaskHead,
    record: Mapping[str, Any],
    card: str,
    encoder: Model | None = None,
) -> str:
    """Write a task folder; returns the digest of the task.

    Parameters
    ----------
    record : mapping
        Where the task comes from and how good it is: plain values, kept in task.json.
    card : str
        Text of README.md; ``{digest}`` in it is replaced.
    encoder : Model, optional
        What to keep in the folder (mode ``full``), in float16.
    """
    digest = _digest(config, head)
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _write(folder, config, head, record, card.replace("{digest}", digest), digest, encoder)
    except BaseException:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return digest


def _write(
    folder: Path,
    config: TaskConfig,
    head: TaskHead,
    record: Mapping[str, Any],
    card: str,
    digest: str,
    encoder: Model | None,
) -> None:
    if encoder is not None:
        training = {**record, "note": f"Encoder of a task, trained from {config.encoder}."}
        title = f"# Encoder of the task {folder.resolve().name}\n\n{{digest}}\n"
        save_checkpoint(folder / ENCODER, encoder, training, title, dtype=torch.float16)
    save_tensors(folder / HEAD, head.state_dict(), {"format": "pt"})
    values = {
        "format": FORMAT,
        "findna_version": __version__,
        "task": _plain(config),
        "digest": digest,
        **record,
    }
    for name, text in ((TASK, json.dumps(values, indent=2) + "\n"), (CARD, card)):
        with replaced(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def tasks_home() -> Path:
    """Return the folder of the user's own tasks: ``$FINDNA_HOME/tasks``."""
    home = os.environ.get("FINDNA_HOME")
    if home:
        return Path(home) / "tasks"
    base = os.environ.get("XDG_DATA_HOME")
    try:
        return (Path(base) if base else Path.home() / ".local" / "share") / "findna" / "tasks"
    except RuntimeError:  # a user without a home
        return Path("tasks")


def known_tasks() -> dict[str, Path]:
    """Return folders by name; a task of the user goes before one that ships."""
    found: dict[str, Path] = {}
    for base in (tasks_home(), SHIPPED):
        for path in sorted(base.glob(f"*/{TASK}")):
            found.setdefault(path.parent.name, path.parent)
    return found


def find_task(task: str) -> Path:
    """Return the folder of a task given by name or path.

    Raises
    ------
    CheckpointError
        There is no such task.
    """
    known = known_tasks()
    if re.fullmatch(r"[\w.-]+", task) and task in known:
        return known[task]
    path = Path(task)
    if not path.is_dir():
        raise CheckpointError(
            f"no task {task}: neither a folder nor one of the known tasks "
            f"({', '.join(sorted(known)) or 'none'}); findna finetune makes one"
        )
    for name in (TASK, HEAD):
        if not (path / name).is_file():
            hint = "; it is a model folder: findna embed uses it" * (path / "config.json").is_file()
            raise CheckpointError(f"{path}: not a task folder: it holds no {name}{hint}")
    return path


def read_task(folder: Path) -> tuple[TaskConfig, dict[str, Any]]:
    """Read a folder's task.json: configuration and whole content.

    Raises
    ------
    CheckpointError
        It is not JSON, of a newer format, or holds impossible values.
    """
    return read_settings(folder / TASK, "task", "task", TaskConfig)


def load_task(task: str | Task) -> Task:
    """Load a task by name or folder, unless it is loaded; its encoder follows when it is used.

    Raises
    ------
    CheckpointError
        The task is missing or malformed.
    """
    if isinstance(task, Task):
        return task
    folder = find_task(task)
    config, record = read_task(folder)
    path = folder / HEAD
    tensors = read_tensors(path)
    mean = tensors.get("mean")
    n_features, n_outputs = mean.numel() if mean is not None else 0, len(config.classes)
    expected = {
        "mean": (n_features,),
        "scale": (n_features,),
        "linear.weight": (n_outputs, n_features),
        "linear.bias": (n_outputs,),
    }
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != found or not n_features:
        raise CheckpointError(f"{path}: its tensors do not fit {n_outputs} classes")
    tensors = own_tensors(tensors, path)
    if not bool((tensors["scale"] > 0).all()):
        raise CheckpointError(f"{path}: holds a scale that is not above 0")
    head = TaskHead(n_features, n_outputs)
    head.load_state_dict(tensors)
    return Task(folder.resolve().name, folder, config, head.requires_grad_(False).eval(), record)


def load_tasks(names: Sequence[str | Task]) -> list[Task]:
    """Load tasks by name or folder, unless they are loaded.

    Raises
    ------
    ConfigError
        A task is named twice, or two tasks have the same name.
    CheckpointError
        One is missing or malformed.
    """
    for name in names:
        if isinstance(name, str):
            read_task(find_task(name))  # refuses a bad one before any is loaded
    tasks = [load_task(name) for name in names]
    for i, task in enumerate(tasks):
        if task.name in (other.name for other in tasks[:i]):
            raise ConfigError(
                f"--task: {task.name} is there twice; the columns need different names"
            )
    return tasks
