"""What a recipe can vary: that each option does what it says, and what goes together."""

import math

import pytest
import torch

from findna.errors import ConfigError
from findna.genome.encoding import A, T
from findna.pretraining.corpus import Windows
from findna.pretraining.distillation import SelfDistillation
from findna.pretraining.recipe import (
    PRESETS,
    REMOVED,
    PretrainConfig,
    from_preset,
    from_stored,
    idle_settings,
)
from findna.settings import to_dict
from tests.pretraining.test_training import generator, windows

LITTLE = {
    "encoder": {
        "dim": 16,
        "track_size": 4,
        "hidden": 16,
        "n_blocks": 1,
        "layers_per_block": 4,
        "n_cls": 2,
        "max_length": 100,
    },
    "koleo_weight": 0.0,
    "optimizer": "adamw",
    "lengths": [40, 60],
    "batch_tokens": 480,
}
PROJECTED = {"projection_hidden": 8, "projection_dim": 4}
PROTOTYPES = {"contrast": "prototypes", "centring": "sinkhorn", "prototypes": 6, **PROJECTED}

OPTIONS = {
    "repeats": {**PROTOTYPES, "repeat_weight": 0.1},
    "koleo": {**PROTOTYPES, "koleo_weight": 0.1},
    "noise": {**PROTOTYPES, "views": {"student_noise": 0.2}},
    "running centre": {**PROTOTYPES, "centring": "mean"},
    "infonce": {"contrast": "infonce", **PROJECTED},
    "cls": {"contrast": "cls"},
}


def config(*changes):
    return from_preset("findna", LITTLE, *changes)


def made(*changes):
    torch.manual_seed(0)
    return SelfDistillation(config(*changes)).train()


def losses_of(model):
    return model(model.views(batch(), generator()))


def batch(n=8, length=60):
    tokens = windows(n, length, "ACGT")
    return Windows(tokens, tokens == A)


@pytest.mark.parametrize("option", list(OPTIONS))
def test_an_option_changes_the_loss_and_trains_every_part(option):
    model = made(OPTIONS[option])
    before = losses_of(made(PROTOTYPES)).loss.item()
    losses = losses_of(model)
    assert math.isfinite(losses.loss.item())
    assert losses.loss.item() != pytest.approx(before, abs=1e-6)
    losses.loss.backward()
    unused = {name for name, p in model.student.named_parameters() if p.grad is None}
    assert not unused
    assert all(p.grad is None for p in model.teacher.parameters())


def test_the_total_is_the_weighted_sum():
    losses = losses_of(made(PROTOTYPES, {"contrast_weight": 0.3, "koleo_weight": 0.7}))
    expected = losses.mnm + 0.3 * losses.contrast + 0.7 * losses.koleo
    assert losses.loss.item() == pytest.approx(expected.item())
    plain = losses_of(made({"contrast": "none"}))
    assert plain.loss.item() == plain.mnm.item()
    assert (plain.contrast, plain.koleo) == (0, 0)


def test_repeats_are_weighted_on_the_strand_that_the_student_reads():
    for chance, letter in ((0.0, A), (1.0, T)):  # every A is soft-masked
        model = made({"repeat_weight": 0.25, "views": {"student_rc": chance}})
        views = model.views(batch(), generator())
        selected = views.weight > 0
        assert 0.1 < selected.float().mean() < 0.3
        assert torch.equal(views.labels[views.weight == 0.25].unique(), torch.tensor([letter]))
        assert (views.weight[selected & (views.labels != letter)] == 1).all()


def test_what_is_compared():
    bases, cls = torch.randn(5, 9, 16), torch.randn(5, 2, 16)
    assert made(PROTOTYPES).student.contrast_outputs(bases, cls).shape == (1, 5, 6)
    projected = made(OPTIONS["infonce"]).student.contrast_outputs(bases, cls)
    assert projected.shape == (1, 5, 4)
    torch.testing.assert_close(projected.norm(dim=-1), torch.ones(1, 5))
    published = made({"contrast": "cls"}).student
    torch.testing.assert_close(
        published.contrast_outputs(bases, cls)[1], published.masked_nucleotide(cls[:, 1])
    )


@pytest.mark.parametrize("centring", ["mean", "sinkhorn"])
def test_a_lower_temperature_sharpens_the_target(centring):
    rows = torch.rand(8, 6, generator=generator())
    sharp, soft = (
        made(PROTOTYPES, {"centring": centring, "teacher_temp": temperature}).balanced(rows)
        for temperature in (0.02, 0.5)
    )
    assert sharp.max(-1).values.mean() > soft.max(-1).values.mean() + 0.1


def test_the_centre_follows_the_teacher_while_the_model_trains():
    model = made(OPTIONS["running centre"], {"center_momentum": 0.75})
    views = model.views(batch(), generator())
    outputs = model.teacher.contrast_outputs(*model.teacher.encode(views.teacher))
    model.eval()(views)
    assert model.centre.norm() == 0
    model.train()(views)
    torch.testing.assert_close(model.centre, 0.25 * outputs[0].mean(0))
    balanced = made(PROTOTYPES)
    losses_of(balanced)
    assert balanced.centre.norm() == 0


def test_teacher_momentum():
    model = made()
    with torch.no_grad():
        for parameter in model.student.parameters():
            parameter.add_(1)
    teacher, student = (
        network.encoder.embedding.weight for network in (model.teacher, model.student)
    )
    before = teacher.clone()
    model.update_teacher(1.0)
    assert torch.equal(teacher, before)
    model.update_teacher(0.75)
    torch.testing.assert_close(teacher, 0.75 * before + 0.25 * student)
    model.update_teacher(0.0)
    assert torch.equal(teacher, student)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"koleo_weight": -1}, "koleo_weight must not be negative"),
        ({"contrast": "prototypes", "prototypes": 2**21}, "prototypes must be at most"),
        ({"contrast": "cls", "encoder": {"n_cls": 0}}, "contrast 'cls' needs n_cls"),
        (
            {"contrast": "none", "koleo_weight": 1, "batch_tokens": 60},
            "koleo_weight, which compares two",
        ),
        ({"contrast": "infonce", "batch_tokens": 60}, "infonce., which compares two"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(ConfigError, match=message):
        config(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prototypes": 8}, "prototypes does nothing with contrast 'infonce'; leave it out"),
        ({"centring": "sinkhorn"}, "centring does nothing with contrast 'infonce'"),
        ({"teacher_temp": 0.07}, "teacher_temp does nothing with contrast 'infonce'"),
        ({"contrast": "none", "student_temp": 0.2}, "student_temp does nothing with contrast"),
        ({"contrast": "none", "contrast_weight": 0.5}, "contrast_weight does nothing"),
        ({"contrast": "cls", "projection_dim": 8}, "projection_dim does nothing"),
        ({"contrast": "cls", "projection_hidden": 8}, "projection_hidden does nothing"),
        ({**PROTOTYPES, "center_momentum": 0.5}, "center_momentum does nothing with centring"),
        ({"muon_lr": 0.1}, "muon_lr does nothing with optimizer 'adamw'"),
    ],
)
def test_a_setting_that_does_nothing_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        config(settings)


def test_presets_hold_nothing_idle_and_lose_what_a_change_makes_idle():
    for preset in PRESETS:
        assert not idle_settings(PRESETS[preset]).keys() & PRESETS[preset].keys()
    assert PRESETS["findna"]["contrast_weight"] != PretrainConfig().contrast_weight
    alone = from_preset("findna", {"contrast": "none"})
    assert alone.contrast_weight == PretrainConfig().contrast_weight


@pytest.mark.parametrize("name", list(REMOVED))
def test_a_removed_setting_is_refused_from_users_and_ignored_in_what_is_stored(name):
    for settings in ({name: REMOVED[name]}, {"views": {name: REMOVED[name]}}):
        with pytest.raises(ConfigError, match=f"{name} was removed"):
            config(settings)
    stored = to_dict(config())
    assert from_stored({**stored, name: 7}) == config()
    assert from_stored({**stored, "views": {**stored["views"], name: 7}}) == config()


def test_idle_values_in_what_is_stored_are_ignored():
    assert from_stored({**to_dict(config()), "centring": "sinkhorn", "prototypes": 128}) == config()
    with pytest.raises(ConfigError, match="unknown setting 'speed'"):
        from_stored({**to_dict(config()), "speed": 1})
    with pytest.raises(ConfigError, match="not list"):
        from_stored([1])
