"""Heads: masked nucleotides, prototypes for self-distillation, labelled tasks, and sites."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from findna.genome.encoding import ALPHABET
from findna.model import collective
from findna.model.config import EncoderConfig


class MaskedNucleotideHead(nn.Linear):
    """Hidden state to one output per letter of A, C, G, N, T; the published ``linear``."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config.dim, len(ALPHABET))


class ProjectionHead(nn.Module):
    """Standardisation over the batch of all processes, MLP and normalisation.

    Mean hidden states of two windows are nearly the same vector. Without the standardisation every
    window gets the same outputs and the loss stays at its uniform bound.
    """

    def __init__(self, dim: int, hidden: int, bottleneck: int) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """Return unit vectors; (n, dim) -> (n, bottleneck), float32."""
        centred = vectors.float() - collective.mean(vectors.float())
        standard = centred * (collective.mean(centred.square()) + 1e-5).rsqrt()
        return F.normalize(self.project(standard).float(), dim=-1)


class PrototypeHead(ProjectionHead):
    """A projection, and its cosine similarity to prototypes.

    Source: Caron et al., DINO, 2021; Zhou et al., iBOT, 2022.
    """

    def __init__(self, dim: int, hidden: int, bottleneck: int, prototypes: int) -> None:
        super().__init__(dim, hidden, bottleneck)
        self.prototypes = nn.Linear(bottleneck, prototypes, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return similarities in [-1, 1]; (n, dim) -> (n, prototypes)."""
        projected = super().forward(vectors)  # (n, bottleneck)
        return projected @ F.normalize(self.prototypes.weight.float(), dim=-1).t()


class TaskHead(nn.Module):
    """Standardisation by mean and scale of the training set, then a linear layer.

    It has one output per class, label or target.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.linear = nn.Linear(n_features, n_outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits, or values of a regression; (n, n_features) -> (n, n_outputs)."""
        logits: Tensor = self.linear((features.float() - self.mean) / self.scale)
        return logits


class SiteHead(nn.Module):
    """Standardisation of hidden states, then a linear layer over those about each base.

    It has one output per class of sites, and reads ``reach`` positions on either side.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int, reach: int, n_classes: int) -> None:
        super().__init__()
        self.reach, self.n_classes = reach, n_classes
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.linear = nn.Linear((2 * reach + 1) * dim, n_classes)

    def forward(self, hidden: Tensor, windows: Tensor) -> Tensor:
        """Return logits; (total, dim) -> (total, n_classes), float32.

        ``windows``, (total,), int64, is the window of each position, or -1 at a CLS position; a
        base reads nothing of other windows.
        """
        width = 2 * self.reach + 1
        standard = (hidden.float() - self.mean) / self.scale
        weight = self.linear.weight.view(self.n_classes * width, -1)
        parts = (standard @ weight.t()).view(-1, self.n_classes, width)
        logits = self.linear.bias.expand(len(hidden), -1)
        positions = torch.arange(len(hidden), device=hidden.device)
        for step in range(-self.reach, self.reach + 1):
            beside = (positions + step).clamp(0, len(hidden) - 1)
            same = (beside == positions + step) & (windows[beside] == windows)
            logits = logits + parts[beside, :, step + self.reach] * same[:, None]
        return logits
