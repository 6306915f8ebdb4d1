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
    the rest stays as it is. N is never selected: it has no base to restore. Of a span
    (``mask_span`` above 1) all positions share one fate.

    Parameters
    ----------
    tokens : Tensor, shape (n, length), uint8

    Returns
    -------
    masked : Tensor, shape (n, length), uint8
    selected : Tensor, shape (n, length), bool
    """
    device = tokens.device
    if views.mask_span > 1:
        selected, run = _spans(tokens.shape, views, generator)
        fate = torch.rand(tokens.shape, generator=generator, device=device).gather(1, run)
    else:
        drawn = torch.rand(tokens.shape, generator=generator, device=device)
        selected = drawn < views.mask_fraction
        fate = torch.rand(tokens.shape, generator=generator, device=device)
    selected &= tokens != N
    blank = selected & (fate < views.mask_blank)
    replaced = selected & ~blank & (fate < views.mask_blank + views.mask_random)
    masked = torch.where(replaced, random_bases(tokens.shape, generator), tokens)
    return masked.masked_fill(blank, BLANK), selected


def _spans(
    shape: torch.Size, views: ViewConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Positions selected in spans of mean length ``mask_span``, and the run that each is in.

    Selected and other runs take turns. Their lengths are geometric and their means in proportion
    to their shares; as geometric lengths have no memory, a window may begin within a run, and the
    share is ``mask_fraction`` at every position.

    Source: spans of geometric length, Joshi et al., SpanBERT, 2020.

    Returns
    -------
    selected : Tensor, shape (n, length), bool
    run : Tensor, shape (n, length), int64
    """
    n, length = shape
    share, device = views.mask_fraction, generator.device
    first = torch.rand(n, 1, generator=generator, device=device) < share
    turn = torch.arange(length, device=device) % 2 == 0
    mean = torch.where(turn == first, views.mask_span, views.mask_span * (1 - share) / share)
    u = 1 - torch.rand(shape, generator=generator, device=device)  # above 0
    runs = 1 + (u.log() / torch.log1p(-1 / mean)).long()  # as many as could be needed
    position = torch.arange(length, device=device).expand(n, length).contiguous()
    run = torch.searchsorted(runs.cumsum(1), position, right=True)  # (n, length)
    return turn[run] == first, run
