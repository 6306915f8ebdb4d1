"""Logistic and ridge regression of labels: the one place where linear heads are fitted."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from findna.labelled.sets import MULTILABEL, REGRESSION


@dataclass(frozen=True)
class Solver:
    """Options of fitting: of a logistic regression all but ``ridge``, the solver of the other.

    ``balanced`` weights classes by the inverse of their frequency.
    """

    max_iter: int = 1000
    tol: float = 1e-4
    balanced: bool = False
    ridge: str = "sparse_cg"


class Regression:
    """Regression of labels on features, for one regularisation after another.

    Each logistic regression starts from the weights of the one before, so fit a series from the
    strongest regularisation to the weakest. Features are standardised, (n, n_features), dense or
    sparse. ``models`` are those of scikit-learn: one logistic regression of classes, (n,) indices;
    one per label of multilabel, (n, n_labels) of 0 and 1; one ridge regression of all targets,
    (n, n_targets). A ``DummyClassifier`` stands in if all labels are the same.
    """

    def __init__(
        self, features: Any, labels: npt.NDArray[Any], kind: str, solver: Solver = Solver()
    ) -> None:
        self.features = features
        self.targets = list(labels.T) if kind == MULTILABEL else [labels]
        self.models = [_model(target, kind, solver) for target in self.targets]

    def fit(self, regularisation: float) -> None:
        """Fit every model, by ``C`` of logistic regressions or ``alpha`` of a ridge regression."""
        for model, target in zip(self.models, self.targets, strict=True):
            if isinstance(model, Ridge):
                model.set_params(alpha=regularisation)
            elif isinstance(model, LogisticRegression):
                model.set_params(C=regularisation)
            with warnings.catch_warnings():
                # the last digits of the weights do not matter, and validation judges the rest
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(self.features, target)


def _model(target: npt.NDArray[Any], kind: str, solver: Solver) -> Any:
    if kind == REGRESSION:
        return Ridge(solver=solver.ridge)
    if len(np.unique(target)) == 1:
        return DummyClassifier()
    return LogisticRegression(
        max_iter=solver.max_iter,
        tol=solver.tol,
        warm_start=True,
        class_weight="balanced" if solver.balanced else None,
    )
