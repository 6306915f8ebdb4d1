"""The loop of pretraining, top to bottom, in the order things happen.

What a step draws depends on the seed and the step's number alone, so a resumed run needs no
random state and ends in the weights of an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from findna.console import progress
from findna.model import collective
from findna.model.checkpoint import Model, save_checkpoint
from findna.model.encoder import n_parameters
from findna.model.precision import AUTO, resolve_precision
from findna.model.schedules import cosine, warmup_cosine
from findna.pretraining.card import model_card
from findna.pretraining.corpus import Corpus, Windows
from findna.pretraining.distillation import Losses, compile_layers
from findna.pretraining.guard import Guard
from findna.pretraining.heldout import HeldOut, shown
from findna.pretraining.history import METRICS, Metrics
from findna.pretraining.processes import from_first
from findna.pretraining.recipe import PretrainConfig
from findna.pretraining.state import STATE, TrainingState, stored_precision
from findna.settings import to_dict

if TYPE_CHECKING:
    from findna.pretraining.probe import FrozenProbe

logger = logging.getLogger(__name__)

_CPU = torch.device("cpu")


def seeded_generator(device: torch.device, *key: object) -> torch.Generator:
    """Return random numbers that depend on nothing but the key."""
    digest = hashlib.sha256(":".join(map(str, key)).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


def step_length(config: PretrainConfig, step: int) -> int:
    """Return the window length of a step (bp); each occurs with equal chance."""
    draw = torch.rand((), generator=seeded_generator(_CPU, config.seed, "length", step))
    return config.lengths[int(draw.item() * len(config.lengths))]


def _optimise(
    state: TrainingState, windows: Windows, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Take one optimiser step on a step's windows.

    Returned are this process's share of each of the `Losses`, (4,), float32, and the norm of the
    gradients of all processes before they were clipped, a scalar.
    """
    config, model = state.model.config, state.model
    amp = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")
    views = model.views(windows, seeded_generator(device, config.seed, "step", state.step))
    losses = torch.zeros(len(Losses._fields), device=device)
    n = len(windows.tokens)
    for i in range(config.accumulate):
        part = slice(i * n // config.accumulate, (i + 1) * n // config.accumulate)
        rows = collective.share(part)
        with amp:
            shares = model(views.rows(rows), views)
        shares.loss.backward()
        losses += torch.stack(shares).detach()
    student = list(model.student.parameters())
    collective.sum_gradients(student)
    norm = torch.nn.utils.clip_grad_norm_(student, config.clip)
    for optimizer in state.optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return losses, norm


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """Return figures as config.json and the card give them."""
    return {name: round(value, 4) for name, value in figures.items()}


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


def _precision(state: Path | None, device: torch.device) -> str:
    """Return the precision of the run to resume, or the fastest; equal in all processes."""
    if collective.rank():
        return str(from_first())
    precision = stored_precision(state) if state is not None and state.exists() else AUTO
    precision = resolve_precision(precision, device)
    if collective.size() > 1:
        from_first(precision)
    return precision


def pretrain(
    config: PretrainConfig,
    corpus: Corpus,
    heldout: Corpus,
    folder: Path,
    *,
    resume: bool = False,
    init: Model | None = None,
    provenance: Mapping[str, Any] | None = None,
    probe: FrozenProbe | None = None,
) -> str:
    """Pretrain an encoder and write its teacher to a model folder.

    Parameters
    ----------
    corpus, heldout : Corpus
        Sequence to train on, and to measure masked accuracy on; their windows on ``device``.
    folder : Path
        Model folder; also holds metrics.jsonl and, for resuming, training.safetensors.
    init : Model, optional
        Initial weights, of the same sizes; otherwise they are drawn from the seed.
    provenance : mapping, optional
        Plain values about the data and the initial weights, kept in config.json and on the card.
    probe : FrozenProbe, optional
        Measured at each evaluation.

    Returns
    -------
    str
        Digest of the weights; empty in all processes but the first.

    Raises
    ------
    CollapseError
        The run diverged or collapsed (`findna.pretraining.guard`).
    """
    device = corpus.device
    for length in config.lengths:
        corpus.check_length(length)
    config.check_windows(collective.size())
    if config.precision == AUTO:
        config = replace(config, precision=_precision(folder / STATE if resume else None, device))
    first = collective.rank() == 0  # the one that measures and writes
    path = folder / STATE
    record = dict(provenance or {})
    data = [*record.get("data", []), *filter(None, [record.get("init")])]
    if resume and path.exists():
        state = TrainingState.load(path, config, data, device)
    else:
        if first:
            path.unlink(missing_ok=True)  # of the run that this one replaces
        state = TrainingState.start(config, data, device, init)
    if config.compile:
        compile_layers(state.model, device)
    logger.info(
        "%s parameters, %d steps of %d nucleotides from step %d",
        f"{n_parameters(state.model.student.encoder):,}",
        config.steps,
        config.batch_tokens,
        state.step,
    )
    measured = HeldOut(state.model, heldout, probe)
    before, started, tokens = state.seconds, time.monotonic(), 0
    state.model.train()
    with (
        Metrics(folder / METRICS if first else Path(os.devnull), state.step) as metrics,
        progress(config.steps, "steps", "pretrain", state.step) as bar,
    ):
        guard = Guard(config, metrics, path)
        while state.step < config.steps:
            lr = warmup_cosine(state.step, config.steps, 1.0, config.warmup)
            momentum = cosine(state.step, config.steps, config.ema_start, config.ema_end)
            state.set_lr(lr)

            length = step_length(config, state.step)
            # the same windows in all processes and on all devices
            drawn = seeded_generator(_CPU, config.seed, "windows", state.step)
            n_windows = config.batch_tokens // length
            windows = corpus.draw(n_windows, length, config.sampling, drawn)
            losses, norm = _optimise(state, windows, device)
            state.model.update_teacher(momentum)
            state.step += 1
            tokens += windows.tokens.numel()

            bar.update(1)
            last = state.step == config.steps
            log = last or state.step % config.log_every == 0
            keep = last or state.step % config.checkpoint_every == 0
            measure = keep or state.step % config.evaluate_every == 0
            if not (log or measure):
                continue
            state.seconds = before + time.monotonic() - started
            rate = tokens / (state.seconds - before)
            values = dict(zip(Losses._fields, collective.total(losses).tolist(), strict=True))
            values["grad_norm"] = norm.item()
            metrics.write(
                step=state.step,
                length=length,
                lr=lr * config.lr,
                ema=momentum,
                **values,
                tokens_per_second=round(rate),
            )
            # a bad state never replaces a good one: it is found out before anything is kept
            guard.check_step(state.step, values)
            if not first:
                continue
            if measure:
                with collective.alone():
                    figures = measured.measure()
                metrics.write(step=state.step, **figures)
                guard.check_evaluation(state.step, figures)
                record.update(_rounded(figures))
                logger.info("step %d: %s", state.step, shown(figures))
            if keep and guard.sound:
                state.save(path)
                export(state, folder, record)
            measures = {"mnm": values["mnm"], "accuracy": record.get("accuracy")}
            shown_values = {k: f"{v:.3f}" for k, v in measures.items() if v is not None}
            bar.set_postfix(shown_values)
    if not first:
        return ""
    if "accuracy" not in record:  # resumed after its last step
        record.update(_rounded(measured.measure()))
    return export(state, folder, record)
