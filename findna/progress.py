"""A progress bar on a terminal, silence everywhere else."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

_quiet = False


def set_quiet(quiet: bool) -> None:
    """Hide progress bars even on a terminal."""
    global _quiet
    _quiet = quiet


def progress(total: int | None, unit: str, description: str = "", initial: int = 0) -> tqdm[Any]:
    """A bar on stderr; use as a context manager and call ``update(n)``."""
    return tqdm(
        total=total,
        initial=initial,
        unit=f" {unit}",
        unit_scale=True,
        desc=description or None,
        disable=_quiet or sys.stderr is None or not sys.stderr.isatty(),
        dynamic_ncols=True,
        file=sys.stderr,
    )
