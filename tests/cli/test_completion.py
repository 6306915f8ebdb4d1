"""Completion in shells: the scripts, and the words that findna answers them with."""

import os
import shutil
import subprocess
import sys
import textwrap

import pytest

import findna
from findna import places
from findna.cli import COMMANDS, main

ROOT = os.path.dirname(os.path.dirname(findna.__file__))


@pytest.fixture
def complete(monkeypatch, capsys):
    """Ask for the words that may stand at the end of a command line, as bash does."""

    def ask(line):
        words = line.split(" ")
        monkeypatch.setenv("_FINDNA_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        with pytest.raises(SystemExit):
            main(prog_name="findna")
        answer = capsys.readouterr()
        assert answer.err == ""
        pairs = [item.partition(",") for item in answer.out.splitlines()]
        assert {kind for kind, _, _ in pairs} <= {"plain", "file", "dir"}
        return [word if kind == "plain" else kind.upper() for kind, _, word in pairs]

    return ask


def test_commands_and_options(complete):
    assert complete("findna ") == list(COMMANDS)
    assert complete("findna pre") == ["predict", "pretrain"]
    assert complete("findna models i") == ["import", "info"]
    assert complete("findna predict --all") == ["--all-classes"]
    assert complete("findna predict g.fa --on-error ") == ["stop", "skip", "null"]
    assert complete("findna completion ") == ["bash", "zsh", "fish"]


@pytest.mark.parametrize(
    "line", ["embed ", "embed g.fa ", "embed g.fa -o ", "scan g.fa --regions ", "variants g.fa "]
)
def test_files(complete, line):
    assert complete(f"findna {line}") == ["FILE"]


def test_names_of_tasks_and_models(complete, tasks, model_folder, monkeypatch, tmp_path):
    shutil.copytree(tasks["three"], places.home() / "tasks" / "prose")
    shutil.copytree(model_folder, tmp_path / "lab" / "models" / "timid")
    monkeypatch.setenv("FINDNA_PATH", f"{tmp_path / 'missing'}:{tmp_path / 'lab'}")
    promoters = ["promoter", "promoter-plant", "promoter-worm", "promoter-yeast"]
    for command in ("predict g.fa -t", "scan g.fa --task", "validate g.fa -t", "tasks info"):
        assert complete(f"findna {command} pro") == ["DIR", *promoters, "prose"]
    assert complete("findna predict g.fa -t splice,promoter-") == [
        "DIR", "splice,promoter-plant", "splice,promoter-worm", "splice,promoter-yeast",
    ]  # fmt: skip
    for command in ("embed g.fa -m", "pretrain g.fa --init", "models info", "verify a.h5 g.fa -m"):
        assert complete(f"findna {command} ti") == ["DIR", "timid", "tiny"]
    assert complete("findna embed g.fa -m runs/ti") == ["DIR"]


def test_names_are_completed_without_torch():
    code = """
import os, sys
os.environ |= {"_FINDNA_COMPLETE": "bash_complete", "COMP_CWORD": "4",
               "COMP_WORDS": "findna predict g.fa -t pro"}
from findna.cli import main
try:
    main(prog_name="findna")
except SystemExit:
    print(sorted({"torch", "numpy", "h5py", "pysam"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "plain,promoter" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_are_those_of_their_shells(run, shell):
    script = run("completion", shell).stdout
    assert f"_FINDNA_COMPLETE={shell}_complete" in script
    assert run("completion", "tcsh", code=2).stdout == ""
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"no {shell} here to parse its script")
    subprocess.run([program, "-n"], input=script, text=True, check=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_a_line(tmp_path):
    program = tmp_path / "findna"
    program.write_text(f"#!{sys.executable}\nfrom findna.cli import main\n\nmain()\n")
    program.chmod(0o755)
    script = textwrap.dedent("""
        source <(findna completion bash) || exit
        complete -p findna
        COMP_WORDS=(findna predict g.fa --task splice-) COMP_CWORD=4
        _findna_completion findna 2> /dev/null  # compopt is for lines that are being typed
        printf '%s\\n' "${COMPREPLY[@]}"
    """)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": ROOT},
    )  # fmt: skip
    registered, *words = done.stdout.splitlines()
    assert registered == "complete -o nosort -F _findna_completion findna"
    assert words == ["splice-plant", "splice-worm"]
