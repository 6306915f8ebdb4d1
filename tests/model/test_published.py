"""Checkpoints of the published code, made here with random weights."""

import os
import pickle
from pathlib import Path

import h5py
import pytest
import torch

from findna import load_model
from findna.errors import CheckpointError
from findna.model.checkpoint import load_checkpoint, save_checkpoint
from findna.model.published import import_published
from tests import reference
from tests.conftest import random_sequence
from tests.model.test_model import pack, relative


class Harmful:
    def __reduce__(self):
        return (print, ("this pickle was executed",))


def published(path, **changes):
    state = reference.published_state(dim=48, hidden=32, blocks=2, layers=7, seed=1)
    student = reference.published_state(dim=48, hidden=32, blocks=2, layers=7, seed=2)
    content = {"Teacher": state, "Student": student, "EPOCHS_RUN": 29} | changes
    torch.save({k: v for k, v in content.items() if v is not None}, path)
    return state, student


@pytest.mark.parametrize("which", ["teacher", "student"])
def test_parity_with_the_published_layout(tmp_path, run, which):
    states = published(tmp_path / "model.pt")
    state = states[which == "student"]
    run("models", "import", tmp_path / "model.pt", "-o", tmp_path / "m", f"--{which}")
    checkpoint = load_checkpoint(str(tmp_path / "m"))
    assert checkpoint.config.track_size == 6
    assert (checkpoint.config.n_cls, checkpoint.config.max_length) == (0, 1000)

    texts = [random_sequence(100, seed, "ACGTN") + "." * 10 for seed in range(3)]
    rows = torch.stack([reference.one_hot(text) for text in texts])
    expected = reference.published_forward(state, rows, track_size=6)
    hidden = checkpoint.model.encoder(*pack(texts)).view_as(expected)
    assert relative(hidden, expected) <= 1e-5
    outputs = checkpoint.model.masked_nucleotide(hidden)
    assert relative(outputs, expected @ state["linear.weight"].t() + state["linear.bias"]) <= 1e-5


def test_embed_reads_a_published_checkpoint_as_its_authors_do(tmp_path, run, write):
    state, _ = published(tmp_path / "model.pt")
    texts = [random_sequence(length, length) for length in (60, 100, 300)]
    fasta = write("g.fa", "".join(f">s{i}\n{text}\n" for i, text in enumerate(texts)))
    run("models", "import", tmp_path / "model.pt", "-o", tmp_path / "m")
    words = ["embed", fasta, "-m", tmp_path / "m"]

    def expected(text, n_cls):
        """Mean over the bases, and over the CLS positions, in the authors' own layout."""
        rows = reference.one_hot(text + "." * n_cls)[None]
        hidden = reference.published_forward(state, rows, track_size=6)[0]
        return hidden[: len(text)].mean(0), hidden[len(text) :].mean(0)

    run(*words, "-o", tmp_path / "plain.h5")
    run(*words, "-o", tmp_path / "cls.h5", "--cls", "--pool", "mean", "--pool", "cls")
    with h5py.File(tmp_path / "plain.h5") as plain, h5py.File(tmp_path / "cls.h5") as cls:
        for i, text in enumerate(texts):
            assert relative(torch.from_numpy(plain["X"][i]), expected(text, 0)[0]) <= 1e-5
            mean, last = expected(text, 10)
            assert relative(torch.from_numpy(cls["X"][i]), mean) <= 1e-5
            assert relative(torch.from_numpy(cls["obsm/cls"][i]), last) <= 1e-5
            assert relative(mean, expected(text, 0)[0]) > 0.01  # it matters which
    loaded = load_model(tmp_path / "m", cls=True)
    assert relative(torch.from_numpy(loaded.embed(texts[0])[0]), expected(texts[0], 10)[0]) <= 1e-5
    for name in ("plain.h5", "cls.h5"):
        run("verify", tmp_path / name, fasta, "-m", tmp_path / "m")
    error = run(*words, "-o", tmp_path / "none.h5", "--pool", "cls", code=2).stderr
    assert "add --cls" in error


def test_a_model_that_was_imported_before_appends_its_cls_positions(tmp_path, run, write):
    state, _ = published(tmp_path / "model.pt")
    model = import_published(tmp_path / "model.pt")
    model.encoder = model.encoder.with_cls(10)
    save_checkpoint(tmp_path / "m", model, {"imported_from": "model.pt"}, "")
    text = random_sequence(80)
    fasta = write("g.fa", f">s\n{text}\n")
    rows = reference.one_hot(text + "." * 10)[None]
    mean = reference.published_forward(state, rows, track_size=6)[0, :80].mean(0)
    for i, options in enumerate([(), ("--cls",)]):
        run("embed", fasta, "-m", tmp_path / "m", "-o", tmp_path / f"{i}.h5", *options)
        with h5py.File(tmp_path / f"{i}.h5") as file:
            assert relative(torch.from_numpy(file["X"][0]), mean) <= 1e-5


def test_published_sizes_are_inferred(tmp_path):
    state = reference.published_state(dim=308, hidden=512, blocks=4, layers=10, seed=1)
    torch.save({"Teacher": state}, tmp_path / "m.pt")
    config = import_published(tmp_path / "m.pt").encoder.config
    sizes = (config.dim, config.track_size, config.hidden, config.n_blocks, config.layers_per_block)
    assert sizes == (308, 28, 512, 4, 10)


def drop(state, key):
    return {k: v for k, v in state.items() if k != key}


def test_anything_else_is_refused(tmp_path, run, capfd):
    state, _ = published(tmp_path / "good.pt")
    cases = {
        "no_teacher": {"Student": state},
        "list": [1, 2],
        "missing": {"Teacher": drop(state, "linear.bias")},
        "no_layers": {"Teacher": {"embedding.weight": torch.zeros(4, 5)}},
        "extra": {"Teacher": state | {"other": torch.zeros(1)}},
        "shape": {"Teacher": state | {"linear.weight": torch.zeros(5, 7)}},
        "not_tensors": {"Teacher": {"a": 1}},
    }
    for name, content in cases.items():
        torch.save(content, tmp_path / f"{name}.pt")
    with (tmp_path / "harmful.pt").open("wb") as file:
        pickle.dump(Harmful(), file)
    torch.save({"Teacher": Harmful()}, tmp_path / "harmful2.pt")
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "empty.pt").write_bytes(b"")
    data = (tmp_path / "good.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(data[: len(data) // 2])
    (tmp_path / "directory.pt").write_bytes(data.replace(b"PK\x01\x02", b"PK\x01\x03"))
    for name in [*cases, "harmful", "harmful2", "text", "empty", "half", "directory"]:
        result = run("models", "import", tmp_path / f"{name}.pt", "-o", tmp_path / "m", code=1)
        assert result.stderr.startswith("findna: ")
        assert len(result.stderr.splitlines()) == 1
        assert "not a published FinDNA checkpoint" in result.stderr
    assert not (tmp_path / "m").exists()
    assert "executed" not in capfd.readouterr().out


def test_nothing_is_replaced_without_force(tmp_path, run):
    published(tmp_path / "m.pt")
    run("models", "import", tmp_path / "m.pt", "-o", tmp_path / "m")
    assert (
        "--force" in run("models", "import", tmp_path / "m.pt", "-o", tmp_path / "m", code=1).stderr
    )
    run("models", "import", tmp_path / "m.pt", "-o", tmp_path / "m", "--force")


def test_an_import_killed_as_it_replaces_a_model(tmp_path, run, monkeypatch):
    """It leaves no model, rather than the weights of one and the sizes and card of another."""
    published(tmp_path / "p.pt")
    other = ["models", "import", tmp_path / "p.pt", "--student", "-o"]
    folder = tmp_path / "m"
    run("models", "import", tmp_path / "p.pt", "-o", folder)
    replace_file = os.replace

    def stop(source, target):
        replace_file(source, target)
        if Path(target) == folder / "model.safetensors":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop)
        run(*other, folder, "--force", code=130)
    error = run("models", "info", folder, code=1).stderr
    assert "holds no config.json: a run was stopped as it wrote it; run that again" in error
    run(*other, folder)
    names = ["README.md", "config.json", "model.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == names
    run(*other, tmp_path / "whole")
    assert load_checkpoint(str(folder)).digest == load_checkpoint(str(tmp_path / "whole")).digest


def test_import_published_names_its_file(tmp_path):
    (tmp_path / "none.pt").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"none\.pt"):
        import_published(tmp_path / "none.pt")
