"""Choose the nucleotides to restore and hide them from the student."""

import torch
from torch import Tensor

from findna.config import ViewConfig
from findna.encoding import BLANK, N


def random_bases(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Token ids of uniformly random A, C, G, T; uint8."""
    device = generator.device
    draw = torch.randint(4, shape, generator=generator, device=device, dtype=torch.uint8)
    return draw + (draw >= N)  # N lies between G and T


def mask_tokens(
    tokens: Tensor, views: ViewConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Masked tokens and where the student must restore them.

    Of the selected positions a share ``mask_blank`` becomes BLANK, ``mask_random`` a random base,
    the rest stays as it is. N is never selected: it has no base to restore.

    Parameters
    ----------
    tokens : Tensor, shape (n, length), uint8

    Returns
    -------
    masked : Tensor, shape (n, length), uint8
    selected : Tensor, shape (n, length), bool
    """
    device = tokens.device
    selected = torch.rand(tokens.shape, generator=generator, device=device) < views.mask_fraction
    selected &= tokens != N
    fate = torch.rand(tokens.shape, generator=generator, device=device)
    blank = selected & (fate < views.mask_blank)
    replaced = selected & ~blank & (fate < views.mask_blank + views.mask_random)
    masked = torch.where(replaced, random_bases(tokens.shape, generator), tokens)
    return masked.masked_fill(blank, BLANK), selected
