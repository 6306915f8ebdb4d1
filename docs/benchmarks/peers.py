"""Rate and memory of findna beside other encoders of DNA: docs/performance.md, docs/peers.png.

    python docs/benchmarks/peers.py DATA       # measures, and writes docs/benchmarks/peers.jsonl
    python docs/benchmarks/peers.py            # only the tables and the picture of what is there

DATA holds the intervals from which lengths are drawn (as in encoder_speed.py). Some rows need
transformers (`pip install transformers`) and are left out with a note where it is missing.

Speed does not depend on weights, so peers have random ones and the sizes of their papers. Each
encoder is measured in a process of its own, on one thread, in both precisions: from token ids to
one mean vector per region, without tokenisation. Rates are regions per second of processor time;
`tiny` in fp32 takes turns with each, as other work on the machine slows down all alike. Memory is
the peak of the process before that. Peers read padded batches of 8 regions in the order of the
file and are cut at their longest input; their layers are those of torch and transformers, as
their users run them; bf16 is autocast.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from encoder_speed import plain_forward, real_lengths
from torch import Tensor, nn

from findna.evaluation.published import tables
from findna.model.checkpoint import load_checkpoint
from findna.model.config import EncoderConfig
from findna.model.devices import Compute, describe
from findna.model.encoder import Encoder, n_parameters
from findna.model.inference import mean_vectors
from findna.tasks.kmers import kmer_counts

HERE = Path(__file__).parent
FOUND = HERE / "peers.jsonl"
BATCH, N_REGIONS, TURNS = 8, 16, 3
PRECISIONS = ("fp32", "bf16")

Run = Callable[[list[int], str], object]
"""Computes the vectors of regions of these lengths, in this precision."""


# --- peers, written from their papers ---


class Sine(nn.Module):
    """A sine whose frequencies are trained."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.full((dim,), 10.0))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.frequency * x)


class LongConvolution(nn.Module):
    """Hyena operator of order 2: gates about a convolution as long as the sequence.

    The filter is a small network of the position, times a window that decays (Poli et al., 2023).
    """

    def __init__(self, dim: int, longest: int, width: int = 64) -> None:
        super().__init__()
        self.longest, sine = longest, Sine(width)
        self.inward = nn.Linear(dim, 3 * dim)
        self.short = nn.Conv1d(3 * dim, 3 * dim, 3, padding=2, groups=3 * dim)
        self.filter = nn.Sequential(
            nn.Linear(5, width), sine, nn.Linear(width, width), sine,
            nn.Linear(width, width), sine, nn.Linear(width, dim, bias=False),
        )  # fmt: skip
        self.skip = nn.Parameter(torch.randn(dim, 1))
        self.outward = nn.Linear(dim, dim)
        self.register_buffer("decay", torch.linspace(3.0, 15.4, dim))

    def kernel(self, length: int) -> Tensor:
        at = torch.arange(length)[:, None] / self.longest  # (length, 1)
        waves = 2 * torch.pi * at * torch.tensor([1e-4, 1.0])
        features = torch.cat([at, waves.cos(), waves.sin()], dim=1)
        return (self.filter(features) * (torch.exp(-at * self.decay) + 0.05)).T  # (dim, length)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        mixed = self.short(self.inward(x).transpose(1, 2))[..., :length]
        gate, key, value = mixed.chunk(3, dim=1)  # (batch, dim, length)
        value, size = (value * key).float(), 2 * length
        spectrum = torch.fft.rfft(value, size) * torch.fft.rfft(self.kernel(length).float(), size)
        long = torch.fft.irfft(spectrum, size)[..., :length] + value * self.skip
        return self.outward((gate * long.to(gate.dtype)).transpose(1, 2))


class HyenaLike(nn.Module):
    """Encoder of HyenaDNA (Nguyen et al., 2023): long convolution and MLP, one token per base."""

    def __init__(self, dim: int, n_layers: int, longest: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, dim)
        self.layers = nn.ModuleList(
            nn.ModuleList([
                nn.Sequential(nn.LayerNorm(dim), LongConvolution(dim, longest)),
                nn.Sequential(
                    nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU("tanh"),
                    nn.Linear(4 * dim, dim),
                ),
            ])
            for _ in range(n_layers)
        )  # fmt: skip
        self.norm = nn.LayerNorm(dim)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = self.embedding(ids)
        for mixer, mlp in self.layers:
            hidden = hidden + mixer(hidden)
            hidden = hidden + mlp(hidden)
        return self.norm(hidden)


class Dilated(nn.Module):
    """Trunk of BPNet (Avsec et al., 2021) with the sizes of bpnet-lite: dilated convolutions."""

    def __init__(self, dim: int = 64, n_layers: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, dim, 21, padding=10)
        self.layers = nn.ModuleList(
            nn.Conv1d(dim, dim, 3, padding=2**i, dilation=2**i) for i in range(1, n_layers + 1)
        )

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = F.relu(self.first((F.one_hot(ids, 4) * mask[..., None]).float().transpose(1, 2)))
        for layer in self.layers:
            hidden = hidden + F.relu(layer(hidden))
        return hidden.transpose(1, 2)


# --- peers from transformers ---


def gated(dim: int, heads: int, inner: int, n_ids: int, activation: str) -> nn.Module:
    """Twelve layers of attention with rotary positions and gated feed-forward layers."""
    from transformers import ModernBertConfig, ModernBertModel

    config = ModernBertConfig(
        hidden_size=dim, num_hidden_layers=12, num_attention_heads=heads, intermediate_size=inner,
        vocab_size=n_ids, hidden_activation=activation, global_attn_every_n_layers=1,
        max_position_embeddings=2050, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        cls_token_id=1, sep_token_id=2,
    )  # fmt: skip
    return Hidden(ModernBertModel(config))


def bert(dim: int, n_layers: int, heads: int, n_ids: int, longest: int) -> nn.Module:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        hidden_size=dim, num_hidden_layers=n_layers, num_attention_heads=heads,
        intermediate_size=4 * dim, vocab_size=n_ids, max_position_embeddings=longest,
    )  # fmt: skip
    return Hidden(BertModel(config, add_pooling_layer=False))


class Hidden(nn.Module):
    """A model of transformers that gives hidden states alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state


# --- how each reads regions ---


def pieces(lengths: list[int], longest: int) -> list[int]:
    """Cut what an encoder cannot read whole."""
    return [min(longest, n - i) for n in lengths for i in range(0, n, longest)]


@dataclass(frozen=True)
class Padded:
    """An encoder that reads padded batches: ``bases`` per token, and ``more`` tokens a region."""

    make: Callable[[], nn.Module]
    n_ids: int = 4
    bases: float = 1
    more: int = 0
    longest: int = 1_000_000  # bp

    def tokens(self, length: int) -> int:
        return int(length / self.bases) + self.more

    def runner(self, model: nn.Module) -> Run:
        def run(lengths: list[int], precision: str) -> None:
            counts = [self.tokens(n) for n in pieces(lengths, self.longest)]
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                for i in range(0, len(counts), BATCH):
                    part = torch.tensor(counts[i : i + BATCH])
                    mask = torch.arange(int(part.max())) < part[:, None]
                    hidden = model(torch.randint(0, self.n_ids, mask.shape), mask)
                    (hidden * mask[..., None]).sum(1) / part[:, None]

        return run


@dataclass(frozen=True)
class Packed:
    """One of findna's encoders, as its commands run it."""

    make: Callable[[], Encoder]

    def tokens(self, length: int) -> int:
        return length

    def runner(self, model: Encoder) -> Run:
        def run(lengths: list[int], precision: str) -> None:
            mean_vectors(model, sequences(lengths), Compute(torch.device("cpu"), precision))

        return run


@dataclass(frozen=True)
class Counts:
    """Frequencies of 4-mers: no encoder."""

    make: Callable[[], nn.Module] = nn.Identity
    copies: int = 64

    def tokens(self, length: int) -> int:
        return length

    def runner(self, model: nn.Module) -> Run:
        return lambda lengths, precision: kmer_counts(sequences(lengths), 4, both_strands=False)


def sequences(lengths: list[int]) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 4, n).astype(np.uint8) for n in lengths]


class Plain(nn.Module):
    """The published sizes, padded, as one writes them first."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(EncoderConfig())

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return plain_forward(self.encoder, ids)


def tiny() -> Encoder:
    return load_checkpoint("tiny").model.encoder


COUNTS = "4-mers"

ENCODERS: dict[str, Padded | Packed | Counts] = {
    "findna tiny": Packed(tiny),
    "published sizes, packed": Packed(lambda: Encoder(EncoderConfig())),
    "published sizes, plain": Padded(Plain),
    "HyenaDNA-like 0.4 M": Padded(partial(HyenaLike, 128, 2, 1_024), 12, longest=1_024),
    "HyenaDNA-like 1.6 M": Padded(partial(HyenaLike, 256, 2, 1_024), 12, longest=1_024),
    "HyenaDNA-like 6.6 M": Padded(partial(HyenaLike, 256, 8, 160_000), 12),
    "BPNet-like": Padded(Dilated),
    "SpliceBERT": Padded(partial(bert, 512, 6, 16, 10, 1_026), 10, more=2, longest=1_024),
    "NT-v2-50M": Padded(partial(gated, 512, 16, 2_048, 4_107, "silu"), 4_107, 6, 5, 12_000),
    "DNABERT-2": Padded(partial(gated, 768, 12, 3_072, 4_096, "gelu"), 4_096, 5, 2, 10_000),
    "GENA-LM": Padded(partial(bert, 768, 12, 12, 32_000, 512), 32_000, 8.8, 2, 4_488),
    COUNTS: Counts(),
}
"""Encoders by name. Tokens: of NT-v2 6-mers, [CLS] and the 4 bases that 1 kb leaves over; of
DNABERT-2 and GENA-LM BPE, 5 and 8.8 bp (4,500 bp in 512) as their authors say, and two more."""

NEED_TRANSFORMERS = ("SpliceBERT", "NT-v2-50M", "DNABERT-2", "GENA-LM")

SETS = (
    "prom/prom_300_tata", "prom/prom_core_all", "prom/prom_core_notata", "prom/prom_core_tata",
    "tf/0", "tf/1", "tf/2", "tf/3", "mouse/0", "mouse/2", "mouse/4",
)  # fmt: skip
LEADERBOARD = {
    "NT-v2-50M": (
        0.5119, 0.5667, 0.6125, 0.5726, 0.5950, 0.6475, 0.4865, 0.3727, 0.3557, 0.6342, 0.3107,
    ),
    "DNABERT-2": (
        0.4360, 0.5704, 0.6086, 0.4879, 0.6194, 0.6948, 0.5496, 0.3651, 0.4076, 0.7134, 0.3702,
    ),
}  # fmt: skip
"""MCC on SETS of two models of GENEB's leaderboard_tasks.json that published.json leaves out."""
IN_PUBLISHED = {
    "HyenaDNA-like 6.6 M": "HyenaDNA-medium (14 M)",  # 14 M with the stored positions
    "SpliceBERT": "SpliceBERT (20 M)",
    "GENA-LM": "GENA-LM-T2T (110 M)",
}


def accuracies() -> dict[str, float]:
    """Mean MCC of SETS by encoder, protocol of GENEB: measured here, or as published."""
    means = {name: statistics.mean(values) for name, values in LEADERBOARD.items()}
    (geneb,) = (table for table in tables() if table.source.startswith("GENEB"))
    for name, model in IN_PUBLISHED.items():
        column = geneb.models.index(model)
        means[name] = statistics.mean(geneb.rows[f"gue/{each}"][column] for each in SETS)
    rows = [json.loads(line) for line in (HERE / "geneb.jsonl").read_text().splitlines()]
    for name, method in (("findna tiny", "findna"), (COUNTS, "k-mers")):
        means[name] = statistics.mean(
            row["metrics"]["mcc"]
            for row in rows
            if row["method"] == method and row["strands"] == "forward"
        )
    return means


# --- measuring ---


def seconds(run: Run, lengths: list[int], precision: str) -> float:
    started = time.process_time()
    run(lengths, precision)
    return time.process_time() - started


@torch.inference_mode()
def measure(name: str, mixed: list[int]) -> dict[str, Any]:
    """Measure one encoder, in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    encoder = ENCODERS[name]
    model = encoder.make().eval()
    run, copies = encoder.runner(model), getattr(encoder, "copies", 1)
    workloads = {"1 kb": [1_000] * N_REGIONS * copies, "mixed": mixed * copies}
    found: dict[str, Any] = {"encoder": name, "parameters": n_parameters(model)}
    found["tokens"] = encoder.tokens(1_000)
    run(workloads["1 kb"][:BATCH], "fp32")
    found["MiB, 1 kb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    run(workloads["mixed"], "fp32")
    found["MiB, mixed"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    reference = ENCODERS["findna tiny"]
    beside = reference.runner(reference.make().eval())
    for precision in PRECISIONS:
        for _ in range(TURNS):
            for work, lengths in workloads.items():
                rates = found.setdefault(f"{work}, {precision}", [])
                rates.append(len(lengths) / seconds(run, lengths, precision))
            taken = seconds(beside, workloads["1 kb"][:N_REGIONS], "fp32")
            found.setdefault(f"tiny, {precision}", []).append(N_REGIONS / taken)
    return found


def measure_all(data: Path, only: list[str]) -> None:
    """Measure each encoder in a process of its own that is not in FOUND yet."""
    mixed = real_lengths(data, N_REGIONS)
    there = {row["encoder"] for row in stored()}
    for name in only or ENCODERS:
        if name in there:
            continue
        if name in NEED_TRANSFORMERS and importlib.util.find_spec("transformers") is None:
            print(f"{name}: left out; pip install transformers", file=sys.stderr)
            continue
        done = subprocess.run(
            [sys.executable, __file__, "--measure", name, "--mixed", json.dumps(mixed)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        with FOUND.open("a") as file:
            file.write(done.stdout.splitlines()[-1] + "\n")
        print(f"{name}: done", file=sys.stderr)


def stored() -> list[dict[str, Any]]:
    if not FOUND.exists():
        return []
    rows = {row["encoder"]: row for row in map(json.loads, FOUND.read_text().splitlines())}
    return [rows[name] for name in ENCODERS if name in rows]


# --- what is shown ---


def rate(row: dict[str, Any], work: str, precision: str) -> float:
    return statistics.median(row[f"{work}, {precision}"])


def times_tiny(row: dict[str, Any], precision: str) -> float:
    """Rate for 1 kb over that of tiny in fp32, turn by turn."""
    turns = zip(row[f"1 kb, {precision}"], row[f"tiny, {precision}"], strict=True)
    return statistics.median(a / b for a, b in turns)


def shown(number: float) -> str:
    return f"{number:,.0f}" if number >= 200 else f"{number:.{1 if number >= 1 else 2}f}"


def table(rows: list[dict[str, Any]], means: dict[str, float]) -> None:
    print(
        "| encoder | parameters | tokens of 1 kb | 1 kb, fp32 | bf16 | mixed, fp32 | bf16 "
        "| times `tiny` in fp32: fp32 | bf16 | MiB, 1 kb | MiB, mixed | GENEB, mean MCC |"
    )
    print("|---" * 12 + "|")
    for row in rows:
        name = row["encoder"]
        numbers = [rate(row, work, p) for work in ("1 kb", "mixed") for p in PRECISIONS]
        cells = [shown(x) for x in (*numbers, *(times_tiny(row, p) for p in PRECISIONS))]
        if name == COUNTS:
            cells[1::2] = [""] * 3
        mean = f"{means[name]:.3f}".lstrip("0") if name in means else ""
        millions = f"{row['parameters'] / 1e6:.2f} M" if row["parameters"] else "none"
        cells = [name, millions, f"{row['tokens']:,}", *cells]
        cells += [f"{row['MiB, 1 kb']:.0f}", f"{row['MiB, mixed']:.0f}", mean]
        print("|", " | ".join(cells), "|")


GPUS = {"A100 80 GB": (312e12, 2.0e12), "H100 SXM": (989e12, 3.35e12)}
"""Published peaks: bf16 operations a second without sparsity, bytes of memory a second."""
REACHED = 0.3
ROWS = 17_000
"""Regions a second that one core reads, pools and writes (benchmarks/rates.md)."""


def on_gpu(operations: float, bandwidth: float) -> float:
    """Regions of 1 kb a second of tiny on a GPU: by reckoning, nothing was measured."""
    config = load_checkpoint("tiny").model.encoder.config
    layers = config.readout or config.n_layers
    work = 4 * config.dim * config.hidden * layers * 1_000
    moved = 2 * (5 * config.dim + 2 * config.hidden) * layers * 1_000  # in bf16
    return REACHED / (work / operations + moved / bandwidth)


def spoken(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.{0 if seconds >= 20 * size else 1}f} {unit}"
    return f"{seconds:.0f} s"


def costs(row: dict[str, Any]) -> None:
    """Print what runs of tiny cost, from the rate of one core and the peaks of GPUs."""
    core = {p: 1 / (1 / rate(row, "1 kb", p) + 1 / ROWS) for p in PRECISIONS}
    machines = {
        f"{name}, {precision}": n_cores * core[precision]
        for name, n_cores in (("laptop, 2 cores", 2), ("node, 32 cores", 32))
        for precision in PRECISIONS
    }
    for name, peaks in GPUS.items():
        machines[f"{name}, by reckoning"] = min(on_gpu(*peaks), ROWS)
    print("| machine | regions/s | 10^5 regions | 10^6 | 10^8 |\n|---|---|---|---|---|")
    for name, speed in machines.items():
        took = " | ".join(spoken(n / speed) for n in (1e5, 1e6, 1e8))
        print(f"| {name} | {speed:,.0f} | {took} |")
    dim = load_checkpoint("tiny").model.encoder.config.dim
    sizes = " | ".join(f"{n * dim * 4 / 1e9:.2g} GB" for n in (1e5, 1e6, 1e8))
    print(f"| vectors on disk, float32 | | {sizes} |")


def a_million(rows: list[dict[str, Any]]) -> None:
    """Print how long a million regions take with each encoder, on two cores, in bf16."""
    took = [f"{row['encoder']} {spoken(5e5 / rate(row, '1 kb', 'bf16'))}" for row in rows]
    print("10^6 regions of 1 kb, two cores, bf16, encoder alone:", "; ".join(took))


SHIFTED = {"NT-v2-50M": 5, "HyenaDNA-like 6.6 M": -5}
"""Points by which labels are moved that would lie on each other."""


def picture(rows: list[dict[str, Any]], means: dict[str, float], path: Path) -> None:
    """Draw rate against accuracy, and below the rates of encoders without a figure."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    known = [row for row in rows if row["encoder"] in means]
    others = [row for row in rows if row["encoder"] not in means][::-1]
    figure, (above, below) = plt.subplots(
        2, 1, sharex=True, figsize=(8, 6), layout="constrained", height_ratios=(2.2, 1)
    )
    heights = {row["encoder"]: (above, means[row["encoder"]]) for row in known}
    heights |= {row["encoder"]: (below, i) for i, row in enumerate(others)}
    for row in rows:
        name = row["encoder"]
        axes, height = heights[name]
        exact, rough = (rate(row, "1 kb", precision) for precision in PRECISIONS)
        ours = name.startswith(("findna", "published"))
        colour = "#D55E00" if ours else "#0072B2"
        if name == COUNTS:  # counts have no precision
            colour, rough = "#555555", exact
        axes.plot([exact, rough], [height] * 2, color=colour, lw=1, zorder=1)
        axes.scatter(rough, height, s=42, facecolor="white", edgecolor=colour, zorder=2)
        axes.scatter(exact, height, s=42, color=colour, edgecolor=colour, zorder=3)
        if axes is above:
            above.annotate(
                name, (rough, height), (-9 if name == COUNTS else 9, SHIFTED.get(name, 0)),
                textcoords="offset points", ha="right" if name == COUNTS else "left",
                va="center", color=colour, fontweight="bold" if ours else "normal",
            )  # fmt: skip
    above.scatter([], [], s=42, color="black", label="fp32")
    above.scatter([], [], s=42, facecolor="white", edgecolor="black", label="bf16")
    above.legend(frameon=False, loc="upper right")
    above.set_ylabel("mean MCC, frozen mean vectors\n(GENEB, 11 sets of GUE)")
    below.set_yticks(range(len(others)), [row["encoder"] for row in others])
    below.set_ylim(-0.6, len(others) - 0.4)
    below.set_title("no published figure", loc="left", fontsize="medium")
    below.set_xscale("log")
    below.set_xlabel("regions of 1 kb per second of one core")
    for axes in (above, below):
        axes.grid(axis="x", color="#dddddd", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--only", nargs="+", default=[], choices=list(ENCODERS))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--mixed", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.mixed)))
        return
    if arguments.data:
        measure_all(arguments.data, arguments.only)
    rows, means = stored(), accuracies()
    print(f"{describe(torch.device('cpu'))}, torch {torch.__version__}\n")
    table(rows, means)
    print()
    costs(next(row for row in rows if row["encoder"] == "findna tiny"))
    print()
    a_million(rows)
    picture(rows, means, HERE.parent / "peers.png")


if __name__ == "__main__":
    main()
