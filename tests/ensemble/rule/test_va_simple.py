"""Weights in proportion to validation accuracy."""

import numpy as np

from ensemble.rule.va_simple import VASimple


def test_by_hand():
    right, wrong = [0.9, 0.1], [0.2, 0.8]
    probs = np.array([[right, right, right, wrong], [right, wrong, wrong, wrong]])
    rule = VASimple().fit(probs, [0, 0, 0, 0])
    assert rule.state() == {"accuracies": [0.75, 0.25], "weights": [0.75, 0.25]}
    np.testing.assert_allclose(rule(probs)[1], [0.75 * 0.9 + 0.25 * 0.2, 0.75 * 0.1 + 0.25 * 0.8], atol=1e-15)


def test_members_that_are_never_right_share_equally():
    rule = VASimple().fit([[[0.9, 0.1]], [[0.8, 0.2]]], [1])
    assert rule.state() == {"accuracies": [0.0, 0.0], "weights": [0.5, 0.5]}
