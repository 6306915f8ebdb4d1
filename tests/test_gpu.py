"""CUDA without a GPU: commands on a pretended one (`tests.pretended`)."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from findna.model.tolerances import BF16, OTHER_MACHINE
from tests.pretended.check import COMMANDS
from tests.pretended.load import build

REPOSITORY = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("g++") is None, reason="needs Linux and g++"
    ),
    pytest.mark.skipif(torch.version.cuda is not None, reason="needs a CPU build of torch"),
    pytest.mark.skipif(
        torch.__version__.split(".")[:2] != ["2", "13"], reason="made for the insides of torch 2.13"
    ),
]

WEIGHTS_MOVE = {
    "model.checkpoint.digest_of",
    "model.folders.save_tensors",
    "model.inference.read_batches",
    "pretraining.loop.export",
    "pretraining.state.start",
    "tasks.resuming.finish",
    "tasks.task.task_digest",
}
RESULTS_LEAVE = {
    "model.pooling._add",
    "model.pooling._moments",
    "model.pooling._span_sums",
    "tasks.probe.logits",
    "tasks.sites.site_logits",
    "model.inference._log_probabilities",
}
ONCE_OR_AN_EPOCH = {
    "pretraining.corpus.draw",  # of the held-out windows; those of a step are drawn on the CPU
    "pretraining.corpus.to",
    "pretraining.loop.pretrain",  # a line of metrics.jsonl
    "tasks.full.fine_tune",
    "tasks.resuming.<dictcomp>",  # of `add`, as Python 3.12 calls it: weights of the best epoch
    "tasks.resuming.add",
    "tasks.site_training.train_sites",
}
MEANT = WEIGHTS_MOVE | RESULTS_LEAVE | ONCE_OR_AN_EPOCH
"""Places in which the host may wait for the GPU; so may all of `findna.pretraining.heldout`."""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretended")
    library = folder / "cuda.so"
    build(library)
    (folder / "files").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.pretended.check", str(library), str(folder / "files")],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", COMMANDS)
def test_it_runs_and_gives_what_the_cpu_gives(report, name):
    found = report[name]
    assert not found["problem"], found["problem"]
    if name != "selftest":  # which compares by itself
        assert found["n"] > 10
        assert found["difference"] < (BF16 if "bf16" in name else OTHER_MACHINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_host_waits_only_where_it_is_meant_to(report, name):
    waits = report[name]["waits"]
    places = {place for place in waits if not place.startswith("pretraining.heldout.")}
    assert places <= MEANT
    if not name.startswith("dense"):  # some of whose weights are there already
        # only weights are waited for, not batches
        assert waits.get("model.inference.read_batches", 0) % report["weights"] == 0


@pytest.mark.parametrize("name", ["finetune", "dense", "pretrain"])
def test_a_training_step_waits_for_nothing(report, name):
    assert report[f"{name}-more-steps"]["waits"] == report[name]["waits"]


def test_results_leave_once_a_batch(report):
    for name in ("embed", "embed-per-base", "predict", "variants", "explain", "explain-model"):
        waits = report[name]["waits"]
        assert sum(waits.get(place, 0) for place in RESULTS_LEAVE) <= 5, name


def test_a_batch_is_read_while_the_one_before_is_computed(report):
    assert report["order"] == [
        "read",
        "compute",
        "read",
        "use",
        "compute",
        "read",
        "use",
        "compute",
        "use",
    ]


def test_mistakes_are_noticed(report):
    found = report["caught"]
    assert "mixes" in found.pop("mixed")
    assert found.pop("none") == "0 waits"
    assert all(waits == "1 waits" for waits in found.values()), found
