"""One loop, top to bottom, in the order things happen.

What a step draws depends on the seed and the step's number alone, so a resumed run needs no
random state and ends in the weights of an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from findna.config import PretrainConfig, to_dict
from findna.model.checkpoint import Model, save_checkpoint
from findna.model.encoder import n_parameters
from findna.progress import progress
from findna.training.card import model_card
from findna.training.corpus import Corpus
from findna.training.guard import Guard
from findna.training.heldout import HeldOut, Probe, shown
from findna.training.metrics import METRICS, Metrics
from findna.training.schedules import cosine, warmup_cosine
from findna.training.state import STATE, TrainingState

logger = logging.getLogger(__name__)


def _generator(device: torch.device, *key: object) -> torch.Generator:
    """Random numbers that depend on nothing but the key."""
    digest = hashlib.sha256(":".join(map(str, key)).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


def step_length(config: PretrainConfig, step: int) -> int:
    """Window length of a step (bp); each occurs with equal chance."""
    draw = torch.rand((), generator=_generator(torch.device("cpu"), config.seed, "length", step))
    return config.lengths[int(draw.item() * len(config.lengths))]


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
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


def pretrain(
    config: PretrainConfig,
    corpus: Corpus,
    heldout: Corpus,
    folder: Path,
    *,
    device: torch.device,
    resume: bool = False,
    provenance: Mapping[str, Any] | None = None,
    probe: Probe | None = None,
) -> str:
    """Pretrain an encoder and write its teacher to a model folder.

    Parameters
    ----------
    corpus, heldout : Corpus
        Sequence to train on, and to measure masked accuracy on.
    folder : Path
        Model folder; also holds metrics.jsonl and, for resuming, training.safetensors.
    provenance : mapping, optional
        Plain values about the data, kept in config.json and on the card.
    probe : callable, optional
        What is measured on labelled sequences at each evaluation.

    Returns
    -------
    str
        Digest of the weights.

    Raises
    ------
    CollapseError
        The run diverged or collapsed (`findna.training.guard`).
    """
    for length in config.lengths:
        corpus.check_length(length)
    path = folder / STATE
    record = dict(provenance or {})
    if resume and path.exists():
        state = TrainingState.load(path, config, record.get("data"), device)
    else:
        state = TrainingState.start(config, record.get("data"), device)
    corpus, heldout = corpus.to(device), heldout.to(device)
    logger.info(
        "%s parameters, %d steps of %d nucleotides from step %d",
        f"{n_parameters(state.model.student.encoder):,}", config.steps, config.batch_tokens,
        state.step,
    )  # fmt: skip
    measured = HeldOut(state.model, heldout, probe)
    before, started, tokens = state.seconds, time.monotonic(), 0
    amp = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")
    student = list(state.model.student.parameters())
    state.model.train()
    with (
        Metrics(folder / METRICS, state.step) as metrics,
        progress(config.steps, "steps", "pretrain", state.step) as bar,
    ):
        guard = Guard(config, metrics, path)
        while state.step < config.steps:
            lr = warmup_cosine(state.step, config.steps, config.lr, config.warmup)
            momentum = cosine(state.step, config.steps, config.ema_start, config.ema_end)
            for group in state.optimizer.param_groups:
                group["lr"] = lr

            length = step_length(config, state.step)
            generator = _generator(device, config.seed, "step", state.step)
            windows = corpus.draw(config.batch_tokens // length, length, config.sampling, generator)
            with amp:
                losses = state.model(windows, generator)
            losses.total.backward()
            norm = torch.nn.utils.clip_grad_norm_(student, config.clip)
            state.optimizer.step()
            state.optimizer.zero_grad()
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
            values = {
                "loss": losses.total.item(),
                "mnm": losses.mnm.item(),
                "contrast": losses.contrast.item(),
                "grad_norm": norm.item(),
            }
            metrics.write(
                step=state.step, length=length, lr=lr, ema=momentum, **values,
                tokens_per_second=round(rate),
            )  # fmt: skip
            # a bad state never replaces a good one: it is found out before anything is kept
            guard.check_step(state.step, values)
            if measure:
                figures = measured.measure()
                metrics.write(step=state.step, **figures)
                guard.check_evaluation(state.step, figures)
                record.update(_rounded(figures))
                logger.info("step %d: %s", state.step, shown(figures))
            if keep and guard.sound:
                state.save(path)
                export(state, folder, record)
            bar.set_postfix(
                {name: f"{values[name]:.3f}" for name in ("mnm", "contrast")}
                | {"accuracy": f"{record.get('accuracy', math.nan):.3f}", "bp/s": f"{rate:.0f}"}
            )
    if "accuracy" not in record:  # resumed after its last step
        record.update(_rounded(measured.measure()))
    return export(state, folder, record)
