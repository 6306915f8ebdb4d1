"""Augmented views of a batch of windows, all windows at once.

Every view is drawn anew at each step. The augmentations are applied one after another, each to
the result of the one before, and a reverse complement takes its labels along: the student's
labels are the tokens of its own view (docs/training.md says where this departs from the
released code).
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from findna.config import ViewConfig
from findna.encoding import ALPHABET, COMPLEMENT
from findna.training.masking import random_bases


@cache
def _complement(device: torch.device) -> Tensor:
    """Complement of each token id; kept, as a copy to a GPU makes it wait."""
    return torch.from_numpy(COMPLEMENT).to(device)


def reverse_complement(tokens: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """Reverse complement of each window with the given chance; (n, length), uint8."""
    if chance == 0:
        return tokens
    flipped = _complement(tokens.device)[tokens.flip(1).int()]
    chosen = torch.rand(len(tokens), 1, generator=generator, device=tokens.device) < chance
    return torch.where(chosen, flipped, tokens)


def _draw(n: int, low: int, high: int, generator: torch.Generator) -> Tensor:
    """Whole numbers from low to high inclusive; shape (n, 1)."""
    return torch.randint(low, high + 1, (n, 1), generator=generator, device=generator.device)


def delete(tokens: Tensor, longest: int, generator: torch.Generator) -> Tensor:
    """Remove up to ``longest`` bp from each window and refill its end with random bases."""
    n, length = tokens.shape
    size = _draw(n, 0, min(longest, length - 1), generator)  # (n, 1)
    start = (torch.rand(n, 1, generator=generator, device=tokens.device) * (length - size)).long()
    position = torch.arange(length, device=tokens.device)
    source = position + torch.where(position >= start, size, 0)  # (n, length)
    kept = tokens.gather(1, source.clamp(max=length - 1))
    return torch.where(source < length, kept, random_bases(tokens.shape, generator))


def insert(tokens: Tensor, longest: int, generator: torch.Generator) -> Tensor:
    """Insert up to ``longest`` random bp into each window; what is pushed past its end is lost."""
    n, length = tokens.shape
    size = _draw(n, 0, min(longest, length - 1), generator)  # (n, 1)
    start = (torch.rand(n, 1, generator=generator, device=tokens.device) * (length - size)).long()
    position = torch.arange(length, device=tokens.device)
    kept = tokens.gather(1, torch.where(position >= start + size, position - size, position))
    inserted = (position >= start) & (position < start + size)
    return torch.where(inserted, random_bases(tokens.shape, generator), kept)


def translocate(tokens: Tensor, furthest: int, generator: torch.Generator) -> Tensor:
    """Roll each window circularly by up to ``furthest`` bp either way."""
    n, length = tokens.shape
    shift = _draw(n, -furthest, furthest, generator)
    position = torch.arange(length, device=tokens.device)
    return tokens.gather(1, (position + shift).remainder(length))


def teacher_view(tokens: Tensor, views: ViewConfig, generator: torch.Generator) -> Tensor:
    """Reverse complement, deletion, insertion, translocation; (n, length), uint8."""
    tokens = reverse_complement(tokens, views.teacher_rc, generator)
    if views.max_indel:
        tokens = delete(tokens, views.max_indel, generator)
        tokens = insert(tokens, views.max_indel, generator)
    if views.max_shift:
        tokens = translocate(tokens, views.max_shift, generator)
    return tokens


def noisy_one_hot(tokens: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """One-hot rows (BLANK is all zero) plus Gaussian noise; (..., 5), float32."""
    one_hot = F.one_hot(tokens.long(), len(ALPHABET) + 1)[..., : len(ALPHABET)].float()
    shape, device = one_hot.shape, one_hot.device
    return one_hot + noise * torch.randn(shape, generator=generator, device=device)
