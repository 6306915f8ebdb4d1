"""Self-distillation: a student restores masked nucleotides and agrees with its EMA teacher.

Source: Yu et al., "Self-Distillation Improves DNA Sequence Inference", arXiv 2405.08538.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from findna.config import PretrainConfig
from findna.encoding import BLANK
from findna.model.checkpoint import Model
from findna.model.heads import PrototypeHead
from findna.training.corpus import Windows
from findna.training.ema import update_teacher
from findna.training.losses import (
    centre_and_sharpen,
    contrastive_loss,
    masked_nucleotide_loss,
    sinkhorn,
)
from findna.training.masking import mask_tokens
from findna.training.views import noisy_one_hot, reverse_complement, teacher_view


class Network(Model):
    """What student and teacher have in common: encoder and heads."""

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__(config.encoder)
        self.prototypes = (
            PrototypeHead(
                config.encoder.dim,
                config.projection_hidden,
                config.projection_dim,
                config.prototypes,
            )
            if config.contrast == "prototypes"
            else None
        )

    def encode(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states of equally long windows: nucleotides (n, length, dim), CLS (n, c, dim).

        ``windows`` are token ids (n, length), uint8, or soft one-hot rows (n, length, 5).
        """
        n, length = windows.shape[:2]
        n_cls = self.encoder.config.n_cls
        padding = (0, n_cls) if windows.dim() == 2 else (0, 0, 0, n_cls)
        blank = BLANK if windows.dim() == 2 else 0
        packed = F.pad(windows, padding, value=blank).flatten(0, 1)
        offsets = torch.arange(n + 1, device=windows.device) * (length + n_cls)
        hidden = self.encoder(packed, offsets).view(n, length + n_cls, -1)
        return hidden[:, :length], hidden[:, length:]

    def contrast_outputs(self, bases: Tensor, cls: Tensor) -> Tensor:
        """What student and teacher are compared by; (m, k), float32."""
        outputs: Tensor
        if self.prototypes is not None:
            outputs = self.prototypes(bases.mean(1))
        else:
            outputs = self.masked_nucleotide(cls.flatten(0, 1)).float()
        return outputs


class Losses(NamedTuple):
    """Losses of one step, each a scalar."""

    total: Tensor
    mnm: Tensor
    contrast: Tensor


class SelfDistillation(nn.Module):
    """Student, teacher and the running centre of the teacher's outputs."""

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__()
        self.config = config
        self.student = Network(config)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False).eval()
        k = config.prototypes if config.contrast == "prototypes" else 5
        self.register_buffer("centre", torch.zeros(k))
        self.centre: Tensor

    def forward(self, windows: Windows, generator: torch.Generator) -> Losses:
        """Losses of one batch of windows."""
        config, views = self.config, self.config.views
        tokens = windows.tokens
        labels = reverse_complement(tokens, views.student_rc, generator)
        masked, selected = mask_tokens(labels, views, generator)
        inputs = (
            noisy_one_hot(masked, views.student_noise, generator) if views.student_noise else masked
        )
        bases, cls = self.student.encode(inputs)
        outputs = self.student.masked_nucleotide(bases).float()  # (n, length, 5)
        mnm = masked_nucleotide_loss(outputs, labels, selected, config.mnm_loss)
        contrast = torch.zeros_like(mnm)
        if config.contrast != "none":
            target = self._targets(teacher_view(tokens, views, generator))
            student = self.student.contrast_outputs(bases, cls)
            contrast = contrastive_loss(student, target, config.student_temp)
        return Losses(mnm + config.contrast_weight * contrast, mnm, contrast)

    @torch.no_grad()
    def _targets(self, view: Tensor) -> Tensor:
        """The teacher's balanced, sharpened probabilities; (m, k), float32."""
        outputs = self.teacher.contrast_outputs(*self.teacher.encode(view))
        target = self.balanced(outputs)
        if self.training and self.config.centring == "mean":
            self.centre.lerp_(outputs.mean(0), 1 - self.config.center_momentum)
        return target

    def balanced(self, outputs: Tensor) -> Tensor:
        """Outputs of the teacher as balanced, sharpened probabilities; (m, k), float32."""
        if self.config.centring == "sinkhorn":
            return sinkhorn(outputs, self.config.teacher_temp)
        return centre_and_sharpen(outputs, self.centre, self.config.teacher_temp)

    def update_teacher(self, momentum: float) -> None:
        """Move the teacher towards the student."""
        update_teacher(self.teacher, self.student, momentum)

    def train(self, mode: bool = True) -> SelfDistillation:
        """Set the student's mode; the teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self
