"""What the README tells a reader to run is run."""

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.fixture
def demo(example, tmp_path, monkeypatch):
    """A folder that looks like the one of the README's examples."""
    shutil.copytree(example, tmp_path / "demo")
    shutil.copy(example / "genome.fa", tmp_path / "genome.fa")
    shutil.copy(example / "genome.fa", tmp_path / "genes.fa")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_one_command_and_the_python_example(demo, run, capsys):
    command = re.search(r"^    findna (embed demo/.*)$", README, re.M)[1]
    run(*command.split())
    for block in re.findall(r"```python\n(.*?)```", README, re.S):
        exec(compile(block, "README.md", "exec"), {})
    shown = README.split("AnnData object", 1)[1].split("\n\n")[0]
    printed = capsys.readouterr().out.split("AnnData object", 1)[1]
    assert shown.split() == printed.split()
    assert (demo / "demo" / "again.h5").exists()


def test_the_other_examples(demo, run):
    commands = re.findall(r"^    findna (embed gen.*)$", README, re.M)
    assert len(commands) >= 2
    for command in commands:
        run(*command.replace("chr2", "chrA").replace("genes.fa", "genes.fa -m tiny").split())


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_setting_is_documented_where_it_is_defined(run):
    text = run("pretrain", "--help").stdout
    for option in ("--mask-fraction", "--teacher-temp", "--layers-per-block", "--prototypes"):
        assert option in text
