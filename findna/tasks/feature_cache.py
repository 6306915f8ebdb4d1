"""Vectors that an earlier run computed, kept on disk.

A file holds the vectors of one list of sequences on one strand. Its name is a digest of all that
decides them; its last 32 bytes are the digest of those before, so one that is damaged is as good as
none. A file appears once it is complete: runs side by side do not disturb each other.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from findna.outputs.files import replaced
from findna.places import cache_folder

Matrix = npt.NDArray[np.float32]

MOST_BYTES = 4 << 30
"""Size of findna's own folder of vectors."""


@dataclass(frozen=True)
class FeatureCache:
    """A folder of vectors; of more than ``most`` bytes, those used longest ago are removed."""

    folder: Path
    most: int | None = None

    @classmethod
    def own(cls) -> FeatureCache:
        """Return that in findna's cache folder."""
        return cls(cache_folder() / "features", MOST_BYTES)

    def holds(self, name: str) -> bool:
        """Return whether something is kept by this name."""
        return (self.folder / name).exists()

    def load(self, name: str, into: Matrix) -> bool:
        """Fill a contiguous array with what is kept of it; return False if nothing sound is."""
        path = self.folder / name
        try:
            with path.open("rb") as file:
                complete = file.readinto(into.data) == into.nbytes
                sound = complete and file.read() == hashlib.sha256(into.data).digest()
        except OSError:
            return False
        with suppress(OSError):
            os.utime(path)  # used now
        return sound

    def save(self, name: str, vectors: Matrix) -> None:
        """Keep a contiguous array; where that is not possible it is computed again another time."""
        if self.most is not None and vectors.nbytes > self.most:
            return
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with replaced(self.folder / name) as temporary, temporary.open("wb") as file:
                file.write(vectors.data)
                file.write(hashlib.sha256(vectors.data).digest())
            if self.most is not None:
                self._make_room(self.most)

    def _make_room(self, most: int) -> None:
        states = [(path, path.stat()) for path in self.folder.iterdir()]
        for path, state in sorted(states, key=lambda pair: pair[1].st_mtime, reverse=True):
            most -= state.st_size
            if most < 0:
                path.unlink(missing_ok=True)
