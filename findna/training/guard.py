"""Rules by which a run has diverged or collapsed; docs/training.md says how they were found.

A sign that comes and goes may be noise, so most must stand at several looks in a row. While one
stands nothing is kept, and the last good checkpoint stays a good one; at the last step a sign
that stands is a verdict.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from findna.config import PretrainConfig
from findna.errors import CollapseError
from findna.training.losses import UNIFORM_MNM
from findna.training.metrics import Metrics

DIVERGED, COLLAPSED = "diverged", "collapsed"

MNM_FACTOR = 2.0
"""A masked-nucleotide loss of this many times the uniform one is worse than knowing nothing."""
SMALLEST_SPREAD = 1e-3
"""Below this relative spread the teacher's vectors count as constant."""
SMALLEST_RANK = 1.1
"""Below this effective rank the teacher's vectors differ in one direction alone."""
SMALLEST_INFORMATION = 1e-3
"""Of the uniform bound: a target that tells less of its window is the same for every window."""
FEW_DIMENSIONS = 8
"""Vectors with fewer are not judged by their rank."""
PATIENCE = {"mnm": 5, "rank": 3, "target": 3}
"""Lines of steps (mnm) or evaluations in a row at which a sign must stand."""


class Guard:
    """Ends a run that has diverged or collapsed.

    Parameters
    ----------
    metrics : Metrics
        Gets a line with the verdict, for reports.
    checkpoint : Path
        File of the last checkpoint, which a message mentions if it exists.
    """

    def __init__(self, config: PretrainConfig, metrics: Metrics, checkpoint: Path) -> None:
        self._config, self._metrics, self._checkpoint = config, metrics, checkpoint
        self._standing: Counter[str] = Counter()

    @property
    def sound(self) -> bool:
        """Whether no sign stands, so that a checkpoint may be kept."""
        return not self._standing.total()

    def check_step(self, step: int, values: Mapping[str, float]) -> None:
        """Judge the losses and the gradient norm of a step.

        Raises
        ------
        CollapseError
            The run has diverged.
        """
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
        """Judge an evaluation.

        Raises
        ------
        CollapseError
            The run has diverged or collapsed.
        """
        self._check_finite(step, figures)
        if figures["spread"] <= SMALLEST_SPREAD:
            self._end(
                step,
                COLLAPSED,
                "the teacher gives every window the same vector "
                f"(relative spread {figures['spread']:.1e})",
                "lower contrast_weight or lr, or raise teacher_temp",
            )
        self._weigh(
            step,
            "rank",
            figures["rank"] < SMALLEST_RANK and self._config.encoder.dim >= FEW_DIMENSIONS,
            COLLAPSED,
            f"the teacher's vectors differ in one direction alone (effective rank "
            f"{figures['rank']:.2f})",
            "lower contrast_weight or lr",
        )
        if "contrast_bound" in figures and self._config.contrast_weight > 0:
            told = figures["mean_target_entropy"] - figures["target_entropy"]
            self._weigh(
                step,
                "target",
                told < SMALLEST_INFORMATION * figures["contrast_bound"],
                COLLAPSED,
                f"the teacher asks the same of every window (its target tells {told:.1e} nats "
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
        """Count how often in a row a sign was seen, and end the run when that is too often."""
        self._standing[sign] = self._standing[sign] + 1 if seen else 0
        if seen and (self._standing[sign] >= PATIENCE[sign] or step == self._config.steps):
            self._end(step, verdict, reason, remedy)

    def _end(self, step: int, verdict: str, reason: str, remedy: str) -> None:
        self._metrics.write(step=step, verdict=verdict, reason=reason, remedy=remedy)
        kept = "; the last good checkpoint is kept" if self._checkpoint.exists() else ""
        raise CollapseError(f"training {verdict} at step {step}: {reason}; {remedy}{kept}")
