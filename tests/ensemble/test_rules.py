"""The helpers that rules share."""

import numpy as np

from ensemble.rules import RULES, WeightedMean, check_probs, normalize


def test_normalize_by_hand():
    np.testing.assert_allclose(normalize(np.array([[1.0, 3.0], [2.0, 2.0]])), [[0.25, 0.75], [0.5, 0.5]])


def test_float32_is_accepted_and_widened():
    probs = np.random.default_rng(0).dirichlet(np.ones(7), size=(2, 5)).astype(np.float32)
    assert check_probs(probs).dtype == np.float64
    np.testing.assert_allclose(RULES.build("mean")(probs).sum(axis=1), 1.0, atol=1e-15)


def test_unfitted_weights_have_no_state():
    rule = RULES.build("va_simple")
    assert isinstance(rule, WeightedMean)
    assert rule.members is None
    assert rule.state() == {}


def test_rules_without_memory_take_any_number_of_voters():
    rule = RULES.build("mean").fit(np.full((3, 2, 2), 0.5), [0, 1])
    assert rule(np.full((7, 2, 2), 0.5)).tolist() == [[0.5, 0.5], [0.5, 0.5]]
