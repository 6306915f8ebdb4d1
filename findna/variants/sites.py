"""Effects of variants on single bases: the largest gain and loss of probability, and where.

Both haplotypes are read by strand, and each of their bases stands for a base of the FASTA.
docs/variants.md has the rules.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from findna.genome.batching import distinct
from findna.model.devices import Compute
from findna.tasks.features import Matrix
from findna.tasks.sites import SiteTask, Tile
from findna.variants.annotate import InfoField, info_id
from findna.variants.haplotypes import Haplotype, Pair, Places, Strands

logger = logging.getLogger(__name__)

REACH = 50
"""Default distance from a variant within which bases are compared, bp."""

DECIMALS = 3
"""Of gains and losses: what is left of smaller ones is no gain and no loss."""

Levels = npt.NDArray[np.float64]


class SiteScorer:
    """Gains and losses of a task of sites, from the windows of alleles.

    Parameters
    ----------
    outputs : sequence of int
        Numbers of the classes to report.
    reach : int
        bp on either side of a variant within which bases are compared; at least 1.
    directions : sequence of int
        Of reading: 0 is forward, 1 the other strand.
    """

    def __init__(
        self,
        task: SiteTask,
        outputs: Sequence[int],
        reach: int,
        directions: Sequence[int],
        compute: Compute,
    ) -> None:
        self.task, self._outputs, self._reach = task, outputs, reach
        self._directions, self._compute = directions, compute
        self._warned = False
        _ = task.checkpoint  # a wrong one is refused before any work

    @property
    def fields(self) -> list[InfoField]:
        """INFO fields, in the order of an allele's values."""
        classes = self.task.config.classes
        strands = " or ".join("the " + ("+", "-")[i] + " strand" for i in self._directions)
        found = []
        for i in self._outputs:
            stem = info_id(self.task.name, *(classes[i : i + 1] if len(classes) > 1 else ()))
            about = f"{classes[i]}, task {self.task.name} {self.task.digest[:12]}"
            for name, change in (("GAIN", "gain"), ("LOSS", "loss")):
                found += [
                    InfoField(
                        f"{stem}_{name}",
                        f"Largest {change} of probability of {about}, at a base of {strands} "
                        f"within {self._reach} bp",
                    ),
                    InfoField(
                        f"{stem}_{name}_POS",
                        f"Position of the largest {change} of probability of {about}, less POS, bp",
                        "Integer",
                    ),
                    *(
                        InfoField(
                            f"{stem}_{name}_{side}",
                            f"Probability of {about}, {allele} allele, at the largest {change}",
                        )
                        for side, allele in (("REF", "reference"), ("ALT", "alternate"))
                    ),
                ]
        return found

    def __call__(
        self, alleles: Sequence[Sequence[Strands]], starts: Sequence[int]
    ) -> list[list[float | None]]:
        """Return the values of alleles, each given by its windows on one background or several.

        Backgrounds are averaged base by base. ``starts`` are the 0-based positions of the
        alleles' records.
        """
        pairs = [self._pairs(strands) for strands in alleles]
        read = self._read(
            haplotype for of_allele in pairs for both in of_allele or () for haplotype in both
        )
        return [
            self._values(of_allele, start, read)
            for of_allele, start in zip(pairs, starts, strict=True)
        ]

    def _pairs(self, backgrounds: Sequence[Strands]) -> list[Pair] | None:
        """Return the windows to read; None if an allele leaves too little room beside it."""
        pairs = [strands[i] for i in self._directions for strands in backgrounds]
        flank = self._reach + self.task.config.margin
        if all(haplotype.holds(flank) for pair in pairs for haplotype in pair):
            return pairs
        if not self._warned:
            self._warned = True
            logger.warning(
                "task %s: alleles so long that their windows hold less than %d bp on either side "
                "have no gain or loss; a longer --window or a smaller --reach makes room",
                *(self.task.name, flank),
            )
        return None

    def _read(self, haplotypes: Iterable[Haplotype]) -> dict[bytes, Matrix]:
        """Return the probabilities at every base of windows, by their letters; 0 at N."""
        letters, source = distinct(haplotype.tokens for haplotype in haplotypes)
        rows = (
            (key, Tile(str(i), 0, len(key), 0, len(key), False)) for i, key in enumerate(letters)
        )
        return {
            key: np.nan_to_num(bases.values)
            for key, bases in self.task.read(rows, source, self._compute)
            if bases is not None
        }

    def _values(
        self, pairs: Sequence[Pair] | None, start: int, read: dict[bytes, Matrix]
    ) -> list[float | None]:
        if pairs is None:
            return [None] * (8 * len(self._outputs))
        n = len(pairs) // len(self._directions)
        found = [
            self._levels(pairs[i * n : (i + 1) * n], read) for i in range(len(self._directions))
        ]
        places = np.concatenate([places for places, _ in found])
        ref, alt = np.concatenate([levels for _, levels in found], axis=1)
        values: list[float | None] = []
        for i in self._outputs:
            for sign in (1, -1):
                column = sign * (alt[:, i] - ref[:, i])
                best = int(column.argmax())
                size = round(float(column[best]), DECIMALS)
                sides = [round(float(side[best, i]), DECIMALS) for side in (ref, alt)]
                at = int(places[best]) - start
                values += [size, at, *sides] if size > 0 else [0.0, None, None, None]
        return values

    def _levels(self, pairs: Sequence[Pair], read: dict[bytes, Matrix]) -> tuple[Places, Levels]:
        """Return the bases of the FASTA about a variant, and their probabilities in both alleles.

        They are those of one strand, averaged over its backgrounds; (n,), (2, n, n_classes).
        """
        sides = [self._bases(haplotype, read) for pair in pairs for haplotype in pair]
        places = np.unique(np.concatenate([places for places, _ in sides]))
        levels = np.zeros((len(sides), len(places), len(self.task.config.classes)))
        for level, (of_side, probabilities) in zip(levels, sides, strict=True):
            # a base that a haplotype lacks keeps 0; of several that stand for one, the highest
            np.maximum.at(level, np.searchsorted(places, of_side), probabilities)
        return places, np.stack([levels[::2].mean(0), levels[1::2].mean(0)])

    def _bases(self, haplotype: Haplotype, read: dict[bytes, Matrix]) -> tuple[Places, Matrix]:
        """Return the bases of a haplotype within reach: what they stand for, and what they get."""
        first = max(haplotype.start - self._reach, 0)
        last = min(haplotype.end + self._reach, len(haplotype.tokens))
        return haplotype.places(first, last), read[haplotype.tokens.tobytes()][first:last]
