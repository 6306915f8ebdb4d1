"""Self-distillation: a student restores masked nucleotides and agrees with its EMA teacher.

`SelfDistillation` holds both networks: it draws the views of a step's windows, computes the losses
and moves the teacher towards the student. `compile_layers` makes the layers of both faster.

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
from findna.model.heads import ProjectionHead, PrototypeHead
from findna.pretraining import losses
from findna.pretraining.corpus import Windows
from findna.pretraining.recipe import PretrainConfig
from findna.pretraining.views import (
    draw_strands,
    mask_tokens,
    noisy_one_hot,
    reverse_complement_rows,
    reverse_rows,
    teacher_view,
)

logger = logging.getLogger(__name__)


class Network(Model):
    """Encoder and heads, as student and teacher both have them."""

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__(config.encoder)
        sizes = config.encoder.dim, config.projection_hidden, config.projection_dim
        self.projection: nn.Module | None = None
        if config.contrast == "prototypes":
            self.projection = PrototypeHead(*sizes, config.prototypes)
        elif config.contrast == "infonce":
            self.projection = ProjectionHead(*sizes)

    def encode(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden states of equally long windows.

        ``windows`` are token ids (n, length), uint8, or soft one-hot rows (n, length, 5). The
        states are those of nucleotides, (n, length, dim), and of CLS positions, (n, c, dim).
        """
        n, length = windows.shape[:2]
        sizes = self.encoder.config
        if windows.dim() == 2:
            padded = F.pad(windows, (0, sizes.n_cls), value=BLANK)
        else:
            padded = F.pad(windows, (0, 0, 0, sizes.n_cls))
        rotation = equal_windows(
            n, padded.shape[1], sizes.n_tracks, sizes.track_size, windows.device
        )
        hidden = self.encoder(padded.flatten(0, 1), rotation).view(n, padded.shape[1], -1)
        return hidden[:, :length], hidden[:, length:]

    def contrast_outputs(self, bases: Tensor, cls: Tensor) -> Tensor:
        """Return what student and teacher are compared by; (m, n, k), float32.

        m is the number of CLS positions, or 1 where the mean vectors of windows are compared.
        """
        if self.projection is None:
            outputs: Tensor = self.masked_nucleotide(cls.transpose(0, 1))
        else:
            outputs = self.projection(bases.mean(1))[None]
        return outputs.float()


class Views(NamedTuple):
    """Inputs of both networks for n windows, and the nucleotides that the student restores.

    ``student`` are token ids (n, length), uint8, or soft one-hot rows (n, length, 5); ``labels``
    and ``teacher`` are token ids. ``weight``, float (n, length), is what restoring a nucleotide
    counts: 0 where it was not hidden.
    """

    student: Tensor
    labels: Tensor
    weight: Tensor
    teacher: Tensor

    def rows(self, rows: slice) -> Views:
        """Return the views of some of the windows."""
        return Views(*(view[rows] for view in self))


class Losses(NamedTuple):
    """Losses of a step by the names of metrics.jsonl, or shares of some windows; each a scalar."""

    loss: Tensor
    mnm: Tensor
    contrast: Tensor
    koleo: Tensor


class SelfDistillation(nn.Module):
    """Student, teacher, and the running centre of the teacher's outputs."""

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
        self.centre: Tensor

    def views(self, windows: Windows, generator: torch.Generator) -> Views:
        """Draw all views of a step's windows; cheap, so every process draws them all."""
        config, views = self.config, self.config.views
        minus = draw_strands(len(windows.tokens), views.student_rc, generator)
        labels = reverse_complement_rows(windows.tokens, minus)
        masked, selected = mask_tokens(labels, views, generator)
        inputs = (
            noisy_one_hot(masked, views.student_noise, generator) if views.student_noise else masked
        )
        repeats = reverse_rows(windows.repeats, minus)
        weight = selected * torch.where(repeats, config.repeat_weight, 1.0)
        teacher = windows.tokens
        if config.contrast != "none":
            teacher = teacher_view(teacher, views, generator)
        return Views(inputs, labels, weight, teacher)

    def forward(self, views: Views, step: Views | None = None) -> Losses:
        """Return the losses of a step's windows, or the shares of these of some of its rows.

        If ``views`` are only rows of a step, ``step`` is all of it. Shares add up to the losses of
        the step, but windows are only compared (prototypes, balancing) with those that are seen at
        the same time, in whichever process.
        """
        config, step = self.config, step or views
        share = len(views.labels) / len(step.labels)
        bases, cls = self.student.encode(views.student)
        outputs = self.student.masked_nucleotide(bases).float()  # (n, length, 5)
        mnm = losses.masked_nucleotide_loss(
            outputs, views.labels, views.weight, config.mnm_loss, step.weight.sum()
        )
        contrast = koleo = torch.zeros_like(mnm)
        if config.contrast != "none":
            contrast = share * self._contrast(bases, cls, *self._teacher_outputs(views.teacher))
        if config.koleo_weight:
            vectors = bases.float().mean(1)  # (n, dim)
            koleo = share * losses.koleo_loss(vectors, *collective.gather(vectors))
        loss = mnm + config.contrast_weight * contrast + config.koleo_weight * koleo
        return Losses(loss, mnm, contrast, koleo)

    def _contrast(self, bases: Tensor, cls: Tensor, teacher: Tensor, first: int) -> Tensor:
        """Return how far the student's states are from the teacher's outputs (`L_CL`)."""
        outputs, temperature = self.student.contrast_outputs(bases, cls), self.config.student_temp
        if not self.config.has_targets:
            return losses.infonce_loss(outputs, teacher, first, temperature)
        own = teacher[:, first : first + outputs.shape[1]]
        return losses.contrastive_loss(outputs, own, temperature)

    @torch.no_grad()
    def _teacher_outputs(self, view: Tensor) -> tuple[Tensor, int]:
        """Return the teacher's targets or, for InfoNCE, unit vectors, and the first own window.

        Outputs, (m, n, k), float32, are those of the windows of all processes, with which targets
        are balanced.
        """
        outputs, first = collective.gather(
            self.teacher.contrast_outputs(*self.teacher.encode(view)).transpose(0, 1)
        )  # (n, m, k)
        if self.config.has_targets:
            rows = outputs.flatten(0, 1)  # (n * m, k)
            outputs = self.balanced(rows).view_as(outputs)
            if self.training and self.config.has_centre:
                self.centre.lerp_(rows.mean(0), 1 - self.config.center_momentum)
        return outputs.transpose(0, 1), first

    @torch.no_grad()
    def balanced(self, rows: Tensor) -> Tensor:
        """Return outputs of the teacher as balanced, sharpened probabilities; (n, k), float32."""
        if self.config.has_centre:
            return losses.centre_and_sharpen(rows, self.centre, self.config.teacher_temp)
        return losses.sinkhorn(rows, self.config.teacher_temp)

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """Set the teacher to ``momentum * teacher + (1 - momentum) * student``."""
        torch._foreach_lerp_(
            list(self.teacher.parameters()), list(self.student.parameters()), weight=1 - momentum
        )

    def train(self, mode: bool = True) -> SelfDistillation:
        """Set the student's mode; the teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self


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
