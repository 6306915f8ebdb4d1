"""``findna finetune --resume``: an interrupted training goes on as if it had not been."""

import json
import random

import pytest
from safetensors.torch import load_file, save_file

from findna.tasks.resuming import KeptTraining
from tests.conftest import MOTIF, random_sequence, write_genome

EPOCHS = 3


@pytest.fixture
def kind():
    return "full"


@pytest.fixture
def command(kind, run, tmp_path, model_folder):
    """``findna finetune`` of a kind into a folder, one thread."""
    if kind == "full":
        rng = random.Random(0)
        rows = []
        for i in range(60):
            sequence = random_sequence(50, i)
            at = rng.randrange(30)
            planted = f"{sequence[:at]}{MOTIF}{sequence[at:]}"[:50]
            rows.append(f"{planted if i % 2 else sequence},{i % 2}\n")
        (tmp_path / "train.csv").write_text("sequence,label\n" + "".join(rows))
        words = ["--train", tmp_path / "train.csv", "--no-kmers", "--mode", "full"]
    else:
        write_genome(tmp_path)
        words = [tmp_path / "g.fa", "--dense", "--train", tmp_path / "s.bed", "--holdout", "c3"]
        words += ["--mode", kind.split()[1]]
    words += ["-m", model_folder, "--epochs", EPOCHS, "--lr", 0.01, "-@", 1]

    def invoke(folder, *more, code=0):
        return run("finetune", "-t", "t", *words, "-o", folder, *more, code=code)

    return invoke


@pytest.fixture
def interrupted(command, monkeypatch):
    """Train into a folder, and stop when a number of epochs are done."""

    def invoke(folder, epochs):
        save = KeptTraining.save

        def stop(self, training, device):
            save(self, training, device)
            if training.epoch == epochs:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(KeptTraining, "save", stop)
            command(folder, code=130)
        return folder / ".unfinished" / "training.safetensors"

    return invoke


def made(folder):
    """What a run has written, but for the time that it took."""
    record = json.loads((folder / "task.json").read_text())
    seconds = record["training"].pop("seconds")
    assert seconds > 0
    weights = {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")
    }
    return record, weights, sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "epochs"), [("full", 1), ("full", EPOCHS), ("dense full", 2), ("dense probe", 1)]
)
def test_resumed_is_uninterrupted(command, interrupted, tmp_path, epochs):
    command(tmp_path / "whole")
    state = interrupted(tmp_path / "parts", epochs)
    assert state.is_file()
    assert not (tmp_path / "parts" / "task.json").exists()
    command(tmp_path / "parts", "--resume")
    assert made(tmp_path / "parts") == made(tmp_path / "whole")
    assert not state.exists()


@pytest.mark.slow
def test_without_resume_it_begins_anew(command, interrupted, tmp_path):
    command(tmp_path / "whole", "--resume")  # nothing to go on from is no obstacle
    state = interrupted(tmp_path / "again", 2)
    told = command(tmp_path / "again").stderr
    assert f"{state} holds the training of an interrupted run; this one begins anew" in told
    assert made(tmp_path / "again") == made(tmp_path / "whole")


@pytest.mark.slow
def test_a_run_of_other_settings_is_refused(command, interrupted, tmp_path):
    state = interrupted(tmp_path / "t", 1)
    kept = state.read_bytes()
    error = command(tmp_path / "t", "--resume", "--clip", 2, "--dropout", 0.2, code=2).stderr
    assert "the run to resume has other dropout, clip; repeat its options" in error
    data = tmp_path / "train.csv"
    text = data.read_text()
    data.write_text("".join(text.splitlines(keepends=True)[:-1]))
    assert "has other data" in command(tmp_path / "t", "--resume", code=2).stderr
    assert state.read_bytes() == kept
    data.write_text(text)
    command(tmp_path / "t", "--resume")


@pytest.mark.slow
def test_a_damaged_state_is_refused(command, interrupted, tmp_path):
    state = interrupted(tmp_path / "t", 1)
    whole = state.read_bytes()
    tensors = {key: value.clone() for key, value in load_file(state).items()}
    size = int.from_bytes(whole[:8], "little")
    metadata = json.loads(whole[8 : 8 + size])["__metadata__"]
    name = next(name for name in tensors if name.endswith("linear.weight"))
    fewer = {key: value for key, value in tensors.items() if key != "random.cpu"}
    for content in (
        whole[:-9],
        b"",
        b"{}",
        ({**tensors, name: tensors[name][:, 1:].contiguous()}, metadata),
        (tensors, {}),
        (tensors, {**metadata, "history": "[1]"}),
        (tensors, {**metadata, "step": '"x"'}),
        (tensors, {**metadata, "history": "[]"}),
        (
            tensors,
            {**metadata, "history": '[{"epoch": 0, "valid": 0.5}, {"epoch": 1, "valid": 1}]'},
        ),
        (fewer, metadata),
        ({k: v for k, v in tensors.items() if not k.endswith("exp_avg_sq")}, metadata),
    ):
        if isinstance(content, bytes):
            state.write_bytes(content)
        else:
            save_file(content[0], state, content[1])
        error = command(tmp_path / "t", "--resume", code=1).stderr
        assert error.startswith(f"findna: {state}: not a training state")
        assert error.count("\n") == 1
        assert error.endswith("remove it\n")


def test_a_frozen_encoder_has_no_epochs(run, tmp_path, write, model_folder):
    path = write("x.csv", "sequence,label\nACGT,0\n")
    error = run("finetune", "-t", "t", "--train", path, "--resume", code=2).stderr
    assert "--resume needs --mode full or --dense, which train by epochs" in error
