"""Folders of findna on a user's machine: its cache, and those that hold models and tasks.

Of these there are one's own, those of $FINDNA_PATH, and findna's own; each holds ``models/NAME``
and ``tasks/NAME``. Names are those of folders: no weights are read.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections import defaultdict
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

MODELS, TASKS = "models", "tasks"
CONFIG, TASK = "config.json", "task.json"
_SETTINGS = {MODELS: CONFIG, TASKS: TASK}

SHIPPED = Path(__file__).parent / "shipped"


def cache_folder() -> Path:
    """Return the folder of what findna keeps for its next run: ``$XDG_CACHE_HOME/findna``."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "findna"
    except RuntimeError:  # a user without a home
        return Path(tempfile.gettempdir()) / f"findna-{os.getuid()}"


def home() -> Path:
    """Return the folder of the user's own tasks and models: ``$FINDNA_HOME``."""
    if own := os.environ.get("FINDNA_HOME"):
        return Path(own)
    base = os.environ.get("XDG_DATA_HOME")
    try:
        return (Path(base) if base else Path.home() / ".local" / "share") / "findna"
    except RuntimeError:  # a user without a home
        return Path()


def shared() -> list[Path]:
    """Return the folders of ``$FINDNA_PATH``; each that cannot be searched is warned of once."""
    folders = [Path(part) for part in os.environ.get("FINDNA_PATH", "").split(os.pathsep) if part]
    return [folder for folder in folders if not _fault(folder)]


def _fault(folder: Path) -> str:
    """Return why a folder of the path cannot be searched, and warn of it; empty if it can."""
    try:
        kinds = _SETTINGS.keys() & set(os.listdir(folder))
        for kind in kinds:
            os.listdir(folder / kind)
    except OSError as error:
        fault = f"{error.filename}: {error.strerror}"
    else:
        fault = "" if kinds else f"{folder}: holds neither models/ nor tasks/"
    if fault:
        _warn(f"FINDNA_PATH: {fault}; left out")
    return fault


@cache
def _warn(message: str) -> None:
    """Log a warning, the first time."""
    logger.warning("%s", message)


def every(kind: str) -> dict[str, list[Path]]:
    """Return the folders of each model or task by its name; the first is the one that is used.

    One's own go before those of ``$FINDNA_PATH``, in its order, and these before those that ship.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    for place in (home(), *shared(), SHIPPED):
        for folder in inside(place, kind):
            found[folder.name].append(folder)
    return dict(sorted(found.items()))


def inside(place: Path, kind: str) -> list[Path]:
    """Return the folders of the models or tasks that a folder holds."""
    return sorted(path.parent for path in (place / kind).glob(f"*/{_SETTINGS[kind]}"))


def named(kind: str, name: str, digest: str) -> Path | None:
    """Return the first folder of a name that says it has this digest, or None."""
    for folder in every(kind).get(name, []):
        try:
            if json.loads((folder / _SETTINGS[kind]).read_text()).get("digest") == digest:
                return folder
        except (OSError, ValueError, AttributeError, RecursionError):
            continue  # whatever it is: using it says so
    return None


def find(kind: str, name: str) -> Path | None:
    """Return the folder of a model or task of a name, or None; say which others it hides."""
    if not re.fullmatch(r"[\w.-]+", name) or name not in (known := every(kind)):
        return None
    folder = known[name][0]
    say_hidden(name, known[name])
    return folder


def say_hidden(name: str, folders: list[Path]) -> None:
    """Log which folder is meant by a name, if several have it."""
    if len(folders) > 1:
        used, *hidden = map(str, folders)
        logger.info("%s is %s; it hides %s", name, used, ", ".join(hidden))


def where(folder: Path) -> str:
    """Return where a model or task lies: ``home``, ``shipped``, or the folder of the path."""
    place = folder.parent.parent
    return {home(): "home", SHIPPED: "shipped"}.get(place, str(place))
