"""What the README tells a reader to run is run."""

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from findna.example import main, write_example
from tests.conftest import random_sequence

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def shorter(file, n_rows=8):
    """Keep a file's header and its first rows."""
    lines = file.read_text().splitlines(keepends=True)
    header = [line for line in lines if line.startswith("#")]
    file.write_text("".join(lines[: len(header) + n_rows]))


@pytest.fixture
def demo(example, tmp_path, monkeypatch):
    """A folder that looks like the one of the README's examples."""
    (tmp_path / "demo").mkdir()
    write_example(tmp_path / "demo")
    shutil.copy(example / "genome.fa", tmp_path / "genome.fa")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_replaces_no_file_of_the_user(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for wrong in ([], ["-h"], ["a", "b"]):
        with pytest.raises(SystemExit, match=r"^Usage: "):
            main(wrong)
    assert not list(tmp_path.iterdir())
    Path("tss.bed").write_text("mine\n")
    with pytest.raises(SystemExit, match=r"tss\.bed: exists and holds something else"):
        main(["."])
    assert [path.name for path in tmp_path.iterdir()] == ["tss.bed"]
    assert Path("tss.bed").read_text() == "mine\n"
    for _ in range(2):  # the same once more is no harm
        main(["demo"])
    assert capsys.readouterr().err == "findna: example -> demo\n" * 2


@pytest.mark.slow
def test_the_example_is_not_written_onto_a_file(tmp_path):
    path = tmp_path / "tss.bed"
    path.write_text("mine")
    for name, said in [(path, "exists and is no folder"), (path / "x", "Not a directory")]:
        with pytest.raises(SystemExit) as stopped:
            main([str(name)])
        assert stopped.value.code.startswith(f"findna: {name}: {said}")
        assert "Errno" not in stopped.value.code
    assert path.read_text() == "mine"


def test_the_one_command_and_the_python_example(demo, run, capsys):
    command = re.search(r"^    findna (embed demo/.*)$", README, re.M)[1]
    run(*command.split())
    command, rows = re.search(
        r"^    findna (predict -s demo/.*) \| sed -n 5,8p\n\n((?:    .*\n)+)", README, re.M
    ).groups()
    printed = run(*command.split()).stdout.splitlines()[4:8]
    for shown, line in zip(rows.splitlines(), printed, strict=True):
        *columns, probability = shown.split()
        assert columns == line.split()[:-1]
        assert float(probability) == pytest.approx(float(line.split()[-1]), abs=1e-4)
    first, second = re.findall(r"```python\n(.*?)```", README, re.S)
    exec(compile(first, "README.md", "exec"), {})
    shown = README.split("AnnData object", 1)[1].split("\n\n")[0]
    printed = capsys.readouterr().out.split("AnnData object", 1)[1]
    assert shown.split() == printed.split()
    exec(compile(second, "README.md", "exec"), {})
    assert "chr20part:34692-34992" in capsys.readouterr().out
    assert (demo / "demo" / "again.h5").exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bedtools") is None, reason="bedtools is not installed")
def test_the_other_commands(demo, example, run):
    """Those without a pipe run in this process, to start fewer."""
    text = README.replace(" |\n        ", " | ")
    commands = re.findall(r"^    ((?:findna|bedtools|zcat) .*)$", text, re.M)
    assert len(commands) >= 9
    starts = [(f"chr{contig}", 2000 * i) for contig in "AB" for i in (1, 2)]
    for name, width in (("tss.bed", 1), ("peaks.bed", 600), ("loci.bed", 4)):
        rows = [f"{chrom}\t{at}\t{at + width}\tr{at}\t0\t+\n" for chrom, at in starts]
        Path(name).write_text("".join(rows))
    shorter(Path("demo/regions.bed"))
    shutil.copy(example / "variants.vcf", "calls.vcf")
    shorter(Path("calls.vcf"))
    subprocess.run(["gzip", "-k", "peaks.bed", "calls.vcf"], check=True)
    Path("genes.fa").write_text("".join(f">g{i}\n{random_sequence(500, i)}\n" for i in range(9)))
    run("embed", "genome.fa", "-r", "chrA:1-10", "-O", "tsv")  # makes genome.fa.fai
    labelled = [f"{random_sequence(80, i, 'ACGT'[i % 2 :])},{i % 2}\n" for i in range(40)]
    Path("labelled.csv").write_text("sequence,label\n" + "".join(labelled))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for command in commands:
        command = command.replace("chr2:", "chrA:")
        if "|" not in command:
            for words in command.split(" && "):
                run(*shlex.split(words)[1:])
            continue
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True,
            env=os.environ | {"PATH": path}, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 141), f"{command}: {done.stderr}"  # 141: cut short by head


@pytest.mark.slow
@pytest.mark.parametrize("page", ["explain.md", "variants.md"])
def test_python_of_the_other_pages(demo, page):
    text = (ROOT / "docs" / page).read_text().split("## From Python", 1)[1]
    (block,) = re.findall(r"```python\n(.*?)```", text, re.S)
    exec(compile(block, page, "exec"), {})


@pytest.mark.slow
def test_the_page_about_python(demo, site_task):
    (demo / "sites").symlink_to(site_task)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.S)
    page = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "python.md", None, None)
    assert len(page.examples) > 20
    assert doctest.DocTestRunner().run(page).failed == 0


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_each_case_names_a_test_that_is_there():
    page = (ROOT / "docs" / "reliability.md").read_text()
    rows = [line for line in page.split("## Cases", 1)[1].splitlines() if ".py`: `" in line]
    there = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(rows) > 20
    for name in re.findall(r"`(test_\w+)`", "".join(rows)):
        assert f"def {name}(" in there, name


def test_every_setting_is_documented_where_it_is_defined(run):
    text = run("pretrain", "--help").stdout
    for option in ("--mask-fraction", "--teacher-temp", "--layers-per-block", "--prototypes"):
        assert option in text
