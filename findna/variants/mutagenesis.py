"""In-silico saturation mutagenesis: the effect of replacing each base by the three others.

Every mutant is a window of its own. Mutants are made while batches are packed, so that many share
a batch and none is held for longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby, islice
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from findna.genome.batching import Item, Sequences
from findna.genome.encoding import BLANK, NUCLEOTIDES, N, Tokens, encode, reverse_complement
from findna.genome.windows import Region
from findna.model.checkpoint import Model
from findna.model.devices import Compute
from findna.model.inference import masked_log_probabilities, region_vectors
from findna.outputs.results import Effects
from findna.tasks.sites import SiteTask, Tile
from findna.tasks.task import Task
from findna.variants.scores import task_log_odds

_HEAD_ROWS = 64  # windows whose log-odds are computed at once
_LETTERS = np.array(NUCLEOTIDES, np.uint8)

Result = TypeVar("Result")
Kind = TypeVar("Kind", bound="Stretch")


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
        """Bases that are replaced."""
        return self.tokens[self.start : self.end]

    @property
    def known(self) -> npt.NDArray[np.int64]:
        """Numbers of the bases that are not N; shape (n_known,)."""
        return np.flatnonzero(self.bases != N)

    @property
    def is_there(self) -> npt.NDArray[np.bool_]:
        """True where a known base is A, C, G, T; shape (n_known, 4)."""
        return np.equal(self.bases[self.known, None], _LETTERS)

    def spread(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Return values of the known bases for all bases; (n_known, 4) to (n_bases, 4)."""
        spread = np.full((len(self.bases), 4), np.nan, np.float32)
        spread[self.known] = values
        return spread

    def mutants(self) -> Iterator[Tokens]:
        """Yield windows with one base replaced: by position, then by letter."""
        for i in self.known:
            for token in NUCLEOTIDES:
                if token != self.bases[i]:
                    yield self._with(i, token)

    def blanked(self) -> Iterator[Tokens]:
        """Yield windows with one base masked, by position."""
        return (self._with(i, BLANK) for i in self.known)

    def _with(self, i: int, token: int) -> Tokens:
        tokens: Tokens = self.tokens.copy()
        tokens[self.start + i] = token
        return tokens


@dataclass(frozen=True)
class SiteStretch(Stretch):
    """Bases that are replaced, and the tile in which one base is read.

    Parameters
    ----------
    tile : ndarray, shape (tile_length,), uint8
        In reading direction. What lies outside it is not read, and changes nothing.
    offset : int
        Place of the stretch's first base in the tile; it may lie outside.
    at : int
        Place of the base that is read.
    """

    tile: Tokens
    offset: int
    at: int

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """True of known bases that lie in the tile; shape (n_known,)."""
        places = self.known + self.offset
        return (places >= 0) & (places < len(self.tile))

    def windows(self) -> Iterator[Tokens]:
        """Yield the tile as it is, and with one base replaced: by position, then by letter."""
        yield self.tile
        known = self.known[self.inside]
        if len(known):
            first, last = known[0] + self.offset, known[-1] + self.offset + 1
            yield from Stretch(self.tile, int(first), int(last)).mutants()


@dataclass(eq=False)
class _Row(Generic[Item, Kind]):
    """A row, equal to itself only."""

    item: Item
    stretch: Kind | None


class _Windows(Generic[Item, Kind]):
    """The windows of rows, each read in some directions, one held at a time.

    Parameters
    ----------
    windows : callable
        Makes the windows of a stretch.
    both_strands : bool
        Read each also as its reverse complement.
    """

    def __init__(
        self,
        rows: Iterable[tuple[Item, Kind | None]],
        windows: Callable[[Kind], Iterable[Tokens]],
        both_strands: bool,
    ) -> None:
        self.directions = (False, True) if both_strands else (False,)
        self._rows, self._windows = rows, windows
        self._current = [encode("")]
        self.source = Sequences(self._current)

    def regions(self) -> Iterator[tuple[tuple[_Row[Item, Kind], Tokens | None], Region | None]]:
        """Yield each window as (row, letters) and its region; a row without windows as None."""
        for item, stretch in self._rows:
            row, tokens = _Row(item, stretch), None
            for tokens in self._windows(stretch) if stretch is not None else ():
                self._current[0] = tokens
                for reverse in self.directions:
                    letters = reverse_complement(tokens) if reverse else tokens
                    yield (row, letters), Region("0", ((0, len(tokens)),), reverse)
            if tokens is None:
                yield (row, None), None


def _by_row(
    results: Iterable[tuple[tuple[_Row[Item, Kind], Tokens | None], Result | None]],
) -> Iterator[tuple[Item, Kind | None, Iterator[tuple[Tokens, Result]]]]:
    """Yield each row with its windows' letters and results, which are used up before the next."""
    for row, group in groupby(results, key=lambda result: result[0][0]):
        pairs = (
            (letters, result)
            for (_, letters), result in group
            if letters is not None and result is not None
        )
        yield row.item, row.stretch, pairs


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
    windows = _Windows(
        rows,
        lambda stretch: chain([stretch.tokens], stretch.mutants()),
        both_strands and not features.both_strands,  # such a task gives the same on both strands
    )
    n_strands = len(windows.directions)
    read = region_vectors(
        windows.regions(), windows.source, task.reader, features.pooling, compute, whole=True
    )
    for item, stretch, results in _by_row(read):
        if stretch is None:
            yield item, None
            continue
        matrix = (features.of(vectors, letters) for letters, vectors in results)
        values: list[float] = []
        while block := list(islice(matrix, _HEAD_ROWS)):
            values += list(task_log_odds(task, block)[:, output])
            advance(len(block) / n_strands)
        of_window = np.reshape(values, (-1, n_strands)).mean(1)  # (1 + 3 * n_known,)
        others = np.zeros((len(stretch.known), 4))
        others[~stretch.is_there] = of_window[1:] - of_window[0]
        yield item, Effects(float(of_window[0]), stretch.spread(others))


def site_effects(
    rows: Iterable[tuple[Item, SiteStretch | None]],
    task: SiteTask,
    output: int,
    compute: Compute,
    *,
    advance: Callable[[float], object] = lambda windows: None,
) -> Iterator[tuple[Item, Effects | None]]:
    """Yield each row with the effects on the calibrated log-odds of one class at one base.

    Parameters
    ----------
    rows : iterable of (item, SiteStretch or None)
        An item comes out with its result; a row without a stretch has none.
    output : int
        Number of the class.
    advance : callable
        Gets the number of windows since it was called last.
    """
    windows = _Windows(rows, SiteStretch.windows, both_strands=False)

    def tiles() -> Iterator[tuple[tuple[_Row[Item, SiteStretch], Tokens | None], Tile | None]]:
        for key, region in windows.regions():
            stretch, tile = key[0].stretch, None
            if stretch is not None and region is not None:
                ((first, last),) = region.parts
                tile = Tile(region.chrom, first, last, stretch.at, stretch.at + 1)
            yield key, tile

    for item, stretch, results in _by_row(task.log_odds(tiles(), windows.source, compute)):
        if stretch is None:
            yield item, None
            continue
        values = []
        for _, bases in results:
            values.append(bases.values[0, output])
            advance(1)
        of_window = np.array(values, np.float64)  # (1 + 3 * n_inside,)
        others = np.zeros((len(stretch.known), 4))
        replaced = ~stretch.is_there & stretch.inside[:, None]
        others[replaced] = of_window[1:] - of_window[0]
        yield item, Effects(float(of_window[0]), stretch.spread(others))


def masked_effects(
    rows: Iterable[tuple[Item, Stretch | None]],
    model: Model,
    compute: Compute,
    *,
    both_strands: bool = False,
    advance: Callable[[float], object] = lambda windows: None,
) -> Iterator[tuple[Item, Effects | None]]:
    """Yield each row with the log-likelihood ratios of the other bases to the one there is.

    A base is masked while its likelihood is read.

    Parameters
    ----------
    rows : iterable of (item, Stretch or None)
        An item comes out with its result; a row without a stretch has none.
    both_strands : bool
        Average with the ratios on the reverse complement.
    advance : callable
        Gets the number of mutants since it was called last: three per base.
    """
    windows = _Windows(rows, Stretch.blanked, both_strands)
    n_strands = len(windows.directions)
    read = masked_log_probabilities(windows.regions(), windows.source, model, compute)
    for item, stretch, results in _by_row(read):
        if stretch is None:
            yield item, None
            continue
        values = []
        for _, log_probabilities in results:
            values.append(log_probabilities)
            advance(3 / n_strands)
        logp = np.reshape(values, (len(stretch.known), n_strands, 4))
        if both_strands:
            logp[:, 1] = logp[:, 1, ::-1]  # the complements of A, C, G, T are T, G, C, A
        there = stretch.is_there
        ratios = (logp - logp.swapaxes(1, 2)[there][:, :, None]).mean(1)
        value = logp.mean(1)[there].mean() if len(stretch.known) else np.nan
        yield item, Effects(float(value), stretch.spread(ratios))
