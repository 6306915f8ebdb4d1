"""`bin/gpu-check`, which measures findna on a machine with a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "bin" / "gpu-check"

pytestmark = pytest.mark.slow


def run(*words):
    return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True)


def test_it_prints_its_tables():
    done = run("--device", "cpu", "--quick")
    assert done.returncode == 0, done.stderr + done.stdout
    for what in ("large matrix product", "gradient of a step", "embed", "predict", "variants"):
        assert f"| {what}" in done.stdout
    assert done.stdout.count("| pretrain, tiny | ") == 2
    assert "failed" not in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so():
    done = run()
    assert done.returncode == 2
    assert not done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert "no CUDA device" in done.stderr
