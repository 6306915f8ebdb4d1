"""Messages and progress bars, on stderr."""

from __future__ import annotations

import logging
import sys
from typing import Any

from tqdm import tqdm


def printable(text: str, keep: str = "") -> str:
    """Return a text with ``?`` for each letter that a terminal would obey or cannot show.

    Names and cards come from files; ``keep`` holds control letters that may stay.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in keep else "?" for letter in text)


class _BarSafeHandler(logging.Handler):
    """Handler of messages that do not tear a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:
            text = printable(self.format(record), keep="\n")  # of a traceback
            tqdm.write(f"findna: {text}", file=sys.stderr)


def set_up(quiet: bool = False, verbosity: int = 0) -> None:
    """Send findna's messages to stderr: warnings, at verbosity 1 what is done, at 2 tracebacks."""
    logger = logging.getLogger("findna")
    logger.handlers = [_BarSafeHandler()]
    logger.propagate = False
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logger.setLevel(logging.ERROR if quiet else level)
    set_quiet(quiet)


_quiet = False


def set_quiet(quiet: bool) -> None:
    """Hide progress bars even on a terminal."""
    global _quiet
    _quiet = quiet


def progress(total: int | None, unit: str, description: str = "", initial: int = 0) -> tqdm[Any]:
    """Return a bar on stderr; use it as a context manager and call ``update(n)``."""
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
