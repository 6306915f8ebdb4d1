"""The recipe of a pretraining run: its settings, the presets, and what goes together.

A setting that does nothing under the others keeps its default, so two recipes that train alike
are equal. A user who gives such a setting is told so; a preset or a stored recipe that holds one
loses it (`from_preset`, `from_stored`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from findna.errors import ConfigError
from findna.model.config import EncoderConfig
from findna.settings import check, check_values, from_dict, merge, setting


@dataclass(frozen=True)
class ViewConfig:
    """Settings of the two augmented views of a window and of the masked nucleotides."""

    mask_fraction: float = setting(0.3, "share of nucleotides the student must restore")
    mask_blank: float = setting(0.8, "share of those replaced by a blank")
    mask_random: float = setting(0.1, "share of those replaced by a random base; the rest stay")
    student_noise: float = setting(0.2, "s.d. of Gaussian noise on the student's one-hot input")
    student_rc: float = setting(0.5, "chance that the student sees the reverse complement")
    teacher_rc: float = setting(0.0, "chance that the teacher sees the reverse complement")
    max_indel: int = setting(20, "longest deletion and insertion in the teacher's view (bp)")
    max_shift: int = setting(20, "largest translocation of the teacher's view (bp)")

    def __post_init__(self) -> None:
        for name in ("mask_fraction", "mask_blank", "mask_random", "student_rc", "teacher_rc"):
            value = getattr(self, name)
            check(0 <= value <= 1, f"{name} must lie between 0 and 1, not {value!r}")
        check(self.mask_fraction > 0, "mask_fraction must be above 0: nothing would be learned")
        check(self.mask_blank + self.mask_random <= 1, "mask_blank + mask_random exceeds 1")
        for name, most in (("student_noise", 1e3), ("max_indel", 1e6), ("max_shift", 1e6)):
            value = getattr(self, name)
            check(0 <= value <= most, f"{name} must lie between 0 and {most:.0f}, not {value!r}")


@dataclass(frozen=True)
class PretrainConfig:
    """The pretraining recipe; the defaults are the published one (preset ``paper``)."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    views: ViewConfig = field(default_factory=ViewConfig)

    lengths: tuple[int, ...] = setting((1000,), "window lengths (bp); each step draws one")
    batch_tokens: int = setting(64_000, "nucleotides per step")
    accumulate: int = setting(
        1, "parts that a step's windows are computed in; windows are compared within a part"
    )
    steps: int = setting(46_875, "optimiser steps")
    sampling: str = setting(
        "contig", "draw a contig first, or any position alike", ("contig", "position")
    )

    mnm_loss: str = setting(
        "binary",
        "masked-nucleotide loss: binary (5 outputs) or softmax (A, C, G, T)",
        ("binary", "softmax"),
    )
    repeat_weight: float = setting(1.0, "weight of soft-masked positions in that loss")
    contrast: str = setting(
        "cls",
        "contrastive loss: on the outputs at CLS, on prototypes, infonce (the batch's other "
        "windows are negatives), or none",
        ("cls", "prototypes", "infonce", "none"),
    )
    contrast_weight: float = setting(1.0, "weight of the contrastive loss")
    centring: str = setting("mean", "how teacher outputs are balanced", ("mean", "sinkhorn"))
    center_momentum: float = setting(0.9, "momentum of the running centre (centring: mean)")
    student_temp: float = setting(0.1, "temperature of the student's outputs")
    teacher_temp: float = setting(0.04, "temperature of the teacher's outputs")
    prototypes: int = setting(1024, "prototypes of the projection head")
    projection_hidden: int = setting(256, "hidden width of the projection head")
    projection_dim: int = setting(64, "dimension in which vectors are compared")
    koleo_weight: float = setting(0.0, "weight of spreading the mean vectors of a batch (KoLeo)")

    ema_start: float = setting(0.996, "teacher's momentum at the start; rises to ema_end")
    ema_end: float = setting(1.0, "teacher's momentum at the end")
    optimizer: str = setting(
        "adamw", "adamw, or muon for the layers' matrices and adamw for the rest", ("adamw", "muon")
    )
    lr: float = setting(3e-4, "highest learning rate (AdamW)")
    muon_lr: float = setting(0.02, "highest learning rate of Muon")
    weight_decay: float = setting(3e-4, "weight decay")
    warmup: float = setting(0.3, "share of the steps over which the learning rate rises")
    clip: float = setting(0.5, "largest gradient norm")
    precision: str = setting(
        "auto",
        "arithmetic of the layers; auto: bf16 where it is faster here, or $FINDNA_PRECISION",
        ("auto", "fp32", "bf16"),
    )
    compile: bool = setting(False, "fuse each layer's operations by torch.compile")
    recompute: bool = setting(
        False, "keep less of each layer for the backward pass: less memory, up to a third more time"
    )
    seed: int = setting(1, "seed of initial weights, windows, views and masks")

    log_every: int = setting(20, "steps between lines of metrics.jsonl")
    evaluate_every: int = setting(500, "steps between evaluations on held-out contigs")
    checkpoint_every: int = setting(500, "steps between checkpoints")

    def __post_init__(self) -> None:
        check_values(self)
        check(len(self.lengths) > 0, "lengths must name at least one window length")
        for length in self.lengths:
            check(
                16 <= length <= self.encoder.max_length,
                f"lengths: {length} is not between 16 and max_length ({self.encoder.max_length})",
            )
        check(
            self.batch_tokens >= max(self.lengths),
            f"batch_tokens ({self.batch_tokens}) is less than one window of {max(self.lengths)} bp",
        )
        for name in _POSITIVE:
            value = getattr(self, name)
            check(value > 0, f"{name} must be greater than 0, not {value!r}")
        self.check_windows()
        for name in ("prototypes", "projection_hidden", "projection_dim"):
            check(getattr(self, name) <= 2**20, f"{name} must be at most {2**20}")
        for name in ("student_temp", "teacher_temp"):
            check(getattr(self, name) >= 1e-4, f"{name} must be at least 1e-4")
        check(self.seed >= 0, "seed must not be negative")
        check(
            self.contrast != "cls" or self.encoder.n_cls > 0,
            "contrast 'cls' needs n_cls of at least 1",
        )
        for name in ("center_momentum", "ema_start", "ema_end", "warmup"):
            value = getattr(self, name)
            check(0 <= value <= 1, f"{name} must lie between 0 and 1, not {value!r}")
        for name in _NOT_NEGATIVE:
            check(getattr(self, name) >= 0, f"{name} must not be negative")
        for name, reason in idle_settings(vars(self)).items():
            check(
                getattr(self, name) == _DEFAULTS[name],
                f"{name} does nothing with {reason}; leave it out",
            )

    @property
    def has_targets(self) -> bool:
        """True if the teacher gives probabilities, which are balanced, for the student to meet."""
        return self.contrast in _TARGETS

    @property
    def has_centre(self) -> bool:
        """True if the teacher's outputs are balanced by their running mean."""
        return self.has_targets and self.centring == "mean"

    def check_windows(self, processes: int = 1) -> None:
        """Raise ConfigError unless there are windows for all parts of a step, in all processes."""
        n, longest = self.batch_tokens // max(self.lengths), max(self.lengths)
        compares = "koleo_weight" if self.koleo_weight else ""
        if self.contrast in _PROJECTED:
            compares = f"contrast {self.contrast!r}"
        together = max(processes, 2 if compares else 1)
        reasons = [
            f"{self.accumulate} parts (accumulate)" if self.accumulate > 1 else "",
            f"{processes} processes" if processes > 1 else "",
            f"{compares}, which compares two" if together > processes else "",
        ]
        check(
            n // self.accumulate >= together,
            f"batch_tokens ({self.batch_tokens}) must hold {together * self.accumulate} windows of "
            f"{longest} bp, for {' of '.join(filter(None, reasons))}",
        )


RESUMABLE = ("compile", "recompute", "log_every", "evaluate_every", "checkpoint_every")
"""Fields of `PretrainConfig` that do not change what is learned: a resumed run may change them,
and `EncoderConfig.readout`."""

_NOT_NEGATIVE = ("contrast_weight", "repeat_weight", "koleo_weight", "weight_decay")

_POSITIVE = (
    "steps",
    "batch_tokens",
    "accumulate",
    "student_temp",
    "teacher_temp",
    "prototypes",
    "projection_hidden",
    "projection_dim",
    "lr",
    "muon_lr",
    "clip",
    "log_every",
    "evaluate_every",
    "checkpoint_every",
)

_DEFAULTS = {item.name: item.default for item in dataclasses.fields(PretrainConfig)}

# kinds of contrast: with targets that are probabilities, and of projected vectors
_TARGETS = ("cls", "prototypes")
_PROJECTED = ("prototypes", "infonce")

REMOVED: dict[str, Any] = {
    "contrast_on": "mean",
    "teacher_temp_start": 0.04,
    "teacher_temp_warmup": 0.0,
    "queue": 0,
    "token_weight": 0.0,
    "mask_span": 1.0,
    "max_distance": 0,
    "min_distance": 0,
    "local_crops": 0,
    "local_share": 0.5,
}
"""Settings of earlier versions and the defaults they had, under which they changed nothing."""

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


def from_preset(preset: str, *changes: Mapping[str, Any]) -> PretrainConfig:
    """Return the recipe of a preset with the changes of a user; later ones win.

    Settings of the preset that do nothing under the changes fall back to their defaults.

    Raises
    ------
    ConfigError
        A change is unknown, was removed, has a bad value, or does nothing under the others.
    """
    given = merge(*changes)
    for name in removed_settings(given):
        raise ConfigError(removal(name))
    idle = idle_settings(merge(PRESETS[preset], given))
    kept = {name: value for name, value in PRESETS[preset].items() if name not in idle}
    return from_dict(PretrainConfig, merge(kept, given))


def from_stored(values: Mapping[str, Any]) -> PretrainConfig:
    """Return the recipe that a run of this or an earlier version has stored.

    Removed settings are ignored, as are values of settings that do nothing.

    Raises
    ------
    ConfigError
        The values are damaged.
    """
    check(isinstance(values, Mapping), f"a recipe is a mapping, not {type(values).__name__}")
    ignored = {*idle_settings(values), *REMOVED}
    kept = {name: value for name, value in values.items() if name not in ignored}
    if isinstance(views := values.get("views"), Mapping):
        kept["views"] = {name: value for name, value in views.items() if name not in REMOVED}
    return from_dict(PretrainConfig, kept)


def idle_settings(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that do nothing under these values, with what makes them idle."""
    contrast, centring, optimizer = (
        values.get(name, _DEFAULTS[name]) for name in ("contrast", "centring", "optimizer")
    )
    idle = []
    if contrast == "none":
        idle += ["contrast_weight", "student_temp"]
    if contrast not in _TARGETS:
        idle += ["centring", "center_momentum", "teacher_temp"]
    if contrast not in _PROJECTED:
        idle += ["projection_hidden", "projection_dim"]
    if contrast != "prototypes":
        idle.append("prototypes")
    reasons = dict.fromkeys(idle, f"contrast {contrast!r}")
    if centring != "mean":
        reasons.setdefault("center_momentum", f"centring {centring!r}")
    if optimizer != "muon":
        reasons["muon_lr"] = f"optimizer {optimizer!r}"
    return reasons


def removed_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of earlier versions among these values, by name."""
    views = values.get("views")
    flat = {**values, **(views if isinstance(views, Mapping) else {})}
    return {name: flat[name] for name in REMOVED if name in flat}


def removal(name: str) -> str:
    """Return the message to a user who gives a setting that was removed."""
    return f"{name} was removed: it was measured and made no better model; leave it out"
