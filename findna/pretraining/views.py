"""Views of a step's windows: augmented for the teacher, masked for the student.

All windows are treated at once, and every view is drawn anew at each step. The augmentations are
applied one after another, each to the result of the one before, and a reverse complement takes its
labels along: the student's labels are the tokens of its own view (docs/training.md says where this
departs from the released code).
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from findna.genome.encoding import ALPHABET, BLANK, COMPLEMENT, N
from findna.model.devices import sent
from findna.pretraining.recipe import ViewConfig


@cache
def _complement(device: torch.device) -> Tensor:
    """Return the complement of each token id; kept, as every step needs it."""
    return sent(COMPLEMENT, device)


def teacher_view(tokens: Tensor, views: ViewConfig, generator: torch.Generator) -> Tensor:
    """Return the teacher's view of each window; shape (n, length), uint8.

    Reverse complement, deletion, insertion and translocation follow each other.
    """
    minus = draw_strands(len(tokens), views.teacher_rc, generator)
    tokens = reverse_complement_rows(tokens, minus)
    if views.max_indel:
        tokens = delete(tokens, views.max_indel, generator)
        tokens = insert(tokens, views.max_indel, generator)
    if views.max_shift:
        tokens = translocate(tokens, views.max_shift, generator)
    return tokens


def mask_tokens(
    tokens: Tensor, views: ViewConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return masked tokens, uint8, and the positions to restore, bool; each of shape (n, length).

    Of the selected positions a share ``mask_blank`` becomes BLANK, ``mask_random`` a random base,
    the rest stays as it is. N is never selected: it has no base to restore.
    """
    device = tokens.device
    selected = torch.rand(tokens.shape, generator=generator, device=device) < views.mask_fraction
    fate = torch.rand(tokens.shape, generator=generator, device=device)
    selected &= tokens != N
    blank = selected & (fate < views.mask_blank)
    replaced = selected & ~blank & (fate < views.mask_blank + views.mask_random)
    masked = torch.where(replaced, random_bases(tokens.shape, generator), tokens)
    return masked.masked_fill(blank, BLANK), selected


def noisy_one_hot(tokens: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Return one-hot rows (BLANK is all zero) plus Gaussian noise; (..., 5), float32."""
    one_hot = F.one_hot(tokens.long(), len(ALPHABET) + 1)[..., : len(ALPHABET)].float()
    shape, device = one_hot.shape, one_hot.device
    return one_hot + noise * torch.randn(shape, generator=generator, device=device)


def draw_strands(n: int, chance: float, generator: torch.Generator) -> Tensor:
    """Draw which windows are read from the minus strand; shape (n, 1), bool."""
    if chance == 0:
        return torch.zeros(n, 1, dtype=torch.bool, device=generator.device)
    return torch.rand(n, 1, generator=generator, device=generator.device) < chance


def reverse_rows(values: Tensor, minus: Tensor) -> Tensor:
    """Return values of each position, backwards on the minus strand; shape (n, length)."""
    return torch.where(minus, values.flip(1), values)


def reverse_complement_rows(tokens: Tensor, minus: Tensor) -> Tensor:
    """Return windows read on their strand; shape (n, length), uint8."""
    return torch.where(minus, _complement(tokens.device)[tokens.flip(1).int()], tokens)


def delete(tokens: Tensor, longest: int, generator: torch.Generator) -> Tensor:
    """Remove up to ``longest`` bp from each window and refill its end with random bases."""
    length = tokens.shape[1]
    start, size, position = _draw_place(tokens, longest, generator)
    source = position + torch.where(position >= start, size, 0)  # (n, length)
    kept = tokens.gather(1, source.clamp(max=length - 1))
    return torch.where(source < length, kept, random_bases(tokens.shape, generator))


def insert(tokens: Tensor, longest: int, generator: torch.Generator) -> Tensor:
    """Insert up to ``longest`` random bp into each window; what is pushed past its end is lost."""
    start, size, position = _draw_place(tokens, longest, generator)
    kept = tokens.gather(1, torch.where(position >= start + size, position - size, position))
    inserted = (position >= start) & (position < start + size)
    return torch.where(inserted, random_bases(tokens.shape, generator), kept)


def translocate(tokens: Tensor, furthest: int, generator: torch.Generator) -> Tensor:
    """Roll each window circularly by up to ``furthest`` bp either way."""
    n, length = tokens.shape
    shift = _draw_numbers(n, -furthest, furthest, generator)
    position = torch.arange(length, device=tokens.device)
    return tokens.gather(1, (position + shift).remainder(length))


def random_bases(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Draw token ids of uniformly random A, C, G, T; uint8."""
    device = generator.device
    draw = torch.randint(4, shape, generator=generator, device=device, dtype=torch.uint8)
    return draw + (draw >= N)  # N lies between G and T


def _draw_numbers(n: int, low: int, high: int, generator: torch.Generator) -> Tensor:
    """Draw whole numbers from low to high inclusive; shape (n, 1)."""
    return torch.randint(low, high + 1, (n, 1), generator=generator, device=generator.device)


def _draw_place(
    tokens: Tensor, longest: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw start and size, each (n, 1), of a stretch of each window; and all its positions."""
    n, length = tokens.shape
    size = _draw_numbers(n, 0, min(longest, length - 1), generator)
    start = (torch.rand(n, 1, generator=generator, device=tokens.device) * (length - size)).long()
    return start, size, torch.arange(length, device=tokens.device)
