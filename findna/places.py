"""Folders of findna on a user's machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of what findna keeps for its next run: ``$XDG_CACHE_HOME/findna``."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "findna"
    except RuntimeError:  # a user without a home
        return Path(tempfile.gettempdir()) / f"findna-{os.getuid()}"
