"""`bin/splice_pieces.py`, which lays known exons on sequence of other coordinates."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

PAIRS = {
    ("donor", "+"): "GT",
    ("donor", "-"): "AC",
    ("acceptor", "+"): "AG",
    ("acceptor", "-"): "CT",
}
FIRST = 5_000_000  # place of the first letter in the annotation's coordinates


@pytest.fixture
def pieces(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "bin")
    yield import_module("splice_pieces")
    sys.modules.pop("splice_pieces")


def test_edges_are_found_where_insertions_and_deletions_move_them(pieces):
    rng = np.random.default_rng(0)
    letters = rng.choice(list("ACGT"), 80_000)
    edges, truth = [], {}
    for i, at in enumerate(np.sort(rng.choice(np.arange(300, 79_000, 10), 200, replace=False))):
        kind, strand = list(PAIRS)[rng.integers(4)]
        here = int(at) + 37 * (at > 20_000) - 250 * (at > 50_000)
        edge = pieces.Edge(FIRST + int(at), kind, strand)
        edges.append(edge)
        if i % 5:  # the others are not on a consensus, but by chance
            first = here - ((kind, strand) in (("donor", "-"), ("acceptor", "+")))
            letters[first : first + 2] = list(PAIRS[kind, strand])
            truth[edge] = edge._replace(at=here)
    found = dict(pieces.laid("".join(letters), reversed(edges)))
    right = sum(found.get(edge) == place for edge, place in truth.items())
    assert right >= 0.95 * len(truth)
    assert len(found) - right <= 0.05 * len(truth)


@pytest.mark.parametrize(("kind", "strand"), PAIRS)
def test_a_consensus_is_at_the_base_of_the_intron(pieces, kind, strand):
    pair = PAIRS[kind, strand]
    letters = "AAAA" + pair + "AAAA"
    begins = (kind, strand) in (("donor", "+"), ("acceptor", "-"))
    at = np.flatnonzero(pieces.consensus(letters)[kind, strand]).tolist()
    assert (4 if begins else 5) in at
