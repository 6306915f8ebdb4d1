"""Probabilities of a task restated for another share of its classes (prior shift).

A task is calibrated where its classes are as frequent as in its validation data. Elsewhere the
log-odds shift by what the frequency does.

Source: Saerens et al., "Adjusting the outputs of a classifier to new a priori probabilities", 2002.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.special import logit

from findna.errors import ConfigError
from findna.labelled.sets import CLASSES, REGRESSION
from findna.tasks.sites import AnyTask, SiteTask


def _shares(task: AnyTask) -> list[float]:
    """Return how frequent each class is where the task's probabilities hold.

    That is in the data that it was calibrated on; where classes were weighted by the inverse of
    their frequency, all are alike.
    """
    training = task.record.get("training")
    if isinstance(training, Mapping) and training.get("balanced"):
        n = len(task.config.classes)
        return [1 / n if task.config.kind == CLASSES else 1 / 2] * n
    try:
        if isinstance(task, SiteTask):
            measured = [task.record["metrics"]["valid"][name] for name in task.config.classes]
            return [each["sites"] / each["bases"] for each in measured]
        valid = task.record["data"]["valid"]
        return [count / valid["rows"] for count in valid["classes"].values()]
    except (LookupError, TypeError, AttributeError, ZeroDivisionError):
        raise ConfigError(
            f"task {task.name}: its task.json does not say how frequent its classes were; train "
            "the task again (findna finetune)"
        ) from None


def at_prior(task: AnyTask, prior: float | Mapping[str, float]) -> AnyTask:
    """Return the task with probabilities for classes that are as frequent as ``prior`` says.

    Parameters
    ----------
    prior : float or mapping
        Share of each class that is named, above 0 and below 1; a number is that of the positive
        class, or of the only one. What two named classes leave is shared by the others in
        proportion to their shares before.

    Raises
    ------
    ConfigError
        The task has no such class, or no probabilities, or the shares are impossible.
    """
    classes, kind = task.config.classes, task.config.kind
    if kind == REGRESSION:
        raise ConfigError(f"--prior: task {task.name} gives values, not probabilities")
    if not isinstance(prior, Mapping):
        if len(classes) > 2 or (len(classes) == 2 and kind != CLASSES):
            raise ConfigError(
                f"--prior: task {task.name} has the classes {', '.join(classes)}; say of which: "
                f"--prior {classes[0]}={prior:g}"
            )
        prior = {classes[-1]: prior}
    for name, share in prior.items():
        if name not in classes:
            raise ConfigError(
                f"--prior: task {task.name} has no class {name}; it has {', '.join(classes)}"
            )
        if not 0 < share < 1:
            raise ConfigError(f"--prior {name}={share:g}: a share lies above 0 and below 1")
    before = np.array(_shares(task))
    if len(before) != len(classes) or not ((before > 0) & (before < 1)).all():
        raise ConfigError(f"--prior: task {task.name} was calibrated on data that lack a class")
    named = np.array([name in prior for name in classes])
    after = np.array([prior.get(name, share) for name, share in zip(classes, before, strict=True)])
    if kind != CLASSES:
        offsets = logit(after) - logit(before)
    else:
        left = 1 - after[named].sum()
        if named.all() and abs(left) > 1e-6:
            raise ConfigError("--prior: the shares of all classes must add up to 1")
        if not named.all() and left <= 0:
            raise ConfigError("--prior: the shares must leave something to the other classes")
        after[~named] = left * before[~named] / before[~named].sum()
        offsets = np.log(after) - np.log(before)
    return replace(task, offsets=tuple(offsets.tolist()))
