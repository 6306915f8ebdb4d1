"""The order of rows and records: what an index needs."""

from __future__ import annotations

from collections.abc import Sequence


class Order:
    """The order of rows; ``kept`` while they are sorted by start and every contig is one block."""

    def __init__(self) -> None:
        self.kept = True
        self._chrom, self._start = "", 0
        self._before: set[str] = set()

    def add(self, chrom: str, start: int) -> bool:
        """Note where the next row begins; return whether the order is kept so far."""
        if self.kept:
            if chrom != self._chrom:
                self.kept = chrom not in self._before
                self._before.add(chrom)
            else:
                self.kept = start >= self._start
            self._chrom, self._start = chrom, start
        return self.kept

    def first_lost(self, chroms: Sequence[str], starts: Sequence[int]) -> int | None:
        """Note the next rows; return the number of the first where the order is lost, or None.

        Also where it was lost before.
        """
        if not self.kept:
            return 0
        rows = enumerate(zip(chroms, starts, strict=True))
        return next((i for i, (chrom, start) in rows if not self.add(chrom, start)), None)
