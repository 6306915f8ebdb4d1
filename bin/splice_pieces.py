"""Splice sites in sequence whose coordinates no annotation has.

Exons keep their distances there but for insertions and deletions, so the edges of GENCODE's exons
are laid on it: the shift from coordinates to sequence is where most edges fall on a GT, GC or AG,
and may change from one edge to the next. Edges in other species are found by alignment with edlib.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from findna.genome.encoding import decode, encode, reverse_complement

_IN_A_ROW = 16, 32  # neighbouring edges that vote for a shift
_RIGHT, _WRONG = 0.7, 0.09  # share of edges on a consensus, at the right shift and at others
_ON, _OFF = np.log(_RIGHT / _WRONG), np.log((1 - _RIGHT) / (1 - _WRONG))
_CHANGE = 6.0  # log-likelihood that a change of shift costs, and twice the logarithm of its bp
_FAR = 100_000  # bp by which shifts differ from the most common one
_EXON, _INTRON = 80, 25  # bp beside an edge that are aligned
_MOST_EDITS = 26  # in an alignment
_APART = 8  # edits by which any other place must be worse


class Edge(NamedTuple):
    """The first (donor) or last (acceptor) base of an intron."""

    at: int
    kind: str
    strand: str


def consensus(letters: str) -> dict[tuple[str, str], npt.NDArray[np.bool_]]:
    """Where an intron may begin (GT, GC) or end (AG), by kind and strand."""
    bases = np.frombuffer(letters.encode(), np.uint8)
    no = np.zeros(1, bool)

    def pair(first: str, second: str) -> npt.NDArray[np.bool_]:
        return (bases[:-1] == ord(first)) & (bases[1:] == ord(second))

    return {
        ("donor", "+"): np.r_[pair("G", "T") | pair("G", "C"), no],
        ("donor", "-"): np.r_[no, pair("A", "C") | pair("G", "C")],
        ("acceptor", "+"): np.r_[no, pair("A", "G")],
        ("acceptor", "-"): np.r_[pair("C", "T"), no],
    }


def laid(letters: str, edges: Iterable[Edge]) -> list[tuple[Edge, Edge]]:
    """Return the edges that fall on a consensus of a sequence, each with its place there.

    The shifts are the likeliest path (Viterbi) through those that are best for 16 or 32 edges in a
    row, where a change costs the more, the larger it is.
    """
    known, fits = sorted(edges), consensus(letters)
    overall = _vote(fits, known)
    known = [edge for edge in known if 0 <= edge.at - overall < len(letters)]
    shifts = np.unique(
        [
            _vote(fits, known[i : i + n], overall)
            for n in _IN_A_ROW
            for i in range(0, max(len(known) - n, 0) + 1, n // 4)
        ]
    )
    changes = np.abs(shifts[:, None] - shifts)
    cost = np.where(changes, _CHANGE + 2 * np.log(np.maximum(changes, 1)), 0.0)
    score = np.zeros(len(shifts))
    before: list[npt.NDArray[np.int64]] = []
    on = np.zeros((len(known), len(shifts)), bool)
    for edge, row in zip(known, on, strict=True):
        places = edge.at - shifts
        inside = (places >= 0) & (places < len(letters))
        row[inside] = fits[edge.kind, edge.strand][places[inside]]
        before.append((score - cost).argmax(1))
        score = (score - cost).max(1) + np.where(row, _ON, _OFF)
    state, found = int(score.argmax()), []
    for edge, row, origin in zip(reversed(known), on[::-1], reversed(before), strict=True):
        if row[state]:
            found.append((edge, edge._replace(at=edge.at - int(shifts[state]))))
        state = int(origin[state])
    return found[::-1]


def _vote(
    fits: dict[tuple[str, str], npt.NDArray[np.bool_]],
    edges: Sequence[Edge],
    near: int | None = None,
) -> int:
    """Return the shift at which most edges fall on a consensus, or most of those near another."""
    length = len(fits["donor", "+"])
    lowest, highest = edges[0].at - length, edges[-1].at
    if near is not None:
        lowest, highest = max(lowest, near - _FAR), min(highest, near + _FAR)
    votes = np.zeros(highest - lowest + 1, np.int16)
    for edge in edges:  # shift s puts it at edge.at - s
        first, last = max(edge.at - length + 1, lowest), min(edge.at, highest)
        if first <= last:
            places = fits[edge.kind, edge.strand][edge.at - last : edge.at - first + 1]
            votes[first - lowest : last - lowest + 1] += places[::-1]
    return lowest + int(votes.argmax())


def orthologous(
    letters: str, edges: Iterable[Edge], others: Mapping[str, str]
) -> Iterator[tuple[str, Edge]]:
    """Yield the edges of a sequence that other sequences have, each with its place in one of them.

    An edge with 80 bp of its exon and 25 bp of its intron is aligned with each of the others, on
    either strand. It has a place where that takes 26 edits or fewer, any other sequence or strand
    takes 8 more, no place in this one is as good, and a consensus is there.
    """
    import edlib  # pip install edlib

    fits = {name: consensus(text) for name, text in others.items()}
    for edge in edges:
        intron_first = (edge.kind == "acceptor") == (edge.strand == "+")
        before, after = (_INTRON - 1, _EXON + 1) if intron_first else (_EXON, _INTRON)
        start, end = edge.at - before, edge.at + after
        if start < 0 or end > len(letters):
            continue
        forward = letters[start:end]
        backward = decode(reverse_complement(encode(forward)))
        hits = []
        for name, text in others.items():
            for read, offset in ((forward, before), (backward, after - 1)):
                found = edlib.align(read, text, mode="HW", task="locations", k=_MOST_EDITS)
                if found["editDistance"] >= 0:
                    hits.append((found["editDistance"], name, read, offset, found["locations"]))
        hits.sort(key=lambda hit: hit[0])
        if not hits or (len(hits) > 1 and hits[1][0] < hits[0][0] + _APART):
            continue
        _, name, read, offset, places = hits[0]
        first, last = places[0]
        if places[-1][1] - last >= _APART:
            continue
        aligned = edlib.align(read, others[name][first : last + 1], mode="NW", task="path")
        place = _lifted(offset, aligned["cigar"])
        strand = edge.strand if read is forward else "-+"[edge.strand == "-"]
        if place is not None and fits[name][edge.kind, strand][first + place]:
            yield name, Edge(first + place, edge.kind, strand)


def _lifted(offset: int, cigar: str) -> int | None:
    """Return the place in a target of a base of a query; None if it has none."""
    query = target = 0
    for count, kind in re.findall(r"(\d+)([=XID])", cigar):
        size = int(count)
        if kind in "=X" and query <= offset < query + size:
            return target + offset - query
        query += size * (kind != "D")
        target += size * (kind != "I")
    return None
