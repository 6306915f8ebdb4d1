"""Folders in which names of models and tasks are looked for: home, FINDNA_PATH, what ships."""

import json
import os
import shutil

import pytest

from findna import places
from findna.model.checkpoint import SHIPPED, load_checkpoint
from findna.tasks.task import SHIPPED as SHIPPED_TASKS
from findna.tasks.task import load_task
from tests.conftest import make_task, random_sequence


@pytest.fixture
def lab(tmp_path, model_folder, monkeypatch):
    """A shared folder with the model ``little`` and a task ``limb`` that reads it, on the path."""
    folder = tmp_path / "lab"
    shutil.copytree(model_folder, folder / "models" / "little")
    make_task(folder / "tasks" / "limb", folder / "models" / "little")
    path = folder / "tasks" / "limb" / "task.json"
    values = json.loads(path.read_text()) | {"species": "mouse", "note": "Enhancers of limb buds."}
    path.write_text(json.dumps(values))
    monkeypatch.setenv("FINDNA_PATH", str(folder))
    return folder


def rows(result):
    header, *lines = [line.split("\t") for line in result.stdout.splitlines()]
    return {line[0]: dict(zip(header, line, strict=True)) for line in lines}


def test_shared_models_and_tasks_are_found_and_listed(run, example, lab):
    task = rows(run("tasks", "list"))["limb"]
    assert task["where"] == str(lab)
    assert task["digest"] == load_task("limb").digest[:12]
    assert (task["species"], task["purpose"]) == ("mouse", "Enhancers of limb buds.")
    model = rows(run("models", "list"))["little"]
    assert (model["where"], model["species"], model["purpose"]) == (str(lab), ".", ".")
    inputs = [example / "genome.fa", example / "regions.bed"]
    by_path = run("predict", *inputs, "-t", lab / "tasks" / "limb").stdout
    assert run("predict", *inputs, "-t", "limb").stdout == by_path
    assert run("embed", *inputs, "-m", "little", "-O", "tsv").stdout


def test_what_ships_says_its_species_and_purpose(run):
    for listed in (rows(run("tasks", "list")), rows(run("models", "list"))):
        for row in listed.values():
            assert row["where"] == "shipped"
            assert row["species"] != "."
            assert 20 < len(row["purpose"]) <= 80


def test_ones_own_hides_the_path_and_the_path_what_ships(run, lab, monkeypatch):
    home, second = places.home(), lab.parent / "second"
    for folder, name in ((home, "limb"), (lab, "splice"), (second, "limb"), (second, "splice")):
        shutil.copytree(SHIPPED_TASKS / "promoter", folder / "tasks" / name, dirs_exist_ok=True)
    monkeypatch.setenv("FINDNA_PATH", f"{lab}{os.pathsep}{os.pathsep}{second}")
    listed = run("tasks", "list", "-v")
    where = {name: row["where"] for name, row in rows(listed).items()}
    assert (where["limb"], where["splice"], where["promoter"]) == ("home", str(lab), "shipped")
    hidden = f"{second / 'tasks' / 'splice'}, {SHIPPED_TASKS / 'splice'}"
    said = f"findna: splice is {lab / 'tasks' / 'splice'}; it hides {hidden}\n"
    assert said in listed.stderr
    assert said in run("tasks", "info", "splice", "-v").stderr
    assert "hides" not in run("tasks", "info", "splice").stderr
    assert load_task("limb").folder == home / "tasks" / "limb"


def test_a_model_that_hides_tiny_leaves_the_tasks_that_read_it(run, lab):
    probe = make_task(lab.parent / "probe", SHIPPED / "tiny")
    shutil.copytree(lab / "models" / "little", places.home() / "models" / "tiny")
    assert load_checkpoint("tiny").digest == load_checkpoint("little").digest
    task = load_task(str(probe))
    assert task.checkpoint.folder == SHIPPED / "tiny"
    assert task.checkpoint.name == "tiny"


def test_a_probe_of_a_shared_model_names_it(run, lab, write, monkeypatch):
    text = "".join(f"{random_sequence(60, i)},{i % 2}\n" for i in range(60))
    sets = write("labelled.csv", f"sequence,label\n{text}")
    words = ["-m", "little", "--no-kmers", "--on-overlap", "keep", "--species", "mouse"]
    run("finetune", "-t", "mine", "--train", sets, *words)
    record = load_task("mine").record
    assert (record["task"]["encoder"], record["species"]) == ("little", "mouse")
    assert "- Species: mouse.\n" in (places.home() / "tasks" / "mine" / "README.md").read_text()
    shutil.move(lab, lab.parent / "moved")  # the lab's disk is elsewhere on another machine
    monkeypatch.setenv("FINDNA_PATH", str(lab.parent / "moved"))
    assert load_task("mine").checkpoint.name == "little"


def test_a_folder_that_cannot_be_searched_is_one_warning(run, lab, monkeypatch):
    missing, file, empty = (lab.parent / name for name in ("missing", "file", "empty"))
    file.touch()
    empty.mkdir()
    monkeypatch.setenv("FINDNA_PATH", os.pathsep.join(map(str, (missing, file, empty, lab))))
    result = run("tasks", "list")
    assert result.stderr.splitlines() == [
        f"findna: FINDNA_PATH: {missing}: No such file or directory; left out",
        f"findna: FINDNA_PATH: {file}: Not a directory; left out",
        f"findna: FINDNA_PATH: {empty}: holds neither models/ nor tasks/; left out",
    ]
    assert "limb" in rows(result)


def test_a_damaged_shared_model_does_not_hide_the_others(run, lab):
    (lab / "models" / "little" / "config.json").write_text("{")
    result = run("models", "list")
    assert list(rows(result)) == ["tiny (default)"]
    assert "little left out" in result.stderr
