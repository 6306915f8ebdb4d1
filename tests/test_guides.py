"""Every command in a console block of the start and the guides runs, and prints what they show.

To replace what pages show by what is printed, where these differ:
``python -m tests.test_guides [PAGE ...]``, with names such as ``splice``.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from findna.example import write_example
from tests.conftest import SHARED
from tests.test_docs import GUIDES

ROOT = Path(__file__).parents[1]
PAGES = {page.stem: page for page in GUIDES}
PROGRAMS = ("bedtools", "samtools", "bcftools")

REAL = {
    "worm.fa.gz": "worm-ce10/ce10.chrIII_chrM.fa.gz",
    "hg19.fa.gz": "human-hg19/hg19.chr1_chr17_chr20_chr22.fa.gz",
    "hg38.fa.gz": "human-hg38/hg38.chr2_chr20_chr21.fa.gz",
    "GUE": "gue",
}
"""Real data under the names that pages give them."""

NEEDS_REAL = re.compile("|".join([*map(re.escape, REAL), "core-tata", "worm-model"]))
"""What a block names that needs real data, or what an earlier block made of them."""

MADE = {
    "pictures": f"zcat {SHARED}/regions/epdnew_human_tss.no_chr19.hg38.bed.gz"
    " | awk -v OFS='\\t' '$1 == \"chr20\" && $2 < 9e6 {print $1, $2 - 500, $2 + 500}' > regions.bed"
}
"""How a file is made that a page describes in words."""

WORDS_ONLY = {
    "train: findna predict": "of weights made just now, whose last digits libraries decide",
    "train: findna tasks measure": "of weights made just now, too",
    "compare: findna evaluate": "of regressions fitted just now, too",
    "pictures: findna plot map": "3,000 regions take three minutes; starts of chr20 are drawn",
}
"""Commands that run on less, and why; numbers in their output are not compared."""

PARSED_ONLY = {
    "start: pip": "test_packages.py installs findna",
    "pictures: pip": "test_packages.py installs findna",
    "ctcf: findna predict genome.fa peaks": "peaks of the reader; test_predict.py has some",
    "million: jobid=": "a cluster: test_cluster.py",
    "million: sbatch": "a cluster: test_cluster.py",
    "million: torchrun": "a cluster: test_cluster.py",
    "million: findna embed": "a million regions; test_parts.py resumes smaller runs",
    "pictures: findna plot curves": "any model; the guide to pretraining draws one",
    "compare: findna evaluate --data my_sets": "sets of the reader; test_evaluate.py has some",
    "pretrain: findna pretrain": "50 million nucleotides are hours",
    "pretrain: findna finetune": "labels of the reader; the guide to training has some",
    "pretrain: findna evaluate": "labels of the reader; test_evaluate.py has some",
    "score-vcf: findna variants": "needs findna[reports]; test_variants_report.py has it",
    "score-vcf: findna evaluate": "labels of the reader; test_evaluate_variants.py has some",
    "splice: findna finetune": "a training of hours; test_dense.py has smaller ones",
    "workflows: ": "test_workflows.py runs them",
}
"""Commands outside of console blocks, and why they are not run here; test_docs.py parses them."""

FREE = re.compile(
    r"\d[\d.]* (?:s|min|h|MB|GB)\b"  # what it took, or will take
    r"|\d[\d.]*/s\b"
    r"|\d+ threads? of an? \S+ CPU"
    r"|\([0-9a-f]{12}\)"  # weights that were made just now
    r"|\bfindna \d\S+"  # a version
)
"""What differs between machines, and from day to day."""

NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")


class Ran(NamedTuple):
    """A command of a page, the output shown below it, and what it printed."""

    command: str
    shown: str
    printed: str
    error: str
    code: int


def commands(page: str, real: bool) -> list[tuple[str, str]]:
    """Return commands of console blocks with their output, of blocks that need real data or not."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGES[page].read_text(), re.M | re.S)
    chosen = "".join(block for block in blocks if bool(NEEDS_REAL.search(block)) == real)
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", chosen, re.M)


def kind(line: str) -> list[str]:
    """Return the first words of a message, without its numbers."""
    return NUMBER.sub("#", line).split()[:3]


def run_page(page: str, real: bool, folder: Path) -> Iterator[Ran]:
    """Run the commands of a page in an empty folder, in their order."""
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "FINDNA_PRECISION": "fp32",
        "FINDNA_HOME": ".",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }

    def bash(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"], cwd=folder, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    if page != "start":  # which makes it
        (folder / "demo").mkdir()
        write_example(folder / "demo")
    if real:
        for name, path in REAL.items():
            (folder / name).symlink_to(SHARED / path)
        bash(MADE.get(page, ""))
    for command, shown in commands(page, real):
        done = bash(command)
        kinds = [kind(line) for line in shown.splitlines() if line.startswith("findna:")]
        said = [x for x in done.stderr.splitlines(keepends=True) if kind(x) in kinds]
        printed = "".join(said) + done.stdout.replace("\t", "  ")
        yield Ran(command, shown, printed, done.stderr, done.returncode)


def near(shown: str, printed: str) -> bool:
    """Whole numbers are equal; others differ by at most 0.0001, a thousandth or the last digit."""
    a, b = (Decimal(text.replace(",", "")) for text in (shown, printed))
    exponent = min(int(x.as_tuple().exponent) for x in (a, b))
    if exponent >= 0:
        return a == b
    return abs(a - b) <= max(Decimal(1).scaleb(exponent), min(Decimal("1e-4"), abs(a) / 1000))


def agrees(page: str, ran: Ran) -> bool:
    """Tell whether a command did its work and printed the words and numbers that are shown."""
    shown, printed = FREE.sub("~", ran.shown), FREE.sub("~", ran.printed)
    words_only = f"{page}: {ran.command}".startswith(tuple(WORDS_ONLY))
    return (
        ran.code in (0, 141)  # 141: cut short by head
        and NUMBER.sub("#", shown).split() == NUMBER.sub("#", printed).split()
        and (words_only or all(map(near, NUMBER.findall(shown), NUMBER.findall(printed))))
    )


def check(page: str, real: bool, folder: Path) -> None:
    """Run a page; the message has each output that differs, ready to be copied."""
    for program in PROGRAMS:
        if shutil.which(program) is None and any(program in x for x, _ in commands(page, real)):
            pytest.skip(f"{program} is not installed")
    wrong = [ran for ran in run_page(page, real, folder) if not agrees(page, ran)]
    assert not wrong, "\n".join(
        f"\n{PAGES[page].relative_to(ROOT)}: exit code {ran.code}\n$ {ran.command}\n"
        f"---- shown\n{ran.shown}---- printed\n{ran.printed}---- standard error\n{ran.error}"
        for ran in wrong
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page, False)])
def test_pages_show_what_is_printed(page, tmp_path):
    check(page, False, tmp_path)


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page, True)])
def test_pages_show_what_is_printed_of_real_data(page, shared_data, tmp_path):
    check(page, True, tmp_path)


def test_what_is_not_run_has_a_reason():
    programs = "findna|pip|python|bedtools|samtools|jobid|sbatch|torchrun|snakemake|nextflow"
    indented = [
        f"{name}: {command}"
        for name, page in PAGES.items()
        for command in re.findall(rf"^    ((?:{programs})\b(?!:).*)$", page.read_text(), re.M)
    ]
    for command in indented:
        assert command.startswith(tuple(PARSED_ONLY)), f"{command}: nothing runs it"
    run = [f"{page}: {x}" for page in PAGES for real in (0, 1) for x, _ in commands(page, real)]
    for table, of in ((PARSED_ONLY, indented), (WORDS_ONLY, run)):
        for start in table:
            assert any(command.startswith(start) for command in of), f"{start}: on no page"


def test_python_of_the_start_is_that_of_the_readme():
    """Which test_readme.py runs."""
    text = PAGES["start"].read_text()
    (block,) = re.findall(r"^```python\n(?:(?!```).*\n)+```\n\n(?:    .*\n)+", text, re.M)
    assert block in (ROOT / "README.md").read_text()


def test_outputs_differ_where_numbers_or_words_do():
    def same(shown: str, printed: str) -> bool:
        return agrees("any", Ran("", shown, printed, "", 0))

    assert same("chr1  5  0.914133", "chr1 5 0.914170\n")
    assert same("x in 68.0 s (20/s), tiny (c08b44c1ddc4)", "x in 1 s (1020/s), tiny (a08b44c1ddc4)")
    assert same("1,000 rows 1", "1000 rows 0.99996")
    for printed in ("chr1 6 0.914133", "chr1 5 0.9144", "chr1 5", "chr2 5 0.914133 +"):
        assert not same("chr1 5 0.914133", printed)
    assert not same("0.000633719", "0.00063471")
    assert not same("tiny c08b44c1ddc4", "tiny c09b44c1ddc4")


if __name__ == "__main__":
    for page in sys.argv[1:] or PAGES:
        text = PAGES[page].read_text()
        for real in (False, True)[: 1 + SHARED.is_dir()]:
            with tempfile.TemporaryDirectory() as folder:
                for ran in run_page(page, real, Path(folder)):
                    if ran.code not in (0, 141):
                        sys.exit(f"{page}: $ {ran.command}\n{ran.error}")
                    if not agrees(page, ran):
                        before, after = (f"$ {ran.command}\n{x}" for x in (ran.shown, ran.printed))
                        text = text.replace(before, after)
                        print(f"{page}: {after}", end="")
        PAGES[page].write_text(text)
