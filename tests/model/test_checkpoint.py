import json
import pickle
import shutil

import pytest
import torch

from findna.errors import CheckpointError
from findna.model.checkpoint import load_checkpoint, save_checkpoint, shipped_models
from findna.model.config import EncoderConfig
from tests.conftest import TINY, make_model


@pytest.fixture
def folder(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "m")


def test_round_trip(folder):
    checkpoint = load_checkpoint(str(folder))
    expected = make_model(TINY).state_dict()
    assert checkpoint.config == TINY
    for name, tensor in checkpoint.model.state_dict().items():
        assert torch.equal(tensor, expected[name])
    assert not any(p.requires_grad for p in checkpoint.model.parameters())
    assert checkpoint.digest in (folder / "README.md").read_text()


def test_the_digest_names_weights_and_sizes(folder, tmp_path):
    first = load_checkpoint(str(folder)).digest
    assert save_checkpoint(tmp_path / "a", make_model(TINY), {"x": 1}, "") == first
    assert save_checkpoint(tmp_path / "b", make_model(TINY, seed=2), {}, "") != first


def test_same_weights_same_bytes(folder, tmp_path):
    save_checkpoint(tmp_path / "a", make_model(TINY), {"steps_done": 0}, "# little\n{digest}\n")
    for name in ("config.json", "model.safetensors", "README.md"):
        assert (tmp_path / "a" / name).read_bytes() == (folder / name).read_bytes()


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def tensors(folder, data):
    (folder / "model.safetensors").write_bytes(data)


def other_weights(folder):
    save_checkpoint(folder / "other", make_model(TINY, seed=2), {}, "")
    return (folder / "other" / "model.safetensors").read_bytes()


ENCODER = {"dim": 24, "track_size": 4, "hidden": 32, "n_blocks": 2, "layers_per_block": 5}

HOSTILE = {
    "no config": (lambda f: (f / "config.json").unlink(), "holds no config.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "holds no model.safetensors"),
    "not json": (lambda f: (f / "config.json").write_text("{"), "config.json: Expecting"),
    "deep json": (lambda f: (f / "config.json").write_text("[" * 100_000), "config.json: "),
    "huge json": (lambda f: (f / "config.json").write_text(" " * (1 << 21)), "larger than 1 MiB"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), "no encoder in it"),
    "long format": (lambda f: edit(f, format="x" * 100_000), "format 'xxx"),
    "many layers": (
        lambda f: edit(f, encoder={"n_blocks": 1024, "layers_per_block": 64}),
        "65536 layers; at most 2048 work",
    ),
    "newer format": (lambda f: edit(f, format=2), "upgrade findna"),
    "huge dim": (lambda f: edit(f, encoder={"dim": 10**12}), "dim must be a whole number"),
    "text for a number": (lambda f: edit(f, encoder={"dim": "1"}), "dim must be of type int"),
    "bool for a number": (lambda f: edit(f, encoder={"dim": True}), "dim must be of type int"),
    "unknown size": (lambda f: edit(f, encoder={"width": 1}), "unknown setting 'width'"),
    "readout": (lambda f: edit(f, encoder={**ENCODER, "readout": 11}), "exceeds the number"),
    "tracks": (lambda f: edit(f, encoder={"dim": 25, "track_size": 4}), "multiple of track_size"),
    "other sizes": (lambda f: edit(f, encoder={**ENCODER, "hidden": 33}), "asks? for"),
    "weights of another model": (
        lambda f: tensors(f, other_weights(f.parent)),
        "config.json and model.safetensors are not what one run wrote",
    ),
    "no digest": (lambda f: edit(f, digest=None), "config.json says None"),
    "pickle": (lambda f: tensors(f, pickle.dumps({"a": 1})), "not a readable safetensors"),
    "absurd header": (lambda f: tensors(f, b"\xff" * 8 + b"{}"), "not a readable safetensors"),
    "empty weights": (lambda f: tensors(f, b""), "not a readable safetensors"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_folders_are_refused_in_one_line(folder, case):
    spoil, message = HOSTILE[case]
    spoil(folder)
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(str(folder))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 2_100


def test_weights_that_are_not_finite(tmp_path):
    model = make_model(TINY)
    model.encoder.embedding.bias[0] = float("nan")
    save_checkpoint(tmp_path / "m", model, {}, "")
    with pytest.raises(CheckpointError, match="not finite"):
        load_checkpoint(str(tmp_path / "m"))


def test_missing_model_and_a_file_in_its_place(tmp_path):
    with pytest.raises(CheckpointError, match="no model nowhere"):
        load_checkpoint("nowhere")
    with pytest.raises(CheckpointError, match="no model"):
        load_checkpoint("../models/tiny/../none")
    (tmp_path / "m.pt").write_bytes(pickle.dumps(1))
    with pytest.raises(CheckpointError, match="findna models import"):
        load_checkpoint(str(tmp_path / "m.pt"))


def test_the_shipped_model_loads_and_is_what_its_card_says():
    assert "tiny" in shipped_models()
    checkpoint = load_checkpoint("tiny")
    assert checkpoint.name == "tiny"
    card = (checkpoint.folder / "README.md").read_text()
    assert checkpoint.digest in card
    assert "Data:" in card
    size = sum(file.stat().st_size for file in checkpoint.folder.iterdir())
    assert size <= 8 << 20


def test_a_checkpoint_of_an_older_findna_still_loads(folder):
    """Fields may be added to EncoderConfig, with a default; never renamed."""
    known = json.loads((folder / "config.json").read_text())["encoder"]
    assert set(known) >= {
        "dim", "track_size", "hidden", "n_blocks", "layers_per_block", "norm", "n_cls",
        "max_length",
    }  # fmt: skip
    assert EncoderConfig(**known) == TINY
