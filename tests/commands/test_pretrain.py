"""``findna pretrain`` through the command line."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from findna.errors import ConfigError
from findna.model.checkpoint import load_checkpoint
from findna.model.config import SIZES, EncoderConfig
from findna.outputs.claims import claimed
from findna.pretraining import loop
from findna.pretraining.corpus import Windows
from findna.pretraining.distillation import SelfDistillation
from findna.pretraining.history import Metrics
from findna.pretraining.recipe import PRESETS, REMOVED, PretrainConfig, from_preset
from findna.settings import from_dict, to_dict
from tests.conftest import random_sequence

LITTLE = [
    "--dim",
    16,
    "--track-size",
    4,
    "--hidden",
    16,
    "--n-blocks",
    1,
    "--layers-per-block",
    4,
    "--max-length",
    100,
    "--lengths",
    50,
    "--lengths",
    100,
    "--batch-tokens",
    800,
    "--log-every",
    2,
    "--evaluate-every",
    4,
    "--checkpoint-every",
    4,
    "-@",
    1,  # more threads would wait for each other
]


@pytest.fixture
def pretrain(run, example):
    def invoke(folder, *options, code=0):
        return run("pretrain", example / "genome.fa", "-o", folder, *LITTLE, *options, code=code)

    return invoke


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("tokens_per_second", None)
    return lines


def interrupt(patch, step):
    """Let SIGINT arrive in a step, after the optimiser's part."""
    ordinary, calls = SelfDistillation.update_teacher, []

    def update_teacher(self, momentum):
        calls.append(momentum)
        if len(calls) == step:
            raise KeyboardInterrupt
        ordinary(self, momentum)

    patch.setattr(SelfDistillation, "update_teacher", update_teacher)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_run_leaves_a_model_that_embeds(pretrain, run, example, tmp_path, preset):
    pretrain(tmp_path / "m", "--preset", preset, "--n-cls", 2, "--steps", 6, "--holdout", "chrB")
    checkpoint = load_checkpoint(str(tmp_path / "m"))
    assert checkpoint.training["steps_done"] == 6
    assert checkpoint.training["heldout"] == ["chrB"]
    card = (tmp_path / "m" / "README.md").read_text()
    assert checkpoint.digest in card
    assert "held out: chrB" in card
    steps = [line["step"] for line in metrics(tmp_path / "m")]
    assert steps == [2, 4, 4, 6, 6]
    assert not (tmp_path / "m" / "sequence.u8").exists()
    out = tmp_path / "o.h5"
    run("embed", example / "genome.fa", example / "regions.bed", "-m", tmp_path / "m", "-o", out)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("preset", list(PRESETS))
def test_resumed_is_uninterrupted(pretrain, tmp_path, preset, optimizer, monkeypatch):
    options = ["--preset", preset, "--optimizer", optimizer, "--n-cls", 2, "--steps", 10]
    pretrain(tmp_path / "whole", *options)

    with monkeypatch.context() as patch:
        interrupt(patch, step=7)
        assert "interrupted" in pretrain(tmp_path / "parts", *options, code=130).stderr
    assert load_checkpoint(str(tmp_path / "parts")).training["steps_done"] == 4
    pretrain(tmp_path / "parts", *options, "--resume")

    for name in ("model.safetensors", "training.safetensors"):
        whole, parts = (load_file(tmp_path / folder / name) for folder in ("whole", "parts"))
        assert whole.keys() == parts.keys()
        for key in whole:
            assert torch.equal(whole[key], parts[key]), key
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "parts")


def test_resume_after_the_end_and_with_other_settings(pretrain, tmp_path):
    pretrain(tmp_path / "m", "--steps", 4)
    before = (tmp_path / "m" / "model.safetensors").read_bytes()
    pretrain(tmp_path / "m", "--steps", 4, "--resume")
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == before
    error = pretrain(tmp_path / "m", "--steps", 4, "--lr", 0.5, "--resume", code=2).stderr
    assert "other settings for lr" in error
    assert "is not empty; --force" in pretrain(tmp_path / "m", "--steps", 4, code=1).stderr
    pretrain(tmp_path / "m", "--steps", 2, "--force")
    assert load_checkpoint(str(tmp_path / "m")).training["steps_done"] == 2


def test_a_resumed_run_keeps_its_precision(pretrain, tmp_path, monkeypatch):
    monkeypatch.setenv("FINDNA_PRECISION", "bf16")
    pretrain(tmp_path / "m", "--steps", 4)
    recipe = json.loads((tmp_path / "m" / "config.json").read_text())["training"]["recipe"]
    assert recipe["precision"] == "bf16"
    monkeypatch.setenv("FINDNA_PRECISION", "fp32")
    pretrain(tmp_path / "m", "--steps", 4, "--resume")
    error = pretrain(tmp_path / "m", "--steps", 4, "--resume", "--precision", "fp32", code=2).stderr
    assert "other settings for precision" in error


def as_of_earlier_version(path, **removed):
    """Rewrite a training state as the version did that had settings since removed."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    stored = json.loads(metadata["config"]) | {"centring": "sinkhorn", "prototypes": 128}
    former = REMOVED | removed
    for name in ("mask_span", "max_distance", "min_distance", "local_crops", "local_share"):
        stored["views"][name] = former.pop(name)
    tensors = load_file(path) | {"model.queue": torch.zeros(removed.get("queue", 0), 64)}
    save_file(tensors, path, metadata | {"config": json.dumps(stored | former)})


@pytest.mark.slow
def test_resume_of_a_run_that_an_earlier_version_began(pretrain, tmp_path, monkeypatch):
    pretrain(tmp_path / "whole", "--steps", 6)
    folder, state = tmp_path / "parts", tmp_path / "parts" / "training.safetensors"
    ordinary, calls = SelfDistillation.update_teacher, []

    def stop_at_step_six(self, momentum):
        calls.append(momentum)
        if len(calls) == 6:
            raise KeyboardInterrupt
        ordinary(self, momentum)

    with monkeypatch.context() as patch:
        patch.setattr(SelfDistillation, "update_teacher", stop_at_step_six)
        pretrain(folder, "--steps", 6, code=130)
    before = state.read_bytes()
    as_of_earlier_version(state, queue=9, local_crops=2)
    error = pretrain(folder, "--steps", 6, "--resume", code=2).stderr
    assert "the run to resume used queue, local_crops, since removed" in error
    state.write_bytes(before)
    as_of_earlier_version(state)
    pretrain(folder, "--steps", 6, "--resume")
    assert load_checkpoint(str(folder)).digest == load_checkpoint(str(tmp_path / "whole")).digest


@pytest.mark.slow
def test_a_finished_run_is_read_after_another_layer(pretrain, run, example, tmp_path):
    folder, table = tmp_path / "m", ("--both-strands", "-O", "tsv")
    words = ("embed", example / "genome.fa", example / "regions.bed", "-m", folder, *table)
    pretrain(folder, "--steps", 4)
    before, vectors = load_checkpoint(str(folder)), run(*words).stdout
    pretrain(folder, "--steps", 4, "--resume", "--readout", 1)
    after = load_checkpoint(str(folder))
    assert (before.config.readout, after.config.readout) == (0, 1)
    assert before.digest != after.digest
    weights = after.model.state_dict()
    assert all(torch.equal(w, weights[name]) for name, w in before.model.state_dict().items())
    assert run(*words).stdout != vectors
    pretrain(folder, "--steps", 4, "--resume", "--readout", 0)
    assert load_checkpoint(str(folder)).digest == before.digest
    assert run(*words).stdout == vectors


def test_resume_of_what_was_killed_before_its_first_checkpoint(pretrain, tmp_path):
    pretrain(tmp_path / "whole", "--steps", 4)
    folder = tmp_path / "m"
    folder.mkdir()
    for name in ("metrics.jsonl", ".sequence.1234", ".config.json.1234.tmp"):
        (folder / name).write_text("{}\n")
    assert "is not empty" in pretrain(folder, "--steps", 4, code=1).stderr
    pretrain(folder, "--steps", 4, "--resume")
    assert load_checkpoint(str(folder)).digest == load_checkpoint(str(tmp_path / "whole")).digest
    assert metrics(folder) == metrics(tmp_path / "whole")
    assert not list(folder.glob(".*"))


def test_two_runs_in_one_folder(pretrain, tmp_path):
    pretrain(tmp_path / "m", "--steps", 4)
    with claimed(tmp_path / "m"):
        error = pretrain(tmp_path / "m", "--steps", 4, "--resume", code=1).stderr
        assert "m: another run is at work in it" in error
    pretrain(tmp_path / "m", "--steps", 4, "--resume")
    assert not list((tmp_path / "m").glob(".*"))


def test_resume_wants_the_same_data(pretrain, run, tmp_path, write):
    pretrain(tmp_path / "m", "--steps", 4)
    other = write("other.fa", ">chrA\n" + random_sequence(1000) + "\n")
    words = ["-o", tmp_path / "m", *LITTLE, "--steps", 4, "--resume"]
    assert "has other data" in run("pretrain", other, *words, code=2).stderr
    words = [tmp_path / "m", "--steps", 4, "--resume", "--holdout", "chrB"]
    assert "has other data" in pretrain(*words, code=2).stderr


def test_initial_weights_of_a_model(pretrain, tmp_path):
    """A step of next to no size leaves the weights it began with; heads that are new are drawn."""
    pretrain(tmp_path / "first", "--steps", 6)
    still = ["--muon-lr", 1e-30, "--lr", 1e-30, "--weight-decay", 0, "--steps", 1]
    pretrain(tmp_path / "second", "--init", tmp_path / "first", *still, "--seed", 5)
    first, second = (load_checkpoint(str(tmp_path / name)) for name in ("first", "second"))
    assert second.digest == first.digest
    assert second.training["init"] == {"name": "first", "digest": first.digest}
    assert (
        f"Initial weights: `first` (sha256 `{first.digest}`)"
        in (tmp_path / "second" / "README.md").read_text()
    )


@pytest.mark.slow
def test_resume_wants_the_same_initial_weights(pretrain, tmp_path, monkeypatch):
    pretrain(tmp_path / "first", "--steps", 4)
    init = ["--steps", 8, "--init", tmp_path / "first"]
    pretrain(tmp_path / "whole", *init)
    with monkeypatch.context() as patch:
        interrupt(patch, step=7)
        pretrain(tmp_path / "parts", *init, code=130)
    said = pretrain(tmp_path / "parts", "--steps", 8, "--resume", code=2).stderr
    assert "other data" in said
    pretrain(tmp_path / "parts", *init, "--resume")
    one, other = (load_file(tmp_path / n / "model.safetensors") for n in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_initial_weights_that_do_not_fit(pretrain, tmp_path):
    pretrain(tmp_path / "first", "--steps", 1)
    init = ["--init", tmp_path / "first"]
    said = pretrain(tmp_path / "x", *init, "--dim", 32, "--steps", 1, code=2).stderr
    assert "its weights fix dim" in said
    assert not (tmp_path / "x").exists()
    assert "--size does nothing" in pretrain(tmp_path / "x", *init, "--size", "tiny", code=2).stderr
    said = pretrain(tmp_path / "x", "--init", tmp_path / "none", "--steps", 1, code=1).stderr
    assert "no model" in said


def test_resume_does_not_start_over_in_a_finished_model(pretrain, model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "m")
    before = load_checkpoint(str(folder)).digest
    assert "no training.safetensors to resume" in pretrain(folder, "--resume", code=1).stderr
    assert load_checkpoint(str(folder)).digest == before


@pytest.mark.slow
def test_force_leaves_no_state_of_the_old_run(pretrain, tmp_path, monkeypatch):
    pretrain(tmp_path / "m", "--steps", 4)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SelfDistillation, "update_teacher", interrupt)
    pretrain(tmp_path / "m", "--steps", 4, "--seed", 2, "--force", code=130)
    assert not (tmp_path / "m" / "training.safetensors").exists()


def test_force_with_options_that_are_wrong_keeps_the_old_run(pretrain, tmp_path, write):
    pretrain(tmp_path / "m", "--steps", 2)
    state = (tmp_path / "m" / "training.safetensors").read_bytes()
    everything = write("all.bed", "chrA\t0\t60000\nchrB\t0\t60000\n")
    for wrong in (["--exclude", everything], ["--holdout", "chrA", "--holdout", "chrB"]):
        pretrain(tmp_path / "m", "--steps", 2, "--force", *wrong, code=2)
        assert (tmp_path / "m" / "training.safetensors").read_bytes() == state


def test_a_folder_with_other_things_in_it(pretrain, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "README.md").write_text("mine")
    assert "is not empty" in pretrain(tmp_path / "m", "--steps", 2, code=1).stderr
    assert (tmp_path / "m" / "README.md").read_text() == "mine"


def test_a_wild_learning_rate_ends_with_3(pretrain, tmp_path):
    error = pretrain(tmp_path / "m", "--steps", 40, "--lr", 1e10, "--clip", 1e9, code=3).stderr
    assert len(error.splitlines()) == 1
    assert "training" in error
    for line in (tmp_path / "m" / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)  # no NaN in JSON


def test_names_of_contigs_in_region_lists(pretrain, tmp_path, write):
    bed = write("x.bed", "A\t0\t10\nB\t0\t10\n")
    error = pretrain(tmp_path / "m", "--exclude", bed, code=1).stderr
    assert "x.bed: no contig A, B in genome.fa" in error
    assert "did you mean chrA" in error


def test_the_seed_decides_everything(pretrain, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        pretrain(tmp_path / name, "--steps", 3, "--seed", seed)
    a, b, c = (load_checkpoint(str(tmp_path / name)).digest for name in "abc")
    assert a == b != c


@pytest.mark.slow
def test_training_learns_something(run, tmp_path, write):
    genome = write("g.fa", ">a\n" + "ACGGT" * 2000 + "\n>b\n" + "ACGGT" * 100 + "\n")
    run(
        "pretrain",
        genome,
        "-o",
        tmp_path / "m",
        *LITTLE,
        "--steps",
        120,
        "--lr",
        0.02,
        "--ema-start",
        0.8,
        "--contrast",
        "none",
        "--holdout",
        "b",
    )
    accuracy = [line["accuracy"] for line in metrics(tmp_path / "m") if "accuracy" in line]
    assert accuracy[-1] > 0.8 > accuracy[0]


def test_divergence_ends_with_3_and_keeps_the_last_good_checkpoint(pretrain, tmp_path, monkeypatch):
    ordinary = SelfDistillation.forward

    def spoil(self, *views):
        found = ordinary(self, *views)
        spoil.calls += 1
        return found._replace(loss=found.loss * float("nan")) if spoil.calls > 5 else found

    spoil.calls = 0
    monkeypatch.setattr(SelfDistillation, "forward", spoil)
    error = pretrain(tmp_path / "m", "--steps", 20, code=3).stderr
    assert "training diverged at step 6: loss is not finite" in error
    assert "lower lr" in error
    assert load_checkpoint(str(tmp_path / "m")).training["steps_done"] == 4


def test_a_constant_teacher_ends_with_3(pretrain, tmp_path, monkeypatch):
    ordinary = SelfDistillation.update_teacher

    def flatten(self, momentum):
        ordinary(self, momentum)
        flatten.calls += 1
        if flatten.calls > 5:
            for parameter in self.teacher.encoder.mixer.norm.parameters():
                parameter.fill_(0 if parameter.min() > 0 else 1)

    flatten.calls = 0
    monkeypatch.setattr(SelfDistillation, "update_teacher", flatten)
    error = pretrain(tmp_path / "m", "--steps", 20, code=3).stderr
    assert "training collapsed at step 8" in error
    assert load_checkpoint(str(tmp_path / "m")).training["steps_done"] == 4


def test_the_teacher_gets_no_gradient_and_stays_in_eval_mode():
    config = from_preset("findna", {"encoder": SIZES["tiny"]})
    model = SelfDistillation(config).train()
    assert model.student.training
    assert not model.teacher.training
    tokens = torch.randint(0, 3, (6, 64), dtype=torch.uint8)
    windows = Windows(tokens, tokens == 0)
    model(model.views(windows, torch.Generator().manual_seed(1))).loss.backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    assert all(p.grad is not None for p in model.student.encoder.parameters())


def test_window_lengths_are_all_drawn():
    config = from_dict(PretrainConfig, PRESETS["findna"])
    drawn = {loop.step_length(config, step) for step in range(200)}
    assert drawn == set(config.lengths)


@pytest.mark.skipif(shutil.which("bedtools") is None, reason="bedtools is not installed")
def test_regions_and_exclude(pretrain, tmp_path, write):
    regions = write("r.bed", "chrA\t0\t20000\nchrA\t30000\t40000\n")
    exclude = write("x.bed", "chrA\t5000\t6000\nchrUnknown\t0\t10\nchrA\t59999\t99999\n")
    pretrain(tmp_path / "m", "--steps", 2, "--regions", regions, "--exclude", exclude)
    (data,) = load_checkpoint(str(tmp_path / "m")).training["data"]
    assert data["bases"] == 29_000


def test_yaml_then_options(pretrain, tmp_path, write):
    config = write("c.yaml", "lr: 3e-4\nseed: 7\nviews: {mask_fraction: 0.25}\n")
    pretrain(tmp_path / "m", "--config", config, "--seed", 8, "--tokens", 2400)
    recipe = load_checkpoint(str(tmp_path / "m")).training["recipe"]
    assert recipe["lr"] == 3e-4
    assert recipe["seed"] == 8
    assert recipe["views"]["mask_fraction"] == 0.25
    assert recipe["steps"] == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed: 3", "unknown setting 'speed'"),
        ("views: 3", "must be a mapping"),
        ("- 1", "expected 'name: value' lines"),
        ("a: [", "not a YAML file"),
        ("lr: fast", "lr must be of type float"),
        ("lr: 0", "lr must be greater than 0"),
        ("lr: .inf", "lr must be a finite number"),
        ("weight_decay: .nan", "weight_decay must be a finite number"),
        ("seed: 99999999999999999999", "seed must be a finite number"),
        ("views: {max_shift: 10000000}", "max_shift must lie between"),
        ("mnm_loss: other", "mnm_loss must be one of binary, softmax"),
        ("queue: 0", "queue was removed: it was measured"),
        ("views: {local_crops: 2}", "local_crops was removed: it was measured"),
        ("prototypes: 8", "prototypes does nothing with contrast 'infonce'"),
    ],
)
def test_settings_that_are_wrong(pretrain, tmp_path, write, text, message):
    error = pretrain(tmp_path / "m", "--config", write("c.yaml", text), code=2).stderr
    assert message in error
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--holdout", "A"], 1, "did you mean chrA"),
        (["--holdout", "chrA", "--holdout", "chrB"], 2, "no sequence is left"),
        (["--track-size", 5], 2, "multiple of track_size"),
        (["--batch-tokens", 10], 2, "less than one window"),
        (["--batch-tokens", 150], 2, "must hold 2 windows of 100 bp, for contrast"),
        (["--accumulate", 5], 2, "10 windows of 100 bp, for 5 parts (accumulate) of contrast"),
        (["--device", "cuda:99"], 2, "cuda:99"),
        (["--device", "abacus"], 2, "unknown device"),
        (["--mask-span", 3], 2, "mask_span was removed: it was measured"),
        (["--muon-lr", 0.1, "--optimizer", "adamw"], 2, "muon_lr does nothing with optimizer"),
    ],
)
def test_options_that_are_wrong(pretrain, tmp_path, options, code, message):
    assert message in pretrain(tmp_path / "m", "--steps", 2, *options, code=code).stderr


def test_a_genome_shorter_than_a_window(run, tmp_path, write):
    genome = write("g.fa", ">a\n" + random_sequence(60) + "\n")
    error = run("pretrain", genome, "-o", tmp_path / "m", *LITTLE, code=2).stderr
    assert "no stretch of sequence is 100 bp long (longest: 60)" in error


def test_configuration_round_trip():
    for preset in PRESETS.values():
        config = from_dict(PretrainConfig, preset)
        assert from_dict(PretrainConfig, to_dict(config)) == config
        assert from_dict(PretrainConfig, json.loads(json.dumps(to_dict(config)))) == config


def test_presets_name_the_published_recipe():
    paper = from_dict(PretrainConfig, PRESETS["paper"])
    assert paper.encoder == EncoderConfig()
    assert (paper.views.mask_fraction, paper.views.student_noise) == (0.3, 0.2)
    assert (paper.lr, paper.batch_tokens, paper.clip) == (3e-4, 64 * 1000, 0.5)
    with pytest.raises(ConfigError, match="lengths: 5 is not between"):
        from_dict(PretrainConfig, {"lengths": [5]})
    with pytest.raises(ConfigError, match="n_cls"):
        from_dict(PretrainConfig, {"encoder": {"n_cls": 0}})


def test_a_damaged_state_is_one_line(pretrain, tmp_path):
    pretrain(tmp_path / "m", "--steps", 4)
    path = tmp_path / "m" / "training.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    moment = next(name for name in tensors if name.endswith(".exp_avg"))
    weight = next(name for name in tensors if name.startswith("model.") and "fc1" in name)
    cases = {
        "do not fit its settings": (tensors | {weight: torch.zeros(3)}, metadata),
        "moments of": (tensors | {moment: torch.zeros(3)}, metadata),
        "not a training state": (tensors, metadata | {"config": "[" * 100_000}),
        "training state: step": (tensors, {k: v for k, v in metadata.items() if k != "step"}),
    }
    for message, (changed, said) in cases.items():
        save_file(changed, path, said)
        error = pretrain(tmp_path / "m", "--steps", 4, "--resume", code=1).stderr
        assert message.split(":")[0] in error
        assert len(error.splitlines()) == 1


def test_damaged_lines_of_metrics_are_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    good = b'{"step": 1, "note": "\xff"}'
    bad = [
        b'{"step": 1',
        b'{"step": 1' + b"0" * 400 + b"}",
        b"[" * 100_000,
        b"[]",
        b"\xff",
        b"7",
        b'{"step": NaN}',
        b'{"step": 3}',
    ]
    path.write_bytes(b"\n".join([good, *bad]))
    with Metrics(path, 2):
        pass
    assert path.read_bytes() == good + b"\n"
