"""Run commands on the CPU and on a pretended GPU.

    python -m tests.pretended.check LIBRARY FOLDER

LIBRARY is what `tests.pretended.load.build` makes; FOLDER is empty. Printed is an object
of JSON: what `tests.test_gpu` judges.
"""

import json
import os
import re
import sys
import traceback
from pathlib import Path

if __name__ == "__main__":
    from tests.pretended.load import load

    load(Path(sys.argv[1]))  # before torch is imported

import h5py
import numpy as np
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file

from findna.cli import main
from findna.genome.batching import Sequences, batches
from findna.genome.encoding import encode
from findna.model import folders, precision
from findna.model.checkpoint import load_checkpoint, save_checkpoint
from findna.model.devices import Compute
from findna.model.inference import forward_batches, mean_vectors
from findna.model.tolerances import relative
from findna.pretraining import heldout
from findna.tasks.features import Features
from tests.conftest import TINY, make_model, make_task, random_sequence, write_genome
from tests.made_up import write_example
from tests.pretended.gpu import CUDA, Gpu

DENSE = "finetune g.fa -t {o} --dense --train s.bed --holdout c2 -o {o} -m little --mode full"
FULL = "finetune -t {o} --train labelled.csv -m little -o {o} --mode full --epochs 1 --lr 1e-9"
PRETRAIN = "pretrain genome.fa -o {o} --preset paper --config recipe.yaml --holdout chrB"

COMMANDS = {
    "embed": "embed genome.fa few.bed -m little --pool mean --pool max --pool std --pool center "
    "--pool cls --bins 3 --both-strands -o {o}.h5",
    "embed-bf16": "embed genome.fa few.bed -m little --precision bf16 -o {o}.h5",
    "embed-per-base": "embed genome.fa few.bed -m little --per-base -o {o}.h5",
    "predict": "predict -s genome.fa few.bed --task binary --task three -o {o}.tsv",
    "variants": "variants genome.fa few.vcf -m little --task binary --window 64 -o {o}.vcf",
    "explain": "explain genome.fa -r chrA:1,001-1,020 --task binary --context 20 -o {o}.h5",
    "explain-model": "explain genome.fa -r chrA:1,001-1,020 -m little --target mnm --context 20 "
    "-o {o}.h5",
    "finetune": FULL + " --batch-tokens 1000",
    "finetune-more-steps": FULL + " --batch-tokens 500",
    "finetune-bf16": FULL + " --precision bf16",
    "dense": DENSE + " --epochs 1 --batch-tokens 4000",
    "dense-more-steps": DENSE + " --epochs 1 --batch-tokens 2000",
    "scan": "scan g.fa --task dense.cpu --class donor -o {o}.bedgraph",
    "pretrain": PRETRAIN + " --steps 2",
    "pretrain-more-steps": PRETRAIN + " --steps 4",
    "pretrain-bf16": PRETRAIN + " --steps 2 --precision bf16 --recompute",
    "selftest": "selftest",
}
"""Of each command its words; ``{o}`` is the name of its output."""

RECIPE = """\
encoder: {dim: 24, track_size: 4, hidden: 32, n_blocks: 1, layers_per_block: 5}
lengths: [100]
batch_tokens: 1000
"""


def write_inputs() -> None:
    """Write all that the commands read into the working folder."""
    here = Path()
    write_example(here)
    for name, n in (("regions.bed", 8), ("variants.vcf", 12)):
        lines = Path(name).read_text().splitlines(True)[:n]
        Path(f"few{name[-4:]}").write_text("".join(lines))
    save_checkpoint(here / "little", make_model(TINY), {"steps_done": 0}, "# little\n{digest}\n")
    make_task(here / "binary", here / "little")
    make_task(
        here / "three",
        here / "little",
        Features(("std", "center", "max"), 4, 3, False),
        classes=("donor", "acceptor", "neither"),
    )
    write_genome(here, 3, 1_600, 60)
    sequences = [random_sequence(60 + i % 7, i) for i in range(80)]
    rows = [f"{letters},{'ny'[letters.count('G') > 15]}\n" for letters in sequences]
    Path("labelled.csv").write_text("sequence,label\n" + "".join(rows))
    Path("recipe.yaml").write_text(RECIPE)


def values(name: str) -> np.ndarray:
    """All numbers of an output: of weights, of datasets, or of the lines of a text."""
    found: list[np.ndarray] = []

    def keep(_: str, values: h5py.HLObject | np.ndarray) -> None:
        if getattr(values, "dtype", np.dtype(bool)).kind == "f":
            found.append(np.ravel(values[()]))

    for path in [*sorted(Path().glob(f"{name}.*")), *sorted(Path(name).rglob("*"))]:
        if path.suffix == ".safetensors":
            for tensor, array in sorted(load_file(path).items()):
                keep(tensor, array)
        elif path.suffix == ".h5":
            with h5py.File(path) as file:
                file.visititems(keep)
        elif path.suffix in (".tsv", ".vcf", ".bedgraph"):
            lines = [line for line in path.read_text().splitlines() if line[0] != "#"]
            words = re.findall(r"-?\d+\.\d+(?:e-?\d+)?", "\n".join(lines))
            found.append(np.array(words, float))
    return np.concatenate(found) if found else np.zeros(0)


def run(name: str, device: str) -> str:
    """Run a command on a device; returns what went wrong, or nothing."""
    words = COMMANDS[name].format(o=f"{name}.{device[:3]}").split()
    done = CliRunner().invoke(main, [*words, "--device", device])
    if done.exit_code and not isinstance(done.exception, SystemExit):
        return "".join(traceback.format_exception(*done.exc_info))
    return done.output if done.exit_code else ""


def order() -> list[str]:
    """Events, in order, as three batches are read, computed and used on the GPU."""
    events = []
    source = Sequences([encode(random_sequence(100, i)) for i in range(3)])

    def read():
        for batch in batches(source.rows(), source, max_tokens=1, longest=None, n_cls=0):
            events.append("read")
            yield batch

    encoder = load_checkpoint("little").model.encoder
    next(encoder.mixer.layers()).register_forward_hook(lambda *_: events.append("compute"))
    for _, hidden in forward_batches(encoder, read(), Compute(CUDA)):
        events.append("use" if hidden.device == CUDA else "?")
    return events


def caught(gpu: Gpu) -> dict[str, str]:
    """Mistakes by name, and how a pretended GPU answers each."""
    here, there = torch.arange(3, device=CUDA), torch.arange(3)
    mistakes = {
        "mixed": lambda: here + there,
        "item": lambda: here.sum().item(),
        "mask": lambda: here[here > 1],
        "copy": lambda: here.cpu(),
        "unpinned": lambda: there.to(CUDA),
        "none": lambda: there.to(CUDA, non_blocking=True)[here] + here.sum() + 1,
    }
    found = {}
    for name, mistake in mistakes.items():
        gpu.waits.clear()
        try:
            mistake()
        except RuntimeError as error:
            found[name] = str(error)
        else:
            found[name] = f"{gpu.waits.total()} waits"
    return found


def check(folder: Path) -> dict[str, object]:
    """Run everything in an empty folder."""
    os.chdir(folder)
    os.environ |= {"FINDNA_HOME": "home", "XDG_CACHE_HOME": "cache", "FINDNA_PRECISION": "fp32"}
    torch.set_num_threads(1)
    heldout.TOKENS = 2_000
    write_inputs()
    save_file = folders.save_file  # it reads the memory of tensors, and a pretended GPU has none
    folders.save_file = lambda tensors, *more: save_file(
        {name: tensor.cpu() for name, tensor in tensors.items()}, *more
    )
    # to choose the precision of a GPU many windows are encoded
    precision.mean_vectors = lambda encoder, windows, compute: mean_vectors(
        encoder, windows[:4], compute
    )
    weights = len(load_checkpoint("little").model.encoder.state_dict())
    report: dict[str, object] = {"weights": weights}
    for name in COMMANDS:
        problem = "" if name == "selftest" else run(name, "cpu")
        with Gpu() as gpu:
            problem = problem or run(name, "cuda:0")
        found = {"problem": problem, "waits": dict(gpu.waits)}
        if not problem and name != "selftest":
            numbers = [values(f"{name}.{device}") for device in ("cud", "cpu")]
            found |= {"n": len(numbers[1]), "difference": relative(*numbers)}
        report[name] = found
    with Gpu() as gpu:
        report["order"] = order()
        report["caught"] = caught(gpu)
    return report


if __name__ == "__main__":
    print(json.dumps(check(Path(sys.argv[2]))))
