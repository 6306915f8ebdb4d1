"""Training sets of tasks that ship and that are put together from several files, as CSV.

python bin/task_data.py promoter DATA > promoter.csv
python bin/task_data.py promoter-test DATA > promoter.test.csv
python bin/task_data.py promoter-shifted DATA > promoter-shifted.csv
python bin/task_data.py promoter-shifted-test DATA > promoter-shifted.test.csv
python bin/task_data.py promoter-plant DATA > promoter-plant.csv
python bin/task_data.py promoter-plant-test DATA > promoter-plant.test.csv
python bin/task_data.py enhancer DATA > enhancer.csv
python bin/task_data.py ctcf DATA > ctcf.csv
python bin/task_data.py ctcf-test DATA > ctcf.test.csv

DATA is the folder that bin/train-tasks names.
"""

from __future__ import annotations

import gzip
import sys
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
from site_data import Site, ctcf, enhancers, plant_promoters, promoters, rows_of

from findna.genome.encoding import N, decode, encode, reverse_complement
from findna.genome.fasta import Genome

HG38 = "human-hg38/hg38.chr2_chr20_chr21.fa.gz"
_WINDOW = 300  # bp of a promoter, -249 to +50
_SHIFTED = 250  # of these at random: the start lies up to 25 bp off the middle
_TEST = ("chr20", "chr21")
_CTCF_TEST = (*_TEST, "chr22")
_APART = 500  # bp between a peak of PU.1 and one of CTCF, at least
_PLANTS = "plants/arabidopsis_rice.fa.gz"
_GENOMIC = ("EDTA|", "rice", "braker")  # of plants: genomic sequence
_WORD = 32  # bp by which sequences are known again
_PLANT_WINDOW, _PLANT_RANDOM = 251, 14_000
_ENHANCER = 500  # bp about the middle of an enhancer
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


def part(sequence: str, length: int, rng: np.random.Generator) -> str:
    """Draw neighbouring bases of a sequence."""
    start = int(rng.integers(len(sequence) - length + 1))
    return sequence[start : start + length]


def promoter(data: Path, shifted: bool = False) -> Iterator[tuple[str, str]]:
    """Promoters of EPDnew, without those in hg38, and windows of human sequence without one.

    No sequence of chr20 or chr21 is read. With ``shifted`` promoters do not lie exactly on their
    start, and there are more windows at random and near a promoter.
    """
    rng = np.random.default_rng(0)
    kept_apart = windows_of_starts(data)
    known = []
    for fold in (1, 2, 3):
        rows = lines(data / "epdnew_promoters_300" / f"fold_{fold}.csv.gz")
        next(rows)
        for row in rows:
            sequence, label = row.upper().split(",")
            if label == "1" and sequence not in kept_apart:
                known.append(part(sequence, _SHIFTED, rng) if shifted else sequence)
                yield known[-1], "1"
    contigs, sites = promoters(data)
    length = _SHIFTED if shifted else _WINDOW
    drawn = WindowsWithout(on_chromosomes(contigs, _TEST, but=True), sites, length, rng)
    if shifted:
        near = iter(list(islice(drawn.near(300, 5_000), 10_000)))  # before the draws of `matched`
    else:
        near = islice(drawn.near(1_000, 5_000), _NEAR)
    n_random = 30_000 if shifted else _RANDOM
    for sequence in chain(near, drawn.matched(known, _MATCHED), islice(drawn.anywhere(), n_random)):
        yield sequence, "0"


def promoter_test(data: Path, shifted: bool = False) -> Iterator[tuple[str, str]]:
    """Promoters of EPDnew on chr20 and chr21 (hg38), and 60 random windows of both for each."""
    starts = windows_of_starts(data, _TEST)
    rng = np.random.default_rng(1)
    for sequence in sorted(starts):
        yield part(sequence, _SHIFTED, rng) if shifted else sequence, "1"
    contigs, sites = promoters(data)
    length = _SHIFTED if shifted else _WINDOW
    drawn = WindowsWithout(on_chromosomes(contigs, _TEST), sites, length, rng)
    for sequence in islice(drawn.anywhere(), 60 * len(starts)):
        yield sequence, "0"


def promoter_plant(data: Path) -> Iterator[tuple[str, str]]:
    """Promoters of A. thaliana and coding sequence, and windows of plants at random.

    Nothing that shares a word of 32 bp with the pieces of TAIR10 is read.
    """
    tested, contigs = set(), {}
    with Genome(data / _PLANTS) as genome:
        for name, length in genome.contigs.items():
            letters = decode(genome.fetch(name, 0, length))
            if name.startswith("TAIR10"):
                for strand in (letters, decode(reverse_complement(encode(letters)))):
                    tested |= {strand[i : i + _WORD] for i in range(len(strand) - _WORD + 1)}
            elif name.startswith(_GENOMIC):
                contigs[name] = letters

    def is_tested(sequence: str) -> bool:
        return any(sequence[i : i + _WORD] in tested for i in range(len(sequence) - _WORD + 1))

    for row in rows_of(data / "promoters-cnnprom" / "arabidopsis.csv.gz"):
        sequence = row["sequence"].upper()
        if not is_tested(sequence):
            yield sequence, row["label"]
    drawn = WindowsWithout(contigs, set(), _PLANT_WINDOW, np.random.default_rng(0)).anywhere()
    yield from islice(((each, "0") for each in drawn if not is_tested(each)), _PLANT_RANDOM)


def promoter_plant_test(data: Path) -> Iterator[tuple[str, str]]:
    """Promoters of EPDnew in the pieces of TAIR10, and 60 random windows of these for each."""
    contigs, sites = plant_promoters(data)
    n = 0
    for site in sorted(sites):
        window = encode(contigs[site.contig][site.start : site.end])
        if len(window) == _PLANT_WINDOW and not (window == N).any():
            n += 1
            yield decode(reverse_complement(window) if site.strand == "-" else window), "1"
    drawn = WindowsWithout(contigs, sites, _PLANT_WINDOW, np.random.default_rng(1))
    for sequence in islice(drawn.anywhere(), 60 * n):
        yield sequence, "0"


def enhancer(data: Path) -> Iterator[tuple[str, str]]:
    """500 bp about the middles of FANTOM5's enhancers, and windows of human sequence without one.

    No sequence of chr20 or chr21 is read.
    """
    contigs, sites = enhancers(data)
    contigs = on_chromosomes(contigs, _TEST, but=True)
    known = []
    for site in sorted(sites):
        if letters := contigs.get(site.contig):
            start = (site.start + site.end - _ENHANCER) // 2
            if start >= 0 and "N" not in (window := letters[start : start + _ENHANCER]):
                known.append(window)
                yield window, "1"
    drawn = WindowsWithout(contigs, sites, _ENHANCER, np.random.default_rng(0))
    near = list(islice(drawn.near(500, 5_000), 2_000))
    for sequence in chain(near, drawn.matched(known, 2_000), islice(drawn.anywhere(), 4_000)):
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
    near = list(islice(drawn.near(50, 500), 10_000))
    for sequence in chain(near, drawn.matched(known, 40_000), islice(drawn.anywhere(), 40_000)):
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
        """Return at most ``n`` windows with the GC content of known sequences.

        How many of each is drawn at once, so that the order of calls decides what comes out.
        """
        shares = np.array([round(20 * gc_content(sequence)) for sequence in known])
        wanted = Counter(self._rng.choice(shares, n).tolist())

        def windows() -> Iterator[str]:
            for sequence in islice(self.anywhere(), 20 * n):  # the richest in GC are too rare
                gc = round(20 * gc_content(sequence))
                if wanted[gc]:
                    wanted[gc] -= 1
                    yield sequence

        return windows()


def gc_content(sequence: str) -> float:
    """Share of G and C."""
    return (sequence.count("G") + sequence.count("C")) / len(sequence)


def main() -> None:
    """Print the set that is named."""
    name, data = sys.argv[1], Path(sys.argv[2])
    sets = {
        "promoter": promoter,
        "promoter-test": promoter_test,
        "promoter-shifted": partial(promoter, shifted=True),
        "promoter-shifted-test": partial(promoter_test, shifted=True),
        "promoter-plant": promoter_plant,
        "promoter-plant-test": promoter_plant_test,
        "enhancer": enhancer,
        "ctcf": ctcf_peaks,
        "ctcf-test": ctcf_test,
    }
    print("sequence,label")
    for sequence, label in sets[name](data):
        print(sequence, label, sep=",")


if __name__ == "__main__":
    main()
