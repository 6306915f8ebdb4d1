"""Baselines of tasks of single bases."""

import weakref

import numpy as np
import pytest

from findna.commands.finetune_sites import site_figures
from findna.genome.encoding import encode
from findna.genome.fasta import Genome
from findna.labelled.sites import read_sites
from findna.tasks import site_baselines
from findna.tasks.kmers import kmer_counts
from findna.tasks.site_baselines import KmerSum, SiteBaselines
from findna.tasks.site_training import Measured, SiteData
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


def test_bases_are_drawn_from_many_short_spans_as_from_few_long_ones(write, monkeypatch):
    monkeypatch.setattr(site_baselines, "_MOST", 60)
    letters = [random_sequence(40, i) for i in range(100)]
    fasta = write("g.fa", "".join(f">c{i}\n{x}\n" for i, x in enumerate(letters)))
    sites = write("s.bed", "".join(f"c{i}\t20\t21\tx\t0\t+\n" for i in range(100)))
    with Genome(fasta) as genome:
        spans = [(name, 0, length) for name, length in genome.contigs.items()]
        data = SiteData(genome, read_sites(sites, genome), spans[:70], spans[70:])
        baselines = SiteBaselines(data, 0)
        drawn = baselines._draw(data.train, np.random.default_rng(0))
        assert abs(len(drawn.places) - 60 - 15) <= 1
        assert len({chrom for chrom, _, _ in drawn.places}) > 40
        for name, scores in baselines.scores(data.valid):
            assert scores.shape == (2 * 30 * 40, 1), name


def test_baselines_are_held_one_at_a_time():
    rng, alive = np.random.default_rng(0), []

    def scores():
        for i in range(5):
            assert sum(reference() is not None for reference in alive) <= 1
            found = rng.normal(size=(100, 1)).astype(np.float32)
            alive.append(weakref.ref(found))
            yield f"baseline {i}", found
            del found

    seen = Measured(rng.random((100, 1)) < 0.3, rng.normal(size=(100, 1)))
    figures = site_figures(seen, ["x"], scores())
    assert len(figures["x"]["baselines"]) == 5
