"""Rate of `findna embed`, `predict` and `validate` with an encoder that costs next to nothing.

What is measured is everything but the encoder, which is a look-up of 16 channels here: rows are
read, checked, cut out of the FASTA, pooled and written. Regions of 300 to 1,000 bp, sorted, six
columns, of a made-up genome of four contigs, plain and BGZF. Beside them, in the same run, what
cuts the same sequence and does nothing with it: `pysam.FastaFile.fetch` row by row, and
`bedtools getfasta`.

Rates are regions per second of processor time, without what the command takes for one region
(its start): so other work on the machine counts as little as can be. The clock's time of the
whole command is in brackets.

    python docs/benchmarks/rows_rate.py
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pysam
import torch

from findna.model import inference
from findna.model.checkpoint import Model, load_checkpoint, save_checkpoint
from findna.model.config import EncoderConfig
from findna.model.encoder import Encoder
from findna.model.heads import TaskHead
from findna.model.sharing import Read
from findna.tasks.features import Features
from findna.tasks.task import TaskConfig, save_task

SHARES = {"chr1": 0.4, "chr2": 0.3, "chr3": 0.2, "chr4": 0.1}
SIZES = EncoderConfig(
    dim=16, track_size=8, hidden=16, n_blocks=1, layers_per_block=1, norm="layer", n_cls=1
)
TASKS = {"one-strand": Features(both_strands=False), "both-strands": Features()}


def look_up(
    encoder: Encoder, tokens: torch.Tensor, offsets: torch.Tensor, reads: Sequence[Read]
) -> list[torch.Tensor]:
    """Stand in for the encoder, `shared_states`: the embedding of each letter."""
    hidden = torch.nn.functional.embedding(tokens.int(), encoder.letters())
    return [hidden if positions is None else hidden[positions] for _, positions in reads]


def write_inputs(folder: Path, bases: int, regions: int) -> None:
    rng = np.random.default_rng(1)
    lengths = {name: int(share * bases) for name, share in SHARES.items()}
    with (folder / "genome.fa").open("wb") as file:
        for name, length in lengths.items():
            letters = rng.choice(np.frombuffer(b"ACGTacgt", np.uint8), length).tobytes()
            lines = [letters[i : i + 60] for i in range(0, length, 60)]
            file.write(b">%s\n%s\n" % (name.encode(), b"\n".join(lines)))
    pysam.tabix_compress(str(folder / "genome.fa"), str(folder / "genome.fa.gz"))
    for path in ("genome.fa", "genome.fa.gz"):
        pysam.faidx(str(folder / path))
    number = 0
    with (folder / "regions.bed").open("w") as bed:
        for name, share in SHARES.items():
            for start in np.sort(rng.integers(0, lengths[name] - 1000, int(share * regions))):
                end = start + rng.integers(300, 1001)
                bed.write(
                    f"{name}\t{start}\t{end}\tpeak{number}\t{number % 1000}\t{'+-'[number % 2]}\n"
                )
                number += 1
    lines = (folder / "regions.bed").read_text().splitlines(keepends=True)
    (folder / "one.bed").write_text(lines[0])


def write_weights(folder: Path) -> None:
    torch.manual_seed(1)
    save_checkpoint(folder / "model", Model(SIZES), {}, "# look-up\n")
    digest = load_checkpoint(str(folder / "model")).digest
    for name, features in TASKS.items():
        head = TaskHead(features.size(SIZES.dim), 2)
        config = TaskConfig(
            "probe", "classes", ("no", "yes"), 0, str(folder / "model"), digest, features
        )
        save_task(folder / name, config, head, {}, "# look-up\n")


FETCH = """
import sys, pysam
with pysam.FastaFile(sys.argv[1]) as fasta, open(sys.argv[2]) as rows:
    for row in rows:
        chrom, start, end = row.split("\\t")[:3]
        fasta.fetch(chrom, int(start), int(end))
"""


def seconds(command: list[str]) -> tuple[float, float]:
    """Return processor and clock seconds of a command."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    return used.ru_utime + used.ru_stime, time.monotonic() - started


def measure(folder: Path, n: int) -> None:
    findna = [sys.executable, __file__, "--run"]
    fetch = [sys.executable, "-c", FETCH, "GENOME", "BED"]
    output = [*["-q", "-f", "-@", "1", "-o"]]
    predict = [*findna, "predict", "GENOME", "BED", *output, str(folder / "o.bed"), "-t"]
    commands = {
        "findna embed, to HDF5": [
            *findna, "embed", "GENOME", "BED", *output, str(folder / "o.h5"),
            "-m", str(folder / "model"),
        ],
        "findna predict, to BED": [*predict, str(folder / "one-strand")],
        "the same, both strands": [*predict, str(folder / "both-strands")],
        "findna validate": [*findna, "validate", "GENOME", "BED", "--no-estimate"],
        "pysam, fetch row by row": fetch,
    }  # fmt: skip
    if shutil.which("bedtools"):
        commands["bedtools getfasta"] = ["bedtools", "getfasta", "-fi", "GENOME", "-bed", "BED"]
    print("| regions/s (seconds) | plain FASTA | BGZF |\n|---|---|---|")
    for name, command in commands.items():
        cells = []
        for genome in ("genome.fa", "genome.fa.gz"):
            if command[0] == "bedtools" and genome.endswith(".gz"):
                cells.append("not read")
                continue
            times = {}
            for bed in ("one.bed", "regions.bed"):
                paths = {"GENOME": str(folder / genome), "BED": str(folder / bed)}
                times[bed] = seconds([paths.get(word, word) for word in command])
            spent = times["regions.bed"][0] - times["one.bed"][0]
            cells.append(f"{n / spent:,.0f} ({times['regions.bed'][1]:.0f} s)")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--regions", type=int, default=200_000)
    parser.add_argument("--bases", type=int, default=20_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rate-") as name:
        write_inputs(Path(name), asked.bases, asked.regions)
        write_weights(Path(name))
        measure(Path(name), asked.regions)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        from findna.cli import main as findna

        inference.shared_states = look_up  # type: ignore[attr-defined]
        findna(sys.argv[2:])
    else:
        main()
