"""Heads: masked nucleotides, prototypes for self-distillation, and labelled tasks."""

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


def standardise(vectors: Tensor) -> Tensor:
    """Each channel less its mean, over its standard deviation, in the batch; (n, dim), float32.

    The batch is that of all processes.
    """
    centred = vectors.float() - collective.mean(vectors.float())
    return centred * (collective.mean(centred.square()) + 1e-5).rsqrt()


class ProjectionHead(nn.Module):
    """Standardisation over the batch, MLP and normalisation.

    Mean hidden states of two windows are nearly the same vector: what they share is most of it.
    Without the standardisation every window gets the same outputs and the loss stays at its
    uniform bound.
    """

    def __init__(self, dim: int, hidden: int, bottleneck: int) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """Unit vectors; (n, dim) -> (n, bottleneck), float32."""
        return F.normalize(self.project(standardise(vectors)).float(), dim=-1)


class PrototypeHead(ProjectionHead):
    """A projection, and its cosine similarity to prototypes.

    Source: Caron et al., DINO, 2021; Zhou et al., iBOT, 2022.
    """

    def __init__(self, dim: int, hidden: int, bottleneck: int, prototypes: int) -> None:
        super().__init__(dim, hidden, bottleneck)
        self.prototypes = nn.Linear(bottleneck, prototypes, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Similarities in [-1, 1]; (n, dim) -> (n, prototypes)."""
        projected = super().forward(vectors)  # (n, bottleneck)
        return projected @ F.normalize(self.prototypes.weight.float(), dim=-1).t()


class TaskHead(nn.Module):
    """Standardisation by the training set's figures, then a linear layer.

    Parameters
    ----------
    n_features, n_outputs : int
        One output per class, label or target.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.linear = nn.Linear(n_features, n_outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Logits, or values of a regression; (n, n_features) -> (n, n_outputs)."""
        logits: Tensor = self.linear((features.float() - self.mean) / self.scale)
        return logits
