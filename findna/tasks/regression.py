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
    """How regressions are fitted.

    Parameters
    ----------
    max_iter : int
        Iterations of a logistic regression.
    tol : float
        Gradient at which a logistic regression stops.
    balanced : bool
        Weight classes by the inverse of their frequency.
    ridge : {"cholesky", "sparse_cg"}
        Solver of ridge regression.
    """

    max_iter: int = 1000
    tol: float = 1e-4
    balanced: bool = False
    ridge: str = "sparse_cg"


class Regression:
    """Regression of labels on features, for one regularisation after another.

    Each logistic regression starts from the weights of the one before, so fit a series from the
    strongest regularisation to the weakest.

    Parameters
    ----------
    features : ndarray or csr_matrix, shape (n, n_features)
        Standardised.
    labels : ndarray
        Classes: (n,) indices, one logistic regression. Multilabel: (n, n_labels) of 0 and 1, one
        logistic regression per label. Regression: (n, n_targets), one ridge regression.

    Attributes
    ----------
    models : list
        Fitted models of scikit-learn; a ``DummyClassifier`` where all labels are the same.
    """

    def __init__(
        self, features: Any, labels: npt.NDArray[Any], kind: str, solver: Solver = Solver()
    ) -> None:
        self.features = features
        self.targets = list(labels.T) if kind == MULTILABEL else [labels]
        self.models = [_model(target, kind, solver) for target in self.targets]

    def fit(self, regularisation: float) -> None:
        """Fit every model.

        Parameters
        ----------
        regularisation : float
            ``C`` of logistic regressions, ``alpha`` of a ridge regression.
        """
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
