"""Rules by which a run has diverged or collapsed; docs/training.md says how they were found.

A sign that comes and goes may be noise, so most must stand at LOOKS looks in a row, at the end of
a run at two. While one stands nothing is kept, and the last good checkpoint stays a good one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from findna.errors import CollapseError
from findna.pretraining.history import Metrics
from findna.pretraining.losses import UNIFORM_MNM
from findna.pretraining.recipe import PretrainConfig

DIVERGED, COLLAPSED = "diverged", "collapsed"

MNM_FACTOR = 2.0
"""A masked-nucleotide loss of this many times the uniform one is worse than knowing nothing."""

SMALLEST_SPREAD = 1e-3
"""Below this relative spread the teacher's vectors count as constant."""

SMALLEST_RANK = 1.1
"""Below this effective rank the teacher's vectors differ in one direction alone."""

SMALLEST_INFORMATION = 0.01
"""Of the uniform bound: a target that tells less of its window is the same for every window."""

FEW_DIMENSIONS = 8
"""Vectors with fewer are not judged by their rank."""

FIRST_STEP = 50
"""Rank and target are not judged before: the running centre, for one, begins at 0."""

LOOKS, STEPS = 3, 10
"""Lines of metrics.jsonl in a row, and steps from the first to the last, that a sign must stand."""


class Guard:
    """Judge of a run, which ends it when it has diverged or collapsed.

    ``metrics`` gets a line with the verdict, for reports; a message mentions the file of the last
    checkpoint if it exists.
    """

    def __init__(self, config: PretrainConfig, metrics: Metrics, checkpoint: Path) -> None:
        self._config, self._metrics, self._checkpoint = config, metrics, checkpoint
        self._standing: dict[str, list[int]] = {}  # steps in a row at which a sign was seen

    @property
    def sound(self) -> bool:
        """True if no sign stands, so that a checkpoint may be kept."""
        return not any(self._standing.values())

    def check_step(self, step: int, values: Mapping[str, float]) -> None:
        """Judge the losses and the gradient norm of a step; CollapseError if it has diverged."""
        self._check_finite(step, values)
        uniform = UNIFORM_MNM[self._config.mnm_loss]
        self._weigh(
            step,
            "mnm",
            values["mnm"] > MNM_FACTOR * uniform,
            DIVERGED,
            f"the masked-nucleotide loss stays at {values['mnm']:.3g}, far above the "
            f"{uniform:.3g} of knowing nothing",
            "lower lr or clip, or raise warmup",
        )

    def check_evaluation(self, step: int, figures: Mapping[str, float]) -> None:
        """Judge an evaluation; CollapseError if the run has diverged or collapsed."""
        self._check_finite(step, figures)
        contrast = "contrast_bound" in figures and self._config.contrast_weight > 0
        remedy = "lower lr or weight_decay" + (", or contrast_weight" if contrast else "")
        if figures["spread"] <= SMALLEST_SPREAD:
            spread = f"(relative spread {figures['spread']:.1e})"
            reason = f"the teacher gives every window the same vector {spread}"
            self._end(step, COLLAPSED, reason, remedy)
        if step < FIRST_STEP:
            return
        self._weigh(
            step,
            "rank",
            figures["rank"] < SMALLEST_RANK and self._config.encoder.dim >= FEW_DIMENSIONS,
            COLLAPSED,
            f"the teacher's vectors differ in one direction alone (effective rank "
            f"{figures['rank']:.2f})",
            f"{remedy}, or train on more varied sequence",
        )
        if contrast:
            nats = figures["mean_target_entropy"] - figures["target_entropy"]
            self._weigh(
                step,
                "target",
                nats < SMALLEST_INFORMATION * figures["contrast_bound"],
                COLLAPSED,
                f"the teacher asks the same of every window (its target tells {nats:.1e} nats "
                "of the window)",
                "balance it by centring sinkhorn, lower center_momentum or contrast_weight, or "
                "raise teacher_temp",
            )

    def _check_finite(self, step: int, values: Mapping[str, float]) -> None:
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            self._end(step, DIVERGED, f"{bad[0]} is not finite", "lower lr or raise warmup")

    def _weigh(
        self, step: int, sign: str, seen: bool, verdict: str, reason: str, remedy: str
    ) -> None:
        """Remember how long a sign has stood, and end the run when that is too long."""
        stood = [*self._standing.get(sign, []), step] if seen else []
        self._standing[sign] = stood
        last = step == self._config.steps
        if len(stood) >= (2 if last else LOOKS) and (last or step - stood[0] >= STEPS):
            self._end(step, verdict, reason, remedy)
        if last:
            self._standing[sign] = []  # seen once, at the end: no more than a suspicion

    def _end(self, step: int, verdict: str, reason: str, remedy: str) -> None:
        self._metrics.write(step=step, verdict=verdict, reason=reason, remedy=remedy)
        kept = "; the last good checkpoint is kept" if self._checkpoint.exists() else ""
        raise CollapseError(f"training {verdict} at step {step}: {reason}; {remedy}{kept}")
