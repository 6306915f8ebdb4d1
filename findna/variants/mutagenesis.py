"""In-silico saturation mutagenesis: what replacing each base by the three others changes.

Every mutant is a window of its own. They are made while batches are packed, so that many share a
batch and none is held for longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from findna.genome.batching import Item, SequenceSource
from findna.genome.encoding import BLANK, NUCLEOTIDES, N, Tokens, reverse_complement
from findna.genome.windows import Region
from findna.model.checkpoint import Model
from findna.model.devices import Compute
from findna.model.inference import region_vectors
from findna.outputs.results import Effects, RegionVectors
from findna.tasks.task import Task
from findna.variants.scores import log_odds, masked_log_probabilities

_HEAD_ROWS = 64  # windows whose log-odds are computed at once

_LETTERS = np.array(NUCLEOTIDES, np.uint8)

Result = TypeVar("Result")

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


@dataclass
class _Current:
    """A source of the window that is being read."""

    tokens: Tokens = field(default_factory=lambda: np.empty(0, np.uint8))

    def fetch(self, chrom: str, start: int, end: int) -> Tokens:
        return self.tokens[start:end]


@dataclass(eq=False)
class _Row(Generic[Item]):
    """A row, the same as itself only."""

    item: Item
    stretch: Stretch | None


@dataclass(frozen=True)
class _Window(Generic[Item]):
    """A window that is read for a row; without letters, it keeps the row's place."""

    row: _Row[Item]
    letters: Tokens | None


def _by_row(
    rows: Iterable[tuple[Item, Stretch | None]],
    windows: Callable[[Stretch], Iterable[Tokens]],
    directions: tuple[bool, ...],
    read: Callable[
        [Iterator[tuple[_Window[Item], Region | None]], SequenceSource],
        Iterator[tuple[_Window[Item], Result | None]],
    ],
) -> Iterator[tuple[Item, Stretch | None, Iterator[tuple[Tokens, Result]]]]:
    """Yield each row with the results of its windows, which are used up before the next row.

    Parameters
    ----------
    windows : callable
        Makes the windows of a stretch.
    directions : tuple of bool
        How each window is read; True is as its reverse complement.
    read : callable
        Reads regions of a source, in their order; items come out with their results.

    Yields
    ------
    item, stretch
        The row.
    results : iterator of (tokens, result)
        Of each window in each direction: its letters, as they were read, and what was found.
    """
    current = _Current()

    def regions() -> Iterator[tuple[_Window[Item], Region | None]]:
        for item, stretch in rows:
            row, empty = _Row(item, stretch), True
            for tokens in () if stretch is None else windows(stretch):
                current.tokens, empty = tokens, False
                for reverse in directions:
                    letters = reverse_complement(tokens) if reverse else tokens
                    window = _Window(row, letters)
                    yield window, Region("", ((0, len(tokens)),), reverse)
            if empty:
                yield _Window(row, None), None

    for row, group in groupby(read(regions(), current), key=lambda pair: pair[0].row):
        results = (
            (window.letters, result)
            for window, result in group
            if window.letters is not None and result is not None
        )
        yield row.item, row.stretch, results


def task_effects(
    rows: Iterable[tuple[Item, Stretch | None]],
    task: Task,
    output: int,
    compute: Compute,
    *,
    both_strands: bool = False,
    advance: Callable[[float], object] = lambda windows: None,
) -> Iterator[tuple[Item, Effects | None]]:
    """Yield each row with the effects on the calibrated log-odds of one of a task's outputs.

    Parameters
    ----------
    rows : iterable of (item, Stretch or None)
        An item comes out with its result; a row without a stretch has none.
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

    def read(
        regions: Iterator[tuple[_Window[Item], Region | None]], source: SequenceSource
    ) -> Iterator[tuple[_Window[Item], RegionVectors | None]]:
        return region_vectors(regions, source, task.reader, features.pooling, compute, whole=True)

    for item, stretch, results in _by_row(rows, windows, directions, read):
        if stretch is None:
            yield item, None
            continue
        matrix = (features.of(vectors, letters) for letters, vectors in results)
        values: list[float] = []
        while block := list(islice(matrix, _HEAD_ROWS)):
            with torch.inference_mode():
                logits = task.head(torch.from_numpy(np.stack(block))).double().numpy()
            values += [
                log_odds(row, task.config.kind, task.config.temperature)[output] for row in logits
            ]
            advance(len(block) / len(directions))
        of_window = np.reshape(values, (-1, len(directions))).mean(1)  # (1 + 3 * n_known,)
        changes = np.full((len(stretch.bases), 4), np.nan, np.float32)
        others = np.zeros((len(stretch.known), 4))
        others[stretch.bases[stretch.known, None] != _LETTERS] = of_window[1:] - of_window[0]
        changes[stretch.known] = others
        yield item, Effects(float(of_window[0]), changes)


def masked_effects(
    rows: Iterable[tuple[Item, Stretch | None]],
    model: Model,
    compute: Compute,
    *,
    both_strands: bool = False,
    advance: Callable[[float], object] = lambda windows: None,
) -> Iterator[tuple[Item, Effects | None]]:
    """Yield each row with the log-likelihood ratios of the other bases to the one there is.

    Each base is masked when it is asked for.

    Parameters
    ----------
    rows : iterable of (item, Stretch or None)
        An item comes out with its result; a row without a stretch has none.
    both_strands : bool
        Average with those of the reverse complement.
    advance : callable
        Gets the number of mutants since it was called last: three per base.
    """
    directions = (False, True) if both_strands else (False,)

    def read(
        regions: Iterator[tuple[_Window[Item], Region | None]], source: SequenceSource
    ) -> Iterator[tuple[_Window[Item], Values | None]]:
        return masked_log_probabilities(regions, source, model, compute)

    for item, stretch, results in _by_row(rows, Stretch.blanked, directions, read):
        if stretch is None:
            yield item, None
            continue
        known = stretch.known
        values = []
        for _, log_probabilities in results:
            values.append(log_probabilities)
            advance(3 / len(directions))
        logp = np.reshape(values, (len(known), len(directions), 4))
        if both_strands:
            logp[:, 1] = logp[:, 1, ::-1]  # the complements of A, C, G, T are T, G, C, A
        there = stretch.bases[known, None] == _LETTERS
        ratios = (logp - logp.swapaxes(1, 2)[there][:, :, None]).mean(1)
        changes = np.full((len(stretch.bases), 4), np.nan, np.float32)
        changes[known] = ratios
        value = logp.mean(1)[there].mean() if len(known) else np.nan
        yield item, Effects(float(value), changes)
