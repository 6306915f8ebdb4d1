"""Vectors that are kept between runs: the same numbers, never those of another model or set."""

import os
import threading

import numpy as np
import pytest
import torch

import findna.tasks.features
from findna.genome.encoding import encode
from findna.model.devices import Compute
from findna.model.inference import region_vectors
from findna.tasks.feature_cache import MOST_BYTES, FeatureCache
from findna.tasks.features import Features, FeatureTable
from tests.conftest import TINY, make_model, random_sequence

CPU = Compute(torch.device("cpu"))
SEQUENCES = [encode(random_sequence(n, n, "ACGTN")) for n in (64, 37, 130)]
ALL = np.arange(len(SEQUENCES))
CHOICES = Features(), Features(("max", "std"), 4), Features(readout=2, both_strands=False)


@pytest.fixture(scope="module")
def encoder():
    return make_model(TINY).encoder


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "kept")


@pytest.fixture
def encoded(monkeypatch):
    """``encoded``: how many regions were encoded, call by call."""
    read = []

    def counted(regions, *arguments, **options):
        read.append(len(regions))
        return region_vectors(regions, *arguments, **options)

    monkeypatch.setattr(findna.tasks.features, "region_vectors", counted)
    return read


def matrices(encoder, cache=None, sequences=SEQUENCES, compute=CPU, rows=ALL, **options):
    table = FeatureTable(encoder, sequences, compute, cache=cache, **options)
    return [table.matrix(features, rows) for features in CHOICES]


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_second_run_encodes_nothing(encoder, cache, encoded):
    expected = matrices(encoder)
    del encoded[:]
    same(matrices(encoder, cache, rows=ALL[[0]]), [each[:1] for each in expected])
    assert encoded == [3, 3, 3, 3]  # all sequences, on both strands, after both layers
    same(matrices(encoder, cache), expected)
    assert len(encoded) == 4


def test_what_is_kept(encoder, cache):
    table = FeatureTable(encoder, SEQUENCES, CPU, cache=cache)
    assert not table.is_kept(0)
    table.vectors(0, ALL)
    assert table.is_kept(0)
    assert not table.is_kept(1)
    assert not FeatureTable(encoder, SEQUENCES[1:], CPU, cache=cache).is_kept(0)
    assert not FeatureTable(encoder, SEQUENCES, CPU).is_kept(0)


def test_the_other_strand_is_all_that_is_missing(encoder, cache, encoded):
    table = FeatureTable(encoder, SEQUENCES, CPU, strands=1, cache=cache)
    forward = table.matrix(Features(both_strands=False), ALL)
    table = FeatureTable(encoder, SEQUENCES, CPU, cache=cache)
    np.testing.assert_array_equal(table.matrix(Features(both_strands=False), ALL), forward)
    assert len(encoded) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": make_model(TINY, seed=7).encoder},
        {"sequences": SEQUENCES[::-1]},
        {"sequences": [*SEQUENCES[:2], SEQUENCES[2][:-1]]},
        {"compute": Compute(torch.device("cpu"), "bf16")},
    ],
    ids=["weights", "order", "a base", "precision"],
)
def test_vectors_of_something_else_are_not_taken(encoder, cache, change):
    matrices(encoder, cache)
    same(
        matrices(**{"encoder": encoder, "cache": cache, **change}),
        matrices(**{"encoder": encoder, **change}),
    )


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap_shorter(path):
    path.write_bytes(path.read_bytes()[4:])


DAMAGE = {
    "flipped": flip,
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "shorter": swap_shorter,
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "empty": lambda path: path.write_bytes(b""),
    "folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_is_computed_anew(encoder, cache, damage):
    expected = matrices(encoder, cache)
    for path in list(cache.folder.iterdir()):
        damage(path)
    same(matrices(encoder, cache), expected)
    if damage is not DAMAGE["folder"]:
        assert all(cache.load(path.name, np.empty(path.stat().st_size // 4 - 8, np.float32))
                   for path in cache.folder.iterdir())  # and is whole again  # fmt: skip


def test_a_folder_that_cannot_be_made_costs_only_time(encoder, tmp_path):
    (tmp_path / "file").write_text("")
    same(matrices(encoder, FeatureCache(tmp_path / "file" / "kept")), matrices(encoder))


def test_the_longest_unused_make_room(tmp_path):
    vectors = np.arange(100, dtype=np.float32)
    cache = FeatureCache(tmp_path, most=3 * 432)
    for i, name in enumerate("abc"):
        cache.save(name, vectors + i)
        os.utime(tmp_path / name, (i, i))
    found = np.empty_like(vectors)
    assert cache.load("a", found)  # used now
    np.testing.assert_array_equal(found, vectors)
    cache.save("d", vectors)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c", "d"]
    cache.save("large", np.zeros(1000, np.float32))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c", "d"]


def test_runs_side_by_side(tmp_path):
    """Readers see whole files or none, while others write the same ones."""
    cache = FeatureCache(tmp_path, most=MOST_BYTES)
    vectors = np.arange(200_000, dtype=np.float32)
    threads = [threading.Thread(target=cache.save, args=("x", vectors)) for _ in range(8)]
    for thread in threads:
        thread.start()
    found = np.empty_like(vectors)
    seen = [cache.load("x", found) and np.array_equal(found, vectors) for _ in range(20)]
    for thread in threads:
        thread.join()
    assert cache.load("x", found)
    assert seen == sorted(seen)  # once it is there it stays whole
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert FeatureCache.own() == FeatureCache(tmp_path / "findna" / "features", MOST_BYTES)
