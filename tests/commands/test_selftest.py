"""``findna selftest`` through the command line."""

import json
import shutil

import numpy as np
import pytest
import torch

from findna.commands import selftest
from findna.commands.checks import Check
from findna.model.checkpoint import SHIPPED, load_checkpoint
from findna.model.tolerances import largest, relative
from findna.tasks.task import SHIPPED as SHIPPED_TASKS

NAMES = [
    "weights",
    "known answer",
    "batches",
    "order",
    "threads",
    "strands",
    "precision",
    "devices",
]


@pytest.mark.slow
def test_all_is_well_here(run):
    n_threads = torch.get_num_threads()
    lines = run("selftest", "--device", "cpu").stdout.splitlines()
    assert lines[0].startswith("findna ")
    assert lines[1].startswith("device: ")
    assert [line[8:20].strip() for line in lines[2:]] == NAMES
    assert all(line.startswith("ok ") for line in lines[2:-1])
    assert "(at most 1e-04)" in lines[3]
    assert lines[-1].startswith("- ")
    assert torch.get_num_threads() == n_threads


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu():
    assert all(check.passed for check in selftest.selftest("cuda"))


def test_the_known_answer_belongs_to_the_weights_that_ship():
    known = json.loads((SHIPPED / "tiny" / "known.json").read_text())
    assert known["digest"] == load_checkpoint("tiny").digest
    assert len(known["mean"]) == load_checkpoint("tiny").config.dim
    assert set(known["sequence"]) == set("ACGTNacgt")
    assert len(known["sequence"]) > load_checkpoint("tiny").config.max_length  # so it is tiled


@pytest.mark.slow
def test_another_answer_fails(run, monkeypatch, write):
    known = json.loads((SHIPPED / "tiny" / selftest.KNOWN).read_text())
    known["mean"] = [value * 1.001 for value in known["mean"]]
    monkeypatch.setattr(selftest, "KNOWN", write("other.json", json.dumps(known)))
    monkeypatch.setattr(selftest, "LENGTHS", (1, 17, 301))
    report = json.loads(run("selftest", "--device", "cpu", "--json", code=1).stdout)
    assert report["passed"] is False
    assert {"findna", "torch", "python"} <= set(report["versions"])
    assert [check["name"] for check in report["checks"]] == NAMES
    for check in report["checks"]:
        assert set(check) == {"name", "passed", "message", "measured", "tolerance"}
        failed = check["name"] == "known answer"
        assert check["passed"] is (None if check["name"] == "devices" else not failed)
        if failed:
            assert check["measured"] == pytest.approx(1e-3, rel=0.05)
            assert check["tolerance"] == 1e-4
        elif check["measured"] is not None:
            assert 0 <= check["measured"] <= check["tolerance"]


def test_weights_that_were_changed_end_it(run, monkeypatch, tmp_path):
    tasks = tmp_path / "tasks"
    shutil.copytree(SHIPPED_TASKS, tasks)
    path = tasks / "splice" / "task.json"
    path.write_text(path.read_text().replace('"temperature": ', '"temperature": 1'))
    monkeypatch.setattr(selftest, "SHIPPED_TASKS", tasks)
    lines = run("selftest", code=1).stdout.splitlines()[2:]
    assert len(lines) == 1
    assert lines[0].startswith("FAILED  weights")
    assert "splice: task.json and head.safetensors are not what one run wrote" in lines[0]
    (tasks / "promoter" / "head.safetensors").write_bytes(b"no tensors")
    said = run("selftest", code=1).stdout
    assert "not a readable safetensors file" in said
    assert "install findna again" in said


def test_a_device_that_is_not_there(run):
    assert "cuda:77" in run("selftest", "--device", "cuda:77", code=2).stderr


def test_differences():
    a = np.array([[3.0, 4.0], [0.0, 1.0]])
    assert relative(a, a) == 0
    assert relative(a[0] * 1.1, a[0]) == pytest.approx(0.1)
    assert largest(a + np.array([[0, 0], [0, 1]]), a) == 1
    assert relative(a, np.zeros_like(a)) == float("inf")
    assert not Check.within("x", relative(a * np.nan, a), 1, "").passed
