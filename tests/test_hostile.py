"""Files and names that were made to do harm: refused, on one line, with nothing left behind."""

import ast
import json
import os
import pickle
import shutil
import struct
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import findna
from findna.errors import LONGEST_MESSAGE, CheckpointError, FindnaError
from findna.labelled.sets import read_labelled
from findna.outputs.shards import note_path
from findna.tasks.task import load_task
from findna.variants.header import definitions

PACKAGE = Path(findna.__file__).parent


def refused(result):
    assert result.stderr.startswith("findna: ")
    assert len(result.stderr.splitlines()) == 1
    assert len(result.stderr) < LONGEST_MESSAGE + 100
    return result.stderr


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


WEIGHTS = {
    "a size beyond the file": struct.pack("<Q", 2**40) + b"{}",
    "a size beyond any number": b"\xff" * 8 + b"{}",
    "no header": b"",
    "not JSON": safetensors(b"\xff\xfe"),
    "deep JSON": safetensors(b"[" * 100_000),
    "offsets beyond the file": safetensors(
        {"a": {"dtype": "F32", "shape": [2**30], "data_offsets": [0, 2**32]}}
    ),
    "offsets the wrong way round": safetensors(
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"0" * 8
    ),
    "a shape that overflows": safetensors(
        {"a": {"dtype": "F32", "shape": [2**32, 2**32], "data_offsets": [0, 4]}}, b"0000"
    ),
    "an unknown type": safetensors(
        {"a": {"dtype": "OBJECT", "shape": [1], "data_offsets": [0, 4]}}, b"0000"
    ),
    "a path for a name": safetensors(
        {"../../a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"0000"
    ),
    "a name of a megabyte": safetensors(
        {"x" * 2**20: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"0000"
    ),
}


@pytest.mark.parametrize("case", WEIGHTS)
@pytest.mark.parametrize("kind", ["model", "task"])
def test_weights(run, model_folder, tasks, example, tmp_path, kind, case):
    folder = shutil.copytree({"model": model_folder, "task": tasks["binary"]}[kind], tmp_path / "m")
    name = {"model": "model.safetensors", "task": "head.safetensors"}[kind]
    (folder / name).write_bytes(WEIGHTS[case])
    out = tmp_path / "out"
    inputs = [example / "genome.fa", example / "regions.bed", "-o", out]
    words = ["embed", "-m", folder] if kind == "model" else ["predict", "-t", folder]
    assert str(folder / name) in refused(run(*words, *inputs, code=1))
    assert not out.exists()


ENCODER = {"dim": 24, "track_size": 4, "hidden": 32, "n_blocks": 2, "layers_per_block": 5}
SIZES = [
    {"dim": 2**62, "track_size": 2**61}, {"dim": -24}, {"dim": 0}, {"track_size": 0},
    {"hidden": 1e300}, {"hidden": None}, {"n_blocks": []}, {"n_blocks": 1024,
    "layers_per_block": 64}, {"max_length": -1}, {"norm": "../x"}, {"norm": ["layer"]},
    {"n_cls": 10**400}, {"readout": 99}, {"__class__": "x"},
]  # fmt: skip


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_sizes_out_of_range(run, model_folder, tmp_path, sizes):
    folder = shutil.copytree(model_folder, tmp_path / "m")
    values = json.loads((folder / "config.json").read_text())
    values["encoder"] = ENCODER | sizes
    (folder / "config.json").write_text(json.dumps(values))
    assert "config.json" in refused(run("models", "info", folder, code=1))


TASKS = [
    {"kind": "x"}, {"mode": None}, {"classes": []}, {"classes": ["a"] * 20_000},
    {"classes": ["a,b", "c"]}, {"classes": ["a\nb", "c"]}, {"classes": "ab"}, {"window": -1},
    {"window": 2**31}, {"temperature": 0}, {"temperature": float("nan")}, {"temperature": 10**400},
    {"temperature": float("inf")}, {"features": {"pools": ["cls"]}}, {"features": {"k": 40}},
    {"features": {"bins": -1}}, {"features": None}, {"encoder": 5}, {"encoder_digest": {}},
]  # fmt: skip


@pytest.mark.parametrize("changes", TASKS, ids=lambda changes: str(changes)[:40])
def test_task_values_out_of_range(run, tasks, tmp_path, changes):
    folder = shutil.copytree(tasks["binary"], tmp_path / "t")
    values = json.loads((folder / "task.json").read_text())
    values["task"] |= changes
    (folder / "task.json").write_text(json.dumps(values))
    assert "task.json" in refused(run("tasks", "info", folder, code=1))


@pytest.mark.parametrize(
    "encoder", ["../../etc", "/dev", "/dev/zero", "a\0b", "x" * 5_000, "", "..", "tiny/../tiny"]
)
def test_a_task_that_names_another_file_as_its_encoder(run, tasks, example, tmp_path, encoder):
    folder = shutil.copytree(tasks["binary"], tmp_path / "t")
    values = json.loads((folder / "task.json").read_text())
    values["task"]["encoder"] = encoder
    (folder / "task.json").write_text(json.dumps(values))
    out = tmp_path / "out"
    refused(run("predict", example / "genome.fa", example / "regions.bed", "-t", folder, "-o", out,
                code=1))  # fmt: skip
    assert not out.exists()


@pytest.mark.parametrize(
    "metrics", [None, [], 5, "x", {"test": 5}, {"test": {"auroc": "x"}}, {"valid": {"r2": []}}]
)
def test_a_list_of_tasks_with_one_of_another_make(run, tasks, monkeypatch, tmp_path, metrics):
    home = tmp_path / "home"
    folder = shutil.copytree(tasks["binary"], home / "tasks" / "odd")
    values = json.loads((folder / "task.json").read_text()) | {"metrics": metrics, "digest": {}}
    (folder / "task.json").write_text(json.dumps(values))
    monkeypatch.setenv("FINDNA_HOME", str(home))
    assert "odd" in run("tasks", "list").output


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/../evil"])
def test_names_that_are_paths(run, example, tmp_path, monkeypatch, name):
    """A task or model is looked for under its name, or at its path; a path is not a name."""
    monkeypatch.setenv("FINDNA_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "tasks").mkdir(parents=True)
    inputs = [example / "genome.fa", example / "regions.bed", "-o", tmp_path / "out"]
    assert "no task" in refused(run("predict", *inputs, "-t", name, code=1))
    assert "no model" in refused(run("embed", *inputs, "-m", name, code=1))


def test_contig_names_that_are_paths(run, write, model_folder, tmp_path):
    """Names from a FASTA go into columns, never into the name of a file."""
    fasta = write("g.fa", b">../../evil\nACGTACGTAC\n>/etc/passwd\nACGTAC\n")
    run("embed", fasta, "-m", model_folder, "-o", tmp_path / "o.h5")
    with h5py.File(tmp_path / "o.h5") as file:
        assert file["obs/chrom/categories"].asstr()[:].tolist() == ["../../evil", "/etc/passwd"]
    assert not (tmp_path.parent.parent / "evil").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"g.fa", "g.fa.fai", "o.h5"}


def test_outputs_that_are_links(run, example, model_folder, tmp_path):
    inputs = ["embed", example / "genome.fa", example / "regions.bed", "-m", model_folder]
    precious = tmp_path / "precious"
    precious.write_text("kept")
    link = tmp_path / "link.h5"
    link.symlink_to(precious)
    assert "--force" in refused(run(*inputs, "-o", link, code=1))
    assert precious.read_text() == "kept"
    (tmp_path / "loop.h5").symlink_to(tmp_path / "loop.h5")
    refused(run(*inputs, "-o", tmp_path / "loop.h5", code=1))
    (tmp_path / "away.h5").symlink_to(tmp_path / "none" / "x.h5")
    refused(run(*inputs, "-o", tmp_path / "away.h5", code=1))
    (tmp_path / "folder.h5").symlink_to(tmp_path)
    refused(run(*inputs, "-o", tmp_path / "folder.h5", "--force", code=1))
    bed = tmp_path / "regions.bed"
    shutil.copy(example / "regions.bed", bed)
    (tmp_path / "input.h5").symlink_to(bed)
    inputs[2] = bed
    assert "also an input" in refused(run(*inputs, "-o", tmp_path / "input.h5", "--force", code=1))
    assert bed.read_bytes() == (example / "regions.bed").read_bytes()


@pytest.mark.parametrize("option", ["--chrom-alias", "-R"])
def test_no_output_replaces_an_input_of_an_option(run, example, model_folder, tmp_path, option):
    path = tmp_path / "mine"
    path.write_text("20\tchr20part\n")
    words = ["variants", example / "genome.fa", example / "variants.vcf", "-m", model_folder]
    found = refused(run(*words, option, path, "-o", path, "--force", code=1))
    assert f"{path}: is also an input; name another file" in found
    assert path.read_text() == "20\tchr20part\n"


def test_merge_replaces_no_note(run, example, model_folder, tmp_path):
    words = ["embed", example / "genome.fa", example / "regions.bed", "-m", model_folder]
    parts = [tmp_path / f"{i}.h5" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        run(*words, "--shard", f"{i}/2", "-o", part)
    note = note_path(parts[0])
    kept = note.read_bytes()
    assert "is also an input" in refused(run("merge", *parts, "-f", "-o", note, code=1))
    assert note.read_bytes() == kept


def test_hdf5_in_the_place_of_an_input(run, example, model_folder, tasks, tmp_path):
    """No command reads HDF5; one with odd shapes is a file that is not text."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["X"] = np.zeros((3, 2))
        file["obs/start"] = np.zeros(7)
    out, fasta = tmp_path / "out", example / "genome.fa"
    refused(run("embed", fasta, path, "-m", model_folder, "-o", out, code=1))
    refused(run("embed", path, "-m", model_folder, "-o", out, code=1))
    refused(run("predict", fasta, path, "-t", tasks["binary"], "-o", out, code=1))
    refused(run("variants", fasta, path, "-m", model_folder, "-o", out, code=1))
    refused(run("embed", fasta, example / "regions.bed", "-m", path, "-o", out, code=1))
    refused(run("models", "import", path, "-o", out, code=1))
    assert not out.exists()


def test_messages_are_one_short_line():
    error = str(FindnaError("a\nb\r" + "x" * 10**6))
    assert error.startswith("a b xxx")
    assert len(error) < LONGEST_MESSAGE + 10


# No code path unpickles, but for `models import`, which takes tensors alone.

PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


@pytest.mark.slow
def test_nothing_in_the_package_can_unpickle():
    found = []
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found += [(name, a.name) for a in node.names if a.name.split(".")[0] in PICKLES]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PICKLES:
                found.append((name, node.module))
            elif isinstance(node, ast.Call):
                call = ast.unparse(node.func)
                options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                if "allow_pickle" in options:
                    found.append((name, call, "allow_pickle"))
                if call in ("torch.load", "torch.jit.load", "torch.hub.load"):
                    found.append((name, call, options.get("weights_only")))
                if call in (
                    "np.load",
                    "numpy.load",
                    "eval",
                    "exec",
                    "pd.read_pickle",
                    "__import__",
                ):
                    found.append((name, call))
                if call.startswith("yaml.") and call.endswith("load") and call != "yaml.safe_load":
                    found.append((name, call))
    assert found == [("model/published.py", "torch.load", "True")]


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


_unpickled: list[object] = []


def _watch(event, arguments):
    if event == "pickle.find_class":  # of every unpickler there is, in C and in Python
        _unpickled.append(arguments)


sys.addaudithook(_watch)  # it cannot be taken away again, and does no harm


@pytest.fixture
def watched(monkeypatch):
    """What was unpickled so far, and how often torch.load was called."""

    def load(*arguments, **options):
        _unpickled.append(arguments)
        raise AssertionError("torch.load")

    monkeypatch.setattr(torch, "load", load)
    _unpickled.clear()
    return _unpickled


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_in_a_folder_is_never_opened(
    run, watched, model_folder, tasks, example, tmp_path, protocol
):
    harm = tmp_path / "harm"
    data = pickle.dumps(Payload(harm), protocol)
    inputs = [example / "genome.fa", example / "regions.bed"]
    for source, command in ((model_folder, ["embed", "-m"]), (tasks["binary"], ["predict", "-t"])):
        for path in source.iterdir():
            folder = tmp_path / f"{source.name}-{path.name}"
            shutil.copytree(source, folder)
            (folder / path.name).write_bytes(data)
            code = 0 if path.suffix == ".md" else 1  # nothing reads the card here
            result = run(*command, folder, *inputs, "-o", tmp_path / "out", "-f", code=code)
            if code:
                refused(result)
    for name in ("a.bed", "a.fa", "a.vcf", "a.csv", "a.yaml"):
        (tmp_path / name).write_bytes(data)
    fasta = example / "genome.fa"
    out = tmp_path / "out2"
    refused(run("embed", fasta, tmp_path / "a.bed", "-m", model_folder, "-o", out, code=1))
    refused(run("embed", tmp_path / "a.fa", "-m", model_folder, "-o", out, code=1))
    refused(run("variants", fasta, tmp_path / "a.vcf", "-m", model_folder, "-o", out, code=1))
    refused(run("finetune", "--train", tmp_path / "a.csv", "--task", "t", "-o", out, code=1))
    assert not harm.exists()
    assert not watched


def test_import_takes_tensors_alone(run, tmp_path):
    harm = tmp_path / "harm"
    torch.save({"Teacher": Payload(harm)}, tmp_path / "m.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Payload(harm)))
    for name in ("m.pt", "raw.pt"):
        said = refused(run("models", "import", tmp_path / name, "-o", tmp_path / "m", code=1))
        assert "does not hold plain tensors" in said
    assert not harm.exists()
    _unpickled.clear()
    pickle.loads(pickle.dumps(Payload(harm)))  # noqa: S301  the payload would have worked
    assert harm.is_dir()
    assert _unpickled  # and would have been seen


LONG = 1_000_000
DEFINITIONS = {
    "spaces": "ID=X," + " " * LONG,
    "letters": "ID=X," + "a" * LONG,
    "quoted": 'ID=X,Description="' + "," * LONG + '"',
    "an open quote": 'ID=X,Description="' + "," * LONG,
    "escapes": 'ID=X,Description="' + '\\"' * LONG,
}


@pytest.mark.parametrize("case", DEFINITIONS)
def test_a_long_definition_takes_no_longer_than_its_length(case):
    """The first two would take days if each letter began a search of all behind it."""
    [(kind, _, fields)] = definitions([f"##INFO=<{DEFINITIONS[case]}>"])
    assert (kind, fields["ID"]) == ("INFO", "X")


def test_long_words_that_are_nearly_numbers(run, example, model_folder, tmp_path, write):
    digits = "1" * LONG
    bed = write("a.bed", f"chrA\t1\t90\tname\t{digits}x\t+\n")
    run("embed", example / "genome.fa", bed, "-m", model_folder, "-o", tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["obs/score"].asstr()[0] == f"{digits}x"
    table = write("a.csv", f"sequence,label\nACGT,{digits}x\nACGA,1\n")
    assert read_labelled(table).classes == ("1", f"{digits}x")
    result = run("embed", example / "genome.fa", "-r", f"chrA:{digits}x", "-O", "tsv", code=1)
    assert "region chrA:111" in refused(result)


def test_a_device_in_the_place_of_a_file(tasks, tmp_path):
    folder = shutil.copytree(tasks["binary"], tmp_path / "t")
    (folder / "task.json").unlink()
    (folder / "task.json").symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match=r"holds no task\.json"):
        load_task(str(folder))
