"""Man pages: one of every command, made from it, in the form that man reads, and in the wheel."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest

from findna.cli import main

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Paths of the pages by name, as docs/man_pages.py writes them."""
    folder = tmp_path_factory.mktemp("man")
    words = [sys.executable, ROOT / "docs" / "man_pages.py", folder]
    subprocess.run(words, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    return {path.stem: path for path in folder.iterdir()}


def commands(command=main, words=("findna",)):
    yield command, words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*words, name))


def test_every_command_has_its_page_with_every_option_and_example(pages):
    named = {"-".join(words): command for command, words in commands()}
    assert pages.keys() == named.keys()
    for name, command in named.items():
        text = pages[name].read_text()
        assert text.startswith(f'.TH "{name.upper()}" 1 "" "findna '.replace("-", "\\-"))
        sections = re.findall(r"^\.SH (.*)$", text, re.M)
        assert sections[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"]
        assert {"OPTIONS", "SEE ALSO"} <= set(sections)
        assert set(re.findall(r"^\.(\w+)", text, re.M)) <= {
            "TH", "SH", "SS", "PP", "TP", "B", "BR", "nf", "fi",
        }  # fmt: skip
        plain = text.replace("\\-", "-").replace("\\e", "\\")
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert all(word in plain for word in parameter.opts)
        for line in (command.help or "").partition("Examples:\n")[2].splitlines():
            assert line.strip() in plain


def test_findna_itself_has_exit_codes_and_variables(pages):
    text = pages["findna"].read_text()
    assert re.findall(r"^\.SH (.*)$", text, re.M)[-4:] == [
        "EXAMPLES", "EXIT CODES", "ENVIRONMENT", "SEE ALSO",
    ]  # fmt: skip
    assert "FINDNA_PATH" in text
    assert "\n.BR findna\\-embed (1)\n" in text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_man_reads_them_without_a_warning(pages):
    words = ["groff", "-man", "-ww", "-K", "utf8", "-T", "utf8", *pages.values()]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "findna embed genome.fa regions.bed -o regions.h5" in done.stdout


@pytest.mark.slow
def test_the_wheel_holds_them(pages, tmp_path):
    source = tmp_path / "source"
    leave = shutil.ignore_patterns("shipped", "__pycache__", "*.png", "_build")
    for name in ("findna", "docs"):
        shutil.copytree(ROOT / name, source / name, ignore=leave)
    for path in (*ROOT.glob("setup.*"), *ROOT.glob("*.toml"), *ROOT.glob("*.md"), ROOT / "LICENSE"):
        shutil.copy(path, source)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "-w", tmp_path, source],
        check=True, env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = {Path(name).stem: name for name in archive.namelist() if name.endswith(".1")}
        assert found.keys() == pages.keys()
        assert all(".data/data/share/man/man1/" in name for name in found.values())
        for name, inside in found.items():
            assert archive.read(inside).decode() == pages[name].read_text()
