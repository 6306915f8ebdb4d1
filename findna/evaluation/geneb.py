"""The protocol of GENEB (Ledneva et al., arXiv:2606.04525), for figures beside its leaderboard.

Logistic regression with the defaults of scikit-learn but for the number of iterations, on mean
vectors as they are, neither standardised nor searched over: nothing is chosen, so no sequence
validates. It is fitted on the whole published train split and measured on the published test split.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from findna.evaluation.baselines import Prediction
from findna.tasks.features import Features, FeatureTable
from findna.tasks.probe import Problem, Rows

SEEDS = (13, 17, 42, 123, 997)
"""Of its logistic regressions, whose solver draws nothing; here also of the random encoders."""

PRIMARY = "mcc"
MAX_ITER = 1000


def features_of(method: str, both_strands: bool) -> Features:
    """Return what is read: the mean over bases of an encoder, or 4-mers per 100 bp."""
    pools, k = ((), 4) if method == "k-mers" else (("mean",), 0)
    return Features(pools, k=k, both_strands=both_strands)


def frozen_probe(
    table: FeatureTable, features: Features, problem: Problem, test: Rows, *, seed: int
) -> Prediction:
    """Return the probability of each class of the test rows, and how the regression ended.

    ``table`` holds the training rows of the problem, which is one of classes, and the test rows.
    """
    rows = np.concatenate((problem.train, test))
    train, tested = np.split(table.matrix(features, rows), [len(problem.train)])
    model = LogisticRegression(max_iter=MAX_ITER, random_state=seed)
    with warnings.catch_warnings():  # what so many iterations give is taken, as GENEB does
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train, problem.labels[problem.train])
    probabilities = np.zeros((len(test), problem.n_outputs))
    probabilities[:, model.classes_] = model.predict_proba(tested)
    choice = {"features": str(features), "C": model.C, "iterations": int(model.n_iter_.max())}
    return probabilities, choice
