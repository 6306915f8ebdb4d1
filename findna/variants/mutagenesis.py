"""In-silico saturation mutagenesis: what replacing each base by the three others changes.

Every mutant is a window of its own. They are made while batches are packed, so that many share a
batch and none is held for longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count, islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from findna.genome.batching import SequenceSource
from findna.genome.encoding import BLANK, NUCLEOTIDES, N, Tokens, reverse_complement
from findna.genome.windows import Region
from findna.model.checkpoint import Model
from findna.model.devices import Compute
from findna.model.inference import region_vectors
from findna.model.pooling import RegionVectors
from findna.tasks.task import Task
from findna.variants.scores import log_odds, masked_log_probabilities

_HEAD_ROWS = 64  # windows whose log-odds are computed at once

_LETTERS = np.array(NUCLEOTIDES, np.uint8)

Found = TypeVar("Found")

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stretch:
    """Bases ``start`` to ``end`` of a window; they are replaced one at a time.

    Parameters
    ----------
    tokens : ndarray, shape (length,), uint8
        The window, in reading direction.
    """

    tokens: Tokens
    start: int
    end: int

    @property
    def bases(self) -> Tokens:
        """The bases that are replaced."""
        return self.tokens[self.start : self.end]

    @property
    def known(self) -> npt.NDArray[np.int64]:
        """Those of them that are not N, by number; shape (n_known,)."""
        return np.flatnonzero(self.bases != N)

    def mutants(self) -> Iterator[Tokens]:
        """Windows with one base replaced: by position, then by letter."""
        for i in self.known:
            for token in NUCLEOTIDES:
                if token != self.bases[i]:
                    yield self._with(i, token)

    def blanked(self) -> Iterator[Tokens]:
        """Windows with one base masked, by position."""
        return (self._with(i, BLANK) for i in self.known)

    def _with(self, i: int, token: int) -> Tokens:
        tokens: Tokens = self.tokens.copy()
        tokens[self.start + i] = token
        return tokens


@dataclass(frozen=True)
class Effects:
    """What replacing the bases of a stretch changes.

    Parameters
    ----------
    value : float
        Of the window as it is: log-odds, or the mean log-likelihood of the bases.
    changes : ndarray, shape (n, 4), float32
        Value with a base replaced by A, C, G, T, less the value with the base that is there: 0 for
        that base; NaN where it is N.
    """

    value: float
    changes: npt.NDArray[np.float32]

    @property
    def importance(self) -> npt.NDArray[np.float32]:
        """What each base adds: minus the mean change over the three others; shape (n,)."""
        mean = -self.changes.sum(1, dtype=np.float32) / np.float32(3)
        found: npt.NDArray[np.float32] = mean + np.float32(0)  # of -0.0, 0.0
        return found


@dataclass
class _Current:
    """A source of the window that is being read."""

    tokens: Tokens = field(default_factory=lambda: np.empty(0, np.uint8))

    def fetch(self, chrom: str, start: int, end: int) -> Tokens:
        return self.tokens[start:end]


def _in_order(
    stretches: Iterable[Stretch],
    made: Callable[[Stretch], Iterable[Tokens]],
    directions: tuple[bool, ...],
    read: Callable[[Iterator[Region], SequenceSource], Iterator[Found]],
) -> Iterator[tuple[Stretch, Iterator[Found]]]:
    """Each stretch with what was found for its windows, which is to be used up before the next.

    Parameters
    ----------
    made : callable
        Windows of a stretch.
    directions : tuple of bool
        How each window is read; True is as its reverse complement.
    read : callable
        Gives what it finds for regions of a source, in their order.
    """
    waiting: deque[Stretch] = deque()  # read ahead of what is found
    current = _Current()

    def regions() -> Iterator[Region]:
        numbers = count()
        for stretch in stretches:
            waiting.append(stretch)
            for tokens in made(stretch):
                current.tokens = tokens
                for reverse in directions:
                    yield Region(next(numbers), "", ((0, len(tokens)),), reverse)

    found = read(regions(), current)
    for first in found:
        while next(iter(made(waiting[0])), None) is None:
            yield waiting.popleft(), iter(())
        yield waiting.popleft(), chain([first], found)
    while waiting:
        yield waiting.popleft(), iter(())


def task_effects(
    stretches: Iterable[Stretch],
    task: Task,
    output: int,
    compute: Compute,
    *,
    both_strands: bool = False,
    advance: Callable[[float], object] = lambda windows: None,
) -> Iterator[Effects]:
    """Effects on the calibrated log-odds of one of a task's outputs, in order.

    Parameters
    ----------
    output : int
        `findna.tasks.task.TaskConfig.output`; of a regression, its value takes the place of
        log-odds.
    both_strands : bool
        Average with the log-odds of the reverse complement.
    advance : callable
        Gets the number of windows, each on all strands, since it was called last.
    """
    features = task.config.features
    # a task that averages strands itself says the same of both
    directions = (False, True) if both_strands and not features.both_strands else (False,)

    def windows(stretch: Stretch) -> Iterator[Tokens]:
        return chain([stretch.tokens], stretch.mutants())

    def read(regions: Iterator[Region], source: SequenceSource) -> Iterator[RegionVectors]:
        return region_vectors(regions, source, task.reader, features.pooling, compute, whole=True)

    for stretch, found in _in_order(stretches, windows, directions, read):
        letters = (
            reverse_complement(tokens) if reverse else tokens
            for tokens in windows(stretch)
            for reverse in directions
        )
        rows = (features.of(vectors, tokens) for tokens, vectors in zip(letters, found))  # noqa: B905
        values: list[float] = []
        while some := list(islice(rows, _HEAD_ROWS)):
            with torch.inference_mode():
                logits = task.head(torch.from_numpy(np.stack(some))).double().numpy()
            values += [
                log_odds(row, task.config.kind, task.config.temperature)[output] for row in logits
            ]
            advance(len(some) / len(directions))
        of_window = np.reshape(values, (-1, len(directions))).mean(1)  # (1 + 3 * n_known,)
        changes = np.full((len(stretch.bases), 4), np.nan, np.float32)
        others = np.zeros((len(stretch.known), 4))
        others[stretch.bases[stretch.known, None] != _LETTERS] = of_window[1:] - of_window[0]
        changes[stretch.known] = others
        yield Effects(float(of_window[0]), changes)


def masked_effects(
    stretches: Iterable[Stretch],
    model: Model,
    compute: Compute,
    *,
    both_strands: bool = False,
    advance: Callable[[float], object] = lambda windows: None,
) -> Iterator[Effects]:
    """Log-likelihood ratios of the other bases to the one there is, itself masked; in order.

    Parameters
    ----------
    both_strands : bool
        Average with those of the reverse complement.
    advance : callable
        Gets the number of mutants since it was called last: three per base.
    """
    directions = (False, True) if both_strands else (False,)

    def read(regions: Iterator[Region], source: SequenceSource) -> Iterator[Values]:
        return masked_log_probabilities(regions, source, model, compute)

    for stretch, found in _in_order(stretches, Stretch.blanked, directions, read):
        known = stretch.known
        shape = len(known), len(directions), 4
        values = []
        for one in islice(found, shape[0] * shape[1]):
            values.append(one)
            advance(3 / len(directions))
        logp = np.reshape(values, shape)
        if both_strands:
            logp[:, 1] = logp[:, 1, ::-1]  # the complements of A, C, G, T are T, G, C, A
        there = stretch.bases[known, None] == _LETTERS
        ratios = (logp - logp.swapaxes(1, 2)[there][:, :, None]).mean(1)
        changes = np.full((len(stretch.bases), 4), np.nan, np.float32)
        changes[known] = ratios
        value = logp.mean(1)[there].mean() if len(known) else np.nan
        yield Effects(float(value), changes)
