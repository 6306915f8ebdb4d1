"""One loop, top to bottom, in the order things happen.

What a step draws depends on the seed and the step's number alone, so a resumed run needs no
random state and ends in the weights of an uninterrupted one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from findna import collective
from findna.config import PretrainConfig, to_dict
from findna.errors import CollapseError
from findna.model.checkpoint import Model, save_checkpoint
from findna.model.encoder import n_parameters
from findna.progress import progress
from findna.training.card import model_card
from findna.training.compilation import compile_layers
from findna.training.corpus import Corpus
from findna.training.distillation import Losses, restoration
from findna.training.health import SMALLEST_SPREAD, effective_rank, relative_spread
from findna.training.metrics import METRICS, Metrics
from findna.training.schedules import cosine, linear, warmup_cosine
from findna.training.state import STATE, TrainingState

logger = logging.getLogger(__name__)

_EVALUATION_TOKENS = 64_000
_LOSSES = ("loss", "mnm", "contrast", "token", "koleo")
"""Names of `Losses` in metrics.jsonl."""


def _generator(device: torch.device, *key: object) -> torch.Generator:
    """Random numbers that depend on nothing but the key."""
    digest = hashlib.sha256(":".join(map(str, key)).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


def step_length(config: PretrainConfig, step: int) -> int:
    """Window length of a step (bp); each occurs with equal chance."""
    draw = torch.rand((), generator=_generator(torch.device("cpu"), config.seed, "length", step))
    return config.lengths[int(draw.item() * len(config.lengths))]


def parts(n: int, accumulate: int) -> Iterator[slice]:
    """Rows of a step's n windows that this process computes at a time."""
    for i in range(accumulate):
        yield collective.share(slice(i * n // accumulate, (i + 1) * n // accumulate))


@dataclass(frozen=True)
class Evaluation:
    """The teacher on fixed windows."""

    accuracy: float
    perplexity: float
    spread: float
    rank: float


def evaluate(state: TrainingState, corpus: Corpus) -> Evaluation:
    """Masked accuracy and health of the teacher on windows that are the same at every call."""
    config = state.model.config
    device = corpus.device
    fits = [n for n in config.lengths if any(s.end - s.start >= n for s in corpus.stretches)]
    length = sorted(fits)[len(fits) // 2]
    n = max(_EVALUATION_TOKENS // length, 2)
    generator = _generator(device, "evaluation")
    windows = corpus.draw(n, length, "position", generator).tokens
    selected = torch.rand(windows.shape, generator=generator, device=device) < 0.15
    parts = [
        restoration(state.model.teacher, w, s)
        for w, s in zip(torch.split(windows, 32), torch.split(selected, 32), strict=True)
    ]
    weight = [len(vectors) / n for _, _, vectors in parts]
    vectors = torch.cat([v for _, _, v in parts])
    return Evaluation(
        sum(w * accuracy for w, (accuracy, _, _) in zip(weight, parts, strict=True)),
        math.exp(sum(w * loss for w, (_, loss, _) in zip(weight, parts, strict=True))),
        relative_spread(vectors),
        effective_rank(vectors),
    )


def _check_finite(step: int, values: Mapping[str, float], kept: str) -> None:
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
        raise CollapseError(
            f"training diverged at step {step}: {bad[0]} is not finite; "
            f"lower lr or raise warmup{kept}"
        )


def _check_spread(step: int, evaluation: Evaluation, kept: str) -> None:
    if evaluation.spread <= SMALLEST_SPREAD:
        raise CollapseError(
            f"training collapsed at step {step}: the teacher gives every window the same vector "
            f"(relative spread {evaluation.spread:.1e}); lower contrast_weight or lr, "
            f"or raise teacher_temp{kept}"
        )


def export(state: TrainingState, folder: Path, provenance: Mapping[str, Any]) -> str:
    """Write the teacher as a model folder; returns its digest."""
    config = state.model.config
    model = Model(config.encoder)
    kept = {k: v for k, v in state.model.teacher.state_dict().items() if k in model.state_dict()}
    model.load_state_dict(kept)
    training = {
        "recipe": to_dict(config),
        "steps_done": state.step,
        "tokens_seen": state.step * config.batch_tokens,
        "seconds": round(state.seconds),
        **provenance,
    }
    return save_checkpoint(folder, model, training, model_card(folder.name, model, training))


def pretrain(
    config: PretrainConfig,
    corpus: Corpus,
    heldout: Corpus,
    folder: Path,
    *,
    device: torch.device,
    resume: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> str:
    """Pretrain an encoder and write its teacher to a model folder.

    Parameters
    ----------
    corpus, heldout : Corpus
        Sequence to train on, and to measure masked accuracy on; their windows on ``device``.
    folder : Path
        Model folder; also holds metrics.jsonl and, for resuming, training.safetensors.
    provenance : mapping, optional
        Plain values about the data, kept in config.json and on the card.

    Returns
    -------
    str
        Digest of the weights; empty in all processes but the first.

    Raises
    ------
    CollapseError
        A loss is not finite, or the teacher became constant.
    """
    for length in config.lengths:
        corpus.check_length(length)
    config.check_windows(collective.size())
    first = collective.rank() == 0  # the one that measures and writes
    path = folder / STATE
    record = dict(provenance or {})
    if resume and path.exists():
        state = TrainingState.load(path, config, record.get("data"), device)
    else:
        state = TrainingState.start(config, record.get("data"), device)
    if config.compile:
        compile_layers(state.model, device)
    logger.info(
        "%s parameters, %d steps of %d nucleotides from step %d",
        f"{n_parameters(state.model.student.encoder):,}", config.steps, config.batch_tokens,
        state.step,
    )  # fmt: skip
    before, started, tokens = state.seconds, time.monotonic(), 0
    amp = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")
    student = list(state.model.student.parameters())
    state.model.train()
    with (
        Metrics(folder / METRICS if first else Path(os.devnull), state.step) as metrics,
        progress(config.steps, "steps", "pretrain", state.step) as bar,
    ):
        while state.step < config.steps:
            lr = warmup_cosine(state.step, config.steps, 1.0, config.warmup)
            momentum = cosine(state.step, config.steps, config.ema_start, config.ema_end)
            state.set_lr(lr)
            temp = linear(
                state.step, config.steps, config.teacher_temp_start, config.teacher_temp,
                config.teacher_temp_warmup,
            )  # fmt: skip

            length = step_length(config, state.step)
            n = config.batch_tokens // length
            where = _generator(torch.device("cpu"), config.seed, "windows", state.step)
            distance = config.views.min_distance, config.views.max_distance
            windows = corpus.draw(n, length, config.sampling, where, distance)
            views = state.model.views(windows, _generator(device, config.seed, "step", state.step))
            losses = torch.zeros(len(Losses._fields), device=device)
            for rows in parts(n, config.accumulate):
                with amp:
                    shares = state.model(views.rows(rows), views, temp)
                shares.total.backward()
                losses += torch.stack(shares).detach()
            collective.sum_gradients(student)
            norm = torch.nn.utils.clip_grad_norm_(student, config.clip)
            for optimizer in state.optimizers:
                optimizer.step()
                optimizer.zero_grad()
            state.model.update_teacher(momentum)
            state.step += 1
            tokens += n * length

            bar.update(1)
            last = state.step == config.steps
            log = last or state.step % config.log_every == 0
            keep = last or state.step % config.checkpoint_every == 0
            measure = keep or state.step % config.evaluate_every == 0
            if not (log or measure):
                continue
            state.seconds = before + time.monotonic() - started
            rate = tokens / (state.seconds - before)
            values = dict(zip(_LOSSES, collective.total(losses).tolist(), strict=True))
            values["grad_norm"] = norm.item()
            metrics.write(
                step=state.step, length=length, lr=lr * config.lr, ema=momentum, **values,
                tokens_per_second=round(rate),
            )  # fmt: skip
            # a bad state never replaces a good one: it is found out before anything is kept
            kept = "; the last good checkpoint is kept" if path.exists() else ""
            _check_finite(state.step, values, kept)
            if not first:
                continue
            if measure:
                with collective.alone():
                    evaluation = evaluate(state, heldout)
                figures = dataclasses.asdict(evaluation)
                metrics.write(step=state.step, **figures)
                _check_finite(state.step, figures, kept)
                _check_spread(state.step, evaluation, kept)
                record.update({name: round(value, 4) for name, value in figures.items()})
                logger.info("step %d: masked accuracy %.4f", state.step, evaluation.accuracy)
            if keep:
                state.save(path)
                export(state, folder, record)
            bar.set_postfix(
                {name: f"{values[name]:.3f}" for name in ("mnm", "contrast")}
                | {"accuracy": f"{record.get('accuracy', math.nan):.3f}", "bp/s": f"{rate:.0f}"}
            )
    if not first:
        return ""
    if "accuracy" not in record:  # resumed after its last step
        figures = dataclasses.asdict(evaluate(state, heldout))
        record.update({name: round(value, 4) for name, value in figures.items()})
    return export(state, folder, record)
