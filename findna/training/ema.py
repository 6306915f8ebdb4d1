"""The teacher: an exponential moving average of the student, never trained itself."""

import torch
from torch import nn


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """``teacher = momentum * teacher + (1 - momentum) * student``, all parameters at once."""
    torch._foreach_lerp_(
        list(teacher.parameters()), list(student.parameters()), weight=1 - momentum
    )
