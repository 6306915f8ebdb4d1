"""Models and tasks that are loaded once and read plain sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from findna.api import inputs
from findna.api.inputs import AnyPath
from findna.commands.scan import STRANDS
from findna.errors import ConfigError
from findna.genome.batching import Sequences
from findna.genome.encoding import Tokens
from findna.labelled.rows import parse_sequence
from findna.model.checkpoint import Checkpoint, load_checkpoint
from findna.model.devices import PRECISIONS, Compute
from findna.model.inference import masked_log_probabilities, region_vectors
from findna.model.pooling import POOLINGS, Pooling
from findna.model.precision import AUTO, compute_on
from findna.outputs.results import RegionVectors
from findna.tasks.prior import at_prior
from findna.tasks.reading import TaskReader
from findna.tasks.sites import AnyTask, SiteTask, load_any_task, of_regions, of_sites
from findna.variants.mutagenesis import Stretch


class Predictions(NamedTuple):
    """Labels and probabilities of sequences.

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
        """Return one vector per sequence: an array of shape (n, dim), float32.

        Parameters
        ----------
        sequences : sequence of str, or str
            Of any lengths, bp; one str is one sequence.
        pool : {"mean", "max", "std", "cls", "center"}
        both_strands : bool
            Average with the reverse complement.

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
        pooling = pooling_of(inputs.chosen("pool", pool, POOLINGS), both_strands=both_strands)
        if pool == "cls" and self.checkpoint.config.n_cls == 0:
            raise ConfigError(
                f"model {self.name} appends no CLS positions; choose another pool, or load a "
                "published model with cls=True"
            )
        vectors = [region.pooled[pool] for region in self._read(_tokens(sequences), pooling)]
        return np.stack(vectors) if vectors else np.empty((0, self.dim), np.float32)

    def hidden(self, sequence: str, *, both_strands: bool = False) -> npt.NDArray[np.float16]:
        """Return one vector per base of a ``sequence``, as ``per_base`` of an embedding.

        The array has shape (length, dim), float16; ``both_strands`` averages it with that of the
        reverse complement.

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

        The ``sequence`` has at most ``max_length`` bp; the array has shape (length, 4), float64:
        natural logarithms, NaN where the base is N.

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
        likelihoods = np.full((len(tokens), 4), np.nan)
        for base, (_, logp) in zip(stretch.known, rows, strict=True):
            likelihoods[base] = logp
        return likelihoods

    def _read(self, tokens: list[Tokens], pooling: Pooling) -> list[RegionVectors]:
        source, encoder = Sequences(tokens), self.checkpoint.model.encoder
        rows = region_vectors(source.rows(), source, encoder, pooling, self.compute)
        return [vectors for _, vectors in rows if vectors is not None]


@dataclass(frozen=True)
class LoadedTask:
    """A task that reads sequences; made by `load_task`."""

    task: AnyTask
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
        """Length of every training sequence, bp; 0 where they differed, and of single bases."""
        return 0 if isinstance(self.task, SiteTask) else self.task.config.window

    def at_prior(self, prior: float | Mapping[str, float]) -> LoadedTask:
        """Return the task with probabilities for classes as frequent as ``prior`` says.

        Parameters
        ----------
        prior : float or mapping
            Share of each class that is named; a number is that of the positive class.

        Raises
        ------
        ConfigError
            The task has no such class, or no probabilities, or the shares are impossible.

        Examples
        --------
        >>> rare = findna.load_task("promoter").at_prior(0.01)
        >>> rare.predict(["GCGC" * 75]).probabilities.shape
        (1, 2)
        """
        return replace(self, task=at_prior(self.task, prior))

    def predict(self, sequences: str | Sequence[str]) -> Predictions:
        """Return the label and the probabilities of each sequence.

        Parameters
        ----------
        sequences : sequence of str, or str
            Of any lengths, bp; best as long as ``window``. One str is one sequence.

        Raises
        ------
        LabelError
            A sequence is empty or holds something else than nucleotides.
        ConfigError
            The task tells single bases; it has `probabilities`.

        Examples
        --------
        >>> task = findna.load_task("promoter")
        >>> labels, probabilities = task.predict(["TATA" * 75, "GCGC" * 75])
        >>> probabilities.shape
        (2, 2)
        """
        source = Sequences(_tokens(sequences))
        rows = TaskReader([of_regions(self.task)], self.compute).calls(source.rows(), source)
        calls = [calls[0] for _, calls in rows if calls is not None]
        values = np.empty((len(calls), len(self.classes)), np.float32)
        for row, call in zip(values, calls, strict=True):
            row[:] = call.values
        return Predictions([call.label for call in calls], values)

    def probabilities(self, sequence: str, *, strand: str = "+") -> npt.NDArray[np.float32]:
        """Return the probability of each class of sites at each base of a sequence.

        Parameters
        ----------
        sequence : str
            Of any length, bp; read like a contig of its own.
        strand : {"+", "-"}
            Whose sites; rows have the order of the sequence on either.

        Returns
        -------
        ndarray, shape (length, n_classes), float32
            NaN where the base is N.

        Raises
        ------
        LabelError
            The sequence is empty or holds something else than nucleotides.
        ConfigError
            The task tells regions, or there is no such strand.

        Examples
        --------
        >>> task = findna.load_task("sites")
        >>> task.probabilities("ACGTACGTAC", strand="-").shape
        (10, 2)
        """
        inputs.chosen("strand", strand, STRANDS)
        task = of_sites(self.task)
        (tokens,) = _tokens([sequence])
        spans, source = [("0", 0, len(tokens))], Sequences([tokens])
        pieces = task.probabilities(spans, source, self.compute, strand == "-")
        return np.concatenate([bases.values for bases in pieces])


def load_model(model: AnyPath = "tiny", *, cls: bool = False, **options: Any) -> LoadedModel:
    """Return a model, loaded once to read many sequences.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or a model folder.
    cls : bool
        Append the CLS positions of pretraining where the model is an imported one.
    **options
        ``device`` ("auto", "cpu", "cuda", "cuda:1", "mps"), ``precision`` ("auto", "fp32",
        "bf16") and ``max_tokens`` (nucleotides per batch).

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
    compute = compute_of(options)
    return LoadedModel(load_checkpoint(str(model), cls), compute)


def load_task(task: AnyPath, **options: Any) -> LoadedTask:
    """Return a task with its encoder, loaded once to read many sequences.

    Parameters
    ----------
    task : str or path
        Name of a task that ships or of your own, or a task folder.
    **options
        ``device``, ``precision`` and ``max_tokens``, as for `load_model`.

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
    compute = compute_of(options)
    loaded = load_any_task(str(task))
    _ = loaded.checkpoint  # raises where the encoder is wrong
    return LoadedTask(loaded, compute)


def pooling_of(
    pool: str | Sequence[str] = "mean",
    bins: int = 0,
    per_base: bool = False,
    both_strands: bool = False,
) -> Pooling:
    """Return the pooling that was asked for; raise ConfigError if there is none of this kind."""
    kinds = tuple(dict.fromkeys(inputs.one_or_more("pool", pool)))
    for kind in kinds:
        inputs.chosen("pool", kind, POOLINGS)
    return Pooling(kinds, inputs.at_least("bins", bins, 0), bool(per_base), bool(both_strands))


def model_of(model: AnyPath | LoadedModel) -> str | Checkpoint:
    """Return the name or folder of a model, or its weights if they are loaded."""
    return model.checkpoint if isinstance(model, LoadedModel) else str(model)


def any_task_of(task: AnyPath | LoadedTask) -> str | AnyTask:
    """Return the name or folder of a task, or the task if it is loaded."""
    return task.task if isinstance(task, LoadedTask) else str(task)


def compute_of(given: dict[str, Any], *loaded: Any) -> Compute:
    """Return the device and its options: as given, or those of the first that is loaded.

    Raises
    ------
    ConfigError
        A value is impossible, or this machine has no such device.
    """
    given = inputs.with_numbers(given, {"max_tokens": 1})
    options = {name: given[name] for name in inputs.COMPUTE if name in given}
    if not options:
        for item in loaded:
            if isinstance(item, LoadedModel | LoadedTask):
                return item.compute
    inputs.chosen("precision", options.get("precision", AUTO), (AUTO, *PRECISIONS))
    return compute_on(**options)


def _tokens(sequences: str | Sequence[str]) -> list[Tokens]:
    listed = [sequences] if isinstance(sequences, str) else list(sequences)
    return [parse_sequence(text, f"sequence {i}") for i, text in enumerate(listed, 1)]
