import itertools
from collections import Counter

import numpy as np
import pytest

from findna.genome.encoding import decode, encode, reverse_complement
from findna.tasks import kmers
from findna.tasks.kmers import kmer_counts, n_kmers
from tests.conftest import random_sequence

BOTH = pytest.mark.parametrize("both_strands", [True, False])


def opposite(word: str) -> str:
    return word[::-1].translate(str.maketrans("ACGT", "TGCA"))


def expected(sequences: list[str], k: int, both_strands: bool) -> np.ndarray:
    """Counted letter by letter."""
    words = ["".join(letters) for letters in itertools.product("ACGT", repeat=k)]
    if both_strands:
        words = [word for word in words if word <= opposite(word)]
    table = np.zeros((len(sequences), len(words)))
    for row, sequence in zip(table, sequences, strict=True):
        found = Counter(sequence[i : i + k] for i in range(len(sequence) - k + 1))
        for column, word in enumerate(words):
            both = {word, opposite(word)} if both_strands else {word}
            row[column] = sum(found[w] for w in both) * 100 / max(len(sequence), 1)
    return table


@BOTH
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_agrees_with_counting_by_hand(k: int, both_strands: bool) -> None:
    sequences = [random_sequence(60, 1), "", "ACG", "NNNNNN", "ACGTNACGT", "A", "TTTTTTTT"]
    sequences += [random_sequence(40, 2, "ACGTN"), "acgtRYacgt".upper(), "N" + "AC" * 9]
    found = kmer_counts([encode(s) for s in sequences], k, both_strands)
    plain = [decode(encode(s)) for s in sequences]
    np.testing.assert_allclose(found.toarray(), expected(plain, k, both_strands), rtol=1e-6)
    assert found.dtype == np.float32
    assert found.shape == (len(sequences), n_kmers(k, both_strands))


def test_number_of_canonical_kmers() -> None:
    assert [n_kmers(k) for k in range(1, 7)] == [2, 10, 32, 136, 512, 2080]
    assert [n_kmers(k, both_strands=False) for k in (1, 6)] == [4, 4096]


@pytest.mark.parametrize("k", [0, -1, 13])
def test_k_out_of_range(k: int) -> None:
    with pytest.raises(ValueError, match="k must lie between 1 and 12"):
        kmer_counts([encode("ACGT")], k)


@pytest.mark.parametrize("k", [3, 4, 6])
def test_both_strands_do_not_see_the_strand(k: int) -> None:
    tokens = [encode(random_sequence(n, n, "ACGTTN")) for n in (5, 80, 300)]
    opposites = [reverse_complement(t) for t in tokens]
    assert (kmer_counts(tokens, k) != kmer_counts(opposites, k)).nnz == 0
    assert (kmer_counts(tokens, k, False) != kmer_counts(opposites, k, False)).nnz > 0


def test_rows_are_frequencies_per_100_bp() -> None:
    tokens = [encode(random_sequence(n, n)) for n in (50, 1000)]
    sums = np.asarray(kmer_counts(tokens, 3).sum(1)).ravel()
    np.testing.assert_allclose(sums, [100 * 48 / 50, 100 * 998 / 1000], rtol=1e-5)


@BOTH
def test_chunks_change_nothing(both_strands: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [encode(random_sequence(n % 37, n, "ACGTN")) for n in range(80)]
    whole = kmer_counts(tokens, 5, both_strands)
    for chunk in (1, 30, 200):
        monkeypatch.setattr(kmers, "_CHUNK", chunk)
        parts = kmer_counts(tokens, 5, both_strands)
        assert parts.shape == whole.shape
        assert (parts != whole).nnz == 0


@pytest.mark.parametrize("sequences", [[], [""], ["", ""], ["AC", "", "GT"]])
def test_nothing_to_count(sequences: list[str]) -> None:
    found = kmer_counts([encode(s) for s in sequences], 4)
    assert found.shape == (len(sequences), 136)
    assert found.nnz == 0
