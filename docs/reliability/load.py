"""A million regions through `findna embed`: rate, peak memory, and an output that holds them all.

Regions of 100 bp of a made-up genome, six columns, read by an encoder of about 10,000 parameters,
so that what is measured is everything but the encoder. Of the output every name, start and end is
compared with what was written, and the vectors of some rows with those of a run of these rows
alone.

    python docs/reliability/load.py --regions 100000 1000000
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import torch

from findna.example import write_example
from findna.model.checkpoint import Model, save_checkpoint
from findna.model.config import EncoderConfig

CONTIGS = {"chr20part": 200_000}  # of the example, bp
LENGTH = 100
SIZES = EncoderConfig(
    dim=24, track_size=4, hidden=32, n_blocks=1, layers_per_block=6, norm="layer", n_cls=1,
    max_length=1_000,
)  # fmt: skip
SAMPLE = 1_000
AT_A_TIME = 50_000


def row(number: int) -> tuple[str, int, int, str]:
    chrom = list(CONTIGS)[number % len(CONTIGS)]
    start = number * 37 % (CONTIGS[chrom] - LENGTH)
    return chrom, start, start + LENGTH, f"region{number}"


def write_bed(path: Path, numbers: Iterable[int]) -> None:
    with path.open("w") as file:
        for i in numbers:
            chrom, start, end, name = row(i)
            file.write(f"{chrom}\t{start}\t{end}\t{name}\t{i % 1000}\t{'+-'[i % 2]}\n")


def embed(folder: Path, bed: Path, threads: int) -> tuple[Path, float, float]:
    """Output, seconds, and peak memory of the command in MiB."""
    out = bed.with_suffix(".h5")
    words = ["embed", "-q", folder / "genome.fa", bed, "-m", folder / "little", "-o", out]
    command = [sys.executable, "-m", "findna", *map(str, words), "-@", str(threads)]
    started = time.monotonic()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)  # of this child alone
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    return out, time.monotonic() - started, used.ru_maxrss / 1024


def check(path: Path, n: int) -> None:
    """Every row is there, in its order, as it was, with a vector."""
    with h5py.File(path) as file:
        assert file["X"].shape == (n, SIZES.dim), file["X"].shape
        for first in range(0, n, AT_A_TIME):
            part = slice(first, first + AT_A_TIME)
            expected = [row(i) for i in range(first, min(first + AT_A_TIME, n))]
            chroms, starts, ends, names = zip(*expected, strict=True)
            obs = {name: file[f"obs/{name}"] for name in ("chrom", "start", "end", "name")}
            words = obs["chrom"]["categories"].asstr()[:]
            assert words[obs["chrom"]["codes"][part]].tolist() == list(chroms)
            assert obs["start"][part].tolist() == list(starts)
            assert obs["end"][part].tolist() == list(ends)
            assert obs["name"].asstr()[part].tolist() == list(names)
            assert set(file["obs/status"].asstr()[part]) == {"ok"}
            assert np.isfinite(file["X"][part]).all()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--regions", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        folder = Path(name)
        write_example(folder)
        torch.manual_seed(1)
        model = Model(SIZES)
        save_checkpoint(folder / "little", model, {}, "# little\n")
        n_parameters = sum(p.numel() for p in model.encoder.parameters())
        print(f"encoder of {n_parameters:,} parameters, {asked.threads} thread(s)")
        print("| regions | seconds | regions/s | peak memory, MiB | output, MB |")
        print("|---|---|---|---|---|")
        for n in asked.regions:
            bed = folder / f"{n}.bed"
            write_bed(bed, range(n))
            out, seconds, peak = embed(folder, bed, asked.threads)
            check(out, n)
            some = sorted(np.random.default_rng(1).choice(n, min(SAMPLE, n), False).tolist())
            write_bed(folder / "some.bed", some)
            alone, _, _ = embed(folder, folder / "some.bed", asked.threads)
            with h5py.File(out) as file, h5py.File(alone) as other:
                expected = other["X"][:]
                difference = np.abs(file["X"][some] - expected).max() / np.abs(expected).max()
            assert difference <= 1e-5, difference
            alone.unlink()
            size = out.stat().st_size / 1e6
            print(
                f"| {n:,} | {seconds:.0f} | {n / seconds:,.0f} | {peak:.0f} | {size:.0f} |",
                flush=True,
            )
            out.unlink()
        print(f"all rows checked; vectors of {SAMPLE:,} as in a run of these alone, to 1e-5")


if __name__ == "__main__":
    main()
