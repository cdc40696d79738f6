"""The hinge weights, against solutions by hand, a grid, and linear programming."""

import numpy as np
import pytest
from scipy.optimize import linprog

from ensemble.rule.hinge import Hinge, least_hinge_weights


def objective(margins, penalty, w):
    return np.maximum(1 - margins @ w, 0).sum() + penalty * (w @ w)


def test_by_hand():
    # [1 - w]_+ + [1 - 2 (1 - w)]_+ falls with slope -1 up to w = 1/2, then rises with slope +1.
    np.testing.assert_allclose(
        least_hinge_weights(np.array([[1.0, 0.0], [0.0, 2.0]]), penalty=0.0), [0.5, 0.5], atol=1e-7
    )


def test_margins_are_the_papers():
    # One face of class 0, two members: the loss sums over the two other classes.
    probs = np.array([[[0.6, 0.3, 0.1]], [[0.2, 0.5, 0.3]]])
    rule = Hinge(gamma=0.5, l2=1e-6).fit(probs, [0])
    assert rule.weights_.tolist() == pytest.approx([1.0, 0.0], abs=1e-5)


@pytest.mark.parametrize("penalty", [0.0, 0.5, 20.0])
@pytest.mark.parametrize("seed", range(3))
def test_no_point_of_a_grid_is_better(seed, penalty):
    margins = np.random.default_rng(seed).normal(0.5, 1.0, size=(60, 3))
    weights = least_hinge_weights(margins, penalty=penalty)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    steps = np.linspace(0, 1, 101)
    grid = [np.array((a, b, 1 - a - b)) for a in steps for b in steps if a + b <= 1]
    assert objective(margins, penalty, weights) <= min(objective(margins, penalty, w) for w in grid) + 1e-9


def test_agrees_with_linear_programming():
    margins = np.random.default_rng(7).normal(0.3, 1.0, size=(300, 6))
    rows, members = margins.shape
    found = linprog(
        np.r_[np.zeros(members), np.ones(rows)],
        A_ub=np.hstack([-margins, -np.eye(rows)]), b_ub=-np.ones(rows),
        A_eq=np.r_[np.ones(members), np.zeros(rows)][None], b_eq=[1.0],
    )  # fmt: skip
    weights = least_hinge_weights(margins, penalty=0.0)
    assert objective(margins, 0.0, weights) == pytest.approx(found.fun, abs=1e-6)


def test_identical_members_share_alike():
    margins = np.repeat(np.random.default_rng(1).normal(size=(50, 1)), 4, axis=1)
    np.testing.assert_allclose(least_hinge_weights(margins, penalty=1.0), np.full(4, 0.25), atol=1e-8)
