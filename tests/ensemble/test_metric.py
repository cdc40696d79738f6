"""Metrics against scikit-learn, and by hand where it has none."""

import numpy as np
import pytest
import sklearn.metrics as reference
from scipy.stats import binomtest

from backbones.errors import InputError
from ensemble.metric import (
    accuracy,
    accuracy_interval,
    brier,
    class_scores,
    confusion_matrix,
    expected_calibration_error,
    nll,
    wilson_interval,
)

CLASSES = list(range(7))


@pytest.fixture(params=[0, 1])
def case(request):
    """Probabilities (N, 7) and labels; in one of two cases classes 5 and 6 never occur."""
    rng = np.random.default_rng(request.param)
    labels = rng.integers(0, 7 - 2 * request.param, 400)
    scores = np.exp(1.5 * np.eye(7)[labels] + rng.normal(size=(400, 7)))
    return scores / scores.sum(axis=1, keepdims=True), labels


def test_equal_scikit_learn(case):
    probs, labels = case
    votes = probs.argmax(axis=1)
    assert accuracy(probs, labels) == reference.accuracy_score(labels, votes)
    np.testing.assert_allclose(nll(probs, labels), reference.log_loss(labels, probs, labels=CLASSES), rtol=1e-12)
    np.testing.assert_array_equal(
        confusion_matrix(probs, labels), reference.confusion_matrix(labels, votes, labels=CLASSES)
    )
    scores = class_scores(probs, labels)
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        labels, votes, labels=CLASSES, zero_division=0
    )
    for ours, theirs in [(scores.precision, precision), (scores.recall, recall), (scores.f1, f1)]:
        np.testing.assert_allclose(ours, theirs, atol=1e-15)
    np.testing.assert_array_equal(scores.support, support)
    np.testing.assert_allclose(
        scores.macro_f1, reference.f1_score(labels, votes, labels=CLASSES, average="macro", zero_division=0)
    )


def test_brier_is_the_sum_of_scikit_learns_per_class(case):
    probs, labels = case
    per_class = [np.mean((probs[:, k] - (labels == k)) ** 2) for k in CLASSES]
    np.testing.assert_allclose(brier(probs, labels), sum(per_class), rtol=1e-12)
    half = reference.brier_score_loss((labels == 0).astype(int), probs[:, 0])
    both = np.column_stack([1 - probs[:, 0], probs[:, 0]])
    np.testing.assert_allclose(brier(both, (labels == 0).astype(int)), 2 * half, rtol=1e-12)


def test_calibration_error_bin_by_bin(case):
    probs, labels = case
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    expected = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    np.testing.assert_allclose(expected_calibration_error(probs, labels), expected, rtol=1e-12)


def test_calibration_error_by_hand():
    # Bin (0.5, 1]: mean confidence 0.75, accuracy 0.5.
    assert expected_calibration_error([[0.6, 0.4], [0.1, 0.9]], [0, 0], bins=2) == pytest.approx(0.25)
    assert expected_calibration_error([[1.0, 0.0]], [0]) == 0.0


def test_nll_is_floored():
    assert nll([[1.0, 0.0]], [1]) == pytest.approx(12 * np.log(10))
    assert nll([[1.0, 0.0]], [1], floor=1e-3) == pytest.approx(3 * np.log(10))


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (10, 10), (7, 10), (690, 1000), (1, 1)])
@pytest.mark.parametrize("level", [0.95, 0.8])
def test_interval_equals_scipys(hits, trials, level):
    expected = binomtest(hits, trials).proportion_ci(level, method="wilson")
    np.testing.assert_allclose(wilson_interval(hits, trials, level=level), expected, atol=1e-12)


def test_interval_of_the_accuracy(case):
    probs, labels = case
    low, high = accuracy_interval(probs, labels)
    assert low < accuracy(probs, labels) < high


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        ([0.5, 0.5], [0], r"shape \(samples, classes\), but got \(2,\)"),
        ([[0.5, 0.5]], [0, 1], "Expected 1 labels, one per face and at least 1, but got 2"),
        ([[0.5, 0.5]], [7], "Expected whole labels from 0 to 1, but got int64 7 to 7"),
    ],
)
def test_wrong_input(probs, labels, message):
    with pytest.raises(InputError, match=message):
        accuracy(probs, labels)


def test_impossible_proportion():
    with pytest.raises(InputError, match="but got 3 of 2"):
        wilson_interval(3, 2)
