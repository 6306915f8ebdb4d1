"""One loop, top to bottom, in the order things happen.

What a step draws depends on the seed and the step's number alone, so a resumed run needs no
random state and ends in the weights of an uninterrupted one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from findna.config import PretrainConfig, from_dict, to_dict
from findna.errors import CheckpointError, CollapseError, ConfigError
from findna.model.checkpoint import Model, save_checkpoint, save_tensors
from findna.model.encoder import n_parameters
from findna.progress import progress
from findna.training.card import model_card
from findna.training.corpus import Corpus
from findna.training.distillation import SelfDistillation, restoration
from findna.training.health import SMALLEST_SPREAD, effective_rank, relative_spread
from findna.training.schedules import cosine, warmup_cosine

logger = logging.getLogger(__name__)

STATE, METRICS = "training.safetensors", "metrics.jsonl"
_EVALUATION_TOKENS = 64_000


def _generator(device: torch.device, *key: object) -> torch.Generator:
    """Random numbers that depend on nothing but the key."""
    digest = hashlib.sha256(":".join(map(str, key)).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


def step_length(config: PretrainConfig, step: int) -> int:
    """Window length of a step (bp); each occurs with equal chance."""
    draw = torch.rand((), generator=_generator(torch.device("cpu"), config.seed, "length", step))
    return config.lengths[int(draw.item() * len(config.lengths))]


@dataclass
class TrainingState:
    """Everything a resumed run continues from."""

    model: SelfDistillation
    optimizer: torch.optim.AdamW
    data: Any = None
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def start(cls, config: PretrainConfig, data: Any, device: torch.device) -> TrainingState:
        """Initial weights, from the seed; ``data`` says what sequence they are trained on."""
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            model = SelfDistillation(config).to(device)
        matrices = [p for p in model.student.parameters() if p.dim() >= 2]
        vectors = [p for p in model.student.parameters() if p.dim() < 2]
        optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": config.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=config.lr,
            fused=True,
        )
        return cls(model, optimizer, data)

    def _named_moments(self) -> dict[str, Tensor]:
        return {
            f"optimizer.{name}.{moment}": value
            for name, parameter in self.model.student.named_parameters()
            for moment, value in self.optimizer.state[parameter].items()
        }

    def save(self, path: Path) -> None:
        """Write weights, optimiser and step in one file, replaced in one step."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        metadata = {
            "step": str(self.step),
            "seconds": repr(self.seconds),
            "config": json.dumps(to_dict(self.model.config)),
            "data": json.dumps(self.data),
        }
        save_tensors(path, tensors | self._named_moments(), metadata)

    @classmethod
    def load(
        cls, path: Path, config: PretrainConfig, data: Any, device: torch.device
    ) -> TrainingState:
        """Continue from a file written by `save`.

        Raises
        ------
        CheckpointError
            The file is damaged.
        ConfigError
            It belongs to a run with other settings or on other data.
        """
        try:
            with safe_open(path, "pt", device=str(device)) as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
            saved = from_dict(PretrainConfig, json.loads(metadata["config"]))
            step, seconds = int(metadata["step"]), float(metadata["seconds"])
            saved_data = json.loads(metadata["data"])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise CheckpointError(f"{path}: not a training state: {error}") from error
        if saved != config:
            changed = [k for k, v in to_dict(config).items() if v != to_dict(saved)[k]]
            raise ConfigError(
                f"{path}: the run to resume has other settings for {', '.join(changed)}; "
                "repeat its options, or start anew in another folder"
            )
        if saved_data != data:
            raise ConfigError(
                f"{path}: the run to resume has other data (FASTA, regions, exclusions or held-out "
                "contigs); repeat them, or start anew in another folder"
            )
        state = cls.start(config, data, device)
        state.step, state.seconds = step, seconds
        prefix = "model."
        state.model.load_state_dict(
            {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        )
        for name, parameter in state.model.student.named_parameters():
            moments = {
                moment: tensors[key]
                for moment in ("step", "exp_avg", "exp_avg_sq")
                if (key := f"optimizer.{name}.{moment}") in tensors
            }
            if moments:
                state.optimizer.state[parameter] = moments
        return state


class Metrics:
    """``metrics.jsonl``: one line per record, in the order of steps."""

    def __init__(self, path: Path, step: int) -> None:
        """Open for writing after ``step``; lines a resumed run will write again are dropped."""
        kept = []
        if step and path.exists():
            kept = [line for line in path.read_text().splitlines() if _step_of(line) <= step]
        self._file = path.open("w")
        for line in kept:
            self._file.write(line + "\n")
        self._file.flush()

    def write(self, **values: float | str) -> None:
        """Append one record; what is not finite is null, as JSON has it."""
        record = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _step_of(line: str) -> float:
    """Step of a line of metrics; one that was cut off by a crash comes after every step."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


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
    device = corpus.tokens.device
    fits = [n for n in config.lengths if any(s.end - s.start >= n for s in corpus.stretches)]
    length = sorted(fits)[len(fits) // 2]
    n = max(_EVALUATION_TOKENS // length, 2)
    generator = _generator(device, "evaluation")
    windows = corpus.draw(n, length, "position", generator)
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
        Sequence to train on, and to measure masked accuracy on.
    folder : Path
        Model folder; also holds metrics.jsonl and, for resuming, training.safetensors.
    provenance : mapping, optional
        Plain values about the data, kept in config.json and on the card.

    Returns
    -------
    str
        Digest of the weights.

    Raises
    ------
    CollapseError
        A loss is not finite, or the teacher became constant.
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
    before, started, tokens = state.seconds, time.monotonic(), 0
    amp = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")
    student = list(state.model.student.parameters())
    state.model.train()
    with (
        Metrics(folder / METRICS, state.step) as metrics,
        progress(config.steps, "steps", "pretrain", state.step) as bar,
    ):
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
            tokens += windows.numel()

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
            kept = "; the last good checkpoint is kept" if path.exists() else ""
            _check_finite(state.step, values, kept)
            if measure:
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
    if "accuracy" not in record:  # resumed after its last step
        figures = dataclasses.asdict(evaluate(state, heldout))
        record.update({name: round(value, 4) for name, value in figures.items()})
    return export(state, folder, record)
