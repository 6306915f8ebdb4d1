"""Options and weights that a file of `findna embed` records, to make like vectors again."""

from __future__ import annotations

from typing import Any

from findna.errors import CheckpointError, EmbeddingError
from findna.genome.regions import RegionOptions
from findna.genome.windows import ANCHORS
from findna.model.checkpoint import Checkpoint, load_checkpoint
from findna.model.devices import PRECISIONS
from findna.model.pooling import POOLINGS, Pooling
from findna.model.tolerances import BF16, OTHER_MACHINE
from findna.outputs.stored import StoredEmbeddings

FLOAT16 = 1e-3
"""Largest relative difference where vectors are stored as float16."""


def section(stored: StoredEmbeddings, name: str) -> dict[str, Any]:
    """Return part of ``uns/findna``."""
    found = stored.facts.get(name)
    if not isinstance(found, dict):
        raise EmbeddingError(f"{stored.path}: no uns/findna/{name}; the file is damaged")
    return found


class RecordedOptions:
    """The options of a file that decide its values.

    Raises
    ------
    EmbeddingError
        One is missing or impossible.
    """

    def __init__(self, stored: StoredEmbeddings) -> None:
        self._path, self._stored = stored.path, section(stored, "options")
        self.kinds = tuple(self._get("pool", str).split(","))
        self._check("pool", set(self.kinds) <= set(POOLINGS))
        self.pooling = Pooling(
            self.kinds, self._get("bins", int), stored.per_base, self._get("both_strands", bool)
        )
        self.regions = RegionOptions(
            stranded=self._get("stranded", bool),
            split=self._get("split", bool),
            flank=self._get("flank", int),
            window=self._get("window", int) if "window" in self._stored else None,
            anchor=self._get("anchor", str, ANCHORS),
            upstream=self._get("upstream", int) if "upstream" in self._stored else None,
            downstream=self._get("downstream", int) if "downstream" in self._stored else None,
            pad=self._get("out_of_bounds", str, ("error", "pad")) == "pad",
            whole=self._get("whole", bool),
        )
        # older files have vectors of rows of nothing but N
        self.max_n = self._get("max_n", float) if "max_n" in self._stored else None
        self.precision: str = self._get("precision", str, PRECISIONS)
        self.n_cls: int | None = self._get("n_cls", int) if "n_cls" in self._stored else None
        expected = {"X", *(f"obsm/{kind}" for kind in self.kinds[1:])}
        expected |= {"obsm/bins"} if self.pooling.bins else set()
        if expected != set(stored.datasets):
            raise EmbeddingError(
                f"{stored.path}: holds {', '.join(sorted(stored.datasets))}, but its options ask "
                f"for {', '.join(sorted(expected))}"
            )

    def _get(self, name: str, kind: type, known: tuple[str, ...] | None = None) -> Any:
        value: Any = self._stored.get(name)
        self._check(name, isinstance(value, kind))
        self._check(name, not isinstance(value, int) or value >= 0)
        self._check(name, known is None or value in known)
        return value

    def _check(self, name: str, right: bool) -> None:
        if not right:
            value = self._stored.get(name, "missing")
            raise EmbeddingError(
                f"{self._path}: uns/findna/options/{name} is {value!r}; the file is damaged or of "
                "another findna"
            )

    def tolerance(self, dtype: str) -> float:
        """Return the largest relative difference of vectors that are stored as ``dtype``."""
        computed = OTHER_MACHINE if self.precision == "fp32" else BF16
        return max(computed, FLOAT16) if dtype == "float16" else computed


def recorded_checkpoint(stored: StoredEmbeddings, model: str | None) -> Checkpoint:
    """Load the model that a file names, or another one."""
    name = model or str(section(stored, "model").get("name"))
    try:
        return load_checkpoint(name)
    except CheckpointError as error:
        hint = "" if model else "; name the model of this file with -m"
        raise CheckpointError(f"{error}{hint}") from error
