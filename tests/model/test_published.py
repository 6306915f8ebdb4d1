"""Checkpoints of the published code, made here with random weights."""

import pickle

import pytest
import torch

from findna.errors import CheckpointError
from findna.model.checkpoint import load_checkpoint
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
    assert (checkpoint.config.n_cls, checkpoint.config.max_length) == (10, 1000)

    texts = [random_sequence(100, seed, "ACGTN") + "." * 10 for seed in range(3)]
    rows = torch.stack([reference.one_hot(text) for text in texts])
    expected = reference.published_forward(state, rows, track_size=6)
    hidden = checkpoint.model.encoder(*pack(texts)).view_as(expected)
    assert relative(hidden, expected) <= 1e-5
    outputs = checkpoint.model.masked_nucleotide(hidden)
    assert relative(outputs, expected @ state["linear.weight"].t() + state["linear.bias"]) <= 1e-5


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


def test_import_published_names_its_file(tmp_path):
    (tmp_path / "none.pt").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"none\.pt"):
        import_published(tmp_path / "none.pt")
