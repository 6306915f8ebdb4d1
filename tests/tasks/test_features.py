"""Features of sequences: one table for every head, the same numbers that findna predict reads."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import findna.tasks.features
from findna.genome.batching import Sequences
from findna.genome.encoding import BLANK, encode, reverse_complement
from findna.genome.windows import tile
from findna.model.devices import Compute
from findna.model.encoder import Encoder
from findna.model.inference import region_vectors
from findna.tasks.features import MOST_BINS, POOLS, Features, FeatureTable
from findna.tasks.kmers import kmer_counts
from tests.conftest import TINY, make_model, random_sequence

CPU = Compute(torch.device("cpu"))
LENGTHS = (64, 100, 37, 130, 251, 5)  # whole, tiled, not divided by bins, shorter than bins
SEQUENCES = [encode(random_sequence(n, n, "ACGTN")) for n in LENGTHS]
ALL = np.arange(len(SEQUENCES))
CHOICES = [
    Features(pools, bins, k, both_strands)
    for pools, bins, k in (
        (("mean",), 0, 0),
        (("center",), 2, 0),
        (("max", "mean"), 0, 3),
        ((), 16, 4),
        (POOLS, 4, 0),
        (POOLS[::-1], 8, 1),
    )
    for both_strands in (True, False)
]


@pytest.fixture(scope="module")
def encoder():
    return make_model(TINY).encoder


@pytest.fixture(scope="module")
def table(encoder):
    return FeatureTable(encoder, SEQUENCES, compute=CPU)


def hidden(encoder, tokens):
    """Hidden states of the tiles of a sequence end to end; (length, dim), float64."""
    parts = []
    for start, end in tile(len(tokens), TINY.max_length):
        window = np.concatenate((tokens[start:end], np.full(TINY.n_cls, BLANK, np.uint8)))
        offsets = torch.tensor([0, len(window)])
        with torch.inference_mode():
            found = encoder.embed(torch.from_numpy(window), offsets)
        parts.append(found[: end - start].double().numpy())
    return np.concatenate(parts)


def average(rows, low, high):
    """Mean over [low, high), bases that are cut counted in part."""
    at = np.arange(len(rows))
    inside = (np.minimum(at + 1, high) - np.maximum(at, low)).clip(min=0)
    return inside @ rows / (high - low)


def written_out(encoder, tokens, features):
    """Features from hidden states, by their definition."""
    strands = [hidden(encoder, tokens)]
    if features.both_strands:
        strands.append(hidden(encoder, reverse_complement(tokens))[::-1])
    length, width = len(tokens), min(64, len(tokens))
    found = []
    for rows in strands:
        pooled = {
            "mean": rows.mean(0),
            "max": rows.max(0),
            "std": rows.std(0),
            "center": average(rows, (length - width) / 2, (length + width) / 2),
        }
        edges = np.arange(features.bins + 1) * length / max(features.bins, 1)
        bins = [average(rows, *edges[i : i + 2]) for i in range(features.bins)]
        found.append(np.concatenate([*(pooled[pool] for pool in features.pools), *bins]))
    kmers = []
    if features.k:
        kmers = kmer_counts([tokens], features.k, features.both_strands).toarray()[0]
    return np.concatenate([np.mean(found, axis=0), kmers])


@pytest.mark.parametrize("features", CHOICES, ids=str)
def test_a_table_holds_what_prediction_reads(encoder, table, features):
    source = Sequences(SEQUENCES)
    vectors = region_vectors(source.rows(), source, encoder, features.pooling, compute=CPU)
    expected = [features.of(row, SEQUENCES[i]) for i, row in vectors]
    np.testing.assert_allclose(table.matrix(features, ALL), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("features", CHOICES, ids=str)
def test_features_from_first_principles(encoder, table, features):
    expected = [written_out(encoder, tokens, features) for tokens in SEQUENCES]
    np.testing.assert_allclose(table.matrix(features, ALL), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bins", [0, 2, 16])
def test_a_reverse_complement_has_the_same_features_and_its_bins_turned_round(encoder, table, bins):
    turned = FeatureTable(
        encoder, [reverse_complement(tokens) for tokens in SEQUENCES], compute=CPU
    )
    for k in (0, 3):
        pooled = Features(POOLS, 0, k)
        here, there = (one.matrix(pooled, ALL) for one in (table, turned))
        np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-6)
        forward = Features(("mean",), 0, k, both_strands=False)
        assert np.abs(table.matrix(forward, ALL) - turned.matrix(forward, ALL)).max() > 0.01
    if bins:
        here, there = (
            one.matrix(Features((), bins), ALL).reshape(-1, bins, TINY.dim)
            for one in (table, turned)
        )
        np.testing.assert_allclose(here, there[:, ::-1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("max_tokens", [1, 150, 10_000])
def test_features_do_not_depend_on_the_batch(encoder, table, max_tokens):
    order = ALL[::-1]
    other = FeatureTable(
        encoder, [SEQUENCES[i] for i in order], compute=replace(CPU, max_tokens=max_tokens)
    )
    np.testing.assert_allclose(
        other.vectors(0, ALL)[:, order], table.vectors(0, ALL), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("readout", [1, 3])
def test_features_of_an_earlier_layer(encoder, table, readout):
    early = Encoder(replace(TINY, readout=readout)).requires_grad_(False).eval()
    early.load_state_dict(encoder.state_dict())
    features = Features(("mean", "max"), 4, 2, readout=readout)
    own = replace(features, readout=0)
    expected = FeatureTable(early, SEQUENCES, compute=CPU).matrix(own, ALL)
    np.testing.assert_array_equal(table.matrix(features, ALL), expected)
    assert np.abs(table.matrix(own, ALL) - expected).max() > 0.1


def test_sequences_are_encoded_once_and_when_asked_for(encoder, monkeypatch):
    read = []

    def counted(regions, *arguments, **options):
        regions = list(regions)
        read.append(len(regions))
        return region_vectors(regions, *arguments, **options)

    monkeypatch.setattr(findna.tasks.features, "region_vectors", counted)
    one = FeatureTable(encoder, SEQUENCES, compute=CPU)
    expected = one.matrix(Features(), ALL[[4, 1]])
    assert read == [2, 2]  # on both strands
    np.testing.assert_array_equal(one.matrix(Features(), ALL[[1, 4, 1]]), expected[[1, 0, 1]])
    one.matrix(Features(("max",), 4, both_strands=False), ALL[[1]])
    assert read == [2, 2]
    one.matrix(Features(), ALL)
    one.matrix(Features(readout=2), ALL[:1])
    assert read == [2, 2, 4, 4, 1, 1]


@pytest.mark.parametrize("rows", [[2], [5, 0, 0, 3], []])
def test_rows_of_a_table_in_any_order(table, rows):
    features = Features(("mean", "std"), 4, 3)
    whole = table.matrix(features, ALL)
    np.testing.assert_array_equal(table.matrix(features, np.array(rows, np.int64)), whole[rows])


def test_a_table_of_the_forward_strand(encoder, table):
    one = FeatureTable(encoder, SEQUENCES, compute=CPU, strands=1)
    assert one.vectors(0, ALL).shape == (1, len(SEQUENCES), len(POOLS) + MOST_BINS, TINY.dim)
    features = Features(POOLS, 8, 2, both_strands=False)
    expected = table.matrix(features, ALL)
    np.testing.assert_allclose(one.matrix(features, ALL), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("features", "size"),
    [
        (Features(), 24),
        (Features(("mean", "max"), 4, 3, both_strands=False), 6 * 24 + 64),
        (Features((), 16, 3), 16 * 24 + 32),
        (Features(("center",), 0, 4), 24 + 136),
    ],
)
def test_sizes(table, features, size):
    assert features.size(TINY.dim) == size == table.matrix(features, ALL).shape[1]


def test_in_words():
    assert str(Features(("mean", "std"), 4, 5)) == "mean + std + 4 bins + 5-mers, both strands"
    assert str(Features((), 2, 0, both_strands=False)) == "2 bins, forward strand"
    assert str(Features((), 2, readout=1)) == "2 bins, both strands, after layer 1"
