"""Models and tasks that are loaded once and read plain sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from findna.api import inputs
from findna.errors import ConfigError
from findna.genome.batching import Sequences
from findna.genome.encoding import Tokens
from findna.labelled.rows import parse_sequence
from findna.model.checkpoint import Checkpoint, load_checkpoint
from findna.model.devices import Compute
from findna.model.inference import region_vectors
from findna.model.pooling import POOLINGS, Pooling
from findna.outputs.results import RegionVectors
from findna.tasks.reading import TaskReader
from findna.tasks.task import Task
from findna.tasks.task import load_task as load
from findna.variants.mutagenesis import Stretch
from findna.variants.scores import masked_log_probabilities


class Predictions(NamedTuple):
    """What a task says of sequences.

    Parameters
    ----------
    labels : list of str, length n
        The most probable class; the labels above one half, joined by commas; or the target.
    probabilities : ndarray, shape (n, n_classes), float32
        Of every class or label; of a regression, the value of every target.
    """

    labels: list[str]
    probabilities: npt.NDArray[np.float32]


@dataclass(frozen=True)
class LoadedModel:
    """A model that reads sequences; made by `load_model`.

    Letters are read in either case; U is T, and what is not A, C, G or T is N.

    Attributes
    ----------
    checkpoint : Checkpoint
        Name, digest and weights.
    compute : Compute
        Where and how to compute.
    """

    checkpoint: Checkpoint
    compute: Compute

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.checkpoint.name

    @property
    def digest(self) -> str:
        """SHA-256 of the weights, as outputs record it."""
        return self.checkpoint.digest

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.checkpoint.config.dim

    @property
    def max_length(self) -> int:
        """Longest sequence the model was trained on, bp; longer ones are read in tiles."""
        return self.checkpoint.config.max_length

    def embed(
        self, sequences: str | Sequence[str], *, pool: str = "mean", both_strands: bool = False
    ) -> npt.NDArray[np.float32]:
        """Return one vector per sequence.

        Parameters
        ----------
        sequences : sequence of str, or str
            Of any lengths, bp; one str is one sequence.
        pool : {"mean", "max", "std", "cls", "center"}
        both_strands : bool
            Average with the reverse complement.

        Returns
        -------
        ndarray, shape (n, dim), float32

        Raises
        ------
        LabelError
            A sequence is empty or holds something else than nucleotides.
        ConfigError
            There is no such pooling, or the model has none.

        Examples
        --------
        >>> model = findna.load_model("tiny")
        >>> model.embed(["ACGTACGTAC", "GGC"]).shape
        (2, 192)
        """
        pooling = pooling_of(pool, both_strands=both_strands)
        if pool == "cls" and self.checkpoint.config.n_cls == 0:
            raise ConfigError(f"model {self.name} has no CLS positions; choose another --pool")
        vectors = [found.pooled[pool] for found in self._read(_tokens(sequences), pooling)]
        return np.stack(vectors) if vectors else np.empty((0, self.dim), np.float32)

    def hidden(self, sequence: str, *, both_strands: bool = False) -> npt.NDArray[np.float16]:
        """Return one vector per base.

        Parameters
        ----------
        sequence : str
        both_strands : bool
            Average with the reverse complement.

        Returns
        -------
        ndarray, shape (length, dim), float16
            The same as ``per_base`` of an embedding.

        Raises
        ------
        LabelError
            The sequence is empty or holds something else than nucleotides.

        Examples
        --------
        >>> findna.load_model("tiny").hidden("ACGTACGTAC").shape
        (10, 192)
        """
        pooling = Pooling(per_base=True, both_strands=both_strands)
        (vectors,) = self._read(_tokens([sequence]), pooling)
        assert vectors.per_base is not None  # it was asked for
        return vectors.per_base

    def likelihood(self, sequence: str) -> npt.NDArray[np.float64]:
        """Return the log-probability of A, C, G and T at each base, masked one at a time.

        Parameters
        ----------
        sequence : str
            At most ``max_length`` bp.

        Returns
        -------
        ndarray, shape (length, 4), float64
            Natural logarithms; NaN where the base is N.

        Raises
        ------
        LabelError
            The sequence is empty or holds something else than nucleotides.
        ConfigError
            It is too long.

        Examples
        --------
        >>> logp = findna.load_model("tiny").likelihood("ACGTACGTAN")
        >>> logp.shape
        (10, 4)
        >>> bool(abs(np.exp(logp[0]).sum() - 1) < 1e-9)
        True
        """
        (tokens,) = _tokens([sequence])
        if len(tokens) > self.max_length:
            raise ConfigError(
                f"{len(tokens)} bp, and at most {self.max_length} can be read at once"
            )
        stretch = Stretch(tokens, 0, len(tokens))
        source = Sequences(list(stretch.blanked()))
        rows = masked_log_probabilities(source.rows(), source, self.checkpoint.model, self.compute)
        found = np.full((len(tokens), 4), np.nan)
        for base, (_, logp) in zip(stretch.known, rows, strict=True):
            found[base] = logp
        return found

    def _read(self, tokens: list[Tokens], pooling: Pooling) -> list[RegionVectors]:
        source, encoder = Sequences(tokens), self.checkpoint.model.encoder
        rows = region_vectors(source.rows(), source, encoder, pooling, self.compute)
        return [vectors for _, vectors in rows if vectors is not None]


@dataclass(frozen=True)
class LoadedTask:
    """A task that reads sequences; made by `load_task`.

    Attributes
    ----------
    task : Task
        Configuration, head and encoder.
    compute : Compute
        Where and how to compute.
    """

    task: Task
    compute: Compute

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.task.name

    @property
    def digest(self) -> str:
        """SHA-256 of configuration and head, as outputs record it."""
        return self.task.digest

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, labels or targets."""
        return self.task.config.classes

    @property
    def window(self) -> int:
        """Length of every training sequence, bp; 0 where they differed."""
        return self.task.config.window

    def predict(self, sequences: str | Sequence[str]) -> Predictions:
        """Return the label and the probabilities of each sequence.

        Parameters
        ----------
        sequences : sequence of str, or str
            Of any lengths, bp; best as long as ``window``. One str is one sequence.

        Returns
        -------
        Predictions
            ``labels`` (n) and ``probabilities`` (n, n_classes).

        Raises
        ------
        LabelError
            A sequence is empty or holds something else than nucleotides.

        Examples
        --------
        >>> task = findna.load_task("promoter")
        >>> labels, probabilities = task.predict(["TATA" * 75, "GCGC" * 75])
        >>> probabilities.shape
        (2, 2)
        """
        source = Sequences(_tokens(sequences))
        calls = [
            found[0]
            for _, found in TaskReader([self.task], self.compute).calls(source.rows(), source)
            if found is not None
        ]
        values = [call.values for call in calls]
        empty = np.empty((0, len(self.classes)), np.float32)
        return Predictions([call.label for call in calls], np.stack(values) if values else empty)


def load_model(model: str | PathLike[str] = "tiny", **options: Any) -> LoadedModel:
    """Load a model.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or a model folder.
    **options
        ``device`` ("auto", "cpu", "cuda", "cuda:1", "mps"), ``precision`` ("fp32", "bf16") and
        ``max_tokens`` (nucleotides per batch).

    Returns
    -------
    LoadedModel

    Raises
    ------
    CheckpointError
        The model is missing or malformed.
    ConfigError
        This machine has no such device.

    Examples
    --------
    >>> model = findna.load_model("tiny")
    >>> model.name, model.dim, model.max_length
    ('tiny', 192, 1000)
    """
    inputs.check_options("load_model", options, inputs.COMPUTE)
    where = inputs.compute(options)
    return LoadedModel(load_checkpoint(str(model)), where)


def load_task(task: str | PathLike[str], **options: Any) -> LoadedTask:
    """Load a task and its encoder.

    Parameters
    ----------
    task : str or path
        Name of a task that ships or of your own, or a task folder.
    **options
        ``device``, ``precision`` and ``max_tokens``, as for `load_model`.

    Returns
    -------
    LoadedTask

    Raises
    ------
    CheckpointError
        The task or its encoder is missing or malformed.
    ConfigError
        This machine has no such device.

    Examples
    --------
    >>> task = findna.load_task("promoter")
    >>> task.classes, task.window
    (('other', 'promoter'), 300)
    """
    inputs.check_options("load_task", options, inputs.COMPUTE)
    where = inputs.compute(options)
    loaded = load(str(task))
    _ = loaded.checkpoint  # a wrong encoder is said here
    return LoadedTask(loaded, where)


def pooling_of(
    pool: str | Sequence[str] = "mean",
    bins: int = 0,
    per_base: bool = False,
    both_strands: bool = False,
) -> Pooling:
    """Return what to make of hidden states.

    Raises
    ------
    ConfigError
        There is no such pooling, or the number of bins is impossible.
    """
    kinds = tuple(dict.fromkeys(inputs.several(pool)))
    for kind in kinds:
        inputs.chosen("pool", kind, POOLINGS)
    return Pooling(kinds, inputs.at_least("bins", bins, 0), per_base, both_strands)


def model_of(model: str | PathLike[str] | LoadedModel) -> str | Checkpoint:
    """Return the name or folder of a model, or its weights if they are loaded."""
    return model.checkpoint if isinstance(model, LoadedModel) else str(model)


def task_of(task: str | PathLike[str] | LoadedTask) -> str | Task:
    """Return the name or folder of a task, or the task if it is loaded."""
    return task.task if isinstance(task, LoadedTask) else str(task)


def compute_of(given: dict[str, Any], *loaded: Any) -> Compute:
    """Return where and how to compute: as asked, or as the first of what is loaded."""
    default = next((x.compute for x in loaded if isinstance(x, LoadedModel | LoadedTask)), None)
    return inputs.compute(given, default)


def _tokens(sequences: str | Sequence[str]) -> list[Tokens]:
    listed = [sequences] if isinstance(sequences, str) else list(sequences)
    return [parse_sequence(text, f"sequence {i}") for i, text in enumerate(listed, 1)]
