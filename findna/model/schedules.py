"""Learning rate and momentum as pure functions of the step."""

from __future__ import annotations

import math


def cosine(step: int, steps: int, start: float, end: float) -> float:
    """Return a value on half a cosine wave from ``start`` at step 0 to ``end`` at ``steps``."""
    progress = min(step / max(steps, 1), 1.0)
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def warmup_cosine(step: int, steps: int, peak: float, warmup: float) -> float:
    """Return a value that rises to ``peak`` over the ``warmup`` share of steps, then falls to 0."""
    rise = int(steps * warmup)
    if step < rise:
        return peak * (step + 1) / rise
    return cosine(step - rise, steps - rise, peak, 0.0)
