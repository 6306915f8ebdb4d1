"""Kill runs at random moments, resume each, and hold the results against uninterrupted ones.

Every command is started with --resume and killed (SIGKILL) again and again, after a random time of
up to the length of an uninterrupted run, until as many kills as asked have hit it; then it is left
to finish. Text has to be the same byte for byte, HDF5 dataset by dataset, weights tensor by tensor.
Parts are saved every 0.3 s here rather than every 20 s, so that kills fall on all there is to do.

    python docs/reliability/kill.py --kills 12
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import load_file

from findna.example import write_example

CONTIGS = {"chr20part": 200_000}  # of the example, bp
START = (
    "import sys; import findna.outputs.unfinished as u; u.SECONDS = 0.3; "
    "from findna.cli import main; sys.argv[0] = 'findna'; main()"
)
LITTLE = [
    "--dim", 16, "--track-size", 4, "--hidden", 16, "--n-blocks", 1, "--layers-per-block", 4,
    "--max-length", 100, "--lengths", 50, "--lengths", 100, "--batch-tokens", 800,
    "--checkpoint-every", 4, "--evaluate-every", 40,
]  # fmt: skip


def findna(words: list[object]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", START, *map(str, words)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def contents(path: Path) -> dict[str, bytes]:
    """What has to be the same: all there is in an output, but for the command line."""
    if path.is_dir():
        return {
            f"{name}/{key}": value.tobytes()
            for name in ("model.safetensors", "training.safetensors")
            for key, value in load_file(path / name).items()
        }
    if path.suffix != ".h5":
        return {"": path.read_bytes()}
    found: dict[str, bytes] = {}

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and name != "uns/findna/command":
            value = np.asarray(item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item)
            found[name] = str(value.tolist()).encode() if value.dtype == object else value.tobytes()

    with h5py.File(path) as file:
        file.visititems(add)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=12, help="of each command")
    parser.add_argument("--only", metavar="COMMAND", help="one of them, by its name in the table")
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=150, help="of pretraining")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        return attack(Path(name), arguments, rng)


def attack(folder: Path, arguments: argparse.Namespace, rng: random.Random) -> int:
    write_example(folder)
    genome, bed, vcf = folder / "genome.fa", folder / "many.bed", folder / "many.vcf"
    rows = []
    for i in range(arguments.rows):
        chrom = rng.choice(list(CONTIGS))
        start = rng.randrange(CONTIGS[chrom] - 400)
        end, strand = start + rng.randint(50, 350), rng.choice("+-")
        rows.append(f"{chrom}\t{start}\t{end}\tr{i}\t0\t{strand}\n")
    bed.write_text("".join(rows))
    lines = (folder / "variants.vcf").read_text().splitlines(keepends=True)
    header = [line for line in lines if line.startswith("#")]
    records = [line for line in lines if not line.startswith("#")]
    vcf.write_text("".join(header + records * (arguments.rows // len(records) // 8 + 1)))
    commands: dict[str, tuple[list[object], str]] = {
        "embed to HDF5": (["embed", genome, bed, "--pool", "mean", "--pool", "std", "--bins", 4,
                           "--per-base"], "o.h5"),
        "embed to a table": (["embed", genome, bed, "-s"], "o.tsv.gz"),
        "predict": (["predict", genome, bed, "-s", "--task", "promoter", "--header"],
                    "o.bed.gz"),
        "variants": (["variants", genome, vcf, "--window", 200, "--no-version"], "o.vcf.gz"),
        "pretrain": (["pretrain", genome, *LITTLE, "--steps", arguments.steps], "model"),
    }  # fmt: skip
    if arguments.only:
        commands = {arguments.only: commands[arguments.only]}
    print("| command | kills | of them with something to go on from | result |")
    print("|---|---|---|---|")
    different = 0
    for title, (words, output) in commands.items():
        # nothing of findna's own is left running: each run is waited for
        whole, parts = folder / f"whole.{output}", folder / f"parts.{output}"
        started = time.monotonic()
        run = findna([*words, "-o", whole])
        error = run.communicate()[1]
        seconds = time.monotonic() - started
        if run.returncode:
            raise SystemExit(f"{title}: {error.decode()}")
        kills = kept = 0
        resumed = [*words, "-o", parts, "--resume"]
        while kills < arguments.kills:
            if parts.exists() and not parts.is_dir():
                parts.unlink()  # it finished before the kill: begin anew
            run = findna(resumed)
            try:
                error = run.communicate(timeout=rng.uniform(0.2, seconds))[1]
                if run.returncode:
                    raise SystemExit(f"{title}: {error.decode()}")
            except subprocess.TimeoutExpired:
                run.kill()
                run.communicate()
                kills += 1
                unfinished = parts.with_name(parts.name + ".unfinished")
                kept += any(unfinished.glob("*/output")) or (parts / "model.safetensors").exists()
        # --force: the last kill may have come between the output's appearance and the removal of
        # its parts
        run = findna([*resumed, *([] if title == "pretrain" else ["--force"])])
        error = run.communicate()[1]
        if run.returncode:
            raise SystemExit(f"{title}: {error.decode()}")
        same = contents(whole) == contents(parts)
        left = sorted(
            path.name for path in folder.iterdir()
            if output in path.name and path not in (whole, parts)
        )  # fmt: skip
        different += bool(not same or left)
        print(f"| {title} | {kills} | {kept} | {'the same' if same else 'DIFFERENT'}"
              f"{f', left behind: {left}' if left else ''} |", flush=True)  # fmt: skip
    return min(different, 1)


if __name__ == "__main__":
    sys.exit(main())
