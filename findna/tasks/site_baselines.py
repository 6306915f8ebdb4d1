"""Baselines of a task of sites: scores of every base that come from letters alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from findna.genome.batching import read_window
from findna.genome.encoding import ALPHABET, COMPLEMENT, N, Tokens
from findna.genome.windows import Region, Window
from findna.labelled.matrix import PositionMatrix
from findna.tasks.features import Matrix
from findna.tasks.kmers import kmer_codes, kmer_counts
from findna.tasks.site_training import SiteData
from findna.tasks.sites import Span

_MATRIX_REACH = 20  # bp on either side of a base that the position weight matrix reads
_WIDTHS = 300, 1000  # bp about a base in which k-mers are counted
_K = 4  # of k-mer regression
_MOST = 20_000  # bases without a class that k-mer regression is fitted on; a quarter of a class
_STRENGTHS = 1e-4, 1e-3, 1e-2, 1e-1  # C of k-mer regression


@dataclass(frozen=True)
class KmerSum:
    """The weighted sum of the k-mers in a window about a base.

    Parameters
    ----------
    width : int
        bp of the window, an even number; half of them lie before the base.
    weights : ndarray, shape (4^k, n_classes)
    """

    k: int
    width: int
    weights: npt.NDArray[np.float64]

    def scores(self, tokens: Tokens) -> Matrix:
        """Return the sum at every base that has its window.

        ``tokens`` has shape (n + width,), the result (n, n_classes).
        """
        codes, known = kmer_codes(tokens, self.k)
        n, n_kmers = len(tokens) - self.width, self.width - self.k + 1
        scores = np.empty((n, self.weights.shape[1]), np.float32)
        for column, weights in enumerate(self.weights.T):
            sums = np.cumsum(np.where(known, weights[codes], 0.0), dtype=np.float64)
            sums = np.concatenate(([0.0], sums))
            scores[:, column] = (sums[n_kmers:] - sums[:-n_kmers])[:n]
        return scores


class _Drawn(NamedTuple):
    """Bases drawn from spans: contig, position and strand of each, and its classes."""

    places: list[tuple[str, int, bool]]
    classes: npt.NDArray[np.bool_]  # (n, n_classes)


class LetterCounts:
    """GC content and CpG, counted within 300 and 1,000 bp about a base; nothing is fitted."""

    def __init__(self, data: SiteData) -> None:
        self._data = data
        n = self._n_classes = len(data.labels.classes)
        gc = np.repeat([[0.0], [1.0], [1.0], [0.0]], n, 1)  # of A, C, G, T
        cpg = np.zeros((16, n))
        cpg[int("12", 4)] = 1.0
        self._sums: dict[str, KmerSum] = {}
        for width in _WIDTHS:
            self._sums[f"GC content, {width} bp"] = KmerSum(1, width, gc)
            self._sums[f"CpG, {width} bp"] = KmerSum(2, width, cpg)

    def scores(self, spans: Sequence[Span]) -> Iterator[tuple[str, Matrix]]:
        """Yield each baseline's name, and what it says of the known bases of spans.

        The bases have the order of `findna.tasks.site_training.measure_sites`; (n, n_classes).
        """
        for name, kmers in self._sums.items():
            yield name, self._read(spans, kmers.width // 2, kmers.scores)

    def _window(self, chrom: str, start: int, end: int, reverse: bool) -> Tokens:
        region = Region(chrom, ((start, end),), reverse)
        return read_window(self._data.genome, Window(region, 0, len(region)))

    def _read(
        self, spans: Sequence[Span], around: int, scorer: Callable[[Tokens], Matrix]
    ) -> Matrix:
        """Return what ``scorer`` gives of spans on both strands, read with ``around`` bp more."""
        scores = []
        for reverse in (False, True):
            for chrom, start, end in spans:
                tokens = self._window(chrom, start - around, end + around, reverse)
                known = tokens[around : len(tokens) - around] != N
                scores.append(scorer(tokens)[known][:: -1 if reverse else 1])
        return np.concatenate(scores)


class SiteBaselines(LetterCounts):
    """Counts, k-mer regression and a position weight matrix, fitted on training spans.

    Logistic regression reads the 4-mers of the windows in which letters are counted; the matrix
    reads 20 bases on either side. All of them read the strand that is asked about.
    """

    def __init__(self, data: SiteData, seed: int) -> None:
        super().__init__(data)
        rng = np.random.default_rng(seed)
        train, valid = (self._draw(spans, rng) for spans in (data.train, data.valid))
        for width in _WIDTHS:
            self._sums[f"{_K}-mers, {width} bp"] = self._regression(train, valid, width)
        self._matrices = self._count()

    def scores(self, spans: Sequence[Span]) -> Iterator[tuple[str, Matrix]]:
        """Yield each baseline's name, and what it says of the known bases of spans."""
        yield from super().scores(spans)

        def matrices(tokens: Tokens) -> Matrix:
            return np.stack([matrix.scores(tokens) for matrix in self._matrices], 1)

        yield "position weight matrix", self._read(spans, _MATRIX_REACH, matrices)

    def _draw(self, spans: Sequence[Span], rng: np.random.Generator) -> _Drawn:
        """Draw bases of each class, and bases anywhere."""
        held: list[list[tuple[str, int, bool]]] = [[] for _ in range(self._n_classes)]
        anywhere: list[tuple[str, int, bool]] = []
        total, read, drawn = 2 * sum(end - start for _, start, end in spans), 0, 0
        for chrom, start, end in spans:
            for reverse in (False, True):
                labels = self._data.labels.of(chrom, start, end, reverse)
                for number, places in enumerate(held):
                    at = start + np.flatnonzero(labels[:, number])
                    places += [(chrom, i, reverse) for i in at.tolist()]
                read += end - start
                share = round(_MOST * read / total) - drawn  # of short spans 0 or 1
                drawn += share
                at = rng.integers(start, end, share)
                anywhere += [(chrom, i, reverse) for i in at.tolist()]
        for places in held:
            chosen = rng.permutation(len(places))[: _MOST // 4]
            anywhere += [places[i] for i in chosen]
        rows = [self._data.labels.of(c, i, i + 1, reverse)[0] for c, i, reverse in anywhere]
        return _Drawn(anywhere, np.stack(rows))

    def _regression(self, train: _Drawn, valid: _Drawn, width: int) -> KmerSum:
        """Fit logistic regression on k-mers about bases; C is the best on validation spans."""
        half = width // 2
        counts = []
        for drawn in (train, valid):
            windows = [self._window(c, i - half, i + half, rev) for c, i, rev in drawn.places]
            counts.append(kmer_counts(windows, _K, both_strands=False))
        weights = np.zeros((4**_K, self._n_classes))
        for column in range(self._n_classes):
            best = -np.inf
            for strength in _STRENGTHS:
                fit = LogisticRegression(C=strength, max_iter=1000)
                fit.fit(counts[0], train.classes[:, column])
                found = fit.decision_function(counts[1])
                score = average_precision_score(valid.classes[:, column], found)
                if score > best:
                    best, weights[:, column] = score, fit.coef_[0]
        return KmerSum(_K, width, weights)

    def _count(self) -> list[PositionMatrix]:
        """Return the position weight matrix of each class."""
        data = self._data
        counts = np.zeros(len(ALPHABET))
        for chrom, start, end in data.train:
            counts += np.bincount(data.genome.fetch(chrom, start, end), minlength=len(ALPHABET))
        counts[N] = 0
        counts += counts[COMPLEMENT[: len(ALPHABET)]]  # both strands
        windows: list[list[Tokens]] = [[] for _ in range(self._n_classes)]
        for chrom, at, number, reverse in data.labels.within(data.train):
            window = self._window(chrom, at - _MATRIX_REACH, at + _MATRIX_REACH + 1, reverse)
            windows[number].append(window)
        return [PositionMatrix.fit(each, counts / counts.sum()) for each in windows]
