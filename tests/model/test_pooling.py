import numpy as np
import pytest
import torch

from findna.genome.batching import Batch, Piece, batches
from findna.genome.encoding import decode
from findna.genome.windows import Region, Window, tile
from findna.model.pooling import Pooler, Pooling, segment_sums

DIM = 3


def region(length):
    return Region("c", ((0, length),))


def pool(pooling, length, longest=None, n_cls=0, seed=0):
    """Pool known per-base values; the reverse complement has the same values, mirrored."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(length, DIM)).astype(np.float32)
    pieces, hidden = [], []
    for start, end in tile(length, longest):
        for flipped in (False, True) if pooling.both_strands else (False,):
            part = values[start:end]
            pieces.append(
                Piece("row", Window(region(length), start, end), flipped, int(not flipped))
            )
            hidden.append(
                np.concatenate((part[::-1] if flipped else part, np.full((n_cls, DIM), 9)))
            )
    offsets = np.concatenate(([0], np.cumsum([len(h) for h in hidden])))
    batch = Batch(np.zeros(offsets[-1], np.uint8), offsets, pieces)
    rows = torch.from_numpy(np.concatenate(hidden).astype(np.float32))
    ((item, found),) = Pooler(pooling, n_cls)(rows, batch)
    assert item == "row"
    return values.astype(np.float64), found


def span_mean(values, low, high):
    """Mean over [low, high) with parts of bases, in the plainest way."""
    total = np.zeros(DIM)
    for i, value in enumerate(values):
        total += value * max(0.0, min(high, i + 1) - max(low, i))
    return total / (high - low)


@pytest.mark.parametrize("length", [1, 2, 7, 63, 64, 65, 150, 301])
@pytest.mark.parametrize("longest", [None, 40])
@pytest.mark.parametrize("both", [False, True])
def test_every_pooling(length, longest, both):
    pooling = Pooling(
        ("mean", "max", "std", "cls", "center"), bins=4, per_base=True, both_strands=both
    )
    values, found = pool(pooling, length, longest, n_cls=2)
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(found.pooled["mean"], values.mean(0), **close)
    np.testing.assert_allclose(found.pooled["max"], values.max(0), **close)
    np.testing.assert_allclose(found.pooled["std"], values.std(0), **close)
    np.testing.assert_allclose(found.pooled["cls"], [9, 9, 9], **close)
    width = min(64, length)
    middle = span_mean(values, (length - width) / 2, (length + width) / 2)
    np.testing.assert_allclose(found.pooled["center"], middle, **close)
    for i in range(4):
        expected = span_mean(values, i * length / 4, (i + 1) * length / 4)
        np.testing.assert_allclose(found.bins[i], expected, **close)
    assert found.per_base.dtype == np.float16
    np.testing.assert_allclose(found.per_base, values, rtol=1e-3, atol=1e-3)
    assert found.length == length


def test_only_what_is_asked_for():
    _, found = pool(Pooling(("max",)), 10)
    assert list(found.pooled) == ["max"]
    assert found.bins.shape == (0, DIM)
    assert found.per_base is None


def test_regions_come_out_when_their_last_window_is_in():
    pooler = Pooler(Pooling(), 0)
    windows = [Window(region(20), 0, 10), Window(region(20), 10, 20)]
    outputs = []
    for window in windows:
        batch = Batch(np.zeros(10, np.uint8), np.array([0, 10]), [Piece("row", window, False, 3)])
        outputs.append(list(pooler(torch.ones(10, DIM), batch)))
    assert outputs[0] == []
    ((item, found),) = outputs[1]
    assert (item, found.n_unknown) == ("row", 6)


def test_rows_without_a_window_keep_their_place():
    window = Window(region(10), 0, 10)
    pieces = [Piece(0, None), Piece(1, window), Piece(2, None), Piece(3, None)]
    batch = Batch(np.zeros(10, np.uint8), np.array([0, 10]), pieces)
    rows = list(Pooler(Pooling(), 0)(torch.ones(10, DIM), batch))
    assert [item for item, _ in rows] == [0, 1, 2, 3]
    assert [vectors is None for _, vectors in rows] == [True, False, True, True]
    empty = Batch(np.empty(0, np.uint8), np.array([0]), [Piece(0, None), Piece(1, None)])
    assert list(Pooler(Pooling(), 0)(torch.empty(0, DIM), empty)) == [(0, None), (1, None)]


def test_segment_sums_with_gaps_and_empty_segments(device):
    hidden = torch.arange(20.0).view(10, 2).to(device)
    starts, ends = np.array([0, 3, 3, 7]), np.array([2, 3, 5, 10])
    sums = segment_sums(hidden, starts, ends).cpu()
    expected = torch.stack([hidden[a:b].sum(0).cpu() for a, b in zip(starts, ends, strict=True)])
    assert torch.equal(sums, expected)


def test_batches_keep_order_and_budget(genome):
    regions = [(i, Region("chrA", ((100 * i, 100 * i + 10 + 7 * i),))) for i in range(30)]
    made = list(batches(regions, genome, max_tokens=120, longest=50, n_cls=1, both_strands=True))
    assert all(len(batch.tokens) <= 120 for batch in made)
    assert all(batch.offsets[-1] == len(batch.tokens) for batch in made)
    pieces = [piece for batch in made for piece in batch.pieces]
    indexes = [piece.item for piece in pieces]
    assert indexes == sorted(indexes)
    assert [piece.flipped for piece in pieces] == [False, True] * (len(pieces) // 2)
    first = made[0]
    forward = decode(first.tokens[first.offsets[0] : first.offsets[1]])
    assert forward == decode(genome.fetch("chrA", 0, 10)) + "."


def test_a_window_larger_than_the_budget_gets_its_own_batch(genome):
    made = list(batches([(0, Region("chrA", ((0, 500),)))], genome, max_tokens=10, longest=None))
    assert [len(batch.tokens) for batch in made] == [500]


def test_reverse_regions_and_overhang(genome):
    whole = decode(genome.fetch("chrB", 0, 30))
    (batch,) = batches(
        [(0, Region("chrB", ((-2, 30),), reverse=True))], genome, max_tokens=99, longest=20
    )
    text = decode(batch.tokens)
    complement = str.maketrans("ACGT", "TGCA")
    assert text == whole.translate(complement)[::-1] + "NN"
    assert sum(piece.n_unknown for piece in batch.pieces) == 2
