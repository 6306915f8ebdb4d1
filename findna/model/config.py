"""Sizes of the encoder: limits, defaults, and those that have a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from findna.settings import check, check_values, setting

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
class EncoderConfig:
    """Sizes of the encoder; the defaults are the published ones.

    Stored in every checkpoint: add fields with a default, never rename them.
    """

    dim: int = setting(308, "channels per position")
    track_size: int = setting(28, "channels rotated together; divides dim")
    hidden: int = setting(512, "width of each layer's MLP")
    n_blocks: int = setting(4, "blocks of layers")
    layers_per_block: int = setting(10, "layers per block; log2(window) connect all positions")
    norm: str = setting("none", "normalisation before each MLP", ("none", "layer"))
    n_cls: int = setting(10, "CLS positions appended to each window")
    max_length: int = setting(1000, "longest window in training (bp); longer regions are tiled")
    readout: int = setting(0, "layers after which embeddings are read; 0: all, and the last norm")

    def __post_init__(self) -> None:
        check_values(self)
        for name, most in _ENCODER_LIMITS.items():
            value = getattr(self, name)
            least = 0 if name in ("n_cls", "readout") else 1
            check(
                isinstance(value, int) and least <= value <= most,
                f"{name} must be a whole number from {least} to {most}, not {value!r}",
            )
        check(self.n_layers <= _MOST_LAYERS, f"{self.n_layers} layers; at most {_MOST_LAYERS} work")
        check(
            self.readout <= self.n_layers, f"readout ({self.readout}) exceeds the number of layers"
        )
        check(
            self.dim % self.track_size == 0,
            f"dim ({self.dim}) must be a multiple of track_size ({self.track_size})",
        )
        check(
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


SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"dim": 192, "track_size": 16, "hidden": 448, "n_blocks": 1, "layers_per_block": 10},
    "small": {"dim": 220, "track_size": 20, "hidden": 384, "n_blocks": 3, "layers_per_block": 10},
    "base": {"dim": 308, "track_size": 28, "hidden": 512, "n_blocks": 4, "layers_per_block": 10},
}
"""Encoder sizes by name: about 1.7, 5 and 12.6 million parameters."""
