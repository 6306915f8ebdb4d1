"""``findna selftest`` through the command line."""

import json
import shutil

import numpy as np
import pytest
import torch

import findna
from findna import places
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


def checks_of(result):
    """The lines after the environment, which is section, name and value."""
    return [line for line in result.stdout.splitlines() if "\t" not in line]


@pytest.mark.slow
def test_all_is_well_here(run):
    n_threads = torch.get_num_threads()
    lines = checks_of(run("selftest", "--device", "cpu"))
    assert [line[8:20].strip() for line in lines] == NAMES
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert "(at most 1e-04)" in lines[1]
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
    assert report["device"] == report["compute"]["device"]
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
    path = tasks / "promoter" / "task.json"
    path.write_text(path.read_text().replace('"temperature": ', '"temperature": 1'))
    monkeypatch.setattr(selftest, "SHIPPED_TASKS", tasks)
    lines = checks_of(run("selftest", code=1))
    assert len(lines) == 1
    assert lines[0].startswith("FAILED  weights")
    assert "promoter: task.json and head.safetensors are not what one run wrote" in lines[0]
    (tasks / "promoter" / "head.safetensors").write_bytes(b"no tensors")
    said = run("selftest", code=1).stdout
    assert "not a readable safetensors file" in said
    assert "install findna again" in said


@pytest.fixture
def without_checks(monkeypatch):
    monkeypatch.setattr(selftest, "selftest", lambda device: iter(()))


def test_it_begins_with_the_environment(run, without_checks, tasks, monkeypatch, tmp_path):
    cache, lab = tmp_path / "cache", tmp_path / "lab"
    (cache / "findna" / "digests").mkdir(parents=True)
    (cache / "findna" / "digests" / "a.json").write_bytes(b"x" * 1_250_000)
    shutil.copytree(tasks["binary"], lab / "tasks" / "two")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("FINDNA_PATH", f"{lab}:{tmp_path / 'none'}")
    result = run("selftest", "--device", "cpu")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    sections = {name: [] for name, *_ in rows}
    assert list(sections) == ["versions", "compute", "folders"]
    facts = {name: value for _, name, value in rows}
    assert facts["findna"] == findna.__version__
    assert facts["torch"] == torch.__version__
    assert facts["device"].endswith(" CPU")
    assert facts["CPU vectors"] == torch.backends.cpu.get_cpu_capability()
    assert facts["cache"] == f"{cache / 'findna'} (1.2 MB in 1 file)"
    assert facts["FINDNA_HOME"] == f"{places.home()} (0 models, 0 tasks)"
    assert facts["FINDNA_PATH"] == f"{lab} (0 models, 1 task)"
    assert result.stderr.count("none: No such file or directory; left out") == 1


def test_bf16_units_of_a_torch_that_knows_none(run, without_checks, monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert "compute\tCPU bf16\tAVX512_BF16\n" in run("selftest", "--device", "cpu").stdout
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert "compute\tCPU bf16\tno units for it\n" in run("selftest", "--device", "cpu").stdout


def test_an_extra_that_is_not_installed(run, without_checks, monkeypatch):
    monkeypatch.setattr(selftest, "_PACKAGES", ("torch", "no-such-package"))
    assert "versions\tno-such-package\tnot installed\n" in run("selftest").stdout


def test_a_device_that_is_not_there(run):
    assert "cuda:77" in run("selftest", "--device", "cuda:77", code=2).stderr


def test_differences():
    a = np.array([[3.0, 4.0], [0.0, 1.0]])
    assert relative(a, a) == 0
    assert relative(a[0] * 1.1, a[0]) == pytest.approx(0.1)
    assert largest(a + np.array([[0, 0], [0, 1]]), a) == 1
    assert relative(a, np.zeros_like(a)) == float("inf")
    assert not Check.within("x", relative(a * np.nan, a), 1, "").passed
