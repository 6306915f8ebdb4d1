"""Messages and progress, on stderr."""

from __future__ import annotations

import io
import logging
import sys
import time
from typing import Any

from tqdm import tqdm

SECONDS = 10.0
"""Between two lines of progress where there is no terminal."""


def printable(text: str, keep: str = "") -> str:
    """Return a text with ``?`` for each letter that a terminal would obey or cannot show.

    Names and cards come from files; ``keep`` holds control letters that may stay.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in keep else "?" for letter in text)


def counted(n: int, noun: str, form: str = "") -> str:
    """Return a number with its noun, which is in the plural unless the number is 1.

    ``form`` is the number's, as in a format string.
    """
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{n:{form}} {noun if n == 1 else plural}"


class _BarSafeHandler(logging.Handler):
    """Handler of messages that do not tear a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:
            text = printable(self.format(record), keep="\n")  # of a traceback
            tqdm.write(f"findna: {text}", file=sys.stderr)


def set_up(quiet: bool = False, verbosity: int = 0) -> None:
    """Send findna's messages to stderr: warnings, at verbosity 1 what is done, at 2 tracebacks.

    Progress becomes lines where stderr is no terminal; a caller in Python, who does not set up
    messages, gets none.
    """
    global _lines_wanted
    logger = logging.getLogger("findna")
    logger.handlers = [_BarSafeHandler()]
    logger.propagate = False
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logger.setLevel(logging.ERROR if quiet else level)
    set_quiet(quiet)
    _lines_wanted, _Lines.written_at = True, time.monotonic()


_quiet = False
_lines_wanted = False


def set_quiet(quiet: bool) -> None:
    """Hide progress even on a terminal."""
    global _quiet
    _quiet = quiet


def tell(message: str) -> None:
    """Write a line to stderr beside progress; hidden where progress is."""
    if _lines_wanted and not _quiet and sys.stderr is not None:
        tqdm.write(f"findna: {printable(message)}", file=sys.stderr)


class _Bar(tqdm):  # type: ignore[type-arg]  # generic in its stubs alone
    """A bar with numbers as people write them."""

    @property
    def format_dict(self) -> dict[str, Any]:
        """Values for the format of a bar."""
        values = dict(super().format_dict)
        n, elapsed, unit = values["n"], values["elapsed"], values["unit"]
        rate = values["rate"] or ((n - values["initial"]) / elapsed if elapsed else 0.0)
        values["place"] = f"{n:,.0f}" if self.total is None else f"{n:,.0f}/{self.total:,}"
        shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
        # a postfix says more than the speed, and both are too wide
        values["speed"] = f", {shown} {unit}/s" if rate and not values["postfix"] else ""
        return values


class _Lines(_Bar):
    """Progress as a line of text every 10 seconds."""

    written_at = 0.0

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Write a line if one is due; the end of a bar (``msg`` is then empty) is none."""
        if (
            msg is None
            and time.monotonic() - _Lines.written_at >= SECONDS
            and sys.stderr is not None
        ):
            _Lines.written_at = time.monotonic()
            sys.stderr.write(f"findna: {self}\n")
            sys.stderr.flush()


def progress(
    total: int | None, unit: str, description: str, initial: int = 0, beside_rows: bool = False
) -> tqdm[Any]:
    """Return a bar on stderr; use it as a context manager and call ``update(n)``.

    Where stderr is no terminal it is a line now and then. ``beside_rows`` says that rows go to
    standard output meanwhile: a terminal that shows them shows no bar.
    """
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    torn = on_terminal and beside_rows and sys.stdout is not None and sys.stdout.isatty()
    hidden = _quiet or sys.stderr is None or torn or not (on_terminal or _lines_wanted)
    share = "" if total is None else " {percentage:3.0f}%"
    bar = " |{bar}|" if total is not None and on_terminal else ""
    left = "" if total is None else ", {remaining} left"
    return (_Bar if on_terminal else _Lines)(
        total=total,
        initial=initial,
        unit=unit,
        desc=description,
        bar_format=f"{{desc}}{share}{bar} {{place}} {{unit}}{left}{{speed}}{{postfix}}",
        disable=hidden,
        dynamic_ncols=on_terminal,
        leave=False,
        miniters=None if on_terminal else 1,
        file=sys.stderr if on_terminal else io.StringIO(),
    )
