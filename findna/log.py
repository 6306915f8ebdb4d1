"""What is going on, on stderr."""

import logging
import sys

from tqdm import tqdm


class _BarSafeHandler(logging.Handler):
    """Writes lines without tearing a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:
            tqdm.write(f"findna: {self.format(record)}", file=sys.stderr)


def set_up(quiet: bool = False, verbosity: int = 0) -> None:
    """Send findna's messages to stderr: warnings, at verbosity 1 what is done, at 2 tracebacks."""
    logger = logging.getLogger("findna")
    logger.handlers = [_BarSafeHandler()]
    logger.propagate = False
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logger.setLevel(logging.ERROR if quiet else level)
