"""A check of tracks, for scan and explain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from findna.errors import ConfigError
from findna.outputs.destination import Destination
from findna.outputs.tracks import need_bigwig


def check_track(output: Destination, inputs: Sequence[Path | None], header: bool) -> None:
    """Raise unless a bedGraph or bigWig file can be written; only bedGraph has header lines."""
    output.check(inputs)
    if output.form == "bigwig":
        if header:
            raise ConfigError("--header is for bedGraph; bigWig has no header lines")
        need_bigwig()
