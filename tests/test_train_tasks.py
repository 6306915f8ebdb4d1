"""`bin/train-tasks`: its commands are valid, and are what the tasks that ship were made by."""

import json
import subprocess
from pathlib import Path

import pytest

from findna.tasks.task import SHIPPED
from tests.test_docs import parse

ROOT = Path(__file__).parents[1]
PRETENDED = r"""
root={root}
use_environment() {{ :; }}
python() {{
    if [ "${{2:-}}" = splice-plant ]; then
        mkdir -p "$4"
        printf '>Other\n>TAIR10_Chr1:1-9\n>TAIR10_Chr2:1-9\n' > "$4/genome.fa"
    fi
}}
findna() {{ printf '%s\x1f' "$@" >> {log}; printf '\n' >> {log}; }}
"""
"""Stands for bin/environment: commands are written down and not run."""


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Return the words after findna for each task, in the order of the script."""
    folder = tmp_path_factory.mktemp("bin")
    log = folder / "log"
    (folder / "train-tasks").write_bytes((ROOT / "bin" / "train-tasks").read_bytes())
    (folder / "environment").write_text(PRETENDED.format(root=ROOT, log=log))
    words = ["bash", folder / "train-tasks", "DATA", folder / "out"]
    subprocess.run(words, check=True, capture_output=True)
    lines = [line.split("\x1f")[:-1] for line in log.read_text().splitlines()]
    return {line[line.index("-t") + 1]: line for line in lines}


def values(words, option):
    return [words[i + 1] for i, word in enumerate(words) if word == option]


def test_it_trains_every_task_that_ships(asked):
    assert set(asked) == {path.name for path in SHIPPED.iterdir()}


@pytest.mark.parametrize("name", sorted(path.name for path in SHIPPED.iterdir()))
def test_its_words_are_those_of_the_card(asked, name):
    words = asked[name]
    parse(words)
    record = json.loads((SHIPPED / name / "task.json").read_text())
    assert values(words, "--note") == [record["note"]]
    assert values(words, "--species") == [record["species"]]
    assert values(words, "--licence") == [record["licence"]]
    config, epochs = record["task"], values(words, "--epochs")
    assert (values(words, "--mode") or ["probe"]) == [config["mode"]]
    assert ("--dense" in words) == (config["kind"] == "sites")
    history = [epoch for epoch in record["training"].get("history", []) if epoch["epoch"]]
    assert len(history) == int(epochs[0] if epochs else 0)
    if config["kind"] == "sites":
        holdout = values(words, "--holdout")
        pretended = ["TAIR10_Chr1:1-9", "TAIR10_Chr2:1-9"]
        assert holdout == (pretended if name == "splice-plant" else record["data"]["holdout"])
    else:
        assert values(words, "--class-names") == [",".join(config["classes"])]
        option = "--window" if config["upstream"] is None else "--upstream"
        assert values(words, option) == [str(config[option.strip("-")])]
