"""The parts of pretraining, one by one."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from findna.errors import ConfigError, GenomeError
from findna.genome.encoding import BLANK, N, encode, encode_soft_masked, reverse_complement
from findna.model.schedules import cosine, warmup_cosine
from findna.pretraining import losses, views
from findna.pretraining.corpus import Corpus
from findna.pretraining.heldout import effective_rank, relative_spread
from findna.pretraining.muon import Muon, orthogonalise
from findna.pretraining.recipe import ViewConfig
from findna.pretraining.views import mask_tokens
from tests.conftest import random_sequence


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def windows(n=40, length=200, letters="ACGTN"):
    texts = [random_sequence(length, seed, letters) for seed in range(n)]
    return torch.stack([torch.from_numpy(encode(t).copy()) for t in texts])


def test_masking_shares():
    tokens = windows(200, 500)
    masked, selected = mask_tokens(tokens, ViewConfig(mask_fraction=0.3), generator())
    assert not selected[tokens == N].any()
    assert selected[tokens != N].float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(masked[~selected], tokens[~selected])
    blank = (masked[selected] == BLANK).float().mean().item()
    assert blank == pytest.approx(0.8, abs=0.01)
    changed = (masked[selected] != tokens[selected]).float().mean().item()
    assert changed == pytest.approx(0.8 + 0.1 * 3 / 4, abs=0.01)  # a random base may be the same


def test_reverse_complement_view_takes_all_or_nothing():
    tokens = windows()
    expected = torch.stack([torch.from_numpy(reverse_complement(t.numpy()).copy()) for t in tokens])
    for chance, seen in ((1.0, expected), (0.0, tokens)):
        minus = views.draw_strands(len(tokens), chance, generator())
        assert torch.equal(views.reverse_complement_rows(tokens, minus), seen)
    minus = views.draw_strands(len(tokens), 0.5, generator())
    assert 0 < minus.sum() < len(tokens)
    mixed = views.reverse_complement_rows(tokens, minus)
    assert torch.equal(mixed, torch.where(minus, expected, tokens))
    assert torch.equal(
        views.reverse_rows(tokens, minus), torch.where(minus, tokens.flip(1), tokens)
    )


def subsequence(short, long):
    """Whether ``short`` is ``long`` with one stretch removed."""
    removed = len(long) - len(short)
    return any(
        np.array_equal(short, np.delete(long, slice(i, i + removed))) for i in range(len(short) + 1)
    )


@pytest.mark.slow
@pytest.mark.parametrize("make", [views.delete, views.insert])
def test_deletion_and_insertion(make):
    tokens = windows(60, 80, "ACGT")
    made = make(tokens, 20, generator())
    assert made.shape == tokens.shape
    assert made.dtype == torch.uint8
    sizes = set()
    for old, new in zip(tokens.numpy(), made.numpy(), strict=True):
        long, short = (old, new) if make is views.delete else (new, old)
        fits = [k for k in range(21) if subsequence(short[: 80 - k], long)]
        assert fits, "one stretch of at most 20 bp explains the difference"
        sizes.add(fits[0])
    assert len(sizes) > 5


def test_translocation_is_a_roll():
    tokens = windows(50, 60, "ACGT")
    moved = views.translocate(tokens, 20, generator())
    shifts = [
        next(s for s in range(-20, 21) if torch.equal(torch.roll(old, -s), new))
        for old, new in zip(tokens, moved, strict=True)
    ]
    assert min(shifts) < 0 < max(shifts)


def test_views_are_drawn_anew_and_repeatably():
    tokens, config = windows(), ViewConfig()
    first = views.teacher_view(tokens, config, generator(1))
    assert torch.equal(first, views.teacher_view(tokens, config, generator(1)))
    assert not torch.equal(first, views.teacher_view(tokens, config, generator(2)))


def test_noise_on_one_hot_rows():
    tokens = torch.tensor([[0, 4, BLANK]], dtype=torch.uint8)
    exact = views.noisy_one_hot(tokens, 0.0, generator())
    assert exact.tolist() == [[[1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]]
    noise = views.noisy_one_hot(windows(), 0.2, generator()) - views.noisy_one_hot(
        windows(), 0.0, generator()
    )
    assert noise.std().item() == pytest.approx(0.2, rel=0.02)


def test_masked_nucleotide_losses():
    tokens = torch.tensor([[0, 1, 2, 4, 3]], dtype=torch.uint8)
    selected = torch.tensor([[True, True, False, True, False]])
    flat = torch.zeros(1, 5, 5)
    assert losses.masked_nucleotide_loss(flat, tokens, selected, "softmax").item() == pytest.approx(
        math.log(4)
    )
    assert losses.masked_nucleotide_loss(flat, tokens, selected, "binary").item() == pytest.approx(
        math.log(2)
    )
    right = torch.nn.functional.one_hot(tokens.long(), 5).float() * 50
    assert losses.masked_nucleotide_loss(right, tokens, selected, "softmax").item() < 1e-6
    right[0, 2] = -right[0, 2]  # not selected: does not count
    assert losses.masked_nucleotide_loss(right, tokens, selected, "softmax").item() < 1e-6
    weight = torch.tensor([[3.0, 1.0, 0, 0, 0]])
    wrong = torch.zeros(1, 5, 5)
    wrong[0, 1, 4] = 100  # a loss of 100 at weight 1 of 4, and of ln 4 at 3 of 4
    assert losses.masked_nucleotide_loss(wrong, tokens, weight, "softmax").item() == pytest.approx(
        (100 + 3 * math.log(4)) / 4
    )
    nothing = torch.zeros_like(selected)
    assert losses.masked_nucleotide_loss(flat, tokens, nothing, "softmax").item() == 0


def test_contrastive_loss_is_a_cross_entropy():
    student, target = torch.randn(8, 5), torch.softmax(torch.randn(8, 5), -1)
    expected = torch.nn.functional.cross_entropy(student / 0.1, target)
    assert losses.contrastive_loss(student, target, 0.1).item() == pytest.approx(expected.item())


def test_centring_and_sinkhorn():
    outputs = torch.randn(64, 8) + torch.arange(8.0)  # one output dominates
    centred = losses.centre_and_sharpen(outputs, outputs.mean(0), 0.5)
    balanced = losses.sinkhorn(outputs, 0.5, iterations=50)
    for probabilities in (centred, balanced):
        torch.testing.assert_close(probabilities.sum(1), torch.ones(64))
    torch.testing.assert_close(balanced.sum(0), torch.full((8,), 8.0), rtol=1e-3, atol=1e-3)
    far_below = losses.sinkhorn(torch.cat((outputs, torch.full((1, 8), -1e6))), 0.5, iterations=50)
    torch.testing.assert_close(far_below[:64], balanced)
    assert (far_below[64] == 0).all()


def test_infonce_is_a_cross_entropy():
    student, teacher = (torch.nn.functional.normalize(torch.randn(8, 5), dim=-1) for _ in range(2))
    expected = torch.nn.functional.cross_entropy(student @ teacher.t() / 0.2, torch.arange(8))
    assert losses.infonce_loss(student, teacher, 0, 0.2).item() == pytest.approx(expected.item())
    both = losses.infonce_loss(torch.stack((student, teacher)), torch.stack((teacher,) * 2), 0, 0.2)
    same = losses.infonce_loss(teacher, teacher, 0, 0.2)
    assert both.item() == pytest.approx((expected + same).item() / 2)
    last = losses.infonce_loss(student[6:], teacher, 6, 0.2)
    rest = losses.infonce_loss(student[:6], teacher, 0, 0.2)
    assert (2 * last + 6 * rest).item() / 8 == pytest.approx(expected.item())


def test_koleo_spreads_vectors():
    right_angle = torch.tensor([[3.0, 0], [0, 1]])
    assert losses.koleo_loss(right_angle, right_angle, 0).item() == pytest.approx(
        -math.log(math.sqrt(2))
    )
    vectors = torch.randn(16, 4).add_(3).requires_grad_()
    before = losses.koleo_loss(vectors, vectors, 0)
    parts = [
        losses.koleo_loss(part, vectors, first)
        for part, first in ((vectors[:4], 0), (vectors[4:], 4))
    ]
    assert (4 * parts[0] + 12 * parts[1]).item() / 16 == pytest.approx(before.item())
    before.backward()
    moved = vectors - 0.1 * vectors.grad
    assert losses.koleo_loss(moved, moved, 0).item() < before.item()
    same = torch.ones(4, 3, requires_grad=True)
    losses.koleo_loss(same, same, 0).backward()
    assert torch.isfinite(same.grad).all()


@pytest.mark.parametrize("shape", [(24, 16), (16, 24), (5, 5)])
def test_orthogonalised_matrices(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    values = torch.linalg.svdvals(orthogonalise(matrix))
    assert 0.5 < values.min() <= values.max() < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(orthogonalise(matrix).flatten(), (u @ v).flatten(), dim=0) > 0.97
    assert orthogonalise(torch.zeros(shape)).abs().max() == 0


def test_muon_finds_a_matrix():
    torch.manual_seed(0)
    wanted, weight = torch.randn(8, 6), torch.zeros(8, 6, requires_grad=True)
    optimizer = Muon([weight], lr=0.1, weight_decay=0.0)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 200)
        (weight - wanted).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert (weight - wanted).abs().max() < 0.05


def test_schedules():
    assert cosine(0, 10, 0.9, 1.0) == pytest.approx(0.9)
    assert cosine(5, 10, 0.9, 1.0) == pytest.approx(0.95)
    assert cosine(10, 10, 0.9, 1.0) == pytest.approx(1.0)
    rates = [warmup_cosine(step, 100, 1.0, 0.3) for step in range(100)]
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) in (29, 30)
    assert rates[0] == pytest.approx(1 / 30)
    assert rates[-1] < 0.01
    assert warmup_cosine(0, 100, 1.0, 0.0) == pytest.approx(1.0)


def test_health_of_known_vectors():
    torch.manual_seed(0)
    assert relative_spread(torch.ones(10, 4)) == 0
    assert relative_spread(torch.randn(1000, 4)) == pytest.approx(1, rel=0.05)
    assert effective_rank(torch.randn(2000, 8)) == pytest.approx(8, rel=0.05)
    line = torch.randn(100, 1) @ torch.randn(1, 8)
    assert effective_rank(line) == pytest.approx(1, rel=0.05)


class Sequences:
    def __init__(self, **contigs):
        self.texts = contigs
        self.contigs = {name: len(text) for name, text in contigs.items()}

    def chunks(self, chrom):
        text = self.texts[chrom]
        for start in range(0, len(text), 1000):
            yield encode_soft_masked(text[start : start + 1000].encode())


def corpus(tmp_path: Path, **contigs) -> Corpus:
    return Corpus.build(Sequences(**contigs), tmp_path / "tokens")


def test_no_window_is_drawn_across_a_run_of_n(tmp_path):
    text = random_sequence(3000)
    gap = text[:1000] + "N" * 500 + text[1000:1050] + "N" * 10 + text[1050:] + "NNNN" + text[:100]
    made = corpus(tmp_path, a="N" * 50 + gap, b="N" * 400, c="ACGT" * 5)
    assert [s.end - s.start for s in made.stretches] == [1000, 50, 2054, 20]
    drawn = made.draw(2000, 60, "position", generator()).tokens
    assert drawn.shape == (2000, 60)
    assert (drawn == N).sum(1).max() <= 4
    for window in drawn[:50]:
        assert "".join("ACGNT"[t] for t in window.tolist()) in gap


def test_windows_say_where_the_genome_is_soft_masked(tmp_path):
    made = corpus(tmp_path, a="nacGT" * 2 + "N" * 10)
    windows = made.draw(5, 10, "position", generator())
    assert windows.tokens.tolist() == [[3, 0, 1, 2, 4] * 2] * 5
    assert windows.repeats.tolist() == [[True, True, True, False, False] * 2] * 5


def test_sampling_by_position_and_by_contig(tmp_path):
    made = corpus(tmp_path, a="A" * 9000, t="T" * 1000)
    share = {
        sampling: (made.draw(4000, 100, sampling, generator()).tokens[:, 0] == 0)
        .float()
        .mean()
        .item()
        for sampling in ("position", "contig")
    }
    assert share["position"] == pytest.approx(8901 / (8901 + 901), abs=0.03)
    assert share["contig"] == pytest.approx(0.5, abs=0.03)


def test_every_window_of_a_stretch_can_be_drawn(tmp_path):
    made = corpus(tmp_path, a="ACGTACGTAC")
    starts = {tuple(w.tolist()) for w in made.draw(500, 7, "position", generator()).tokens}
    assert len(starts) == 4


def test_corpus_of_some_contigs_and_intervals(tmp_path):
    sequences = Sequences(a="A" * 100, b="C" * 100)
    made = Corpus.build(sequences, tmp_path / "tokens")
    assert {s.contig for s in made.only(["b"]).stretches} == {"b"}
    assert {s.contig for s in made.only(["b"], keep=False).stretches} == {"a"}
    part = made.within([("b", 10, 40), ("b", 90, 100)], sequences)
    assert [(s.start, s.end) for s in part.stretches] == [(110, 140), (190, 200)]
    assert part.n_bases == 40
    with pytest.raises(ConfigError, match="longest: 30"):
        part.check_length(31)


def test_a_genome_of_n(tmp_path):
    with pytest.raises(GenomeError, match="no A, C, G or T"):
        corpus(tmp_path, a="N" * 100)
