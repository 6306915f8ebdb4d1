"""Self-distillation: a student restores masked nucleotides and agrees with its EMA teacher.

Source: Yu et al., "Self-Distillation Improves DNA Sequence Inference", arXiv 2405.08538.
"""

from __future__ import annotations

import copy
import logging
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from findna.genome.encoding import ALPHABET, BLANK
from findna.model import collective
from findna.model.checkpoint import Model
from findna.model.chordmixer import equal_windows
from findna.model.heads import ProjectionHead, PrototypeHead, standardise
from findna.pretraining.corpus import Windows
from findna.pretraining.losses import (
    centre_and_sharpen,
    contrastive_loss,
    infonce_loss,
    koleo_loss,
    masked_nucleotide_loss,
    sinkhorn,
    token_loss,
)
from findna.pretraining.recipe import PretrainConfig
from findna.pretraining.views import (
    draw_strands,
    local_crops,
    mask_tokens,
    noisy_one_hot,
    reverse,
    reverse_complement,
    teacher_view,
)


class Network(Model):
    """What student and teacher have in common: encoder and heads."""

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__(config.encoder)
        self.contrast_on = config.contrast_on
        dim = config.encoder.dim
        sizes = dim, config.projection_hidden, config.projection_dim
        self.projection: nn.Module | None = None
        if config.contrast == "prototypes":
            self.projection = PrototypeHead(*sizes, config.prototypes)
        elif config.contrast == "infonce":
            self.projection = ProjectionHead(*sizes)
        self.predict_tokens = nn.Linear(dim, dim) if config.token_weight else None

    def encode(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states of equally long windows: nucleotides (n, length, dim), CLS (n, c, dim).

        ``windows`` are token ids (n, length), uint8, or soft one-hot rows (n, length, 5).
        """
        n, length = windows.shape[:2]
        sizes = self.encoder.config
        n_cls = sizes.n_cls
        padding = (0, n_cls) if windows.dim() == 2 else (0, 0, 0, n_cls)
        blank = BLANK if windows.dim() == 2 else 0
        packed = F.pad(windows, padding, value=blank).flatten(0, 1)
        rotation = equal_windows(
            n, length + n_cls, sizes.n_tracks, sizes.track_size, windows.device
        )
        hidden = self.encoder(packed, rotation).view(n, length + n_cls, -1)
        return hidden[:, :length], hidden[:, length:]

    def contrast_outputs(self, bases: Tensor, cls: Tensor) -> Tensor:
        """What student and teacher are compared by; (m, n, k), float32, for m things compared."""
        if self.projection is None:
            outputs: Tensor = self.masked_nucleotide(cls.transpose(0, 1)).float()
            return outputs
        vectors = {"mean": [bases], "cls": [cls], "both": [bases, cls]}[self.contrast_on]
        return torch.stack([self.projection(states.mean(1)).float() for states in vectors])


class Views(NamedTuple):
    """What the networks see of n windows, and what the student has to restore.

    ``student`` are token ids (n, length), uint8, or soft one-hot rows (n, length, 5); ``labels``,
    ``teacher`` and ``local``, crops (n, local_crops, size), are token ids. ``weight``, float
    (n, length), is what restoring a nucleotide counts: 0 where it was not hidden.
    """

    student: Tensor
    labels: Tensor
    weight: Tensor
    teacher: Tensor
    local: Tensor

    def rows(self, rows: slice) -> Views:
        """Those of some windows."""
        return Views(*(view[rows] for view in self))


class Losses(NamedTuple):
    """Losses of one step, or their shares by some of its windows; each a scalar."""

    total: Tensor
    mnm: Tensor
    contrast: Tensor
    token: Tensor
    koleo: Tensor


class SelfDistillation(nn.Module):
    """Student, teacher, and the running centre or a queue of the teacher's outputs."""

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__()
        self.config = config
        self.student = Network(config)
        self.student.encoder.mixer.recompute = config.recompute
        self.teacher = copy.deepcopy(self.student).requires_grad_(False).eval()
        k = {"prototypes": config.prototypes, "infonce": config.projection_dim}.get(
            config.contrast, len(ALPHABET)
        )
        self.register_buffer("centre", torch.zeros(k))
        self.register_buffer("queue", torch.full((config.queue, k), -torch.inf))  # none yet
        self.centre: Tensor
        self.queue: Tensor

    def views(self, windows: Windows, generator: torch.Generator) -> Views:
        """Draw all views of a step's windows; cheap, so every process draws them all."""
        config, views = self.config, self.config.views
        minus = draw_strands(len(windows.tokens), views.student_rc, generator)
        labels = reverse_complement(windows.tokens, minus)
        masked, selected = mask_tokens(labels, views, generator)
        inputs = (
            noisy_one_hot(masked, views.student_noise, generator) if views.student_noise else masked
        )
        repeats = reverse(windows.repeats, minus)
        weight = selected * torch.where(repeats, config.repeat_weight, 1.0)
        teacher = windows.nearby
        if config.contrast != "none":
            teacher = teacher_view(teacher, views, generator)
        return Views(inputs, labels, weight, teacher, local_crops(labels, views, generator))

    def forward(
        self, views: Views, step: Views | None = None, teacher_temp: float | None = None
    ) -> Losses:
        """Losses of the windows of a step; of some of them, their shares of these losses.

        Shares add up to what the step's windows have together, but that windows are only compared
        (prototypes, balancing) with those that are seen at the same time, in whichever process.

        Parameters
        ----------
        step : Views, optional
            All of the step, if ``views`` are some of its rows.
        teacher_temp : float, optional
            The configured one unless given.
        """
        config, step = self.config, step or views
        share = len(views.labels) / len(step.labels)
        bases, cls = self.student.encode(views.student)
        outputs = self.student.masked_nucleotide(bases).float()  # (n, length, 5)
        mnm = masked_nucleotide_loss(
            outputs, views.labels, views.weight, config.mnm_loss, step.weight.sum()
        )
        contrast = token = koleo = torch.zeros_like(mnm)
        if config.contrast != "none":
            targets = self._targets(views.teacher, teacher_temp or config.teacher_temp)
            seen = [(bases, cls), *self._local(views.local)]
            contrast = share * torch.stack([self._contrast(view, *targets) for view in seen]).mean()
        if self.student.predict_tokens is not None:
            predicted = self.student.predict_tokens(bases)
            hidden = views.weight > 0
            target = self._token_targets(views.labels)
            token = token_loss(predicted, target, hidden, (step.weight > 0).sum())
        if config.koleo_weight:
            vectors = bases.float().mean(1)  # (n, dim)
            koleo = share * koleo_loss(vectors, *collective.gather(vectors))
        total = (
            mnm
            + config.contrast_weight * contrast
            + config.token_weight * token
            + config.koleo_weight * koleo
        )
        return Losses(total, mnm, contrast, token, koleo)

    def _local(self, crops: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The student's states of each crop of the windows, as of the windows themselves."""
        n, each = crops.shape[:2]
        if not each:
            return []
        states = self.student.encode(crops.flatten(0, 1))
        bases, cls = (part.view(n, each, *part.shape[1:]) for part in states)
        return [(bases[:, i], cls[:, i]) for i in range(each)]

    def _contrast(self, view: tuple[Tensor, Tensor], targets: Tensor, first: int) -> Tensor:
        """How far the student's states of one view are from the teacher's targets (`L_CL`)."""
        outputs, temperature = self.student.contrast_outputs(*view), self.config.student_temp
        if self.config.contrast == "infonce":
            return infonce_loss(outputs, targets, first, temperature)
        own = targets[:, first : first + outputs.shape[1]]
        return contrastive_loss(outputs, own, temperature)

    @torch.no_grad()
    def _targets(self, view: Tensor, temperature: float) -> tuple[Tensor, int]:
        """The teacher's balanced, sharpened probabilities, or its unit vectors.

        Returns
        -------
        targets : Tensor, shape (m, n, k), float32
            For the windows of all processes, with which these are balanced.
        first : int
            Number of the first of this process's own.
        """
        outputs, first = collective.gather(
            self.teacher.contrast_outputs(*self.teacher.encode(view)).transpose(0, 1)
        )  # (n, m, k)
        rows = outputs.flatten(0, 1)  # (n * m, k)
        targets = self.balanced(rows, temperature)
        if self.training:
            self.centre.lerp_(rows.mean(0), 1 - self.config.center_momentum)
            self.queue.copy_(torch.cat((rows, self.queue))[: len(self.queue)])
        return targets.view_as(outputs).transpose(0, 1), first

    @torch.no_grad()
    def _token_targets(self, tokens: Tensor) -> Tensor:
        """The teacher's hidden states of windows without a mask, standardised; (n, length, dim)."""
        states, _ = self.teacher.encode(tokens)
        return standardise(states.flatten(0, 1)).view(states.shape)

    def balanced(self, rows: Tensor, temperature: float) -> Tensor:
        """Outputs of the teacher as balanced, sharpened probabilities; (n, k), float32.

        Those that InfoNCE compares stay as they are.
        """
        if self.config.contrast == "infonce":
            return rows
        if self.config.centring == "sinkhorn":
            return sinkhorn(torch.cat((rows, self.queue)), temperature)[: len(rows)]
        return centre_and_sharpen(rows, self.centre, temperature)

    def update_teacher(self, momentum: float) -> None:
        """Move the teacher towards the student."""
        update_teacher(self.teacher, self.student, momentum)

    def train(self, mode: bool = True) -> SelfDistillation:
        """Set the student's mode; the teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self


logger = logging.getLogger(__name__)


def compile_layers(model: SelfDistillation, device: torch.device) -> None:
    """Compile the layers of student and teacher; they are alike, so that is done once for all.

    Whole networks of up to 40 layers would take minutes, for the same kernels.
    """
    try:
        torch.compile(torch.sin)(torch.zeros(2, device=device))
    except Exception as error:  # whatever the compiler beneath raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        logger.warning("compile: going on without, as there is no working compiler: %s", reason)
        return
    for network in (model.student, model.teacher):
        for layer in network.encoder.mixer.layers():
            layer.compile(dynamic=True)


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """``teacher = momentum * teacher + (1 - momentum) * student``, all parameters at once."""
    torch._foreach_lerp_(
        list(teacher.parameters()), list(student.parameters()), weight=1 - momentum
    )
