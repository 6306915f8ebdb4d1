"""The order of rows and records: what an index needs."""

from __future__ import annotations


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
