"""``--summary FILE`` of every command that has it, of runs that end well and of others."""

import json
from pathlib import Path

import click
import pytest

import findna
from findna.cli import COMMANDS, main
from findna.model.checkpoint import load_checkpoint
from findna.tasks.task import load_task
from tests.conftest import random_sequence
from tests.test_cluster import torchrun

FIELDS = [
    "format", "findna_version", "command", "command_line", "exit_status", "error", "seconds",
    "inputs", "outputs", "rows", "statuses", "counts", "weights", "contigs", "device", "precision",
]  # fmt: skip
WITH_SUMMARY = {
    "embed", "search", "predict", "scan", "variants", "explain", "merge", "validate", "verify",
    "finetune", "evaluate", "pretrain",
}  # fmt: skip


@pytest.fixture
def summary(run, tmp_path):
    """Run a command with ``--summary``; return what it holds."""

    def invoke(*words, code=0):
        path = tmp_path / "summary.json"
        path.unlink(missing_ok=True)
        run(*words, "--summary", path, code=code)
        found = json.loads(path.read_text(), parse_constant=pytest.fail)
        assert list(found)[: len(FIELDS)] == FIELDS
        assert found["format"] == "findna summary 1"
        assert found["findna_version"] == findna.__version__
        assert found["command"] == words[0]
        assert found["command_line"].startswith(f"findna {words[0]} ")
        assert found["exit_status"] == code
        assert found["seconds"] >= 0
        assert not list(tmp_path.glob(".*.tmp"))
        return found

    return invoke


def paths(files):
    return {file["name"]: file["path"] for file in files}


@pytest.fixture
def mixed(write):
    """Four rows, of which one is read, two are on no contig and one ends past its contig."""
    return write("mixed.bed", "chrA\t0\t50\nchrX\t0\t50\nchrX\t1\t50\nchrA\t0\t99999999\n")


def test_every_command_with_a_summary_line_has_it():
    context = click.Context(main)
    commands = {name: main.get_command(context, name) for name in COMMANDS}
    found = {name for name, one in commands.items() if "summary" in {p.name for p in one.params}}
    assert found == WITH_SUMMARY


def test_embed(summary, example, model_folder, mixed, tmp_path):
    genome, out = example / "genome.fa", tmp_path / "o.h5"
    found = summary("embed", genome, mixed, "-m", model_folder, "-o", out, "--on-error", "null")
    assert paths(found["inputs"]) == {"genome": str(genome), "regions": str(mixed)}
    assert paths(found["outputs"]) == {"output": str(out)}
    assert found["rows"] == {"in": 4, "out": 4}
    assert found["statuses"] == {"ok": 1, "unknown_contig": 2, "out_of_bounds": 1}
    digest = load_checkpoint(str(model_folder)).digest
    assert found["weights"] == {"model little": digest}
    assert list(found["contigs"]) == ["chrA"]
    assert len(found["contigs"]["chrA"]) == 32
    assert found["device"].endswith(" CPU")
    assert found["precision"] == "fp32"
    words = ["-m", model_folder, "-o", out, "-f", "--on-error", "skip", "--precision", "bf16"]
    found = summary("embed", genome, mixed, *words)
    assert found["rows"] == {"in": 4, "out": 1}
    assert found["precision"] == "bf16"


def test_predict(summary, example, tasks, mixed, tmp_path):
    words = ["predict", example / "genome.fa", mixed, "-t", tasks["binary"], "-t", tasks["three"]]
    found = summary(*words, "--on-error", "null", "-o", tmp_path / "o.bed")
    assert found["rows"] == {"in": 4, "out": 4}
    assert found["statuses"] == {"ok": 1, "unknown_contig": 2, "out_of_bounds": 1}
    digests = {f"task {name}": load_task(str(tasks[name])).digest for name in ("binary", "three")}
    assert found["weights"] == digests
    assert found["outputs"] == [{"name": "output", "path": str(tmp_path / "o.bed")}]
    found = summary(*words, "--on-error", "null", "--min-prob", 0)
    assert found["rows"] == {"in": 4, "out": 1}
    assert found["outputs"] == []  # standard output


def test_a_run_that_fails_says_why(summary, example, model_folder, mixed, tmp_path):
    words = ["embed", example / "genome.fa", mixed, "-m", model_folder, "-o", tmp_path / "o.h5"]
    found = summary(*words, code=1)
    assert found["error"].startswith(f"{mixed}: 3 of 4 regions cannot be read")
    assert found["rows"] is None
    found = summary(*words, "--pool", "cls", "-O", "tsv", "--per-base", code=2)
    assert "--per-base needs HDF5" in found["error"]
    found = summary("embed", tmp_path / "none.fa", "-o", tmp_path / "o.h5", code=1)
    assert found["error"].endswith("no such file; give a FASTA file")


def test_a_run_that_is_interrupted(summary, example, model_folder, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("findna.commands.embed.region_vectors", interrupt)
    words = ["embed", example / "genome.fa", "-m", model_folder, "-o", tmp_path / "o.h5"]
    assert summary(*words, "--whole", code=130)["error"] == "interrupted"


def test_scan(summary, example, tasks, site_task):
    words = ["scan", example / "genome.fa", "-r", "chrA:1-200"]
    found = summary(*words, "-t", tasks["binary"], "--window", 50, "--step", 50)
    assert found["counts"] == {"bases": 200, "windows": 4, "covered": 200}
    assert found["weights"] == {"task binary": load_task(str(tasks["binary"])).digest}
    assert found["rows"] is None
    found = summary(*words, "-t", site_task, "--call", 0.1)
    assert set(found["counts"]) == {"bases", "covered", "sites"}


def test_variants(summary, example, model_folder, tasks, tmp_path):
    lines = (example / "variants.vcf").read_text().splitlines()
    records = [line for line in lines if not line.startswith("#")]
    symbolic = "\t".join([*records[-1].split("\t")[:4], "<DEL>", ".", ".", "."])
    calls = tmp_path / "calls.vcf"
    calls.write_text("\n".join([*lines, symbolic, ""]))
    words = [calls, "-m", model_folder, "-t", tasks["binary"], "--window", 60]
    found = summary("variants", example / "genome.fa", *words, "-o", tmp_path / "o.vcf")
    assert found["rows"] == {"in": len(records) + 1, "out": len(records) + 1}
    assert found["statuses"]["symbolic"] == 1
    assert found["counts"]["scored"] == sum(found["statuses"].values()) - 1
    assert found["weights"].keys() == {"model little", "task binary"}


def test_explain(summary, example, tasks, mixed, tmp_path):
    words = ["explain", example / "genome.fa", mixed, "-t", tasks["binary"]]
    outputs = ["-o", tmp_path / "o.h5", "--track", tmp_path / "o.bedgraph"]
    found = summary(*words, *outputs, "--on-error", "null")
    assert found["rows"] == {"in": 4, "out": 4}
    assert found["statuses"] == {"ok": 1, "unknown_contig": 2, "out_of_bounds": 1}
    assert found["counts"] == {"mutants": 150}
    assert list(paths(found["outputs"])) == ["output", "track"]
    assert summary(*words, "--on-error", "skip")["rows"] == {"in": 4, "out": 1}


def test_shards_and_merge(summary, example, model_folder, tmp_path):
    words = [example / "genome.fa", example / "regions.bed", "-m", model_folder, "-O", "tsv"]
    parts, digests, total = [tmp_path / f"{i}.tsv" for i in (1, 2)], [], 0
    for i, part in enumerate(parts, 1):
        found = summary("embed", *words, "--shard", f"{i}/2", "-o", part)
        digests.append(found["outputs"][0]["sha256"])
        total += found["rows"]["out"]
    found = summary("merge", *parts[::-1], "-o", tmp_path / "o.tsv")
    assert [file["sha256"] for file in found["inputs"]] == digests
    assert found["rows"] == {"in": total, "out": total}
    parts[0].write_text("changed")
    found = summary("merge", *parts, "-o", tmp_path / "p.tsv", code=1)
    assert "is not what the run wrote" in found["error"]


def test_validate(summary, example, mixed):
    found = summary("validate", example / "genome.fa", mixed, "--no-estimate", code=1)
    assert found["rows"] == {"in": 4, "out": None}
    assert found["statuses"] == {"ok": 1, "unknown_contig": 2, "out_of_bounds": 1}
    assert found["verdict"].startswith("a run would stop")
    assert found["error"] is None


def test_verify(run, summary, example, model_folder, tmp_path):
    genome, out = example / "genome.fa", tmp_path / "o.h5"
    run("embed", genome, "-m", model_folder, "-o", out, "-r", "chrA:1-60")
    found = summary("verify", out, genome, "-m", model_folder)
    assert found["statuses"] == {"passed": 4}
    other = tmp_path / "other.fa"
    other.write_text(f">chrA\n{random_sequence(100)}\n")
    found = summary("verify", out, other, "-m", model_folder, code=1)
    assert found["statuses"]["failed"] > 0
    assert found["checks"][0]["name"] == "structure"


@pytest.fixture
def labelled(write):
    rows = "".join(f"{random_sequence(60, i)},{i % 2}\n" for i in range(60))
    return write("labelled.csv", f"sequence,label\n{rows}")


def test_finetune(summary, labelled, model_folder, tmp_path):
    out = tmp_path / "mine"
    words = ["-t", "mine", "--train", labelled, "-m", model_folder, "--no-kmers", "-o", out]
    found = summary("finetune", *words)
    assert paths(found["inputs"]) == {"train": str(labelled)}
    assert paths(found["outputs"]) == {"output": str(out)}
    assert found["weights"] == {"task mine": load_task(str(out)).digest}
    assert found["data"]["train"]["rows"] == 48
    assert 0 <= found["metrics"]["valid"]["auroc"] <= 1
    assert summary("finetune", *words, code=1)["error"].endswith("into it all the same")


def test_evaluate(summary, labelled, model_folder, tmp_path):
    one = tmp_path / "sets" / "one"
    one.mkdir(parents=True)
    for name in ("train", "test"):
        (one / f"{name}.csv").write_text(labelled.read_text())
    words = ["--suite", "folder", "--data", one.parent, "-m", model_folder, "--cache", "none"]
    found = summary("evaluate", *words, "--seeds", 1, "--baseline", "none", "--no-kmers")
    assert found["counts"] == {"sets": 1, "not_measured": 0}
    assert found["weights"] == {"model little": load_checkpoint(str(model_folder)).digest}
    assert paths(found["inputs"]) == {"data": str(one.parent)}


def test_pretrain(summary, example, tmp_path):
    out = tmp_path / "model"
    little = "--dim 8 --track-size 2 --hidden 8 --n-blocks 1 --layers-per-block 3 --lengths 32"
    words = f"{little} --max-length 32 --batch-tokens 400 --steps 2 -@ 1".split()
    found = summary("pretrain", example / "genome.fa", "-o", out, *words)
    assert found["weights"] == {"model model": load_checkpoint(str(out)).digest}
    assert found["counts"] == {"steps_done": 2, "tokens_seen": 800}
    assert found["data"][0]["file"] == "genome.fa"
    assert found["precision"] in ("fp32", "bf16")
    assert found["device"].endswith(" CPU")


def test_what_a_summary_may_replace(run, example, mixed, tmp_path):
    words = ["validate", example / "genome.fa", mixed, "--no-estimate", "--summary"]
    path = tmp_path / "s.json"
    path.write_text("mine")
    assert f"{path}: exists; --force overwrites it" in run(*words, path, code=1).stderr
    assert path.read_text() == "mine"
    path.unlink()
    for _ in range(2):  # that of an earlier run is replaced
        assert "exists" not in run(*words, path, code=1).stderr
    assert "needs a file" in run(*words, "-", code=2).stderr
    assert "is also an input or output" in run(*words, mixed, code=2).stderr
    assert "there is no folder" in run(*words, tmp_path / "none" / "s.json", code=1).stderr
    out = tmp_path / "o.h5"
    twice = ["embed", example / "genome.fa", "-o", out, "--summary", out]
    assert "is also an input or output" in run(*twice, code=2).stderr


@pytest.mark.slow
def test_the_first_process_of_a_job_writes_it(example, model_folder, tmp_path):
    regions, path = example / "regions.bed", tmp_path / "s.json"
    words = ["embed", example / "genome.fa", regions, "-m", model_folder, "-o", tmp_path / "o.h5"]
    done = torchrun(*words, "--summary", path)
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    n = len(Path(regions).read_text().splitlines())
    assert found["rows"] == {"in": n, "out": n}
    assert found["exit_status"] == 0
