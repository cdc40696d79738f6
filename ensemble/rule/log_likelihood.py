"""Weights that make the validation labels most likely: the default rule."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backbones.parameter import NonNegative
from ensemble.rules import RULES, Labels, Probs, WeightedMean

__all__ = ["LogLikelihood", "longest_step", "most_likely_weights"]

# No member is believed to exclude a class altogether, so that one zero cannot make a committee impossible.
_FLOOR = 1e-12
_GAP = 1e-13
_ITERATIONS = 200
# Weights that only the barrier keeps above zero.
_NOTHING = 1e-9


@RULES.register("log_likelihood")
class LogLikelihood(WeightedMean):
    """Weighted mean with the weights that maximise the penalised log-likelihood of the labels.

    Minimises -Σ_i log Σ_k w_k p_k(y_i) + λ |w|² over the simplex, a convex problem with one solution for λ > 0.

    Yu & Zhang, 2015, Image based static facial expression recognition with multiple deep network learning.

    Args:
        l2: Strength of the penalty in units that suit any number of members M: λ = l2 · M². The penalty then is
            l2 · Σ (M w_k - 1)² up to a constant: a Gaussian belief, worth the same however many faces there are, that
            each weight is near the equal share 1/M. With the default 0.1 its standard deviation is 2.2 equal shares: a
            few hundred faces leave the weights near equal, thousands overrule it. 0 trusts the faces alone.

    Attributes:
        weights_: (M,) weights.
    """

    def __init__(self, *, l2: NonNegative = 0.1) -> None:
        self.l2 = l2

    def _fit(self, probs: Probs, labels: Labels) -> None:
        likelihoods = probs[:, np.arange(len(labels)), labels].T  # (N, M)
        self.weights_ = most_likely_weights(likelihoods, penalty=self.l2 * len(probs) ** 2)


def most_likely_weights(likelihoods: Probs, *, penalty: float) -> Probs:
    """Minimise -Σ_i log Σ_k w_k L_ik + penalty · |w|² over the simplex.

    Primal-dual interior-point method (Boyd & Vandenberghe, 2004, Convex optimization, algorithm 11.2): a few dozen
    small linear systems, no step size to choose, and equal weights for identical members.

    Args:
        likelihoods: (N, M) probability that each member gives to the true class of each face.
        penalty: Weight λ of the squared norm.

    Returns:
        (M,) weights.

    Example:
        >>> most_likely_weights(np.array([[0.9, 0.3], [0.1, 0.3], [0.9, 0.3]]), penalty=0.0).round(3)
        array([0.833, 0.167])
    """
    faces, members = likelihoods.shape
    problem = _Problem(np.maximum(likelihoods, _FLOOR), penalty / faces)
    w = np.full(members, 1.0 / members)
    z = np.ones(members)  # multipliers of w >= 0
    for _ in range(_ITERATIONS):
        gap = float(w @ z)
        gradient, hessian = problem.derivatives(w)
        if gap < _GAP and np.ptp(gradient - z) < _GAP**0.75:
            break
        w, z = _step(problem, w, z, gradient, hessian, target=0.1 * gap / members)
    w = np.where(w < _NOTHING, 0.0, w)
    return np.asarray(w / w.sum())


class _Problem:
    """The objective per face: f(w) = -mean log(L w) + penalty |w|²."""

    def __init__(self, likelihoods: Probs, penalty: float) -> None:
        self.likelihoods = likelihoods
        self.penalty = penalty

    def derivatives(self, w: Probs) -> tuple[Probs, Probs]:
        """Gradient (M,) and Hessian (M, M)."""
        ratios = self.likelihoods / (self.likelihoods @ w)[:, None]  # (N, M)
        gradient = -ratios.mean(axis=0) + 2.0 * self.penalty * w
        hessian = ratios.T @ ratios / len(ratios) + 2.0 * self.penalty * np.eye(len(w))
        return gradient, hessian

    def residual(self, w: Probs, z: Probs, target: float) -> float:
        """How far (w, z) is from optimal: stationarity up to a constant, and complementarity."""
        gradient = 2.0 * self.penalty * w - (1.0 / (self.likelihoods @ w)) @ self.likelihoods / len(self.likelihoods)
        slack = gradient - z
        return float(np.hypot(np.linalg.norm(slack - slack.mean()), np.linalg.norm(w * z - target)))


def _step(
    problem: _Problem, w: Probs, z: Probs, gradient: Probs, hessian: Probs, *, target: float
) -> tuple[Probs, Probs]:
    """One damped Newton step towards w_k z_k = target, with w on the simplex and w, z > 0."""
    members = len(w)
    system = np.zeros((members + 1, members + 1))  # the last row keeps the sum of the weights
    system[:members, :members] = hessian + np.diag(z / w)
    system[:members, members] = system[members, :members] = 1.0
    right = np.append(target / w - gradient, 1.0 - w.sum())
    dw = np.linalg.solve(system, right)[:members]
    dz = (target - z * dw) / w - z
    length = min(1.0, 0.99 * longest_step(w, dw), 0.99 * longest_step(z, dz))
    before = problem.residual(w, z, target)
    for _ in range(40):
        if problem.residual(w + length * dw, z + length * dz, target) <= (1.0 - 0.01 * length) * before:
            break
        length *= 0.5
    return w + length * dw, z + length * dz


def longest_step(x: npt.NDArray[np.float64], dx: npt.NDArray[np.float64]) -> float:
    """The longest step that keeps x + step · dx at zero or above."""
    shrinking = dx < 0
    return float((-x[shrinking] / dx[shrinking]).min(initial=np.inf))
