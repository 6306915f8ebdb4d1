"""The test suites of others through findna: is every file read, or refused, as its path says?

Each BED, VCF and FASTA file below a folder of your own downloads goes through a whole command in a
process of its own: BED and FASTA through ``embed``, VCF through ``variants``. A file in a folder
called good, passed or valid has to be read, one in bad, failed or invalid has to be refused; words
of the file's name count where no folder says so; of others, either is right. What is read has to
come out with all its rows, in their order and with every column as it was. The files are copied
first, so that nothing is written beside them.

    git clone https://github.com/hoffmangroup/acidbio suites/acidbio
    git clone https://github.com/samtools/hts-specs suites/hts-specs
    git clone https://github.com/EBIvariation/vcf-validator suites/vcf-validator
    git clone https://github.com/samtools/htslib suites/htslib  # and so on
    python docs/reliability/suites.py suites

**crash** is a traceback, a signal, more than a minute, or a failure without its one line; **lost**
a row that is not in the output as it was. Both have to be 0. Formats say more than findna checks
(scores of BED, types of INFO), so some that are bad are read all the same, and counted as such.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import tempfile
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from fuzz import Workplace
from valid import bed_lines, is_blank, letters, lines_of, named_records, unpacked

from findna.cli import main as findna

GOOD = {"good", "pass", "passed", "valid"}
BAD = {"bad", "corrupt", "fail", "failed", "invalid", "malformed", "truncated"}
KINDS = {"bed": "bed", "vcf": "vcf", "fa": "fasta", "fasta": "fasta", "fna": "fasta"}
CONTIG = letters(2_000, 1)
SECONDS = 60


class Done(NamedTuple):
    """How a command ended: its exit code, or less than 0 for a signal."""

    code: int
    stderr: str


def kind_of(path: Path) -> str | None:
    words = path.name.lower().removesuffix(".gz").removesuffix(".bgz").rsplit(".", 1)
    return KINDS.get(words[-1]) if len(words) == 2 else None


def is_good(path: Path) -> bool | None:
    """What the nearest folder that says anything says, or else the name; None where none does."""
    for words in (*([part] for part in reversed(path.parts[:-1])), re.split(r"[\W_]", path.stem)):
        said = {word.lower() for word in words}
        if said & GOOD or said & BAD:
            return bool(said & GOOD)
    return None


def run(words: Iterable[object], log: Path) -> Done:
    """Run the command line in a forked process, which has imported everything already."""
    child = os.fork()
    if not child:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w") for number in (1, 2))
        sys.argv = ["findna", *map(str, words)]
        code = 0
        signal.alarm(SECONDS)  # its signal ends the process
        try:
            findna()
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
            code = 70
        sys.stderr.flush()
        os._exit(code)
    status = os.waitpid(child, 0)[1]
    return Done(os.waitstatus_to_exitcode(status), log.read_text("utf-8", "replace"))


def expected(kind: str, content: bytes) -> list[bytes]:
    """Rows that have to come out: of VCF without INFO, of FASTA the names."""
    if kind == "bed":
        return bed_lines(content)
    if kind == "fasta":
        return [name.encode() for name, _ in named_records(content)]
    lines = [line for line in lines_of(content) if not is_blank(line) and line[:1] != b"#"]
    return [without_info(line) for line in lines]


def without_info(line: bytes) -> bytes:
    columns = line.split(b"\t")
    return b"\t".join(columns[:7] + columns[8:])


def written(kind: str, out: Path, rows: list[bytes]) -> list[bytes]:
    """The rows of an output, each as far as it repeats a row of the input."""
    lines = [line for line in out.read_bytes().split(b"\n") if line]
    if kind == "vcf":
        return [without_info(line) for line in lines if line[:1] != b"#"]
    if kind == "fasta":
        return [line.split(b"\t")[0] for line in lines[1:]]
    widths = [row.count(b"\t") + 1 for row in rows] + [1] * len(lines)
    return [b"\t".join(line.split(b"\t")[:n]) for line, n in zip(lines[1:], widths, strict=False)]


def tried(path: Path, kind: str, place: Workplace, folder: Path) -> tuple[str, str]:
    """``read`` or ``refused``, ``crash`` or ``lost``, and the last line that was said."""
    copy, out = folder / path.name, folder / ("out.vcf" if kind == "vcf" else "out.tsv")
    data = path.read_bytes()
    copy.write_bytes(data)
    content = unpacked(data)
    rows = [] if content is None else expected(kind, content)
    words: list[object] = [copy, "-m", place.model, "-o", out]
    if kind == "fasta":
        words = ["embed", *words]
    else:
        names = dict.fromkeys(row.split(b"\t")[0] for row in rows)
        records = [b">" + name + b"\n" + CONTIG.encode() + b"\n" for name in names if name.split()]
        genome = folder / "genome.fa"
        genome.write_bytes(b"".join(records) or b">c\n" + CONTIG.encode() + b"\n")
        of_kind = {
            "bed": ["embed", genome, *words, "--on-error", "null"],
            "vcf": ["variants", genome, *words, "--window", 50, "--ref-mismatch", "null"],
        }
        words = of_kind[kind]
    done = run(words, folder / "log")
    last = (done.stderr.splitlines() or [""])[-1]
    if done.code not in (0, 1, 2) or "Traceback" in done.stderr:
        return "crash", last or f"signal {-done.code}"
    if done.code:
        one_line = done.code == 2 or last.startswith("findna: ")
        return ("refused" if one_line and not out.exists() else "crash"), last
    if content is None or written(kind, out, rows) != rows:
        return "lost", last
    return "read", last


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the number of crashes and of files with lost rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="holds a folder for each suite")
    parser.add_argument("-v", "--verbose", action="store_true", help="show each wrong file too")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)  # or a forked process would wait for threads that it does not have
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    with tempfile.TemporaryDirectory(prefix="suites-") as name:
        top = Path(name)
        os.environ |= {"XDG_CACHE_HOME": str(top / "cache"), "FINDNA_HOME": str(top / "home")}
        (top / "place").mkdir()
        place = Workplace(top / "place")
        for path in sorted(asked.folder.rglob("*")):
            kind = kind_of(path)
            if kind is None or not path.is_file():
                continue
            within = path.relative_to(asked.folder)
            with tempfile.TemporaryDirectory(dir=top) as folder:
                result, said = tried(path, kind, place, Path(folder))
            good, count = is_good(within), counts[within.parts[0], kind]
            count["files"] += 1
            if result in ("read", "refused"):
                shown = asked.verbose
                result = "right" if good in (None, result == "read") else f"{result}, wrong"
            else:
                shown = True
            count[result] += 1
            if shown and result != "right":
                print(f"{within}: {result}: {said}", flush=True)
        place.genome.close()
    names = ("files", "right", "refused, wrong", "read, wrong", "crash", "lost")
    print("| suite | kind | files | right | refused, but good | read, but bad | crash | lost |")
    print("|---|---|---|---|---|---|---|---|")
    for (suite, kind), count in sorted(counts.items()):
        print(f"| {suite} | {kind} | " + " | ".join(f"{count[name]:,}" for name in names) + " |")
    return sum(count["crash"] + count["lost"] for count in counts.values())


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
