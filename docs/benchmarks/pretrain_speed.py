"""Speed of a pretraining step against the same recipe written the way the published code has it.

    python docs/benchmarks/pretrain_speed.py --threads 1

The recipe is the preset ``paper`` (masked nucleotides by binary cross-entropy, the five outputs at
CLS against those of the teacher with a running centre, AdamW, EMA) at the sizes of ``--size``. The
plain implementation in this file rotates by split, roll and concatenation on (n, length, dim), has
ordinary linear layers and GELU, makes views window by window in Python, and moves the teacher
parameter by parameter. First both are shown to compute the same losses and gradients from the same
weights and views. Then they take turns: (a) forward, backward, optimiser and EMA on given views,
(b) views alone, (c) both, as in training. Ratios are medians over turns of plain / findna.
"""

from __future__ import annotations

import argparse
import copy
import random
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from findna.model.config import SIZES, EncoderConfig
from findna.model.devices import keep_freed_memory
from findna.pretraining.corpus import Windows
from findna.pretraining.distillation import SelfDistillation, Views, compile_layers
from findna.pretraining.recipe import PretrainConfig, ViewConfig, from_preset
from findna.pretraining.state import TrainingState

N, BLANK = 3, 5
COMPLEMENT = [4, 2, 1, 3, 0]


class PlainLayer(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.track_size = config.track_size
        self.norm = nn.LayerNorm(config.dim) if config.norm == "layer" else None
        self.fc1 = nn.Linear(config.dim, config.hidden)
        self.fc2 = nn.Linear(config.hidden, config.dim)

    def forward(self, hidden: Tensor) -> Tensor:
        x = hidden if self.norm is None else self.norm(hidden)
        x = self.fc2(F.gelu(self.fc1(x)))
        tracks = x.split(self.track_size, dim=-1)
        rolled = [torch.roll(track, -(2**i), dims=1) for i, track in enumerate(tracks[1:])]
        return hidden + torch.cat([tracks[0], *rolled], dim=-1)


class PlainNetwork(nn.Module):
    """One-hot rows (n, length, 5), CLS included, to five outputs per position."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.embedding = nn.Linear(5, config.dim)
        n_layers = config.n_layers
        self.layers = nn.ModuleList(PlainLayer(config) for _ in range(n_layers))
        self.norm = nn.LayerNorm(config.dim) if config.norm == "layer" else None
        self.linear = nn.Linear(config.dim, 5)

    def forward(self, rows: Tensor) -> Tensor:
        hidden = self.embedding(rows)
        for layer in self.layers:
            hidden = layer(hidden)
        return self.linear(hidden if self.norm is None else self.norm(hidden))


def plain_views(tokens: Tensor, views: ViewConfig, n_cls: int) -> tuple[Tensor, ...]:
    """Both views of each window, one window after the other."""
    made: list[tuple[Tensor, ...]] = []
    cls = torch.zeros(n_cls, 5)
    for window in tokens.cpu():
        labels = window.tolist()
        if random.random() < views.student_rc:
            labels = [COMPLEMENT[token] for token in reversed(labels)]
        masked, selected = list(labels), [False] * len(labels)
        for i, token in enumerate(labels):
            if token != N and random.random() < views.mask_fraction:
                selected[i] = True
                fate = random.random()
                if fate < views.mask_blank:
                    masked[i] = BLANK
                elif fate < views.mask_blank + views.mask_random:
                    masked[i] = random.choice((0, 1, 2, 4))
        student = F.one_hot(torch.tensor(masked), 6)[:, :5].float()
        student = student + views.student_noise * torch.randn(student.shape)
        other = window.tolist()
        if random.random() < views.teacher_rc:
            other = [COMPLEMENT[token] for token in reversed(other)]
        size = random.randint(0, views.max_indel)
        start = int(random.random() * (len(other) - size))
        other = other[:start] + other[start + size :] + random.choices((0, 1, 2, 4), k=size)
        size = random.randint(0, views.max_indel)
        start = int(random.random() * (len(other) - size))
        other = other[:start] + random.choices((0, 1, 2, 4), k=size) + other[start:]
        view = torch.tensor(other[: len(window)])
        view = torch.roll(view, random.randint(-views.max_shift, views.max_shift))
        teacher = F.one_hot(view, 5).float()
        made.append(
            (
                torch.cat([student, cls]),
                torch.tensor(labels),
                torch.tensor(selected),
                torch.cat([teacher, cls]),
            )
        )
    return tuple(torch.stack(parts).to(tokens.device) for parts in zip(*made, strict=True))


class Plain:
    """Student, teacher, optimiser and centre."""

    def __init__(self, config: PretrainConfig, device: torch.device) -> None:
        self.config = config
        self.student = PlainNetwork(config.encoder).to(device)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.student.parameters(), lr=config.lr, weight_decay=config.weight_decay
        )
        self.centre = torch.zeros(5, device=device)

    def copy_weights(self, model: SelfDistillation) -> None:
        for own, other in ((self.student, model.student), (self.teacher, model.teacher)):
            encoder = other.encoder
            own.embedding.load_state_dict(encoder.embedding.state_dict())
            for mine, its in zip(own.layers, encoder.mixer.layers(), strict=True):
                mine.load_state_dict(its.state_dict())
            if own.norm is not None:
                own.norm.load_state_dict(encoder.mixer.norm.state_dict())
            own.linear.load_state_dict(other.masked_nucleotide.state_dict())

    def losses(self, views: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        config = self.config
        student, labels, selected, teacher = views
        length = labels.shape[1]
        outputs = self.student(student).float()
        target = F.one_hot(labels.long(), 5).float()
        mnm = F.binary_cross_entropy_with_logits(outputs[:, :length][selected], target[selected])
        with torch.no_grad():
            theirs = self.teacher(teacher)[:, length:].flatten(0, 1).float()
            wanted = F.softmax((theirs - self.centre) / config.teacher_temp, dim=-1)
            momentum = config.center_momentum
            self.centre = self.centre * momentum + theirs.mean(0) * (1 - momentum)
        mine = outputs[:, length:].flatten(0, 1) / config.student_temp
        return mnm, -(wanted * F.log_softmax(mine, dim=-1)).sum(-1).mean()

    def step(self, views: tuple[Tensor, ...], amp: torch.autocast) -> None:
        with amp:
            mnm, contrast = self.losses(views)
            loss = mnm + self.config.contrast_weight * contrast
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), self.config.clip)
        self.optimizer.step()
        with torch.no_grad():
            pairs = zip(self.student.parameters(), self.teacher.parameters(), strict=True)
            for student, teacher in pairs:
                teacher.data.mul_(0.996).add_((1 - 0.996) * student.detach().data)


def findna_step(state: TrainingState, views: Views, amp: torch.autocast) -> None:
    """What `findna.pretraining.loop` does with the views of a step."""
    with amp:
        losses = state.model(views)
    losses.loss.backward()
    torch.nn.utils.clip_grad_norm_(state.model.student.parameters(), state.model.config.clip)
    for optimizer in state.optimizers:
        optimizer.step()
        optimizer.zero_grad()
    state.model.update_teacher(0.996)


def check_equal(state: TrainingState, plain: Plain, tokens: Tensor) -> None:
    """The same losses and gradients from the same weights and views."""
    config = state.model.config
    views = plain_views(tokens[:4], config.views, config.encoder.n_cls)
    length = tokens.shape[1]
    blank = views[3][:, :length].argmax(-1).to(torch.uint8)
    labels, weight = views[1].to(torch.uint8), views[2].float()
    mine = state.model(Views(views[0][:, :length], labels, weight, blank))
    mine.loss.backward()
    mnm, contrast = plain.losses(views)
    (mnm + config.contrast_weight * contrast).backward()
    plain.centre.zero_()
    state.model.centre.zero_()
    differences = [
        abs(mine.mnm.item() / mnm.item() - 1),
        abs(mine.contrast.item() / contrast.item() - 1),
    ]
    for own, other in zip(
        plain.student.layers, state.model.student.encoder.mixer.layers(), strict=True
    ):
        a, b = own.fc1.weight.grad, other.fc1.weight.grad
        differences.append(((a - b).norm() / a.norm()).item())
    print(f"same losses and gradients: largest relative difference {max(differences):.1e}")
    if max(differences) > 1e-3:
        raise SystemExit("they differ: nothing is measured")
    plain.optimizer.zero_grad()
    state.model.student.zero_grad()


def flops_per_step(config: EncoderConfig, tokens: int) -> float:
    """Of the matrix products: three passes' worth for the student, one for the teacher."""
    layers = config.n_layers
    return 4 * tokens * 2 * (layers * 2 * config.dim * config.hidden + 10 * config.dim)


def ceiling(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Rate of a square matrix product, FLOP/s, the best of five."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return max(2 * size**3 / seconds(lambda: a @ b, device) for _ in range(5))


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Time of a call; on a CPU of the processor, so that work beside it counts for little."""
    if device.type != "cuda":
        started = time.process_time()
        run()
        return time.process_time() - started
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    run()
    torch.cuda.synchronize(device)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(SIZES), default="tiny")
    parser.add_argument("--norm", choices=["none", "layer"], default="layer")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--batch-tokens", type=int, default=12_000)
    parser.add_argument("--length", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="of findna's layers")
    parser.add_argument("--recompute", action="store_true", help="of findna's layers")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.device.type == "cpu":
        keep_freed_memory()  # as `findna pretrain` does; here it serves both
    torch.manual_seed(0)
    random.seed(0)
    device, length = arguments.device, arguments.length
    n = arguments.batch_tokens // length
    encoder = SIZES[arguments.size] | {"norm": arguments.norm, "max_length": length}
    own = {"encoder": encoder, "lengths": [length], "recompute": arguments.recompute}
    config = from_preset("paper", own)
    state = TrainingState.start(config, None, device)
    state.model.train()
    if arguments.compile:
        compile_layers(state.model, device)
    plain = Plain(config, device)
    plain.copy_weights(state.model)
    tokens = torch.tensor([0, 1, 2, 4], dtype=torch.uint8)[torch.randint(4, (n, length))].to(device)
    windows = Windows(tokens, torch.zeros_like(tokens, dtype=torch.bool))
    check_equal(state, plain, tokens)

    generator = torch.Generator(device).manual_seed(0)
    n_cls = config.encoder.n_cls
    amp = torch.autocast(device.type, torch.bfloat16, enabled=arguments.precision == "bf16")
    given, its_views = (
        state.model.views(windows, generator),
        plain_views(tokens, config.views, n_cls),
    )
    work: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "model, optimiser, EMA": (
            lambda: plain.step(its_views, amp),
            lambda: findna_step(state, given, amp),
        ),
        "views": (
            lambda: plain_views(tokens, config.views, n_cls),
            lambda: state.model.views(windows, generator),
        ),
        "whole step": (
            lambda: plain.step(plain_views(tokens, config.views, n_cls), amp),
            lambda: findna_step(state, state.model.views(windows, generator), amp),
        ),
    }
    print(
        f"{arguments.size}, {n} windows of {length} bp, {arguments.precision}, {device}, "
        f"{arguments.threads} threads, compile {arguments.compile}"
    )
    print("| part | plain, s | findna, s | findna, bp/s | plain / findna (min-max) |")
    print("|---|---|---|---|---|")
    for name, runs in work.items():
        times: list[tuple[float, float]] = []
        for _ in range(arguments.rounds + 2):  # two to warm up
            a, b = (seconds(run, device) for run in runs)
            times.append((a, b))
        times = times[2:]
        ratios = [a / b for a, b in times]
        plain_s, findna_s = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        rate = n * length / findna_s
        print(f"| {name} | {plain_s:.4f} | {findna_s:.4f} | {rate:,.0f} | {ratio} |", flush=True)
        if name.startswith("model"):
            model_s = findna_s
    dtype = torch.bfloat16 if arguments.precision == "bf16" else torch.float32
    highest = ceiling(device, dtype, 8192 if device.type == "cuda" else 1024)
    reached = flops_per_step(config.encoder, n * (length + n_cls)) / model_s
    print(
        f"findna's matrix products: {reached / 1e12:.3f} TFLOP/s, {reached / highest:.0%} "
        f"of the {highest / 1e12:.3f} of a large one"
    )


if __name__ == "__main__":
    main()
