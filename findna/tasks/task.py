"""Task folders: a head, the features it reads, and the encoder it was trained on.

A folder holds ``task.json``, ``head.safetensors`` and ``README.md``, and a model folder
``encoder`` where the encoder was trained along with the head (docs/formats.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from findna import __version__, places
from findna.console import counted
from findna.errors import CheckpointError, ConfigError, did_you_mean
from findna.labelled.sets import CLASSES, KINDS, MULTILABEL, REGRESSION
from findna.model.checkpoint import Checkpoint, Model, load_checkpoint, save_checkpoint
from findna.model.encoder import Encoder
from findna.model.folders import (
    FORMAT,
    own_tensors,
    read_settings,
    read_tensors,
    save_tensors,
    to_json,
    write_text,
)
from findna.model.heads import TaskHead
from findna.outputs.files import UNFINISHED, published_folder
from findna.outputs.results import Call, TaskColumns
from findna.settings import check
from findna.tasks.features import MOST_BINS, POOLS, Features, Matrix

TASK, HEAD, CARD, ENCODER = places.TASK, "head.safetensors", "README.md", "encoder"
SHIPPED = places.SHIPPED / places.TASKS
MODES = ("probe", "full")
SITES = "sites"  # kind of a task that tells the classes of single bases
_MOST_CLASSES = 10_000
_GEOMETRY = ("upstream", "stranded")  # decides which sequence is read, not what is made of it


def is_class_name(name: str) -> bool:
    """Return whether a name can stand in a column, and in a list divided by commas."""
    return bool(name) and name.isprintable() and "," not in name


def class_number(classes: Sequence[str], name: str | None) -> int:
    """Return the index of the class that is named, or of the only one; else raise ConfigError."""
    known = ", ".join(classes)
    if name in classes:
        return classes.index(name)
    if name is not None:
        raise ConfigError(f"--class {name}: the task's classes are {known}")
    if len(classes) > 1:
        raise ConfigError(f"one class at a time: choose it with --class ({known})")
    return 0


@dataclass(frozen=True)
class TaskConfig:
    """All settings that decide a task's output. Stored: never rename a field.

    Parameters
    ----------
    classes : tuple of str
        Names of classes, labels or targets. Of two classes the second is the positive one.
    window : int
        Length of every training sequence, bp; 0 where they differed.
    upstream : int, optional
        bp of the window before the point that a training sequence was about; None if that is its
        middle.
    stranded : bool
        The windows of points are laid and read by the strand of a row.
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
    upstream: int | None = None
    stranded: bool = False

    def __post_init__(self) -> None:
        check(
            self.mode in MODES and self.kind in KINDS,
            f"unknown mode {self.mode!r} or kind {self.kind!r}",
        )
        least = 2 if self.kind == CLASSES else 1
        check(
            least <= len(self.classes) <= _MOST_CLASSES,
            f"{counted(len(self.classes), 'class')}; a {self.kind} task has at least {least}",
        )
        check(
            all(map(is_class_name, self.classes)),
            "a class name is empty, not printable or holds a comma",
        )
        check(0 <= self.window < 2**31, f"impossible window {self.window!r}")
        check(
            self.upstream is None or 0 <= self.upstream < self.window,
            f"impossible upstream {self.upstream!r} of a window of {self.window!r}",
        )
        features = self.features
        check(
            set(features.pools) <= set(POOLS)
            and features.bins in (0, 2, 4, 8, MOST_BINS)
            and 0 <= features.k <= 8
            and features.readout >= 0
            and bool(features.pools or features.bins),
            f"impossible features: {features}",
        )
        check(0 < self.temperature < 1e6, f"impossible temperature {self.temperature!r}")

    @property
    def positive(self) -> str | None:
        """The class whose probability is reported, if there are two."""
        return self.classes[1] if self.kind == CLASSES and len(self.classes) == 2 else None

    @property
    def reads(self) -> str:
        """Length of the windows in bp, or ``any``, for a list of tasks."""
        return str(self.window or "any")

    @property
    def windows(self) -> str:
        """The windows that the task was trained on, in words; what they are about may follow."""
        place = "centred on" if self.upstream is None else f"{self.upstream} upstream of"
        return f"windows of {self.window} bp, {place}"

    def output(self, name: str | None = None) -> int:
        """Return the index of the class that is named, or of the only output to report.

        Raises
        ------
        ConfigError
            There is no such class, or several and none was named.
        """
        if name is None and self.positive is not None:
            return 1
        return class_number(self.classes, name)


def to_probabilities(
    logits: Matrix, kind: str, temperature: float, offsets: Sequence[float] = ()
) -> Matrix:
    """Return calibrated probabilities; (n, n_outputs) in and out; a regression is left as is.

    ``offsets``, one per output, are added to the logits after the temperature.
    """
    if kind == REGRESSION:
        return logits
    scaled = torch.from_numpy(logits.astype(np.float64) / temperature)
    if offsets:
        scaled = scaled + torch.tensor(offsets, dtype=torch.float64)
    probabilities = scaled.softmax(1) if kind == CLASSES else scaled.sigmoid()
    return probabilities.numpy().astype(np.float32)


@dataclass(frozen=True)
class TaskOutline:
    """Name, folder and configuration of a task, without its weights."""

    name: str
    folder: Path
    config: TaskConfig

    @property
    def encoder(self) -> str:
        """Name or folder of the encoder."""
        return encoder_of(self.folder, self.config)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Task(TaskOutline):
    """A loaded task folder."""

    head: TaskHead
    record: dict[str, Any]
    offsets: tuple[float, ...] = ()
    """Of the logits, for other frequencies of the classes (`findna.tasks.prior`)."""

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The encoder, loaded when it is first needed.

        Raises
        ------
        CheckpointError
            It is missing, or not the one the head was trained on.
        """
        checkpoint = trained_on(self.name, self.encoder, self.config.encoder_digest)
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
        """SHA-256 over what decides the output for a sequence: configuration and head."""
        return task_digest(self.config, self.head, self.offsets)

    def logits(self, features: Matrix) -> Matrix:
        """Return what the head gives; (n, n_features) -> (n, n_outputs)."""
        with torch.inference_mode():
            logits: Matrix = self.head(torch.from_numpy(features)).numpy()
        return logits

    def probabilities(self, features: Matrix) -> Matrix:
        """Return probabilities, or values of a regression; (n, n_features) -> (n, n_outputs)."""
        config = self.config
        return to_probabilities(
            self.logits(features), config.kind, config.temperature, self.offsets
        )

    def call(self, values: Matrix) -> Call:
        """Return label and probability of a row from its outputs, shape (n_outputs,)."""
        config = self.config
        best = int(values.argmax())
        if config.kind == CLASSES:
            return Call(config.classes[best], float(values[1 if config.positive else best]), values)
        if config.kind == MULTILABEL:
            chosen = [name for name, p in zip(config.classes, values, strict=True) if p >= 0.5]
            return Call(",".join(chosen) or "none", float(values[best]), values)
        return Call(config.classes[0], float(values[0]), values)


def encoder_of(folder: Path, config: Any) -> str:
    """Return the name or folder of a task's encoder.

    Of several models of its name it is the one that the task was trained on.
    """
    if config.mode == "full":
        return str(folder / ENCODER)
    named = places.named(places.MODELS, config.encoder, config.encoder_digest)
    return str(named or config.encoder)


def trained_on(task: str, encoder: str, digest: str) -> Checkpoint:
    """Load the encoder of a task, by name or folder.

    Raises
    ------
    CheckpointError
        It is missing, or not the one the head was trained on.
    """
    checkpoint = load_checkpoint(encoder)
    if checkpoint.digest != digest:
        raise CheckpointError(
            f"task {task} was trained on weights {digest[:12]}, but {encoder} holds "
            f"{checkpoint.digest[:12]}; train the task again (findna finetune)"
        )
    return checkpoint


def task_digest(config: Any, head: nn.Module, offsets: Sequence[float] = ()) -> str:
    """Return SHA-256 over what decides the output for a sequence: configuration and head."""
    settings = {name: value for name, value in asdict(config).items() if name not in _GEOMETRY}
    sha = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, tensor in sorted(head.state_dict().items()):
        sha.update(f"{name}:{tuple(tensor.shape)}".encode())
        sha.update(tensor.float().cpu().numpy().tobytes())
    if offsets:
        sha.update(json.dumps(offsets).encode())
    return sha.hexdigest()


def save_task(
    folder: Path,
    config: Any,
    head: nn.Module,
    record: Mapping[str, Any],
    card: str,
    encoder: Model | None = None,
) -> str:
    """Write a task folder and return the digest of the task.

    Parameters
    ----------
    config : dataclass
        Settings that decide the output: `TaskConfig`, or that of sites.
    record : mapping
        Data, training and figures: plain values, kept in task.json.
    card : str
        Text of README.md; ``{digest}`` in it is replaced.
    encoder : Model, optional
        Kept in the folder (mode ``full``), in float16.
    """
    digest = task_digest(config, head)
    values = {
        "format": FORMAT,
        "findna_version": __version__,
        "task": asdict(config),
        "digest": digest,
        **record,
    }
    with published_folder(folder, TASK) as complete:
        if encoder is not None:
            training = {key: value for key, value in record.items() if key != "detail"}
            training["note"] = f"Encoder of a task, trained from {config.encoder}."
            title = f"# Encoder of the task {folder.resolve().name}\n\n{{digest}}\n"
            save_checkpoint(complete / ENCODER, encoder, training, title, dtype=torch.float16)
        save_tensors(complete / HEAD, head.state_dict(), {"format": "pt"})
        write_text(complete / CARD, card.replace("{digest}", digest))
        write_text(complete / TASK, to_json(values) + "\n")
    return digest


def tasks_home() -> Path:
    """Return the folder of the user's own tasks: ``$FINDNA_HOME/tasks``."""
    return places.home() / places.TASKS


def find_task(task: str) -> Path:
    """Return the folder of a task given by name or path.

    Raises
    ------
    CheckpointError
        There is no such task.
    """
    if named := places.find(places.TASKS, task):
        return named
    path = Path(task)
    if not path.is_dir():
        known = places.every(places.TASKS)
        raise CheckpointError(
            f"no task {task}: neither a folder nor one of the known tasks "
            f"({', '.join(known) or 'none'})"
            + (did_you_mean(task, known) or "; findna finetune makes one")
        )
    for name in (TASK, HEAD):
        if not (path / name).is_file():
            hint = "; it is a model folder: findna embed uses it" * (path / "config.json").is_file()
            if (path / UNFINISHED).is_dir():
                hint = ": findna finetune was stopped before its end; run it again"
            raise CheckpointError(f"{path}: not a task folder: it holds no {name}{hint}")
    return path


def has_sites(folder: Path) -> bool:
    """Return whether a task folder is one of sites (`findna.tasks.sites`)."""
    try:
        return bool(json.loads((folder / TASK).read_text())["task"]["kind"] == SITES)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False  # whatever it is: reading it says so


def not_of_regions(task: str) -> ConfigError:
    """Return the error about a task of sites where one of regions is needed."""
    return ConfigError(
        f"task {task} tells single bases, not regions: findna predict, scan, variants and explain "
        "read it"
    )


def read_task(folder: Path) -> tuple[TaskConfig, dict[str, Any]]:
    """Read configuration and whole content of a folder's task.json; see `read_settings`.

    Raises
    ------
    ConfigError
        It is a task of single bases.
    """
    if has_sites(folder):
        raise not_of_regions(folder.resolve().name)
    return read_settings(folder / TASK, "task", "task", TaskConfig)


def load_task(task: str | Task) -> Task:
    """Load a task by name or folder, unless it is loaded; its encoder is loaded when it is used.

    Raises
    ------
    CheckpointError
        The task is missing or malformed, or its files are not those of one run.
    """
    if isinstance(task, Task):
        return task
    folder = find_task(task)
    config, record = read_task(folder)
    path = folder / HEAD
    tensors = read_tensors(path)
    mean = tensors.get("mean")
    n_features = mean.numel() if mean is not None else 0
    n_outputs = len(config.classes)
    expected = {
        "mean": (n_features,),
        "scale": (n_features,),
        "linear.weight": (n_outputs, n_features),
        "linear.bias": (n_outputs,),
    }
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != shapes or not n_features:
        raise CheckpointError(f"{path}: its tensors do not fit {counted(n_outputs, 'class')}")
    tensors = own_tensors(tensors, path)
    if not bool((tensors["scale"] > 0).all()):
        raise CheckpointError(f"{path}: holds a scale that is not above 0")
    head = TaskHead(n_features, n_outputs)
    head.load_state_dict(tensors)
    name = folder.resolve().name
    loaded = Task(name, folder, config, head.requires_grad_(False).eval(), record)
    if record.get("digest") != loaded.digest:
        raise CheckpointError(
            f"{folder}: {TASK} and {HEAD} are not what one run wrote (they are "
            f"{loaded.digest[:12]}, {TASK} says {str(record.get('digest'))[:12]}); train the task "
            "again (findna finetune)"
        )
    return loaded


def load_tasks(names: Sequence[str | Task]) -> list[Task]:
    """Load tasks as `load_task` does; raise ConfigError if two have the same name."""
    tasks = [load_task(name) for name in names]
    check_names([task.name for task in tasks])
    return tasks


def check_names(names: Sequence[str]) -> None:
    """Raise ConfigError if two tasks have the same name."""
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ConfigError(f"--task: {name} is there twice; the columns need different names")
