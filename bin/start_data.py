"""Makes data to train a task of single bases that finds human starts and promoters.

    python bin/start_data.py DATA OUT

It writes OUT/genome.fa, OUT/sites.bed (class `start`: 50 bp on either side of a start of EPDnew, by
strand; `promoter`: -249 to +50 about one, and class PLS of ENCODE's registry, of both strands) and
OUT/regions.bed, the bases that are read:

- pieces of hg38 and hg19: chr20 and chr21 to test, and what findna finetune --seed 0 holds out to
  validate;
- windows of 1 kb of chr1 and chr8 (hg19), likewise;
- 700 bp on either side of starts in other human sequence, known by their letters;
- promoters of EPDnew whose surroundings are not at hand, each put into a piece without a
  promoter, and other windows put into such pieces alike: a seam tells nothing.

Of all but the first nothing shares more than a quarter of its words of 32 bp with what tests or
validates. DATA holds epdnew_promoters_300, human-ensembl-testdb, human-hg16-encode, human-hg19,
human-hg19-alt, human-hg38, human-pieces, regions and regions-human. Needs pyliftover.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from site_data import (
    Site,
    Span,
    found_in_pieces,
    lift_over,
    lines_of,
    pieces,
    write_genome,
    write_sites,
)
from task_data import WindowsWithout, lines, on_chromosomes, windows_of_starts

from findna.commands.finetune_sites import divide
from findna.genome.encoding import decode, encode, reverse_complement
from findna.genome.fasta import Genome

_START = 50  # bp on either side of a start that are of its class
_PROMOTER = 249, 50  # bp before and after a start
_TEST = ("chr20", "chr21")
_TESTED = ("hg38.chr20", "hg38.chr21")  # the other pieces of these chromosomes are left out
_STARTS = "regions/epdnew_human_tss.no_chr19.hg38.bed.gz"
_PROMOTERS = "regions-human/encode_ccre_v4.PLS.hg38.no_chr19.bed.gz"
_WINDOWS = "human-hg19/hg19.windows_1kb.fa.gz"
_ELSEWHERE = (
    "human-ensembl-testdb/contigs.fa.gz",
    "human-hg16-encode/hg16.ENm001_ENm002.fa.gz",
    "human-hg19-alt/hg19.mhc_cox_alt_unplaced.fa.gz",
    "human-hg38/hg38.contigs_60kb.fa.gz",
    "human-pieces/misc_pieces.fa.gz",
    "human-pieces/refseqgene.fa.gz",
)
_NEAR = 300  # bp about a start in which a promoter of the registry is that of the start
_AROUND = 700  # bp on either side of a start elsewhere
_WORD, _EVERY = 32, 8  # bp of words by which sequence is known again, and between those kept
_SHARED = 0.25  # of a sequence, at most, that may be elsewhere
_AT = 249  # of a promoter of EPDnew: its start
_SEEDS = 160, 230, 270  # places of a promoter whose words are looked for
_ALIKE = 0.97  # of the letters of a promoter that are the same where it is found
_FLANK, _COUNTED = 150, 100  # bp on either side of what is put into a piece, and not read of it
_GAP = 100  # N between what a contig joins
_MATCHED, _ANYWHERE, _BESIDE = 12_000, 10_000, 5_000  # windows without a promoter

Starts = list[tuple[int, str]]
"""Place and strand of each."""


def turned(sequence: str) -> str:
    """The other strand."""
    return decode(reverse_complement(encode(sequence)))


class Known:
    """Words of sequence that others must not share, on either strand."""

    def __init__(self, sequences: Iterable[str]) -> None:
        self._words = {
            word
            for sequence in sequences
            for at in range(0, len(sequence) - _WORD, _EVERY)
            if "N" not in (word := sequence[at : at + _WORD])
        }

    def share(self, sequence: str) -> float:
        """About which part of a sequence is known."""
        found = sum(
            strand[at : at + _WORD] in self._words
            for strand in (sequence, turned(sequence))
            for at in range(len(strand) - _WORD)
        )
        return found * _EVERY / len(sequence)


class Joined:
    """A contig of many short sequences, with what is read of it and the starts in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.spans: list[Span] = []
        self.starts: Starts = []
        self.promoters: list[tuple[int, int]] = []
        self._letters: list[str] = []
        self._length = 0

    def add(
        self,
        letters: str,
        starts: Starts,
        spans: Iterable[tuple[int, int]],
        promoters: Iterable[tuple[int, int]] | None = None,
    ) -> None:
        """Add a sequence, the starts in it, what is read of it, and its promoters.

        Without ``promoters`` these are those of the starts.
        """
        first, n = self._length, len(letters)
        for start, end in map(about, starts) if promoters is None else promoters:
            self.promoters.append((first + max(start, 0), first + min(end, n)))
        self.starts += [(first + at, strand) for at, strand in starts]
        self.spans += [(self.name, first + start, first + end) for start, end in spans]
        self._letters.append(letters)
        self._length += len(letters) + _GAP

    @property
    def letters(self) -> str:
        """All sequences, with N between them."""
        return ("N" * _GAP).join(self._letters)


class Registry:
    """Starts of EPDnew and promoters of ENCODE's registry by chromosome of hg38."""

    def __init__(self, data: Path) -> None:
        self.starts: dict[str, Starts] = defaultdict(list)
        self.promoters: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for row in lines_of(data / _STARTS):
            self.starts[row[0]].append((int(row[1]), row[5]))
        for row in lines_of(data / _PROMOTERS):
            self.promoters[row[0]].append((int(row[1]), int(row[2])))

    def bases(self) -> dict[str, dict[str, set[int]]]:
        """Bases by class, as `found_in_pieces` takes them: starts, about them, and promoters."""
        found: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        for chrom, starts in self.starts.items():
            for at, strand in starts:
                found[strand][chrom].add(at)
                self.promoters[chrom].append(about((at, strand)))
        for chrom, promoters in self.promoters.items():
            for start, end in promoters:
                found["promoter"][chrom].update(range(start, end))
        return found


class Pieces(NamedTuple):
    """Pieces by contig, the starts in them, and where one may read."""

    contigs: dict[str, str]
    starts: dict[str, Starts]
    promoters: dict[str, list[tuple[int, int]]]


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _is_known(letters: str) -> np.ndarray:
    return np.frombuffer(letters.encode(), np.uint8) != ord("N")


def placed(data: Path, registry: Registry) -> Pieces:
    """Pieces of known coordinates."""
    contigs = {piece.contig: piece.letters for piece in pieces(data)}
    starts: dict[str, Starts] = defaultdict(list)
    promoters: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for site in sorted(found_in_pieces(data, registry.bases())):
        if site.kind == "promoter":
            promoters[site.contig].append((site.start, site.end))
        else:
            starts[site.contig].append((site.start, site.kind))
    return Pieces(contigs, starts, promoters)


def windows(data: Path, registry: Registry, others: Known, joined: Joined) -> None:
    """Add the windows of 1 kb that lift to hg38 in one piece."""
    lift = lift_over(data)
    with Genome(data / _WINDOWS) as genome:
        for name, length in genome.contigs.items():
            chrom, _, span = name.partition(":")
            first = int(span.split("-")[0])
            letters = decode(genome.fetch(name, 0, length))
            ends = [lift.convert_coordinate(chrom, first + at) for at in (0, length - 1)]
            if (
                chrom in _TEST
                or letters.count("N") > _NEAR
                or not all(ends)
                or ends[1][0][1] - ends[0][0][1] != length - 1
                or others.share(letters) > _SHARED
            ):
                continue
            chrom, first = ends[0][0][:2]
            starts = [(at - first, strand) for at, strand in registry.starts[chrom]]
            promoters = [(start - first, end - first) for start, end in registry.promoters[chrom]]
            joined.add(
                letters,
                [(at, strand) for at, strand in starts if 0 <= at < length],
                _runs(_is_known(letters)),
                [(start, end) for start, end in promoters if start < length and end > 0],
            )


def promoters_of_sets(data: Path, others: Known) -> list[str]:
    """-249 to +50 about the starts of EPDnew, without those that test or validate."""
    apart, found = windows_of_starts(data), []
    for fold in (1, 2, 3, 4):
        rows = lines(data / "epdnew_promoters_300" / f"fold_{fold}.csv.gz")
        next(rows)
        for row in rows:
            sequence, label = row.upper().split(",")
            is_new = label == "1" and sequence not in apart and "N" not in sequence
            if is_new and others.share(sequence) < _SHARED:
                found.append(sequence)
    return found


def elsewhere(data: Path, promoters: list[str], others: Known, joined: Joined) -> None:
    """Add what lies about promoters in sequence of unknown coordinates, each once."""
    seeds = defaultdict(list)
    for promoter in promoters:
        for at in _SEEDS:
            seeds[promoter[at : at + _WORD]].append((promoter, at))
    seen: set[str] = set()
    for file in _ELSEWHERE:
        with Genome(data / file) as genome:
            for name, length in genome.contigs.items():
                letters = decode(genome.fetch(name, 0, length))
                found = {
                    (at if strand == "+" else length - 1 - at, strand): promoter
                    for strand, text in (("+", letters), ("-", turned(letters)))
                    for at, promoter in matches(text, seeds)
                }
                for at, strand in sorted(found):
                    start, end = max(at - _AROUND, 0), min(at + _AROUND, length)
                    piece, promoter = letters[start:end], found[at, strand]
                    if promoter in seen or piece.count("N") > _NEAR or end - start < _AROUND:
                        continue
                    if others.share(piece) > _SHARED:
                        continue
                    seen.add(promoter)
                    inside = [(x - start, y) for x, y in sorted(found) if start <= x < end]
                    joined.add(piece, inside, _runs(_is_known(piece)))


def matches(text: str, seeds: Mapping[str, list[tuple[str, int]]]) -> Iterator[tuple[int, str]]:
    """Yield the place of the start of each promoter that one strand holds, and the promoter."""
    for at in range(len(text) - _WORD):
        for promoter, offset in seeds.get(text[at : at + _WORD], ()):
            first = at - offset
            here = text[max(first, 0) : first + len(promoter)]
            there = promoter[max(-first, 0) :][: len(here)]
            same = sum(a == b for a, b in zip(here, there, strict=True))
            if 2 * len(here) >= len(promoter) and same >= _ALIKE * len(here):
                yield first + _AT, promoter


def about(start: tuple[int, str]) -> tuple[int, int]:
    """Return the promoter of a start."""
    before, after = _PROMOTER if start[1] == "+" else _PROMOTER[::-1]
    return start[0] - before, start[0] + after + 1


def _without(
    pieces: Mapping[str, str],
    spans: Iterable[Span],
    starts: Mapping[str, Starts],
    promoters: Mapping[str, list[tuple[int, int]]],
    length: int,
    rng: np.random.Generator,
) -> WindowsWithout:
    """Windows of pieces in which one may read, and no start is near."""
    free = {name: np.zeros(len(letters), bool) for name, letters in pieces.items()}
    for name, start, end in spans:
        if name in free:
            free[name][start:end] = True
    for name in free:
        for at, _ in starts[name]:
            free[name][max(at - _NEAR, 0) : at + _NEAR + 1] = False
        for start, end in promoters[name]:
            free[name][start:end] = False
    taken = {Site(name, *run, "", ".") for name, mask in free.items() for run in _runs(~mask)}
    return WindowsWithout(dict(pieces), taken, length, rng)


def human_starts(data: Path) -> tuple[dict[str, str], set[Site], list[Span]]:
    """All contigs, the sites in them, and what is read."""
    registry, rng = Registry(data), np.random.default_rng(0)
    contigs, starts, found = placed(data, registry)
    tested = [name for name in contigs if name in _TESTED]
    to_learn = on_chromosomes(contigs, _TEST, but=True)
    contigs = {name: contigs[name] for name in (*tested, *to_learn)}
    spans: list[Span] = [
        (name, *run) for name in contigs for run in _runs(_is_known(contigs[name]))
    ]
    learned, _ = divide([span for span in spans if span[0] in to_learn], 0)
    trained = {name: contigs[name] for name, _, _ in learned}
    known_apart = Known(letters for name, letters in contigs.items() if name not in trained)

    short, other = Joined("windows"), Joined("elsewhere")
    windows(data, registry, known_apart, short)
    promoters = promoters_of_sets(data, known_apart)
    elsewhere(data, promoters, Known(contigs.values()), other)

    put, put_others = Joined("put_promoters"), Joined("put_windows")
    pieces_of = trained | {short.name: short.letters}
    here = (
        learned + short.spans,
        starts | {short.name: short.starts},
        found | {short.name: short.promoters},
    )
    length = len(promoters[0])
    drawn = _without(pieces_of, *here, length, rng)
    around = _without(pieces_of, *here, length + 2 * _FLANK, rng).anywhere()
    others = [
        *drawn.matched(promoters, _MATCHED),
        *islice(drawn.anywhere(), _ANYWHERE),
        *islice(drawn.near(1, 5_000), _BESIDE),
    ]
    for joined, sequences, inside in (
        (put, promoters, [(_FLANK + _AT, "+")]),
        (put_others, others, []),
    ):
        for sequence in sequences:
            piece = next(around)
            letters = piece[:_FLANK] + sequence + piece[-_FLANK:]
            joined.add(letters, inside, [(_COUNTED, len(letters) - _COUNTED)])
    print(*map(len, (learned, short.starts, other.starts, promoters, others)), file=sys.stderr)
    for joined in (short, other, put, put_others):
        contigs[joined.name], starts[joined.name] = joined.letters, joined.starts
        found[joined.name] = joined.promoters
        spans += joined.spans
    sites = {
        Site(name, max(at - _START, 0), min(at + _START + 1, len(letters)), "start", strand)
        for name, letters in contigs.items()
        for at, strand in starts[name]
    } | {Site(name, *promoter, "promoter", ".") for name in contigs for promoter in found[name]}
    return contigs, sites, spans


def main() -> None:
    """Run the command."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    contigs, sites, spans = human_starts(Path(sys.argv[1]))
    out = Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    write_genome(out / "genome.fa", contigs)
    write_sites(out / "sites.bed", sites)
    with (out / "regions.bed").open("w") as file:
        file.writelines(f"{name}\t{start}\t{end}\n" for name, start, end in spans)


if __name__ == "__main__":
    main()
