"""Self-distillation: a student restores masked nucleotides and agrees with its EMA teacher.

Source: Yu et al., "Self-Distillation Improves DNA Sequence Inference", arXiv 2405.08538.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from findna import collective
from findna.config import PretrainConfig
from findna.encoding import BLANK, N
from findna.model.checkpoint import Model
from findna.model.chordmixer import equal_windows
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
        """What student and teacher are compared by; (m, k), float32."""
        outputs: Tensor
        if self.prototypes is not None:
            outputs = self.prototypes(bases.mean(1))
        else:
            outputs = self.masked_nucleotide(cls.flatten(0, 1)).float()
        return outputs


class Views(NamedTuple):
    """What the networks see of n windows, and what the student has to restore.

    ``student`` are token ids (n, length), uint8, or soft one-hot rows (n, length, 5); ``labels``
    and ``teacher`` token ids; ``selected`` is bool.
    """

    student: Tensor
    labels: Tensor
    selected: Tensor
    teacher: Tensor

    def rows(self, rows: slice) -> Views:
        """Those of some windows."""
        return Views(*(view[rows] for view in self))


class Losses(NamedTuple):
    """Losses of one step, or their shares by some of its windows; each a scalar."""

    total: Tensor
    mnm: Tensor
    contrast: Tensor


class SelfDistillation(nn.Module):
    """Student, teacher and the running centre of the teacher's outputs."""

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__()
        self.config = config
        self.student = Network(config)
        self.student.encoder.mixer.recompute = config.recompute
        self.teacher = copy.deepcopy(self.student).requires_grad_(False).eval()
        k = config.prototypes if config.contrast == "prototypes" else 5
        self.register_buffer("centre", torch.zeros(k))
        self.centre: Tensor

    def views(self, windows: Windows, generator: torch.Generator) -> Views:
        """Draw both views of a step's windows; cheap, so every process draws them all."""
        views, tokens = self.config.views, windows.tokens
        labels = reverse_complement(tokens, views.student_rc, generator)
        masked, selected = mask_tokens(labels, views, generator)
        inputs = (
            noisy_one_hot(masked, views.student_noise, generator) if views.student_noise else masked
        )
        teacher = (
            tokens if self.config.contrast == "none" else teacher_view(tokens, views, generator)
        )
        return Views(inputs, labels, selected, teacher)

    def forward(self, views: Views, step: Views | None = None) -> Losses:
        """Losses of the windows of a step; of some of them, their shares of these losses.

        Shares add up to what the step's windows have together, but that windows are only compared
        (prototypes, balancing) with those that are seen at the same time, in whichever process.

        Parameters
        ----------
        step : Views, optional
            All of the step, if ``views`` are some of its rows.
        """
        config, step = self.config, step or views
        bases, cls = self.student.encode(views.student)
        outputs = self.student.masked_nucleotide(bases).float()  # (n, length, 5)
        mnm = masked_nucleotide_loss(
            outputs, views.labels, views.selected, config.mnm_loss, step.selected.sum()
        )
        contrast = torch.zeros_like(mnm)
        if config.contrast != "none":
            target = self._targets(views.teacher)
            student = self.student.contrast_outputs(bases, cls)
            contrast = contrastive_loss(student, target, config.student_temp)
            contrast = contrast * (len(views.labels) / len(step.labels))
        return Losses(mnm + config.contrast_weight * contrast, mnm, contrast)

    @torch.no_grad()
    def _targets(self, view: Tensor) -> Tensor:
        """The teacher's balanced, sharpened probabilities; (m, k), float32."""
        outputs = self.teacher.contrast_outputs(*self.teacher.encode(view))
        if self.config.centring == "sinkhorn":
            return sinkhorn(outputs, self.config.teacher_temp)
        target = centre_and_sharpen(outputs, self.centre, self.config.teacher_temp)
        if self.training:
            self.centre.lerp_(collective.mean(outputs), 1 - self.config.center_momentum)
        return target

    def update_teacher(self, momentum: float) -> None:
        """Move the teacher towards the student."""
        update_teacher(self.teacher, self.student, momentum)

    def train(self, mode: bool = True) -> SelfDistillation:
        """Set the student's mode; the teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self


@torch.no_grad()
def restoration(network: Network, windows: Tensor, selected: Tensor) -> tuple[float, float, Tensor]:
    """How well a network restores blanked bases it was never trained on.

    Parameters
    ----------
    windows : Tensor, shape (n, length), uint8
    selected : Tensor, shape (n, length), bool
        Positions that are blanked; N among them does not count.

    Returns
    -------
    accuracy : float
        Share of bases whose likeliest letter of A, C, G, T is the right one.
    loss : float
        Cross-entropy over A, C, G, T, nats.
    vectors : Tensor, shape (n, dim), float32
        Mean hidden states.
    """
    selected = selected & (windows != N)
    bases, _ = network.encode(windows.masked_fill(selected, BLANK))
    outputs = network.masked_nucleotide(bases).float()
    loss = masked_nucleotide_loss(outputs, windows, selected, "softmax")
    outputs[..., N] = -torch.inf
    right = (outputs.argmax(-1) == windows)[selected].float().mean()
    return right.item(), loss.item(), bases.float().mean(1)
