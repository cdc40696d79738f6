"""Weights that keep the true class ahead of every other one by a margin."""

from __future__ import annotations

import numpy as np

from backbones.parameter import NonNegative, Positive
from ensemble.rule.log_likelihood import longest_step
from ensemble.rules import RULES, Labels, Probs, WeightedMean

__all__ = ["Hinge", "least_hinge_weights"]

_GAP = 1e-11
_ITERATIONS = 200
# Weights that only the barrier keeps above zero.
_NOTHING = 1e-9


@RULES.register("hinge")
class Hinge(WeightedMean):
    """Weighted mean with the weights of least penalised hinge loss.

    Minimises Σ_i Σ_{j≠y_i} [1 - Σ_k w_k (p_k(y_i) - p_k(j)) / γ]_+ + λ |w|² over the simplex, a convex problem.

    Yu & Zhang, 2015, Image based static facial expression recognition with multiple deep network learning.

    Args:
        gamma: Margin γ, in units of probability, by which the true class should lead.
        l2: Strength of the penalty in units that suit any number of members M: λ = l2 · M².

    Attributes:
        weights_: (M,) weights.
    """

    def __init__(self, *, gamma: Positive = 0.3, l2: NonNegative = 0.1) -> None:
        self.gamma, self.l2 = gamma, l2

    def _fit(self, probs: Probs, labels: Labels) -> None:
        truth = np.take_along_axis(probs, labels[None, :, None], axis=2)  # (M, N, 1)
        others = np.arange(probs.shape[2]) != labels[:, None]  # (N, K)
        margins = (truth - probs)[:, others].T / self.gamma  # (N·(K - 1), M)
        self.weights_ = least_hinge_weights(margins, penalty=self.l2 * len(probs) ** 2)


def least_hinge_weights(margins: Probs, *, penalty: float) -> Probs:
    """Minimise Σ_i [1 - a_i·w]_+ + penalty · |w|² over the simplex.

    Primal-dual interior-point method for the quadratic program with one slack per row (Boyd & Vandenberghe, 2004,
    Convex optimization, algorithm 11.2); the slacks are eliminated, so each step solves a system of the size of w.

    Args:
        margins: (P, M) rows a_i.
        penalty: Weight λ of the squared norm.

    Returns:
        (M,) weights.

    Example:
        >>> least_hinge_weights(np.array([[1.0, 0.0], [1.0, 0.5]]), penalty=1e-6).round(3)
        array([1., 0.])
    """
    rows, members = margins.shape
    if members == 1:
        return np.ones(1)
    scale = 1.0 / rows  # the objective per row, so that tolerances mean the same for any number of faces
    w = np.full(members, 1.0 / members)
    s = np.maximum(1.0 - margins @ w, 0.0) + 1.0  # slacks, above both bounds
    u = np.full(rows, 0.5 * scale)  # multipliers of s >= 1 - a·w; those of s >= 0 are scale - u
    z = np.full(members, 1.0 / members)  # multipliers of w >= 0
    for _ in range(_ITERATIONS):
        t, v = s - 1.0 + margins @ w, scale - u
        gap = float(t @ u + s @ v + w @ z)
        gradient = 2.0 * penalty * scale * w - margins.T @ u  # (M,)
        if gap < _GAP and np.ptp(gradient - z) < _GAP**0.75:
            break
        mu = 0.1 * gap / (2 * rows + members)
        dw, ds, du, dz = _direction(margins, (w, s, u, z), (t, v), gradient, 2.0 * penalty * scale, mu)
        dt = ds + margins @ dw
        pairs = ((w, dw), (z, dz), (s, ds), (u, du), (t, dt), (v, -du))
        length = min(1.0, 0.99 * min(longest_step(x, dx) for x, dx in pairs))
        w, s, u, z = w + length * dw, s + length * ds, u + length * du, z + length * dz
    w = np.where(w < _NOTHING, 0.0, w)
    return np.asarray(w / w.sum())


def _direction(
    a: Probs,
    point: tuple[Probs, Probs, Probs, Probs],
    slacks: tuple[Probs, Probs],
    gradient: Probs,
    curvature: float,
    mu: float,
) -> tuple[Probs, Probs, Probs, Probs]:
    """Newton step towards t·u = s·v = w·z = mu, with the sum of the weights kept at 1."""
    (w, s, u, z), (t, v), members = point, slacks, len(point[0])
    # t du + u dt = mu - t u  and  -s du + v ds = mu - s v, with dt = ds + a·dw: eliminate ds, then du.
    right_u, right_v = mu - t * u, mu - s * v
    stiffness = u * v / (t * v + u * s)  # (P,): du = stiffness · (r - a·dw)
    pull = (right_u * v - u * right_v) / (t * v + u * s)  # du = pull - stiffness · a·dw
    system = np.zeros((members + 1, members + 1))
    system[:members, :members] = (a * stiffness[:, None]).T @ a + np.diag(z / w + curvature)
    system[:members, members] = system[members, :members] = 1.0
    right = np.append(mu / w - gradient + a.T @ pull, 1.0 - w.sum())
    dw = np.linalg.solve(system, right)[:members]
    du = pull - stiffness * (a @ dw)
    ds = (right_v + s * du) / v
    dz = (mu - z * dw) / w - z
    return dw, ds, du, dz
