"""Token embedding and ChordMixer: token ids in, one hidden state per position out."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from findna.genome.encoding import ALPHABET
from findna.model.chordmixer import ChordMixer, Rotation
from findna.model.config import EncoderConfig


class Encoder(nn.Module):
    """Token embedding and backbone, of student and teacher alike.

    ``embedding`` is the published linear layer over five one-hot channels. Token ids are looked
    up in its columns; BLANK, an all-zero row, gives the bias alone.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Linear(len(ALPHABET), config.dim)
        self.mixer = ChordMixer(config)

    def embed(self, inputs: Tensor, offsets: Tensor) -> Tensor:
        """Return the hidden states of embeddings: those after ``config.readout`` layers."""
        hidden: Tensor = self(inputs, offsets, self.config.readout)
        return hidden

    def read_after(self, n_layers: int) -> Encoder:
        """Return the encoder with another readout and the same weights; 0 changes nothing.

        Raises
        ------
        ConfigError
            It has fewer layers.
        """
        if not n_layers:
            return self
        return self._with(readout=n_layers)

    def with_cls(self, n_cls: int) -> Encoder:
        """Return the encoder with so many CLS positions after each window, and the same weights.

        Raises
        ------
        ConfigError
            The number is impossible.
        """
        return self._with(n_cls=n_cls)

    def _with(self, **sizes: Any) -> Encoder:
        other = copy.copy(self)
        other.config = replace(self.config, **sizes)
        return other

    def letters(self) -> Tensor:
        """Return the embedding of every token id; (6, dim), float."""
        bias = self.embedding.bias
        return passed_on(torch.cat((self.embedding.weight.t() + bias, bias[None])))

    def forward(self, inputs: Tensor, windows: Tensor | Rotation, n_layers: int = 0) -> Tensor:
        """Return hidden states of a packed batch; shape (total, dim), float.

        Parameters
        ----------
        inputs : Tensor
            Token ids, shape (total,), uint8; or soft one-hot rows, shape (total, 5), float.
            The ``n_cls`` CLS positions at the end of each window are part of it.
        windows : Tensor, shape (n + 1,), int64; or Rotation
            Offsets: window i is ``inputs[offsets[i]:offsets[i + 1]]``; none is empty. Or the
            rotation made of them.
        n_layers : int
            Stop after this many layers; 0 runs all, and the last normalisation.
        """
        if inputs.dtype == torch.uint8:
            hidden = nn.functional.embedding(inputs.int(), self.letters())  # (total, dim)
        else:
            hidden = passed_on(self.embedding(inputs))  # (total, dim)
        if isinstance(windows, Tensor):
            windows = Rotation(windows, len(inputs), self.config.n_tracks, self.config.track_size)
        mixed: Tensor = self.mixer(hidden, windows, n_layers)  # (total, dim)
        return mixed


def passed_on(hidden: Tensor) -> Tensor:
    """Return hidden states in the type that layers pass on: under autocast half as much to move."""
    kind = hidden.device.type
    return hidden.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else hidden


def n_parameters(module: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in module.parameters())
