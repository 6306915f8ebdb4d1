"""Settings of the encoder and of pretraining.

One dataclass field is one YAML key and one command-line option; its default is written here
and nowhere else. Unknown keys are errors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from findna.errors import ConfigError

ConfigT = TypeVar("ConfigT")


def _setting(default: Any, help: str, choices: tuple[str, ...] | None = None) -> Any:
    return field(default=default, metadata={"help": help, "choices": choices})


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


_LARGEST = 2**53  # exact in JSON readers, and no digits to fill a screen in a message


def _check_values(config: Any) -> None:
    """What holds for every field: a known choice, a finite number of reasonable size."""
    for item in dataclasses.fields(config):
        choices, value = item.metadata.get("choices"), getattr(config, item.name)
        if choices:
            _check(
                value in choices, f"{item.name} must be one of {', '.join(choices)}, not {value!r}"
            )
        if isinstance(value, int | float):
            _check(abs(value) <= _LARGEST, f"{item.name} must be a finite number of usual size")


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the encoder; the defaults are the published ones.

    Stored in every checkpoint: add fields with a default, never rename them.
    """

    dim: int = _setting(308, "channels per position")
    track_size: int = _setting(28, "channels rotated together; divides dim")
    hidden: int = _setting(512, "width of each layer's MLP")
    n_blocks: int = _setting(4, "blocks of layers")
    layers_per_block: int = _setting(10, "layers per block; log2(window) connect all positions")
    norm: str = _setting("none", "normalisation before each MLP", ("none", "layer"))
    n_cls: int = _setting(10, "CLS positions appended to each window")
    max_length: int = _setting(1000, "longest window in training (bp); longer regions are tiled")
    readout: int = _setting(0, "layers after which embeddings are read; 0: all, and the last norm")

    def __post_init__(self) -> None:
        _check_values(self)
        for name, most in _ENCODER_LIMITS.items():
            value = getattr(self, name)
            least = 0 if name in ("n_cls", "readout") else 1
            _check(
                isinstance(value, int) and least <= value <= most,
                f"{name} must be a whole number from {least} to {most}, not {value!r}",
            )
        _check(
            self.n_layers <= _MOST_LAYERS, f"{self.n_layers} layers; at most {_MOST_LAYERS} work"
        )
        _check(
            self.readout <= self.n_layers, f"readout ({self.readout}) exceeds the number of layers"
        )
        _check(
            self.dim % self.track_size == 0,
            f"dim ({self.dim}) must be a multiple of track_size ({self.track_size})",
        )
        _check(
            self.n_tracks <= 31, f"dim / track_size gives {self.n_tracks} tracks; at most 31 work"
        )

    @property
    def n_layers(self) -> int:
        """Layers of all blocks."""
        return self.n_blocks * self.layers_per_block

    @property
    def n_tracks(self) -> int:
        """Groups of channels; track i > 0 is rotated by 2^(i-1) positions."""
        return self.dim // self.track_size


# A checkpoint's config.json comes from outside: sizes beyond these are refused before memory is.
_ENCODER_LIMITS = {
    "dim": 65_536,
    "track_size": 65_536,
    "hidden": 262_144,
    "n_blocks": 1_024,
    "layers_per_block": 64,
    "n_cls": 1_024,
    "max_length": 100_000_000,
    "readout": 65_536,
}
_MOST_LAYERS = 2_048  # an empty network of 65,536 takes half a minute to put together


@dataclass(frozen=True)
class ViewConfig:
    """How the two augmented views of a window are made, and which nucleotides are masked."""

    mask_fraction: float = _setting(0.3, "share of nucleotides the student must restore")
    mask_blank: float = _setting(0.8, "share of those replaced by a blank")
    mask_random: float = _setting(0.1, "share of those replaced by a random base; the rest stay")
    mask_span: float = _setting(1.0, "mean length of masked spans (bp); 1: each position by itself")
    student_noise: float = _setting(0.2, "s.d. of Gaussian noise on the student's one-hot input")
    student_rc: float = _setting(0.5, "chance that the student sees the reverse complement")
    teacher_rc: float = _setting(0.0, "chance that the teacher sees the reverse complement")
    max_indel: int = _setting(20, "longest deletion and insertion in the teacher's view (bp)")
    max_shift: int = _setting(20, "largest translocation of the teacher's view (bp)")
    max_distance: int = _setting(0, "furthest that the teacher's window starts from the student's")
    min_distance: int = _setting(0, "and nearest (bp); from the window's length on, none overlap")
    local_crops: int = _setting(0, "crops of each window that the student sees in addition")
    local_share: float = _setting(0.5, "length of such a crop, as a share of the window's")

    def __post_init__(self) -> None:
        for name in ("mask_fraction", "mask_blank", "mask_random", "student_rc", "teacher_rc"):
            value = getattr(self, name)
            _check(0 <= value <= 1, f"{name} must lie between 0 and 1, not {value!r}")
        _check(self.mask_fraction > 0, "mask_fraction must be above 0: nothing would be learned")
        _check(self.mask_blank + self.mask_random <= 1, "mask_blank + mask_random exceeds 1")
        for name, most in _VIEW_LIMITS.items():
            value = getattr(self, name)
            _check(0 <= value <= most, f"{name} must lie between 0 and {most:.0f}, not {value!r}")
        _check(self.mask_span >= 1, f"mask_span must be at least 1, not {self.mask_span!r}")
        _check(
            self.mask_span == 1 or self.mask_span * (1 - self.mask_fraction) >= self.mask_fraction,
            f"mask_span ({self.mask_span:g}) is too short to mask {self.mask_fraction:g} of a "
            "window in spans with a gap between them; raise it, or lower mask_fraction",
        )
        _check(
            self.min_distance <= self.max_distance,
            f"min_distance ({self.min_distance}) exceeds max_distance ({self.max_distance})",
        )
        _check(
            0 < self.local_share <= 1,
            f"local_share must be above 0 and at most 1, not {self.local_share!r}",
        )


_VIEW_LIMITS = {
    "student_noise": 1e3,
    "mask_span": 1e6,
    "max_indel": 1e6,
    "max_shift": 1e6,
    "max_distance": 1e9,
    "min_distance": 1e9,
    "local_crops": 256,
}


@dataclass(frozen=True)
class PretrainConfig:
    """The pretraining recipe; the defaults are the published one (preset ``paper``)."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    views: ViewConfig = field(default_factory=ViewConfig)

    lengths: tuple[int, ...] = _setting((1000,), "window lengths (bp); each step draws one")
    batch_tokens: int = _setting(64_000, "nucleotides per step")
    accumulate: int = _setting(
        1, "parts that a step's windows are computed in; windows are compared within a part"
    )
    steps: int = _setting(46_875, "optimiser steps")
    sampling: str = _setting(
        "contig", "draw a contig first, or any position alike", ("contig", "position")
    )

    mnm_loss: str = _setting(
        "binary", "masked-nucleotide loss: binary (5 outputs) or softmax (A, C, G, T)",
        ("binary", "softmax"),
    )  # fmt: skip
    repeat_weight: float = _setting(1.0, "weight of soft-masked positions in that loss")
    contrast: str = _setting(
        "cls", "contrastive loss: on the outputs at CLS, on prototypes, infonce (the batch's other "
        "windows are negatives), or none",
        ("cls", "prototypes", "infonce", "none"),
    )  # fmt: skip
    contrast_on: str = _setting(
        "mean", "vector that prototypes or infonce compare: of the bases, of CLS, or each",
        ("mean", "cls", "both"),
    )  # fmt: skip
    contrast_weight: float = _setting(1.0, "weight of the contrastive loss")
    centring: str = _setting("mean", "how teacher outputs are balanced", ("mean", "sinkhorn"))
    center_momentum: float = _setting(0.9, "momentum of the running centre (centring: mean)")
    student_temp: float = _setting(0.1, "temperature of the student's outputs")
    teacher_temp: float = _setting(0.04, "temperature of the teacher's outputs")
    teacher_temp_start: float = _setting(0.04, "the same at the start, while it warms up")
    teacher_temp_warmup: float = _setting(0.0, "share of the steps over which it does")
    queue: int = _setting(0, "earlier teacher outputs balanced with the batch's (sinkhorn)")
    prototypes: int = _setting(1024, "prototypes of the projection head")
    projection_hidden: int = _setting(256, "hidden width of the projection head")
    projection_dim: int = _setting(64, "dimension in which vectors are compared")
    token_weight: float = _setting(
        0.0, "weight of predicting the teacher's hidden states, of the window without mask, at "
        "masked positions",
    )  # fmt: skip
    koleo_weight: float = _setting(0.0, "weight of spreading the mean vectors of a batch (KoLeo)")

    ema_start: float = _setting(0.996, "teacher's momentum at the start; rises to ema_end")
    ema_end: float = _setting(1.0, "teacher's momentum at the end")
    optimizer: str = _setting(
        "adamw", "adamw, or muon for the layers' matrices and adamw for the rest",
        ("adamw", "muon"),
    )  # fmt: skip
    lr: float = _setting(3e-4, "highest learning rate (AdamW)")
    muon_lr: float = _setting(0.02, "highest learning rate of Muon")
    weight_decay: float = _setting(3e-4, "weight decay")
    warmup: float = _setting(0.3, "share of the steps over which the learning rate rises")
    clip: float = _setting(0.5, "largest gradient norm")
    precision: str = _setting("fp32", "arithmetic of the layers", ("fp32", "bf16"))
    compile: bool = _setting(False, "fuse each layer's operations by torch.compile")
    recompute: bool = _setting(
        False, "keep less of each layer for the backward pass: less memory, up to a third more time"
    )
    seed: int = _setting(1, "seed of initial weights, windows, views and masks")

    log_every: int = _setting(20, "steps between lines of metrics.jsonl")
    evaluate_every: int = _setting(500, "steps between evaluations on held-out contigs")
    checkpoint_every: int = _setting(500, "steps between checkpoints")

    def __post_init__(self) -> None:
        _check_values(self)
        _check(len(self.lengths) > 0, "lengths must name at least one window length")
        for length in self.lengths:
            _check(
                16 <= length <= self.encoder.max_length,
                f"lengths: {length} is not between 16 and max_length ({self.encoder.max_length})",
            )
        _check(
            self.batch_tokens >= max(self.lengths),
            f"batch_tokens ({self.batch_tokens}) is less than one window of {max(self.lengths)} bp",
        )
        _check(self.accumulate > 0, f"accumulate must be greater than 0, not {self.accumulate!r}")
        self.check_windows()
        projected = self.contrast in ("prototypes", "infonce")
        for name in ("prototypes", "projection_hidden", "projection_dim", "queue"):
            _check(getattr(self, name) <= 2**20, f"{name} must be at most {2**20}")
        for name in ("student_temp", "teacher_temp", "teacher_temp_start"):
            _check(getattr(self, name) >= 1e-4, f"{name} must be at least 1e-4")
        _check(self.seed >= 0, "seed must not be negative")
        for name, reads_cls in (
            ("contrast 'cls'", self.contrast == "cls"),
            (f"contrast_on {self.contrast_on!r}", projected and self.contrast_on != "mean"),
        ):
            _check(not reads_cls or self.encoder.n_cls > 0, f"{name} needs n_cls of at least 1")
        _check(
            self.queue == 0 or (self.contrast == "prototypes" and self.centring == "sinkhorn"),
            "queue needs contrast 'prototypes' and centring 'sinkhorn': it is balanced with them",
        )
        for name in ("local_crops", "max_distance"):
            _check(
                self.contrast != "none" or getattr(self.views, name) == 0,
                f"{name} does nothing with contrast 'none'",
            )
        for name in _POSITIVE:
            value = getattr(self, name)
            _check(value > 0, f"{name} must be greater than 0, not {value!r}")
        for name in ("center_momentum", "ema_start", "ema_end", "warmup", "teacher_temp_warmup"):
            value = getattr(self, name)
            _check(0 <= value <= 1, f"{name} must lie between 0 and 1, not {value!r}")
        for name in _NOT_NEGATIVE:
            _check(getattr(self, name) >= 0, f"{name} must not be negative")

    def check_windows(self, processes: int = 1) -> None:
        """Raise ConfigError unless there are windows for all parts of a step, in all processes."""
        n, longest = self.batch_tokens // max(self.lengths), max(self.lengths)
        compares = (
            f"contrast {self.contrast!r}"
            if self.contrast in ("prototypes", "infonce")
            else ("koleo_weight" if self.koleo_weight else "")
        )
        together = max(processes, 2 if compares else 1)
        reasons = [
            f"{self.accumulate} parts (accumulate)" if self.accumulate > 1 else "",
            f"{processes} processes" if processes > 1 else "",
            f"{compares}, which compares two" if together > processes else "",
        ]
        _check(
            n // self.accumulate >= together,
            f"batch_tokens ({self.batch_tokens}) must hold {together * self.accumulate} windows of "
            f"{longest} bp, for {' of '.join(filter(None, reasons))}",
        )


RESUMABLE = ("compile", "recompute", "log_every", "evaluate_every", "checkpoint_every")
"""Fields of `PretrainConfig` that do not change what is learned: a resumed run may change them,
and `EncoderConfig.readout`."""


@dataclass(frozen=True)
class FineTuneConfig:
    """Training an encoder along with the head of a task (``findna finetune --mode full``)."""

    epochs: int = _setting(10, "passes over the training set, at most")
    patience: int = _setting(3, "epochs of training without a better one before it ends")
    lr: float = _setting(2e-3, "highest learning rate of the head and the encoder's last layer")
    layer_decay: float = _setting(0.95, "factor on the learning rate per layer further down")
    weight_decay: float = _setting(0.05, "AdamW weight decay of the encoder")
    warmup: float = _setting(0.1, "share of the steps over which the learning rate rises")
    dropout: float = _setting(0.1, "share of the head's features blanked in training")
    batch_tokens: int = _setting(8_192, "nucleotides per step")
    clip: float = _setting(1.0, "largest gradient norm")

    def __post_init__(self) -> None:
        _check_values(self)
        for name in ("epochs", "patience", "lr", "layer_decay", "batch_tokens", "clip"):
            value = getattr(self, name)
            _check(value > 0, f"{name} must be greater than 0, not {value!r}")
        for name in ("layer_decay", "warmup"):
            _check(getattr(self, name) <= 1, f"{name} must be at most 1")
        _check(0 <= self.dropout < 1, "dropout must be at least 0 and below 1")
        _check(self.weight_decay >= 0, "weight_decay must not be negative")


_NOT_NEGATIVE = (
    "contrast_weight", "repeat_weight", "token_weight", "koleo_weight", "queue", "weight_decay",
)  # fmt: skip
_POSITIVE = (
    "steps", "batch_tokens", "student_temp", "teacher_temp", "prototypes", "projection_hidden",
    "projection_dim", "lr", "muon_lr", "clip", "log_every", "evaluate_every", "checkpoint_every",
)  # fmt: skip

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"dim": 192, "track_size": 16, "hidden": 448, "n_blocks": 1, "layers_per_block": 10},
    "small": {"dim": 220, "track_size": 20, "hidden": 384, "n_blocks": 3, "layers_per_block": 10},
    "base": {"dim": 308, "track_size": 28, "hidden": 512, "n_blocks": 4, "layers_per_block": 10},
}
"""Encoder sizes by name: about 1.7, 5 and 12.6 million parameters."""

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "findna": {
        "encoder": {"norm": "layer", "n_cls": 1},
        "views": {"mask_fraction": 0.2, "student_noise": 0.0, "teacher_rc": 0.5},
        "lengths": (64, 128, 256, 512, 1000),
        "batch_tokens": 12_288,
        "steps": 10_000,
        "sampling": "position",
        "mnm_loss": "softmax",
        "contrast": "infonce",
        "contrast_weight": 0.1,
        "centring": "sinkhorn",
        "prototypes": 128,
        "koleo_weight": 0.1,
        "ema_start": 0.99,
        "optimizer": "muon",
        "lr": 2e-3,
        "weight_decay": 0.02,
        "warmup": 0.05,
        "clip": 1.0,
    },
}
"""Recipes by name, as differences from the defaults: the published one, and findna's own."""


def _coerce(name: str, value: Any, hint: Any) -> Any:
    """Check a plain value from YAML or JSON against a field's annotation."""
    if get_origin(hint) is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_coerce(name, item, get_args(hint)[0]) for item in items)
    if hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # of text too: YAML 1.1 reads 3e-4 as a string
        except (ValueError, OverflowError):
            pass
    if isinstance(value, hint) and isinstance(value, bool) == (hint is bool):
        return value
    raise ConfigError(f"{name} must be of type {hint.__name__}, not {value!r}")


def from_dict(kind: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """Build a configuration from plain values, nested where a field is itself a configuration.

    Raises
    ------
    ConfigError
        A key is unknown, or a value has the wrong type or lies out of range.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{kind.__name__} must be a mapping of names to values, not {values!r}")
    hints = get_type_hints(kind)
    unknown = sorted(str(key) for key in values if key not in hints)
    if unknown:
        raise ConfigError(f"unknown setting {unknown[0]!r}; known are {', '.join(sorted(hints))}")
    arguments = {
        name: from_dict(hints[name], value)
        if dataclasses.is_dataclass(hints[name])
        else _coerce(name, value, hints[name])
        for name, value in values.items()
    }
    return kind(**arguments)


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested values of a configuration, ready for YAML or JSON."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(config).items()
    }


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Nested update: later layers win, section by section.

    Raises
    ------
    ConfigError
        A key is a section in one layer and a plain value in another.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            before = merged.get(key)
            if before is not None and isinstance(before, Mapping) != isinstance(value, Mapping):
                raise ConfigError(f"{key} must be a mapping of names to values in every source")
            if isinstance(value, Mapping):
                merged[key] = merge(before or {}, value)
            else:
                merged[key] = value
    return merged


def read_yaml(path: Path) -> dict[str, Any]:
    """Settings of a YAML file; an empty file is an empty mapping.

    Raises
    ------
    ConfigError
        The file is not YAML or does not hold a mapping.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: not a YAML file: {reason}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected 'name: value' lines")
    return values
