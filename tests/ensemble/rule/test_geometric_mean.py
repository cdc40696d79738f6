"""The geometric mean."""

import numpy as np
from scipy.special import softmax
from scipy.stats import gmean

from ensemble.rule.geometric_mean import GeometricMean


def test_by_hand():
    # sqrt(0.9 · 0.1) = 0.3 for both classes.
    np.testing.assert_allclose(GeometricMean()([[[0.9, 0.1]], [[0.1, 0.9]]]), [[0.5, 0.5]], atol=1e-15)


def test_is_the_softmax_of_the_mean_logits():
    logits = np.random.default_rng(0).normal(size=(4, 50, 7))
    fused = GeometricMean()(softmax(logits, axis=2))
    np.testing.assert_allclose(fused, softmax(logits.mean(axis=0), axis=1), atol=1e-12)


def test_equals_scipy():
    probs = np.random.default_rng(1).dirichlet(np.ones(7), size=(5, 50))
    expected = gmean(probs, axis=0)
    np.testing.assert_allclose(GeometricMean()(probs), expected / expected.sum(axis=1, keepdims=True), atol=1e-12)


def test_floor_bounds_a_veto():
    probs = [[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.0]]]
    soft = GeometricMean(floor=0.1)(probs)
    # 1 · 0.1 · 0.1 against 0.1 · 1 · 1: third roots of 0.01 and 0.1.
    np.testing.assert_allclose(soft[0, 1] / soft[0, 0], 10 ** (1 / 3), atol=1e-12)
