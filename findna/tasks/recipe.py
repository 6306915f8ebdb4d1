"""The recipe of training an encoder along with a head: its settings and their limits."""

from __future__ import annotations

from dataclasses import dataclass

from findna.settings import check, check_values, setting


@dataclass(frozen=True)
class FineTuneConfig:
    """The recipe of ``findna finetune --mode full``."""

    epochs: int = setting(10, "passes over the training set, at most")
    patience: int = setting(3, "epochs of training without a better one before it ends")
    lr: float = setting(2e-3, "highest learning rate of the head and the encoder's last layer")
    layer_decay: float = setting(0.95, "factor on the learning rate per layer further down")
    weight_decay: float = setting(0.05, "AdamW weight decay of the encoder")
    warmup: float = setting(0.1, "share of the steps over which the learning rate rises")
    dropout: float = setting(0.1, "share of the head's features blanked in training")
    batch_tokens: int = setting(8_192, "nucleotides per step")
    clip: float = setting(1.0, "largest gradient norm")

    def __post_init__(self) -> None:
        check_values(self)
        for name in _POSITIVE:
            value = getattr(self, name)
            check(value > 0, f"{name} must be greater than 0, not {value!r}")
        for name in ("layer_decay", "warmup"):
            check(getattr(self, name) <= 1, f"{name} must be at most 1")
        check(0 <= self.dropout < 1, "dropout must be at least 0 and below 1")
        check(self.weight_decay >= 0, "weight_decay must not be negative")


_POSITIVE = ("epochs", "patience", "lr", "layer_decay", "batch_tokens", "clip")
