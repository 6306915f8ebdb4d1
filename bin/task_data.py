"""Training sets of tasks that ship and that are put together from several files, as CSV.

python bin/task_data.py promoter DATA > promoter.csv
python bin/task_data.py promoter-test DATA > promoter.test.csv
python bin/task_data.py ctcf DATA > ctcf.csv
python bin/task_data.py ctcf-test DATA > ctcf.test.csv

DATA is the folder that bin/train-tasks names.
"""

from __future__ import annotations

import gzip
import sys
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
from site_data import Site, ctcf, promoters, rows_of

from findna.genome.encoding import N, decode, encode, reverse_complement
from findna.genome.fasta import Genome

HG38 = "human-hg38/hg38.chr2_chr20_chr21.fa.gz"
_WINDOW = 300  # bp of a promoter, -249 to +50
_TEST = ("chr20", "chr21")
_CTCF_TEST = (*_TEST, "chr22")
_APART = 500  # bp between a peak of PU.1 and one of CTCF, at least
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
    contigs, sites = promoters(data)
    drawn = WindowsWithout(on_chromosomes(contigs, _TEST, but=True), sites, _WINDOW, rng)
    for sequence in chain(
        islice(drawn.near(1_000, 5_000), _NEAR),
        drawn.matched(known, _MATCHED),
        islice(drawn.anywhere(), _RANDOM),
    ):
        yield sequence, "0"


def promoter_test(data: Path) -> Iterator[tuple[str, str]]:
    """Promoters of EPDnew on chr20 and chr21 (hg38), and 60 random windows of both for each."""
    starts = windows_of_starts(data, _TEST)
    for sequence in sorted(starts):
        yield sequence, "1"
    contigs, sites = promoters(data)
    rng = np.random.default_rng(1)
    drawn = WindowsWithout(on_chromosomes(contigs, _TEST), sites, _WINDOW, rng)
    for sequence in islice(drawn.anywhere(), 60 * len(starts)):
        yield sequence, "0"


def ctcf_peaks(data: Path) -> Iterator[tuple[str, str]]:
    """Peaks of CTCF, and peaks of PU.1 and windows of human sequence without CTCF.

    No sequence of chr20, chr21 or chr22 is read.
    """
    known, others = peaks_of_ctcf(data, tested=False)
    yield from ((sequence, "1") for sequence in known)
    yield from ((sequence, "0") for sequence in others)
    contigs, sites = ctcf(data)
    contigs = on_chromosomes(contigs, _CTCF_TEST, but=True)
    drawn = WindowsWithout(contigs, sites, len(known[0]), np.random.default_rng(0))
    for sequence in chain(
        islice(drawn.near(50, 500), 10_000),
        drawn.matched(known, 40_000),
        islice(drawn.anywhere(), 40_000),
    ):
        yield sequence, "0"


def ctcf_test(data: Path) -> Iterator[tuple[str, str]]:
    """Peaks of CTCF and PU.1 on chr20, chr21 and chr22, and 20 random windows for each of CTCF."""
    known, others = peaks_of_ctcf(data, tested=True)
    yield from ((sequence, "1") for sequence in known)
    yield from ((sequence, "0") for sequence in others)
    contigs, sites = ctcf(data)
    contigs = on_chromosomes(contigs, _CTCF_TEST)
    drawn = WindowsWithout(contigs, sites, len(known[0]), np.random.default_rng(1))
    for sequence in islice(drawn.anywhere(), 20 * len(known)):
        yield sequence, "0"


def peaks_of_ctcf(data: Path, tested: bool) -> tuple[list[str], list[str]]:
    """Peaks of CTCF, and those of PU.1 that lie apart from them, of the chromosomes that test."""
    known, others = (
        [
            (row["chrom"], int(row["start"]), row["sequence"].upper())
            for row in rows_of(data / "tf-chipseq-hg19" / f"{name}.hg19.no_chr19.tsv.gz")
            if (row["chrom"] in _CTCF_TEST) == tested and "N" not in row["sequence"].upper()
        ]
        for name in ("ctcf", "pu1")
    )
    occupied = {(chrom, start // _APART) for chrom, start, _ in known}
    apart = [
        sequence
        for chrom, start, sequence in others
        if not any((chrom, start // _APART + step) in occupied for step in (-1, 0, 1))
    ]
    return [sequence for *_, sequence in known], apart


def on_chromosomes(
    contigs: dict[str, str], chroms: Container[str], but: bool = False
) -> dict[str, str]:
    """Pieces of some chromosomes, or of all but them."""
    return {
        name: letters
        for name, letters in contigs.items()
        if (name.split(".")[1].split("_")[0] in chroms) != but
    }


class WindowsWithout:
    """Random windows of human sequence on either strand that hold no base of a site, nor N.

    Parameters
    ----------
    contigs, sites : dict, set
        As bin/site_data.py makes them.
    length : int
        Length of a window, bp.
    """

    def __init__(
        self, contigs: dict[str, str], sites: set[Site], length: int, rng: np.random.Generator
    ) -> None:
        self._rng, self._length = rng, length
        self._contigs = {
            name: letters for name, letters in contigs.items() if len(letters) > length
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
        taken, end = self._taken[name], start + self._length
        if start < 0 or end >= len(taken) or taken[end] > taken[start]:
            return None
        return self._turned(self._contigs[name][start:end])

    def _turned(self, window: str) -> str:
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

    def near(self, least: int, most: int) -> Iterator[str]:
        """Yield windows ``least`` to ``most`` bp from a site, for ever."""
        while True:
            site = self._sites[self._rng.integers(len(self._sites))]
            distance = int(self._rng.integers(least, most))
            before = site.start - distance - self._length
            start = before if self._rng.random() < 0.5 else site.end + distance
            window = self._window(site.contig, start)
            if window is not None:
                yield window

    def matched(self, known: Sequence[str], n: int) -> Iterator[str]:
        """Yield at most ``n`` windows with the GC content of known sequences."""
        shares = np.array([round(20 * gc_content(sequence)) for sequence in known])
        wanted = Counter(self._rng.choice(shares, n).tolist())
        for sequence in islice(self.anywhere(), 20 * n):  # the richest in GC are too rare
            gc = round(20 * gc_content(sequence))
            if wanted[gc]:
                wanted[gc] -= 1
                yield sequence


def gc_content(sequence: str) -> float:
    """Share of G and C."""
    return (sequence.count("G") + sequence.count("C")) / len(sequence)


def main() -> None:
    """Print the set that is named."""
    name, data = sys.argv[1], Path(sys.argv[2])
    sets = {
        "promoter": promoter,
        "promoter-test": promoter_test,
        "ctcf": ctcf_peaks,
        "ctcf-test": ctcf_test,
    }
    print("sequence,label")
    for sequence, label in sets[name](data):
        print(sequence, label, sep=",")


if __name__ == "__main__":
    main()
