"""Stacking, against scikit-learn and by its limits."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ensemble.rule.stacking import Stacking, fit_stacking
from ensemble.rules import RULES


def case(seed=0, faces=400, members=3, classes=4):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, faces)
    logits = rng.normal(size=(members, faces, classes))
    logits[:, np.arange(faces), labels] += np.linspace(0.5, 1.5, members)[:, None]
    powers = np.exp(logits)
    return powers / powers.sum(axis=2, keepdims=True), labels


def test_a_heavy_penalty_leaves_the_geometric_mean():
    probs, labels = case()
    rule = Stacking(l2=1e12).fit(probs, labels)
    rule.intercepts_ = np.zeros(4)
    np.testing.assert_allclose(rule(probs), RULES.build("geometric_mean")(probs), atol=1e-6)


def test_without_a_prior_it_is_scikit_learns_regression():
    probs, labels = case()
    logs = np.log(probs) - np.log(probs).mean(axis=2, keepdims=True)
    members, faces, classes = logs.shape
    penalty = 5.0
    flat = logs.transpose(1, 0, 2).reshape(faces, -1)
    reference = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=5000).fit(flat, labels)
    # The same problem around another centre: move the prior into the data by starting from zero coefficients.
    coefficients, intercepts = fit_stacking(logs, labels, penalty=penalty)
    scores = flat @ coefficients.reshape(members * classes, classes) + intercepts
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    ours = powers / powers.sum(axis=1, keepdims=True)
    theirs = reference.predict_proba(flat)
    rows = np.arange(faces)
    assert -np.log(ours[rows, labels]).mean() <= -np.log(theirs[rows, labels]).mean() + 0.01


def test_it_learns_to_swap_two_classes_that_members_confuse():
    probs, labels = case(faces=2000)
    swapped = probs[:, :, [1, 0, 2, 3]]
    rule = Stacking(l2=1.0).fit(swapped, labels)
    right = (rule(swapped).argmax(axis=1) == labels).mean()
    assert right > (swapped.mean(axis=0).argmax(axis=1) == labels).mean() + 0.2


def test_the_gradient_vanishes_at_the_solution():
    probs, labels = case()
    logs = np.log(probs) - np.log(probs).mean(axis=2, keepdims=True)
    members, faces, classes = logs.shape
    coefficients, intercepts = fit_stacking(logs, labels, penalty=10.0)
    flat = logs.transpose(1, 0, 2).reshape(faces, -1)
    scores = flat @ coefficients.reshape(-1, classes) + intercepts
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    error = powers / powers.sum(axis=1, keepdims=True) - np.eye(classes)[labels]
    away = coefficients.reshape(-1, classes) - np.tile(np.eye(classes) / members, (members, 1))
    assert np.abs(flat.T @ error + 10.0 * away).max() / faces == pytest.approx(0.0, abs=1e-5)
