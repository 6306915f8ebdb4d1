"""What holds for every command, and what importing findna may load."""

import subprocess
import sys
from pathlib import Path

import pytest

import findna
from findna.cli import COMMANDS, main

ROOT = Path(findna.__file__).parents[1]


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["models", "import"]])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help_with_examples(run, command, flag):
    text = run(*command, flag).stdout
    assert "Usage:" in text
    if command != ["models", "import"]:
        assert "Examples:" in text
    if not command:
        assert "130  interrupted" in text
        assert all(name in text for name in COMMANDS)


def test_findna_alone_shows_help(run):
    assert "Examples:" in run(code=2).output


def test_versions(run):
    names = [line.split()[0] for line in run("--version").stdout.splitlines()]
    assert names == ["findna", "torch", "htslib"]


@pytest.mark.parametrize("command", ["main(['--help'])", "main(['embed', '--help'])", "None"])
def test_help_does_not_load_torch(command):
    code = f"""
import sys
from findna.cli import main
try:
    {command}
except SystemExit:
    pass
print(sorted({{'torch', 'h5py', 'pysam', 'pyfaidx', 'numpy'}} & set(sys.modules)))
"""
    assert python(code).splitlines()[-1] == "[]"


def test_unknown_commands_and_options(run):
    assert "No such command" in run("embedd", code=2).stderr
    assert "No such option" in run("embed", "--nonsense", code=2).stderr


def test_letters_mean_the_same_everywhere():
    meaning = {}
    context = main.make_context("findna", ["models", "list"])
    for name in COMMANDS:
        command = main.get_command(context, name)
        for parameter in command.params:
            for flag in parameter.opts:
                if len(flag) == 2 and flag.startswith("-"):
                    assert meaning.setdefault(flag, parameter.name) == parameter.name


def test_models_list_and_info(run, model_folder):
    header, *rows = run("models", "list").stdout.splitlines()
    assert header.startswith("#model\t")
    assert any(row.startswith("tiny (default)\t") for row in rows)
    assert "# little" in run("models", "info", model_folder).stdout
    assert '"encoder"' in run("models", "info", model_folder, "--json").stdout
    assert "no model" in run("models", "info", "nothing", code=1).stderr


def test_a_missing_fasta_is_one_line(run, tmp_path):
    error = run("embed", tmp_path / "none.fa", "-o", tmp_path / "o.h5", code=1).stderr
    assert error == f"findna: {tmp_path / 'none.fa'}: no such file; give a FASTA file\n"


def test_a_missing_bed_is_one_line(run, example, tmp_path):
    error = run("embed", example / "genome.fa", tmp_path / "none.bed", "-o", tmp_path / "o.h5",
                code=1).stderr  # fmt: skip
    assert error == f"findna: {tmp_path / 'none.bed'}: No such file or directory\n"


def test_quiet_says_nothing(run, example, model_folder, tmp_path):
    result = run("embed", example / "genome.fa", example / "regions.bed", "-m", model_folder,
                 "-o", tmp_path / "o.h5", "-q")  # fmt: skip
    assert result.output == ""
