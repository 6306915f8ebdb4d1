"""What a recipe can vary: that each option does what it says, and a run with it can be resumed."""

import math

import pytest
import torch
from safetensors.torch import load_file

from findna.errors import ConfigError
from findna.genome.encoding import A, T
from findna.pretraining import distillation, losses
from findna.pretraining.corpus import Windows
from findna.pretraining.distillation import SelfDistillation
from findna.pretraining.loop import pretrain
from findna.pretraining.recipe import PRESETS, PretrainConfig
from findna.settings import from_dict, merge
from tests.pretraining.test_training import corpus, generator, random_sequence, windows

LITTLE = {
    "encoder": {
        "dim": 16, "track_size": 4, "hidden": 16, "n_blocks": 1, "layers_per_block": 4, "n_cls": 2,
        "max_length": 100,
    },
    "contrast": "prototypes", "koleo_weight": 0.0, "optimizer": "adamw",
    "lengths": [40, 60], "batch_tokens": 480, "prototypes": 6, "projection_hidden": 8,
    "projection_dim": 4, "steps": 6, "log_every": 1, "evaluate_every": 6, "checkpoint_every": 3,
}  # fmt: skip

OPTIONS = {
    "spans": {"views": {"mask_span": 4}},
    "local crops": {"views": {"local_crops": 2}},
    "repeats": {"repeat_weight": 0.1},
    "koleo": {"koleo_weight": 0.1},
    "tokens": {"token_weight": 1.0},
    "on CLS": {"contrast_on": "cls"},
    "on both": {"contrast_on": "both"},
    "infonce": {"contrast": "infonce"},
    "infonce on both": {"contrast": "infonce", "contrast_on": "both"},
    "local crops at CLS": {"contrast": "cls", "centring": "mean", "views": {"local_crops": 2}},
}


def config(*changes, preset="findna"):
    return from_dict(PretrainConfig, merge(PRESETS[preset], LITTLE, *changes))


def made(*changes, **more):
    torch.manual_seed(0)
    return SelfDistillation(config(*changes, **more)).train()


def losses_of(model, seen, draw):
    return model(model.views(seen, draw))


def batch(n=8, length=60):
    tokens = windows(n, length, "ACGT")
    return Windows(tokens, tokens == A, tokens)


@pytest.mark.parametrize("option", list(OPTIONS))
def test_an_option_changes_the_loss_and_trains_every_part(option):
    plain, model = made(), made(OPTIONS[option])
    before = losses_of(plain, batch(), generator()).total.item()
    found = losses_of(model, batch(), generator())
    assert math.isfinite(found.total.item())
    assert found.total.item() != pytest.approx(before, abs=1e-6)
    found.total.backward()
    unused = {name for name, p in model.student.named_parameters() if p.grad is None}
    assert not unused
    assert all(p.grad is None for p in model.teacher.parameters())


def test_the_total_is_the_weighted_sum():
    weights = {"contrast_weight": 0.3, "token_weight": 0.5, "koleo_weight": 0.7}
    found = losses_of(made(weights), batch(), generator())
    expected = found.mnm + 0.3 * found.contrast + 0.5 * found.token + 0.7 * found.koleo
    assert found.total.item() == pytest.approx(expected.item())
    plain = losses_of(made({"contrast": "none"}), batch(), generator())
    assert plain.total.item() == plain.mnm.item()
    assert plain[2:] == (0, 0, 0)


def test_repeats_are_weighted_on_the_strand_that_the_student_reads(monkeypatch):
    seen = {}

    def look(outputs, labels, weight, *rest):
        seen.update(labels=labels, weight=weight)
        return losses.masked_nucleotide_loss(outputs, labels, weight, *rest)

    monkeypatch.setattr(distillation, "masked_nucleotide_loss", look)
    for chance, letter in ((0.0, A), (1.0, T)):  # every A is soft-masked
        model = made({"repeat_weight": 0.25, "views": {"student_rc": chance}})
        losses_of(model, batch(), generator())
        selected = seen["weight"] > 0
        assert 0.1 < selected.float().mean() < 0.3
        assert torch.equal(seen["labels"][seen["weight"] == 0.25].unique(), torch.tensor([letter]))
        assert (seen["weight"][selected & (seen["labels"] != letter)] == 1).all()


def test_the_teacher_sees_the_window_nearby(monkeypatch):
    seen = []
    ordinary = distillation.teacher_view

    def look(tokens, *arguments):
        seen.append(tokens)
        return ordinary(tokens, *arguments)

    monkeypatch.setattr(distillation, "teacher_view", look)
    tokens, nearby = batch().tokens, windows(16, 60, "ACGT")[8:]
    losses_of(made(), Windows(tokens, tokens == A, nearby), generator())
    assert seen[0] is nearby


def test_every_view_of_the_student_is_compared_with_the_teachers(monkeypatch):
    """Two crops as long as the window are two more views of it, without a mask."""
    seen = []

    def look(student, target, temperature):
        loss = losses.contrastive_loss(student, target, temperature)
        seen.append((student, target, loss.item()))
        return loss

    monkeypatch.setattr(distillation, "contrastive_loss", look)
    model = made({"views": {"local_crops": 2, "local_share": 1.0, "student_rc": 0.0}})
    found = losses_of(model, batch(), generator())
    assert len(seen) == 3
    assert torch.equal(seen[1][0], seen[2][0])
    assert all(torch.equal(target, seen[0][1]) for _, target, _ in seen)
    whole = model.student.contrast_outputs(*model.student.encode(batch().tokens))
    torch.testing.assert_close(seen[1][0], whole)
    assert found.contrast.item() == pytest.approx(sum(loss for *_, loss in seen) / 3)


def test_what_is_compared():
    bases, cls = torch.randn(5, 9, 16), torch.randn(5, 2, 16)
    outputs = {
        on: made({"contrast_on": on}).student.contrast_outputs(bases, cls)
        for on in ("mean", "cls", "both")
    }
    assert outputs["mean"].shape == (1, 5, 6)
    assert torch.equal(outputs["both"], torch.cat((outputs["mean"], outputs["cls"])))
    assert not torch.equal(outputs["mean"], outputs["cls"])
    published = made({"contrast": "cls", "centring": "mean"}).student
    torch.testing.assert_close(
        published.contrast_outputs(bases, cls)[1], published.masked_nucleotide(cls[:, 1])
    )


def test_tokens_are_predicted_from_the_same_window_without_its_mask(monkeypatch):
    seen = {}

    def look(predicted, target, selected, count):
        seen.update(target=target, selected=selected)
        return losses.token_loss(predicted, target, selected, count)

    monkeypatch.setattr(distillation, "token_loss", look)
    model = made({"token_weight": 1.0, "views": {"student_rc": 0.0}})
    losses_of(model, batch(), generator())
    hidden, _ = model.teacher.encode(batch().tokens)
    flat = hidden.flatten(0, 1)
    expected = (hidden - flat.mean(0)) / flat.std(0, unbiased=False)
    torch.testing.assert_close(seen["target"], expected, rtol=1e-2, atol=1e-2)
    assert 0.1 < seen["selected"].float().mean() < 0.3


def test_the_queue_is_balanced_with_the_batch():
    model = made({"queue": 10})
    tokens = windows(24, 60, "ACGT")
    outputs = []
    with torch.no_grad():
        for part in tokens.split(8):
            outputs.append(model.teacher.contrast_outputs(*model.teacher.encode(part))[0])
            target = model._targets(part, 0.05)[0][0]
            earlier = torch.cat(outputs[::-1])[:18]  # the batch, and 10 of those before
            torch.testing.assert_close(target, losses.sinkhorn(earlier, 0.05)[:8])
    assert torch.equal(model.queue, torch.cat(outputs[::-1])[:10])
    kept = model.queue.clone()
    model.eval()._targets(tokens[:8], 0.05)
    assert torch.equal(model.queue, kept)


def test_the_teachers_temperature_warms_up(tmp_path, monkeypatch):
    seen = []
    ordinary = SelfDistillation._targets

    def look(self, view, temperature):
        seen.append(temperature)
        return ordinary(self, view, temperature)

    monkeypatch.setattr(SelfDistillation, "_targets", look)
    genome = corpus(tmp_path, a=random_sequence(2000))
    warm = {"teacher_temp_start": 0.02, "teacher_temp": 0.08, "teacher_temp_warmup": 0.5}
    pretrain(config(warm), genome, genome, tmp_path, device=torch.device("cpu"))
    assert seen == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.08, 0.08])


def test_a_run_draws_windows_nearby(tmp_path, monkeypatch):
    seen = []
    ordinary = SelfDistillation.views

    def look(self, windows, *arguments):
        seen.append(windows)
        return ordinary(self, windows, *arguments)

    monkeypatch.setattr(SelfDistillation, "views", look)
    genome = corpus(tmp_path, a=random_sequence(2000))
    for distance in (0, 5):
        changed = {"views": {"max_distance": distance, "min_distance": distance}}
        pretrain(
            config(changed, {"steps": 1}), genome, genome, tmp_path, device=torch.device("cpu")
        )
        tokens, nearby = seen[-1].tokens, seen[-1].nearby
        end = tokens.shape[1] - distance
        before = (nearby[:, :end] == tokens[:, distance:]).all(1)
        after = (nearby[:, distance:] == tokens[:, :end]).all(1)
        assert (before | after).all()


def test_a_lower_temperature_sharpens_the_target():
    model, tokens = made(), batch().tokens
    sharp, soft = (model._targets(tokens, t)[0].max(-1).values.mean() for t in (0.02, 0.5))
    assert sharp > soft + 0.1


def test_resumed_is_uninterrupted_with_every_option(tmp_path, monkeypatch):
    everything = config(
        {"views": {"mask_span": 3, "max_distance": 80, "min_distance": 60, "local_crops": 2},
         "repeat_weight": 0.1, "koleo_weight": 0.1, "token_weight": 0.5, "queue": 20,
         "contrast_on": "both", "teacher_temp_warmup": 0.5}
    )  # fmt: skip
    genome = corpus(tmp_path, a=random_sequence(2000, letters="ACGTacgt"))
    device = torch.device("cpu")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    digest = pretrain(everything, genome, genome, whole, device=device)
    ordinary, calls = SelfDistillation.update_teacher, []

    def interrupt(self, momentum):
        calls.append(momentum)
        if len(calls) == 5:
            raise KeyboardInterrupt
        ordinary(self, momentum)

    monkeypatch.setattr(SelfDistillation, "update_teacher", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pretrain(everything, genome, genome, parts, device=device)
    assert pretrain(everything, genome, genome, parts, device=device, resume=True) == digest
    states = [load_file(folder / "training.safetensors") for folder in (whole, parts)]
    assert torch.isfinite(states[0]["model.queue"]).all()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"views": {"mask_span": 0.5}}, "mask_span must be at least 1"),
        ({"views": {"mask_span": 2, "mask_fraction": 0.9}}, "too short to mask 0.9"),
        ({"views": {"min_distance": 5}}, "min_distance .5. exceeds max_distance .0."),
        ({"views": {"max_distance": -1}}, "max_distance must lie between"),
        ({"views": {"local_share": 0}}, "local_share must be above 0"),
        ({"views": {"local_crops": 2}, "contrast": "none"}, "local_crops does nothing"),
        ({"views": {"max_distance": 9}, "contrast": "none"}, "max_distance does nothing"),
        ({"queue": 9, "contrast": "infonce"}, "queue needs contrast 'prototypes'"),
        ({"queue": 9, "centring": "mean"}, "and centring 'sinkhorn'"),
        ({"queue": -1}, "queue must not be negative"),
        ({"queue": 2**21}, "queue must be at most"),
        ({"koleo_weight": -1}, "koleo_weight must not be negative"),
        ({"contrast_on": "both", "encoder": {"n_cls": 0}}, "contrast_on 'both' needs n_cls"),
        (
            {"contrast": "none", "koleo_weight": 1, "batch_tokens": 60},
            "koleo_weight, which compares two",
        ),
        ({"contrast": "infonce", "batch_tokens": 60}, "infonce., which compares two"),
        ({"teacher_temp_warmup": 2}, "teacher_temp_warmup must lie between 0 and 1"),
        ({"teacher_temp_start": 0}, "teacher_temp_start must be at least"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(ConfigError, match=message):
        config(settings)
