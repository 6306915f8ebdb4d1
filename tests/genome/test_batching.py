"""Packing: nothing lost, nothing added, nothing over the budget."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from findna.genome.batching import batches, read_window
from findna.genome.encoding import BLANK, N, encode, reverse_complement
from findna.genome.windows import Region
from tests.conftest import random_sequence


class Contig:
    tokens = encode(random_sequence(400, letters="ACGTN"))

    def fetch(self, chrom, start, end):
        return self.tokens[start:end]


regions = st.lists(
    st.tuples(st.integers(0, 300), st.integers(1, 100), st.booleans()), max_size=12
).map(
    lambda rows: [
        Region("c", ((start, start + length),), reverse) for start, length, reverse in rows
    ]
)


@given(
    regions,
    st.integers(1, 300),
    st.one_of(st.none(), st.integers(1, 120)),
    st.integers(0, 3),
    st.booleans(),
)
def test_batches_hold_every_base_once_in_order(regions, max_tokens, longest, n_cls, both):
    packed = list(
        batches(
            enumerate(regions),
            Contig(),
            max_tokens=max_tokens,
            longest=longest,
            n_cls=n_cls,
            both_strands=both,
        )
    )
    read = [([], []) for _ in regions]
    order = []
    for batch in packed:
        assert batch.offsets[0] == 0
        assert batch.offsets[-1] == len(batch.tokens)
        assert len(batch.offsets) == len(batch.pieces) + 1 > 1
        assert len(batch.tokens) <= max_tokens or len(batch.pieces) == 1
        for i, piece in enumerate(batch.pieces):
            tokens = batch.tokens[batch.offsets[i] : batch.offsets[i + 1]]
            sequence, cls = tokens[: len(piece)], tokens[len(piece) :]
            assert len(sequence) == len(piece)
            assert cls.tolist() == [BLANK] * n_cls
            assert longest is None or len(piece) <= max(longest, 1)
            if not piece.flipped:
                assert piece.n_unknown == np.count_nonzero(sequence == N)
                order.append((piece.item, piece.start))
            sequence = reverse_complement(sequence) if piece.flipped else sequence
            read[piece.item][piece.flipped].append(sequence)
    assert order == sorted(order)
    for i, region in enumerate(regions):
        ((start, end),) = region.parts
        expected = Contig.tokens[start:end]
        expected = reverse_complement(expected) if region.reverse else expected
        for flipped in (False, True)[: 1 + both]:
            assert np.array_equal(np.concatenate(read[i][flipped]), expected)
        assert bool(read[i][1]) == both


def test_overhang_of_a_window_is_n(genome):
    from findna.genome.windows import Window

    region = Region("chrB", ((-3, 5),))
    assert read_window(genome, Window(region, 0, 8))[:3].tolist() == [N] * 3
