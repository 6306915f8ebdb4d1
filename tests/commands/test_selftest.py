"""``findna selftest`` through the command line."""

import json
import shutil

import numpy as np
import pytest
import torch

from findna.commands import selftest
from findna.commands.checks import Check, largest, relative
from findna.model.checkpoint import SHIPPED, load_checkpoint
from findna.tasks.task import SHIPPED as SHIPPED_TASKS


def test_all_is_well_here(run):
    lines = run("selftest", "--device", "cpu").stdout.splitlines()
    assert lines[0].startswith("findna ")
    assert lines[1].startswith("device: ")
    names = [line[8:20].strip() for line in lines[2:]]
    assert names == ["weights", "known answer", "batches", "order", "threads", "strands",
                     "precision", "devices"]  # fmt: skip
    assert all(line.startswith("ok ") for line in lines[2:-1])
    assert lines[-1].startswith("- ")


def test_json(run):
    report = json.loads(run("selftest", "--device", "cpu", "--json").stdout)
    assert report["passed"] is True
    assert {"findna", "torch", "python"} <= set(report["versions"])
    for check in report["checks"]:
        assert set(check) == {"name", "passed", "said", "measured", "tolerance"}
        if check["measured"] is not None:
            assert 0 <= check["measured"] <= check["tolerance"]


def test_on_every_device(device):
    checks = list(selftest.selftest(str(device)))
    assert all(check.passed is not False for check in checks)
    assert (checks[-1].passed is None) == (device.type == "cpu")


def test_the_number_of_threads_is_left_as_it_was(run):
    before = torch.get_num_threads()
    run("selftest", "--device", "cpu", "--json")
    assert torch.get_num_threads() == before


def test_the_known_answer_belongs_to_the_weights_that_ship():
    known = json.loads((SHIPPED / "tiny" / "known.json").read_text())
    assert known["digest"] == load_checkpoint("tiny").digest
    assert len(known["mean"]) == load_checkpoint("tiny").config.dim
    assert set(known["sequence"]) == set("ACGTNacgt")
    assert len(known["sequence"]) > load_checkpoint("tiny").config.max_length  # so it is tiled


def test_another_answer_fails(run, monkeypatch):
    right = selftest._vectors
    monkeypatch.setattr(selftest, "_vectors", lambda *a, **b: right(*a, **b) * 1.001)
    lines = run("selftest", "--device", "cpu", code=1).stdout.splitlines()
    failed = [line for line in lines if line.startswith("FAILED")]
    assert [line[8:20].strip() for line in failed] == ["known answer"]
    assert "1.0e-03 (at most 1e-04)" in failed[0]


def test_weights_that_were_changed_end_it(run, monkeypatch, tmp_path):
    tasks = tmp_path / "tasks"
    shutil.copytree(SHIPPED_TASKS, tasks)
    path = tasks / "splice" / "task.json"
    path.write_text(path.read_text().replace('"temperature": ', '"temperature": 1'))
    monkeypatch.setattr(selftest, "SHIPPED_TASKS", tasks)
    lines = run("selftest", code=1).stdout.splitlines()[2:]
    assert len(lines) == 1
    assert lines[0].startswith("FAILED  weights")
    assert "task splice is not what its task.json says" in lines[0]
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
