import time

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from findna.labelled.metrics import (
    METRICS,
    bootstrap,
    bootstrap_difference,
    expected_calibration_error,
    measure,
    operating_points,
    reliability,
)


def classes(n: int, n_classes: int, seed: int = 0, levels: int = 0) -> tuple:
    """Labels, and probabilities that know something of them; ``levels`` makes ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    scores = rng.random((n, n_classes)) + 0.5 * np.eye(n_classes)[labels]
    if levels:
        scores = np.round(scores * levels) + 1
    return labels, scores / scores.sum(1, keepdims=True)


def multilabel(n: int, m: int, seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (n, m))
    return labels, np.round(0.6 * rng.random((n, m)) + 0.4 * labels, 1)


def regression(n: int, m: int, seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    labels = np.round(rng.normal(1000, 2, (n, m)), 1)
    return labels, labels + rng.normal(0.3, 1, (n, m))


@pytest.mark.parametrize("levels", [0, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_two_classes(levels: int, seed: int) -> None:
    labels, probabilities = classes(200, 2, seed, levels)
    guesses = probabilities.argmax(1)
    assert measure(labels, probabilities, "classes") == pytest.approx(
        {
            "accuracy": reference.accuracy_score(labels, guesses),
            "mcc": reference.matthews_corrcoef(labels, guesses),
            "auroc": reference.roc_auc_score(labels, probabilities[:, 1]),
            "auprc": reference.average_precision_score(labels, probabilities[:, 1]),
            "macro_f1": reference.f1_score(labels, guesses, average="macro"),
        }
    )


@pytest.mark.parametrize("levels", [0, 3])
def test_several_classes(levels: int) -> None:
    labels, probabilities = classes(300, 4, 1, levels)
    guesses, one_hot = probabilities.argmax(1), np.eye(4)[labels]
    assert measure(labels, probabilities, "classes") == pytest.approx(
        {
            "accuracy": reference.accuracy_score(labels, guesses),
            "mcc": reference.matthews_corrcoef(labels, guesses),
            "auroc": reference.roc_auc_score(labels, probabilities, multi_class="ovr"),
            "auprc": reference.average_precision_score(one_hot, probabilities, average="macro"),
            "macro_f1": reference.f1_score(labels, guesses, average="macro"),
        }
    )


def test_absent_class_is_left_out() -> None:
    labels, probabilities = classes(120, 4)
    here = labels != 2
    labels, probabilities = labels[here], probabilities[here]
    found = measure(labels, probabilities, "classes")
    columns = [0, 1, 3]
    one_hot = np.eye(4)[labels][:, columns]
    assert found["auroc"] == pytest.approx(
        np.mean(
            [
                reference.roc_auc_score(y, s)
                for y, s in zip(one_hot.T, probabilities[:, columns].T, strict=True)
            ]
        )
    )
    assert found["auprc"] == pytest.approx(
        reference.average_precision_score(one_hot, probabilities[:, columns], average="macro")
    )
    assert found["macro_f1"] == pytest.approx(
        reference.f1_score(labels, probabilities.argmax(1), average="macro")
    )


def test_one_class_alone() -> None:
    probabilities = np.array([[0.2, 0.8], [0.4, 0.6], [0.7, 0.3]])
    found = measure(np.array([1, 1, 1]), probabilities, "classes")
    assert np.isnan(found["auroc"])
    assert found["auprc"] == 1
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["mcc"] == 0
    assert np.isnan(measure(np.array([0, 0, 0]), probabilities, "classes")["auprc"])


def test_multilabel() -> None:
    labels, probabilities = multilabel(150, 5)
    guesses = (probabilities >= 0.5).astype(int)
    assert measure(labels, probabilities, "multilabel") == pytest.approx(
        {
            "auroc": reference.roc_auc_score(labels, probabilities, average="macro"),
            "auprc": reference.average_precision_score(labels, probabilities, average="macro"),
            "micro_f1": reference.f1_score(labels, guesses, average="micro"),
            "exact_match": reference.accuracy_score(labels, guesses),
        }
    )


def test_constant_label_is_left_out() -> None:
    labels, probabilities = multilabel(100, 3)
    labels[:, 1] = 0
    found = measure(labels, probabilities, "multilabel")
    kept = [0, 2]
    assert found["auroc"] == pytest.approx(
        reference.roc_auc_score(labels[:, kept], probabilities[:, kept])
    )


@pytest.mark.parametrize("m", [1, 3])
def test_regression(m: int) -> None:
    labels, guesses = regression(150, m)
    pairs = list(zip(labels.T, guesses.T, strict=True))
    assert measure(labels, guesses, "regression") == pytest.approx(
        {
            "r2": reference.r2_score(labels, guesses),
            "pearson": np.mean([stats.pearsonr(a, b)[0] for a, b in pairs]),
            "spearman": np.mean([stats.spearmanr(a, b)[0] for a, b in pairs]),
            "rmse": np.mean([np.sqrt(np.mean((a - b) ** 2)) for a, b in pairs]),
        }
    )


def test_constant_target_is_undefined() -> None:
    found = measure(np.full((20, 1), 0.1), np.linspace(0, 1, 20)[:, None], "regression")
    assert all(np.isnan(found[name]) for name in ("r2", "pearson", "spearman"))
    assert found["rmse"] > 0


MAKERS = {
    "classes": lambda n, seed: classes(n, 3, seed, levels=4),
    "multilabel": lambda n, seed: multilabel(n, 3, seed),
    "regression": lambda n, seed: regression(n, 2, seed),
}


@pytest.mark.parametrize("kind", METRICS)
def test_bootstrap_measures_the_rows_it_draws(kind: str) -> None:
    """Against measuring each resample, drawn from the same seed, as a set of its own."""
    n = 40
    labels, predictions = MAKERS[kind](n, 2)
    rows = np.random.default_rng(5).integers(0, n, (60, n))
    each = [measure(labels[r], predictions[r], kind) for r in rows]
    found = bootstrap(labels, predictions, kind, METRICS[kind], n=60, seed=5)
    for name in METRICS[kind]:
        values = np.percentile([one[name] for one in each], [2.5, 97.5])
        assert found[name] == pytest.approx(tuple(values), abs=1e-12), name


@pytest.mark.parametrize("kind", METRICS)
def test_bootstrap_is_decided_by_its_seed(kind: str) -> None:
    labels, predictions = MAKERS[kind](50, 0)
    first = bootstrap(labels, predictions, kind, METRICS[kind], n=50)
    assert first == bootstrap(labels, predictions, kind, METRICS[kind], n=50)
    assert first != bootstrap(labels, predictions, kind, METRICS[kind], n=50, seed=1)
    # a measure does not depend on which others are asked for
    for name in METRICS[kind]:
        assert bootstrap(labels, predictions, kind, [name], n=50) == {name: first[name]}


@pytest.mark.parametrize("kind", METRICS)
def test_differences_are_of_the_same_resamples(kind: str) -> None:
    labels, first = MAKERS[kind](40, 2)
    second = MAKERS[kind](40, 3)[1]
    rows = np.random.default_rng(5).integers(0, 40, (60, 40))
    each = [[measure(labels[r], x[r], kind) for x in (first, second)] for r in rows]
    found = bootstrap_difference(labels, first, second, kind, METRICS[kind], n=60, seed=5)
    for name in METRICS[kind]:
        values = np.percentile([a[name] - b[name] for a, b in each], [2.5, 97.5])
        assert found[name] == pytest.approx(tuple(values), abs=1e-12), name
    same = bootstrap_difference(labels, first, first, kind, METRICS[kind], n=60)
    assert set(same.values()) == {(0, 0)}


def auroc_interval(n: int, seed: int) -> tuple[float, float]:
    """Of scores that are normal, one deviation higher for class 1."""
    labels = np.arange(n) % 2
    score = stats.norm.cdf(np.random.default_rng(seed).normal(labels))
    probabilities = np.stack((1 - score, score), axis=1)
    return bootstrap(labels, probabilities, "classes", ["auroc"], 300, seed)["auroc"]


@pytest.mark.slow
def test_intervals_cover_the_truth() -> None:
    truth = stats.norm.cdf(1 / np.sqrt(2))
    found = np.array([auroc_interval(300, seed) for seed in range(200)])
    covered = ((found[:, 0] <= truth) & (truth <= found[:, 1])).mean()
    assert 0.89 <= covered <= 0.99
    larger = np.array([auroc_interval(1200, seed) for seed in range(20)])
    assert np.ptp(found, 1).mean() / np.ptp(larger, 1).mean() == pytest.approx(2, rel=0.1)


def test_resamples_without_a_class_are_left_out() -> None:
    labels = np.array([0] * 29 + [1])
    score = np.linspace(0, 1, 30)
    low, high = bootstrap(labels, np.stack((1 - score, score), 1), "classes", ["auroc"], n=50)[
        "auroc"
    ]
    assert low == high == 1
    labels[:] = 0
    found = bootstrap(labels, np.stack((1 - score, score), 1), "classes", ["auroc"], n=10)
    assert np.isnan(found["auroc"]).all()


@pytest.mark.slow
def test_bootstrap_is_fast() -> None:
    labels, probabilities = classes(5000, 2)
    started = time.process_time()
    bootstrap(labels, probabilities, "classes", METRICS["classes"])
    assert time.process_time() - started < 3


def test_calibration() -> None:
    labels, probabilities = classes(500, 3)
    probabilities[0] = [1, 0, 0]
    bins = reliability(labels, probabilities, 10)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    total = 0.0
    for i, row in enumerate(bins):
        inside = (confidence > i / 10) & (confidence <= (i + 1) / 10)
        assert row.n == inside.sum()
        if row.n:
            assert row.confidence == pytest.approx(confidence[inside].mean())
            assert row.accuracy == pytest.approx(right[inside].mean())
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
        else:
            assert np.isnan(row[:2]).all()
    assert bins[0].n == 0
    assert expected_calibration_error(labels, probabilities, 10) == pytest.approx(total)


def test_calibration_of_known_error() -> None:
    labels = np.array([0] * 60 + [1] * 40)
    assert expected_calibration_error(labels, np.tile([0.6, 0.4], (100, 1))) == pytest.approx(0)
    assert expected_calibration_error(labels, np.tile([0.9, 0.1], (100, 1))) == pytest.approx(0.3)
    assert expected_calibration_error(labels, np.tile([0.1, 0.9], (100, 1))) == pytest.approx(0.5)


def test_points_of_a_curve() -> None:
    present = np.array([True, False, True, True, False])
    points = operating_points(present, np.array([0.9, 0.8, 0.8, 0.3, 0.1]))
    assert points == {
        "threshold": [0.9, 0.8, 0.3, 0.1], "true": [1, 2, 3, 3], "false": [0, 1, 1, 2],
    }  # fmt: skip


@pytest.mark.parametrize("share", [0.5, 0.001])
def test_a_curve_of_few_points_is_that_of_all(share: float) -> None:
    rng = np.random.default_rng(0)
    present = rng.random(100_000) < share
    scores = rng.normal(size=100_000) + 2 * present
    points = operating_points(present, scores)
    true, false = np.array(points["true"]), np.array(points["false"])
    assert len(true) <= 200
    assert true[-1] == present.sum()
    for i in (0, 50, -1):
        called = scores >= np.array(points["threshold"])[i] - 1e-3
        assert (called & present).sum() == pytest.approx(true[i], abs=5 + 0.01 * true[i])
    x, y = np.append(0, false / false[-1]), np.append(0, true / true[-1])
    area = float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))
    assert area == pytest.approx(reference.roc_auc_score(present, scores), abs=0.005)


def test_empty_set_is_undefined() -> None:
    empty = {"classes": (np.zeros(0, int), np.zeros((0, 3)))}
    empty |= {kind: (np.zeros((0, 2)), np.zeros((0, 2))) for kind in ("multilabel", "regression")}
    for kind, (labels, predictions) in empty.items():
        assert np.isnan(list(measure(labels, predictions, kind).values())).all()
        low_high = bootstrap(labels, predictions, kind, METRICS[kind], n=5).values()
        assert np.isnan(list(low_high)).all()
    assert np.isnan(expected_calibration_error(*empty["classes"]))


def test_mistakes_of_the_caller() -> None:
    labels, probabilities = classes(10, 2)
    with pytest.raises(ValueError, match="do not fit"):
        measure(labels, probabilities[:, 1], "classes")
    with pytest.raises(ValueError, match="do not fit"):
        measure(labels, probabilities, "multilabel")
    with pytest.raises(ValueError, match="none of"):
        measure(labels, probabilities, "ranks")
    with pytest.raises(ValueError, match="no measure"):
        bootstrap(labels, probabilities, "classes", ["r2"])
    with pytest.raises(ValueError, match="finite"):
        measure(labels, np.where(probabilities > 0.9, probabilities, np.nan), "classes")
