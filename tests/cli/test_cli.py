"""What holds for every command, and what importing findna may load."""

import json
import os
import shutil
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
    assert "  [GENOME]\n" not in text.partition("Options:")[2]  # an argument is no option
    assert "...\n" not in text.partition("Commands:")[2]  # what a command does is not cut
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
    assert "No such command 'embedd'; did you mean embed?" in run("embedd", code=2).stderr
    assert "No such command 'zzz'\n" in run("zzz", code=2).stderr
    assert "Did you mean" in run("embed", "--windw", 9, code=2).stderr
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


@pytest.mark.parametrize(
    "words",
    [
        ("embed", "genome.fa", "regions.bed", "-o", "caf\udce9.h5"),
        ("embed", "genome.fa", "caf\udce9.bed", "-o", "out.h5"),
        ("explain", "genome.fa", "regions.bed", "-o", "caf\udce9.h5"),
        ("scan", "genome.fa", "--task", "promoter", "-o", "caf\udce9.bw"),
        ("variants", "genome.fa", "variants.vcf", "-o", "caf\udce9.bcf"),
        ("variants", "genome.fa", "variants.vcf", "--embeddings", "caf\udce9.h5"),
        ("finetune", "--task", "t", "--train", "caf\udce9.csv"),
        ("finetune", "--task", "t", "--train", "a.csv", "--note", "caf\udce9"),
        ("pretrain", "genome.fa", "-o", "caf\udce9"),
        ("models", "info", "caf\udce9"),
    ],
)
def test_names_and_texts_that_are_not_utf8_are_refused(run, words):
    assert r"'caf\udce9" in (text := run(*words, code=2).stderr)
    assert "is not UTF-8" in text


def shell(command, folder):
    words = f"'{sys.executable}' -m findna {command}"
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.run(
        words, shell=True, capture_output=True, text=True, cwd=folder, env=buffered
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("tasks list >&-", "standard output is closed; nothing can be shown"),
        ("models info tiny --json >&-", "standard output is closed; nothing can be shown"),
        ("--help >/dev/full", "cannot write the output: No space left on device"),
    ],
)
def test_standard_output_that_takes_nothing_is_one_line(command, said, tmp_path):
    done = shell(command, tmp_path)
    assert (done.returncode, done.stderr) == (1, f"findna: {said}\n")


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "genome.fa", "--task", "promoter", "--min-prob", "nan"),
        ("scan", "genome.fa", "--task", "promoter", "--max-n", "nan"),
        ("embed", "genome.fa", "-o", "out.h5", "--shard", f"{'9' * 5000}/{'9' * 5000}"),
        ("embed", "genome.fa", "-o", "out.h5", "--window", "9" * 5000),
    ],
)
def test_numbers_that_are_none_are_wrong_usage(run, words):
    run(*words, code=2)


@pytest.mark.parametrize("recipe", [5, {"steps": "x"}, {"steps": 1e300}, [], None])
def test_info_of_a_model_with_another_record(run, model_folder, tmp_path, recipe):
    folder = shutil.copytree(model_folder, tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    config["training"] = {"recipe": recipe, "tokens_seen": "x"}
    (folder / "config.json").write_text(json.dumps(config))
    log = '{"step": 1, "mnm": 1e308}\n{"step": 2, "mnm": -1e308}\n{"step": 3, "mnm": 1}\n'
    (folder / "metrics.jsonl").write_text(log)
    assert "healthy at step 3\n" in run("models", "info", folder).stdout


def test_names_from_files_do_not_command_a_terminal(run, model_folder, tasks, tmp_path):
    evil = "\x1b]0;evil\x07\x1b[2J\x9b"
    (tmp_path / "a.fa").write_text(f">chr{evil}\n{'ACGT' * 10}\n")
    (tmp_path / "a.bed").write_text(f"chrX{evil}\t0\t10\n")
    folder = shutil.copytree(model_folder, tmp_path / "m")
    (folder / "README.md").write_text(f"# {evil}\n")
    task = shutil.copytree(tasks["binary"], tmp_path / "t")
    (task / "README.md").write_text(f"# {evil}\n")
    for result in (
        run("validate", tmp_path / "a.fa", tmp_path / "a.bed", "--no-estimate", code=1),
        run("validate", tmp_path / "a.fa", "--no-estimate"),
        run("models", "info", folder),
        run("tasks", "info", task),
    ):
        assert not {"\x1b", "\x07", "\x9b"} & set(result.output)


@pytest.mark.parametrize(
    ("n", "seconds", "said"),
    [(3, 2.0, " (2/s)"), (1, 1.0, " (1/s)"), (1, 2.1, ""), (0, 5.0, ""), (40, 0.0, None)],
)
def test_a_speed_below_one_a_second_is_left_out(n, seconds, said):
    from findna.cli._options import speed

    assert said is None or speed(n, seconds) == said
    assert "(0/s)" not in speed(n, seconds)


@pytest.mark.parametrize("command", ["predict", "scan", "explain"])
def test_without_a_task_it_is_said_where_tasks_are_listed(run, example, command):
    assert "findna tasks list" in run(command, example / "genome.fa", code=2).stderr


@pytest.mark.parametrize(
    ("machine", "said"),
    [("x86_64", "an x86_64"), ("aarch64", "an aarch64"), ("ppc64le", "a ppc64le")],
)
def test_the_article_of_a_machine(monkeypatch, machine, said):
    import torch

    from findna.model.devices import describe

    monkeypatch.setattr("findna.model.devices.platform.machine", lambda: machine)
    assert describe(torch.device("cpu")).endswith(f" of {said} CPU")
