"""Fuse what a layer does into few kernels, where a compiler is at hand."""

from __future__ import annotations

import logging

import torch

from findna.training.distillation import SelfDistillation

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
