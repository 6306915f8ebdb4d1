"""Reasons of htslib's failures, which it writes to the standard error of the process."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_PREFIX = re.compile(r"\[E::\w+\] ")
_MOST_LETTERS = 500


class Reasons:
    """Reasons of failures; empty while the block runs, and if there were none."""

    text = ""


@contextmanager
def reasons() -> Iterator[Reasons]:
    """Keep htslib's errors off the standard error, and give them as text after the block."""
    import pysam

    found = Reasons()
    before = pysam.set_verbosity(1)  # errors, no warnings
    try:
        if sys.stderr is None:  # closed, and htslib writes nowhere
            yield found
            return
        with tempfile.TemporaryFile(prefix="findna-") as file:
            stderr = os.dup(2)
            os.dup2(file.fileno(), 2)
            try:
                yield found
            finally:
                os.dup2(stderr, 2)
                os.close(stderr)
                file.seek(0)
                text = file.read(_MOST_LETTERS).decode("utf-8", "replace")
                lines = (_PREFIX.sub("", line) for line in text.splitlines())
                # on closing, htslib prints memory that it has freed
                found.text = "; ".join(line for line in lines if "Error on closing" not in line)
    finally:
        pysam.set_verbosity(before)
