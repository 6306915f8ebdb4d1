"""Baselines of tasks of single bases."""

import numpy as np
import pytest

from findna.genome.encoding import encode
from findna.tasks.kmers import kmer_counts
from findna.tasks.site_baselines import KmerSum
from tests.conftest import random_sequence


@pytest.mark.parametrize("k", [1, 2, 4])
def test_a_moving_sum_is_that_of_the_kmers_of_each_window(k):
    width, n = 20, 90
    tokens = encode(random_sequence(50, 1) + "NNN" + random_sequence(n + width - 53, 2))
    weights = np.random.default_rng(0).normal(size=(4**k, 2))
    scores = KmerSum(k, width, weights).scores(tokens)
    assert scores.shape == (n, 2)
    windows = [tokens[i : i + width] for i in range(n)]
    counts = kmer_counts(windows, k, both_strands=False).toarray() * width / 100
    assert scores == pytest.approx(counts @ weights, abs=1e-4)
