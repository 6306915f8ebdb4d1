"""ChordMixer on packed tokens: MLPs, and tracks of channels rotated by powers of two.

Source: Khalitov et al., "ChordMixer: A Scalable Neural Attention Model for Sequences with
Different Lengths", ICLR 2023; the sizes and the exact GELU follow the published FinDNA model.

Windows of any lengths lie end to end without padding, and each rotates within itself, so a
window's result does not depend on its neighbours.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from findna.model.config import EncoderConfig
from findna.model.linear import mlp


class _Permute(torch.autograd.Function):
    """Gather rows by a permutation; its gradient is the gather by the inverse.

    The ordinary gradient of a gather is a scatter-add: slower, and on CUDA not repeatable.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.inverse = inverse
        return rows.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0].index_select(0, ctx.inverse), None, None


def track_rows(sources: Tensor) -> Tensor:
    """Return rows of hidden.view(total * n_tracks, track_size); (n, n_tracks) -> flat."""
    n_tracks = sources.shape[1]
    rows = (sources * n_tracks + torch.arange(n_tracks, device=sources.device)).flatten()
    return rows.int() if len(rows) < 2**31 else rows  # half the memory to read


class Rotation:
    """Rotation of the tracks of one packed batch, its indices computed once.

    Track 0 stays; track i >= 1 is rolled by -2^(i-1) positions, circularly within each window.

    Parameters
    ----------
    offsets : Tensor, shape (n + 1,), int64
        Window i is ``hidden[offsets[i]:offsets[i + 1]]``.
    total : int
        Number of tokens, ``offsets[-1]``; given, so that no device has to be asked for it.
    """

    def __init__(self, offsets: Tensor, total: int, n_tracks: int, track_size: int) -> None:
        lengths = offsets.diff()
        device = offsets.device
        start = torch.repeat_interleave(offsets[:-1], lengths, output_size=total)[:, None]
        length = torch.repeat_interleave(lengths, lengths, output_size=total)[:, None]
        track = torch.arange(n_tracks, device=device)
        shift = torch.where(track > 0, 2 ** (track - 1).clamp(min=0), 0)
        # (total, 1) position within the window; remainder() is never negative
        position = torch.arange(total, device=device)[:, None] - start
        self._places = (start, position, shift, length)
        self._index = track_rows(self.sources)
        self._inverse: Tensor | None = None
        self.track_size = track_size

    @property
    def sources(self) -> Tensor:
        """Position that each track of each position comes from; (total, n_tracks), int64."""
        start, position, shift, length = self._places
        return start + (position + shift).remainder(length)

    def kept(self, hidden: Tensor) -> Tensor:
        """Return the states that what is rotated is added to: all of them."""
        return hidden

    def __call__(self, hidden: Tensor) -> Tensor:
        """Rotate hidden states; shape (total, dim), any float type."""
        rows = hidden.reshape(-1, self.track_size)
        if not (torch.is_grad_enabled() and hidden.requires_grad):
            return rows.index_select(0, self._index).view_as(hidden)
        if self._inverse is None:
            start, position, shift, length = self._places
            self._inverse = track_rows(start + (position - shift).remainder(length))
        rotated: Tensor = _Permute.apply(rows, self._index, self._inverse)  # type: ignore[no-untyped-call]  # torch
        return rotated.view_as(hidden)


class Gather:
    """The rotation where states of a layer are kept once, and not for each position.

    Parameters
    ----------
    rows : Tensor, shape (n, n_tracks), int64
        State that each track of each new one comes from.
    """

    def __init__(self, rows: Tensor, track_size: int) -> None:
        self._rows, self._index = rows[:, 0].contiguous(), track_rows(rows)
        self._track_size = track_size

    def kept(self, hidden: Tensor) -> Tensor:
        """Return the states that what is gathered is added to; (m, dim) -> (n, dim)."""
        return hidden.index_select(0, self._rows)  # track 0 stays

    def __call__(self, hidden: Tensor) -> Tensor:
        """Gather tracks of hidden states; (m, dim) -> (n, dim), any float type."""
        tracks = hidden.reshape(-1, self._track_size).index_select(0, self._index)
        return tracks.view(len(self._rows), -1)


@lru_cache(maxsize=16)
def equal_windows(
    n: int, length: int, n_tracks: int, track_size: int, device: torch.device
) -> Rotation:
    """Return the rotation of n windows of one length; kept, as training has few shapes."""
    offsets = torch.arange(n + 1, device=device) * length
    return Rotation(offsets, n * length, n_tracks, track_size)


class MixerLayer(nn.Module):
    """``h + rotate(MLP(norm(h)))``."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim) if config.norm == "layer" else None
        self.fc1 = nn.Linear(config.dim, config.hidden)
        self.fc2 = nn.Linear(config.hidden, config.dim)

    def forward(self, hidden: Tensor, rotation: Rotation | Gather) -> Tensor:
        """Mix hidden states; (total, dim) to the same shape, or to what is gathered."""
        x = hidden if self.norm is None else self.norm(hidden)  # (total, dim)
        x = mlp(x, self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias)  # (total, dim)
        return rotation.kept(hidden) + rotation(x)  # (total, dim)


class ChordMixer(nn.Module):
    """``n_blocks`` blocks of ``layers_per_block`` layers; each block joins every two positions.

    The published names of blocks and layers are kept: ``blocks.{block}.{layer}.fc1.weight``.

    With ``recompute`` only the input of each layer is kept for the backward pass, which computes
    the rest once more.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.recompute = False
        self.blocks = nn.ModuleList(
            nn.ModuleList(MixerLayer(config) for _ in range(config.layers_per_block))
            for _ in range(config.n_blocks)
        )
        self.norm = nn.LayerNorm(config.dim) if config.norm == "layer" else None

    def layers(self) -> Iterator[MixerLayer]:
        """Yield all layers, in order."""
        return (cast(MixerLayer, layer) for block in self.blocks for layer in cast(Any, block))

    def forward(self, hidden: Tensor, rotation: Rotation, n_layers: int = 0) -> Tensor:
        """Mix (total, dim) hidden states of one packed batch; same shape.

        With ``n_layers`` they are read after that many layers, without the last normalisation.
        """
        recompute = self.recompute and torch.is_grad_enabled()
        for layer in islice(self.layers(), n_layers or None):
            if recompute:
                hidden = checkpoint(
                    layer, hidden, rotation, use_reentrant=False, preserve_rng_state=False
                )  # (total, dim)
            else:
                hidden = layer(hidden, rotation)  # (total, dim)
        return hidden if self.norm is None or n_layers else self.norm(hidden)
