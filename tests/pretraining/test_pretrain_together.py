"""``findna pretrain`` in several processes and in several parts; compiled, and with less memory."""

import random
import shutil

import pytest
import torch
from safetensors.torch import load_file

from findna.model.checkpoint import load_checkpoint
from findna.pretraining import distillation
from findna.pretraining.distillation import SelfDistillation
from tests.commands.test_pretrain import LITTLE, metrics, pretrain  # noqa: F401  a fixture
from tests.test_cluster import torchrun
from tests.together import together

STEPS = 8
ALONE = ["--contrast", "none", "--koleo-weight", 0]
"""Windows are not compared with each other."""
PROTOTYPES = ["--contrast", "prototypes", "--centring", "sinkhorn", "--prototypes", 8]


@pytest.fixture
def pretrain_together(example, tmp_path):
    """Pretrain in two processes."""

    def invoke(folder, *options):
        words = ["pretrain", example / "genome.fa", "-o", folder, *LITTLE, *options]
        return together(tmp_path, *words)

    return invoke


def same_run(one, other, tolerance):
    """Weights, optimiser and figures of two runs agree within rounding, `agreement` within a
    few of its 45 windows."""
    a, b = (load_file(folder / "training.safetensors") for folder in (one, other))
    assert a.keys() == b.keys()
    for name in a:
        if not name.endswith((".exp_avg", ".exp_avg_sq")):
            torch.testing.assert_close(a[name], b[name], rtol=tolerance, atol=tolerance, msg=name)
    for x, y in zip(metrics(one), metrics(other), strict=True):
        assert x.pop("agreement", 0) == pytest.approx(y.pop("agreement", 0), abs=0.05)
        assert x == pytest.approx(y, rel=1e-2, abs=1e-4)


def same_bytes(one, other):
    for name in ("model.safetensors", "training.safetensors"):
        a, b = (load_file(folder / name) for folder in (one, other))
        assert a.keys() == b.keys()
        for key in a:
            assert torch.equal(a[key], b[key]), key
    assert metrics(one) == metrics(other)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "more", "tolerance"),
    [
        ("paper", [], 1e-4),
        ("findna", ["--optimizer", "adamw"], 1e-4),
        ("findna", [*PROTOTYPES, "--optimizer", "adamw"], 1e-4),
        ("findna", [], 5e-3),  # the iterations of Muon, in bfloat16, enlarge what is rounding
    ],
)
def test_two_processes_train_as_one(
    pretrain,  # noqa: F811
    pretrain_together,
    tmp_path,
    preset,
    more,
    tolerance,
):
    options = ["--preset", preset, *more, "--n-cls", 2, "--steps", STEPS, "--batch-tokens", 900]
    options += ["--lr", 1e-3]  # 9 windows of 100 bp: 4 and 5
    pretrain(tmp_path / "one", *options)
    done = pretrain_together(tmp_path / "two", *options)
    assert done.codes == [0, 0], done.stderr
    assert done.stderr.count("wrote") == 1
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(
        p.name for p in (tmp_path / "one").iterdir()
    )
    same_run(tmp_path / "one", tmp_path / "two", tolerance)


@pytest.mark.slow
def test_resumed_by_another_number_of_processes(
    pretrain,  # noqa: F811
    pretrain_together,
    tmp_path,
    monkeypatch,
):
    options = ["--optimizer", "adamw", "--steps", STEPS, "--lr", 1e-3, "--accumulate", 2]
    pretrain(tmp_path / "whole", *options)

    def stop(self, momentum):
        stop.calls += 1
        if stop.calls == 6:
            raise KeyboardInterrupt

    stop.calls = 0
    ordinary = SelfDistillation.update_teacher
    monkeypatch.setattr(SelfDistillation, "update_teacher", lambda *a: (stop(*a), ordinary(*a)))
    pretrain(tmp_path / "parts", *options, code=130)
    monkeypatch.undo()
    done = pretrain_together(tmp_path / "parts", *options, "--resume")
    assert done.codes == [0, 0], done.stderr
    same_run(tmp_path / "whole", tmp_path / "parts", 1e-4)
    pretrain(tmp_path / "parts", *options, "--resume")  # by one, of what two have finished
    assert (
        "other settings for lr"
        in pretrain_together(tmp_path / "parts", *options, "--lr", 1, "--resume").stderr
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--mask-fraction", 0], 2, "nothing would be learned"),  # by each
        (["--batch-tokens", 200, *ALONE, "--accumulate", 2], 2, "of 2 processes"),
        (["--lr", 1e10, "--clip", 1e9, "--steps", 40], 3, "training"),
    ],
)
def test_an_error_is_said_once(pretrain_together, tmp_path, options, code, message):
    done = pretrain_together(tmp_path / "m", *options, "-q")  # a slow run shows its progress
    assert done.codes == [code, code]
    lines = [line for line in done.stderr.splitlines() if line.startswith("findna: ")]
    assert len(lines) == 1, done.stderr
    assert message in lines[0]
    assert "Traceback" not in done.stderr
    assert not list((tmp_path).glob("m/.*"))


@pytest.mark.slow
def test_an_error_that_the_first_process_notices_ends_a_torchrun_job(example, tmp_path):
    options = ["pretrain", example / "genome.fa", "-o", tmp_path / "m", *LITTLE]
    done = torchrun(*options, "--holdout", "A")
    assert done.returncode == 1  # torchrun's own
    lines = [line for line in done.stderr.splitlines() if line.startswith("findna: ")]
    assert len(lines) == 1, done.stderr
    assert "did you mean chrA" in lines[0]
    assert "exitcode  : 1 " in done.stderr
    assert done.stderr.count("Traceback") == 1  # torchrun's own
    assert not list((tmp_path).glob("m/.*"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_resumed_wherever_it_was_interrupted(pretrain, tmp_path, monkeypatch, seed):  # noqa: F811
    options = ["--steps", 12, "--accumulate", 3, "--checkpoint-every", 3, "--batch-tokens", 900]
    pretrain(tmp_path / "whole", *options)
    where = random.Random(seed)
    left = [0]
    names = ("views", "forward", "update_teacher")
    ordinary = {name: getattr(SelfDistillation, name) for name in names}

    def interrupted(name):
        def call(*arguments):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return ordinary[name](*arguments)

        return call

    for name in names:
        monkeypatch.setattr(SelfDistillation, name, interrupted(name))
    for _ in range(3):
        left[0] = where.randrange(1, 16)  # of 60 calls
        pretrain(tmp_path / "parts", *options, "--resume", code=130)
    monkeypatch.undo()
    pretrain(tmp_path / "parts", *options, "--resume")
    same_bytes(tmp_path / "whole", tmp_path / "parts")


def test_parts_without_comparison_are_the_whole(pretrain, tmp_path):  # noqa: F811
    options = [*ALONE, "--optimizer", "adamw", "--steps", STEPS, "--lr", 1e-3]
    pretrain(tmp_path / "one", *options)
    pretrain(tmp_path / "three", *options, "--accumulate", 3)
    one, three = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "three"))
    for name in one:
        torch.testing.assert_close(one[name], three[name], rtol=1e-4, atol=1e-4, msg=name)


def test_less_memory_gives_the_same_weights(pretrain, tmp_path):  # noqa: F811
    pretrain(tmp_path / "m", "--steps", 4)
    pretrain(tmp_path / "less", "--steps", 4, "--recompute")
    a, b = (load_checkpoint(str(tmp_path / name)) for name in ("m", "less"))
    assert a.digest == b.digest
    pretrain(tmp_path / "less", "--steps", 4, "--no-recompute", "--resume")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, of its compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler is installed")
def test_compiled(pretrain, tmp_path):  # noqa: F811
    options = ["--optimizer", "adamw", "--steps", 2, "--lr", 1e-3]
    pretrain(tmp_path / "m", *options)
    said = pretrain(tmp_path / "compiled", *options, "--compile").stderr
    assert "working compiler" not in said
    same_run(tmp_path / "m", tmp_path / "compiled", 1e-4)


def test_without_a_compiler(pretrain, tmp_path, monkeypatch):  # noqa: F811
    def missing(_):
        raise RuntimeError("no gcc\nlong story")

    monkeypatch.setattr(distillation.torch, "compile", missing)
    said = pretrain(tmp_path / "m", "--steps", 2, "--compile").stderr
    assert said.count("no working compiler: no gcc\n") == 1
    assert load_checkpoint(str(tmp_path / "m")).training["steps_done"] == 2


def test_windows_of_8_kb(pretrain, tmp_path):  # noqa: F811
    pretrain(
        tmp_path / "m",
        "--lengths",
        8000,
        "--lengths",
        64,
        "--max-length",
        8000,
        "--batch-tokens",
        16_000,
        "--steps",
        2,
        "--recompute",
    )
    assert load_checkpoint(str(tmp_path / "m")).config.max_length == 8000
