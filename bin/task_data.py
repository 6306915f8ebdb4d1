"""Training sets of tasks that ship and that are put together from several files, as CSV.

python bin/task_data.py promoter DATA > promoter.csv
python bin/task_data.py promoter-test DATA > promoter.test.csv

DATA is the folder that bin/train-tasks names.
"""

from __future__ import annotations

import gzip
import sys
from collections import Counter
from collections.abc import Callable, Container, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from site_data import promoters

from findna.genome.encoding import N, decode, encode, reverse_complement
from findna.genome.fasta import Genome

HG38 = "human-hg38/hg38.chr2_chr20_chr21.fa.gz"
_WINDOW = 300  # bp of a promoter, -249 to +50
_TEST = ("chr20", "chr21")
_RANDOM, _MATCHED, _NEAR = 14_000, 14_000, 7_000  # windows without a promoter


def lines(path: Path) -> Iterator[str]:
    """Lines of a gzip file without their ends."""
    with gzip.open(path, "rt") as file:
        yield from (line.rstrip("\r\n") for line in file)


def windows_of_starts(data: Path, chroms: Container[str] | None = None) -> set[str]:
    """-249 to +50 around every known start in the hg38 sequence, or in some of its chromosomes."""
    found = set()
    with Genome(data / HG38) as genome:
        for line in lines(data / "regions" / "epdnew_human_tss.no_chr19.hg38.bed.gz"):
            chrom, at, _, _, _, strand = line.split("\t")
            if chrom in genome.contigs and (chroms is None or chrom in chroms):
                low = int(at) - (249 if strand == "+" else 50)
                tokens = genome.fetch(chrom, low, low + 300)
                if not (tokens == N).any():
                    found.add(decode(reverse_complement(tokens) if strand == "-" else tokens))
    return found


def promoter(data: Path) -> Iterator[tuple[str, str]]:
    """Promoters of EPDnew, without those in hg38, and windows of human sequence without one.

    No sequence of chr20 or chr21 is read.
    """
    kept_apart = windows_of_starts(data)
    known = []
    for fold in (1, 2, 3):
        rows = lines(data / "epdnew_promoters_300" / f"fold_{fold}.csv.gz")
        next(rows)
        for row in rows:
            sequence, label = row.upper().split(",")
            if label == "1" and sequence not in kept_apart:
                known.append(sequence)
                yield sequence, "1"
    rng = np.random.default_rng(0)
    drawn = WindowsWithout(data, lambda chrom: chrom not in _TEST, rng)
    matched = np.array([round(20 * gc_content(sequence)) for sequence in known])
    wanted = Counter(rng.choice(matched, _MATCHED).tolist())
    for sequence in islice(drawn.near(), _NEAR):
        yield sequence, "0"
    for sequence in islice(drawn.anywhere(), 20 * _MATCHED):  # the richest in GC are too rare
        gc = round(20 * gc_content(sequence))
        if wanted[gc]:
            wanted[gc] -= 1
            yield sequence, "0"
    for sequence in islice(drawn.anywhere(), _RANDOM):
        yield sequence, "0"


def promoter_test(data: Path) -> Iterator[tuple[str, str]]:
    """Promoters of EPDnew on chr20 and chr21 (hg38), and 60 random windows of both for each."""
    starts = windows_of_starts(data, _TEST)
    for sequence in sorted(starts):
        yield sequence, "1"
    drawn = WindowsWithout(data, lambda chrom: chrom in _TEST, np.random.default_rng(1))
    for sequence in islice(drawn.anywhere(), 60 * len(starts)):
        yield sequence, "0"


class WindowsWithout:
    """Random windows of human sequence on either strand that hold no base of a promoter, nor N.

    What is a promoter is said in bin/site_data.py (promoter-human).

    Parameters
    ----------
    wanted : callable
        Tells of a chromosome if its pieces are read.
    """

    def __init__(self, data: Path, wanted: Callable[[str], bool], rng: np.random.Generator) -> None:
        contigs, sites = promoters(data)
        self._rng = rng
        self._contigs = {
            name: letters
            for name, letters in contigs.items()
            if wanted(name.split(".")[1].split("_")[0]) and len(letters) > _WINDOW
        }
        self._taken = {name: np.zeros(len(x) + 1, np.int32) for name, x in self._contigs.items()}
        for site in sites:
            if site.contig in self._taken:
                self._taken[site.contig][site.start + 1 : site.end + 1] = 1
        for name, letters in self._contigs.items():
            unknown = np.frombuffer(letters.encode(), np.uint8) == ord("N")
            self._taken[name][1:] |= unknown
            np.cumsum(self._taken[name], out=self._taken[name])
        self._sites = [site for site in sorted(sites) if site.contig in self._contigs]

    def _window(self, name: str, start: int) -> str | None:
        taken = self._taken[name]
        if start < 0 or start + _WINDOW >= len(taken) or taken[start + _WINDOW] > taken[start]:
            return None
        window = self._contigs[name][start : start + _WINDOW]
        return decode(reverse_complement(encode(window))) if self._rng.random() < 0.5 else window

    def anywhere(self) -> Iterator[str]:
        """Yield windows at random, for ever."""
        names = list(self._contigs)
        lengths = np.array([len(self._contigs[name]) for name in names])
        while True:
            name = names[self._rng.choice(len(names), p=lengths / lengths.sum())]
            window = self._window(name, int(self._rng.integers(len(self._contigs[name]))))
            if window is not None:
                yield window

    def near(self) -> Iterator[str]:
        """Yield windows 1 to 5 kb from a promoter, for ever."""
        while True:
            site = self._sites[self._rng.integers(len(self._sites))]
            distance = int(self._rng.integers(1_000, 5_000))
            before = site.start - distance - _WINDOW
            start = before if self._rng.random() < 0.5 else site.end + distance
            window = self._window(site.contig, start)
            if window is not None:
                yield window


def gc_content(sequence: str) -> float:
    """Share of G and C."""
    return (sequence.count("G") + sequence.count("C")) / len(sequence)


def main() -> None:
    """Print the set that is named."""
    name, data = sys.argv[1], Path(sys.argv[2])
    sets = {"promoter": promoter, "promoter-test": promoter_test}
    print("sequence,label")
    for sequence, label in sets[name](data):
        print(sequence, label, sep=",")


if __name__ == "__main__":
    main()
