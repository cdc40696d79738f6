"""The likelihood weights, against solutions by hand, a grid, and another optimiser."""

import numpy as np
import pytest
from scipy.optimize import minimize

from ensemble.rule.log_likelihood import LogLikelihood, most_likely_weights


def objective(likelihoods, penalty, w):
    return -np.log(np.maximum(likelihoods, 1e-12) @ w).sum() + penalty * (w @ w)


def test_by_hand():
    # Derivative of 2 log(0.3 + 0.6 w) + log(0.3 - 0.2 w) is zero at w = 5/6.
    likelihoods = np.array([[0.9, 0.3], [0.1, 0.3], [0.9, 0.3]])
    np.testing.assert_allclose(most_likely_weights(likelihoods, penalty=0.0), [5 / 6, 1 / 6], atol=1e-9)


def test_useless_member_gets_exactly_nothing():
    likelihoods = np.column_stack([np.full(50, 0.8), np.full(50, 0.4)])
    assert most_likely_weights(likelihoods, penalty=0.0).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("penalty", [0.0, 0.5, 20.0])
@pytest.mark.parametrize("seed", range(3))
def test_no_point_of_a_grid_is_better(seed, penalty):
    likelihoods = np.random.default_rng(seed).beta(1.5, 1.0, size=(40, 3))
    weights = most_likely_weights(likelihoods, penalty=penalty)
    steps = np.linspace(0, 1, 101)
    grid = [(a, b, 1 - a - b) for a in steps for b in steps if a + b <= 1]
    values = [objective(likelihoods, penalty, np.array(point)) for point in grid]
    assert objective(likelihoods, penalty, weights) <= min(values) + 1e-9
    np.testing.assert_allclose(weights, grid[int(np.argmin(values))], atol=0.02)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 1000.0])
def test_agrees_with_scipy(penalty):
    rng = np.random.default_rng(5)
    likelihoods = rng.beta(1.5, 1.0, size=(500, 8)) * rng.uniform(0.3, 1.0, 8)
    weights = most_likely_weights(likelihoods, penalty=penalty)
    reference = minimize(
        lambda w: objective(likelihoods, penalty, w) / 500,
        np.full(8, 1 / 8),
        bounds=[(0, 1)] * 8,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )
    assert objective(likelihoods, penalty, weights) / 500 <= reference.fun + 1e-9
    np.testing.assert_allclose(weights, reference.x, atol=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 10.0])
def test_optimality_conditions_hold(penalty):
    likelihoods = np.random.default_rng(9).beta(0.3, 0.3, size=(2000, 12))
    weights = most_likely_weights(likelihoods, penalty=penalty)
    floored = np.maximum(likelihoods, 1e-12)
    gradient = (-(floored / (floored @ weights)[:, None]).sum(axis=0) + 2 * penalty * weights) / 2000
    # On the simplex the gradient is equal for all members with a weight, and no smaller for those without.
    active = weights > 0
    assert np.ptp(gradient[active]) < 1e-8
    assert (gradient[~active] >= gradient[active].max() - 1e-8).all()


# Without a penalty every split of the weight is as likely: only the solver's path to the middle decides.
@pytest.mark.parametrize(("penalty", "tolerance"), [(0.0, 1e-4), (1.6, 1e-9)])
def test_identical_members_share_equally(penalty, tolerance):
    one = np.random.default_rng(0).uniform(0.1, 1.0, size=(100, 1))
    weights = most_likely_weights(np.repeat(one, 4, axis=1), penalty=penalty)
    np.testing.assert_allclose(weights, np.full(4, 0.25), atol=tolerance)


def test_impossible_labels_are_survived():
    probs = np.array([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    rule = LogLikelihood().fit(probs, [1, 1])
    assert rule.weights_[1] > 0.5
    np.testing.assert_allclose(rule.weights_.sum(), 1.0, atol=1e-12)


def test_penalty_pulls_towards_equal_shares_the_more_the_fewer_faces():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 3000)
    good = np.where(np.eye(2)[labels] > 0, 0.8, 0.2)
    poor = np.full((3000, 2), 0.5)
    probs = np.stack([good, poor])
    few = LogLikelihood(l2=1.0).fit(probs[:, :10], labels[:10]).weights_[0]
    many = LogLikelihood(l2=1.0).fit(probs, labels).weights_[0]
    assert 0.5 < few < many
    assert many > 0.99
    np.testing.assert_allclose(LogLikelihood(l2=1e6).fit(probs, labels).weights_, [0.5, 0.5], atol=1e-3)


def test_penalty_is_in_units_of_the_equal_share():
    likelihoods = np.random.default_rng(2).beta(1.5, 1.0, size=(60, 3))
    probs = np.stack([likelihoods.T, 1 - likelihoods.T], axis=2)
    rule = LogLikelihood(l2=2.0).fit(probs, np.zeros(60, dtype=int))
    np.testing.assert_array_equal(rule.weights_, most_likely_weights(likelihoods, penalty=2.0 * 3**2))
