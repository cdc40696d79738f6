"""Stacking: a linear model on what all members say of all classes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from backbones.parameter import Positive
from ensemble.rules import RULES, FusionRule, Labels, Probs

__all__ = ["FLOOR", "Stacking", "fit_stacking"]

# No member is believed to exclude a class altogether; lower values only stretch the scale.
FLOOR = 1e-4
_ITERATIONS = 2000


@RULES.register("stacking")
class Stacking(FusionRule):
    """Multinomial logistic regression on the members' log-probabilities.

    Wolpert, 1992, Stacked generalization; Breiman, 1996, Stacked regressions. Log-probabilities are centred per member
    and face. The penalty pulls every coefficient towards the geometric mean of the members, so that with few faces
    stacking falls back to that rule and not to a coin toss.

    Args:
        l2: Penalty on a coefficient's squared distance from the geometric mean's, in faces.

    Attributes:
        coefficients_: (M, K, K) what member m's log-probability of class k adds to the score of class j.
        intercepts_: (K,) scores of the classes where nobody has an opinion.
    """

    learned: ClassVar[tuple[str, ...]] = ("coefficients_", "intercepts_")
    per_member: ClassVar[tuple[str, ...]] = ("coefficients_",)

    coefficients_: Probs
    intercepts_: Probs

    def __init__(self, *, l2: Positive = 100.0) -> None:
        self.l2 = l2

    @property
    def members(self) -> int | None:
        """Number of members the rule was fitted on."""
        return len(self.coefficients_) if self.fitted else None

    def _fit(self, probs: Probs, labels: Labels) -> None:
        self.coefficients_, self.intercepts_ = fit_stacking(_centred(probs), labels, penalty=self.l2)

    def _fuse(self, probs: Probs) -> Probs:
        scores = _scores(_centred(probs), self.coefficients_, self.intercepts_)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _centred(probs: Probs) -> Probs:
    """(M, N, K) probabilities to log-probabilities whose rows have mean 0."""
    logs = np.log(np.maximum(probs, FLOOR))
    return np.asarray(logs - logs.mean(axis=2, keepdims=True))


def _scores(logs: Probs, coefficients: Probs, intercepts: Probs) -> Probs:
    """(N, K) sums over members and classes, added up in one order for any number of faces."""
    scores = np.broadcast_to(intercepts, logs.shape[1:]).copy()
    for member, own in enumerate(coefficients):
        for row, column in enumerate(own):
            scores += logs[member, :, row, None] * column
    return scores


def fit_stacking(logs: Probs, labels: Labels, *, penalty: float) -> tuple[Probs, Probs]:
    """Coefficients and intercepts of least penalised NLL, by L-BFGS with the exact gradient.

    Args:
        logs: (M, N, K) centred log-probabilities.
        labels: (N,) true class indices.
        penalty: On squared distances from the geometric mean's coefficients, in faces.

    Returns:
        (M, K, K) and (K,).
    """
    from scipy.optimize import minimize

    members, faces, classes = logs.shape
    flat = np.ascontiguousarray(logs.transpose(1, 0, 2)).reshape(faces, members * classes)
    prior = np.tile(np.eye(classes) / members, (members, 1))  # (M·K, K): the geometric mean
    onehot = np.eye(classes)[labels]

    def loss(values: Probs) -> tuple[float, Probs]:
        away = values[: prior.size].reshape(prior.shape)
        scores = flat @ (prior + away) + values[prior.size :]
        top = scores.max(axis=1, keepdims=True)
        powers = np.exp(scores - top)
        total = powers.sum(axis=1, keepdims=True)
        value = float((np.log(total) + top - (scores * onehot).sum(axis=1, keepdims=True)).sum())
        error = powers / total - onehot  # (N, K)
        gradient = np.append((flat.T @ error + penalty * away).ravel(), error.sum(axis=0))
        return (value + 0.5 * penalty * float((away**2).sum())) / faces, gradient / faces

    start = np.zeros(prior.size + classes)
    limits = {"maxiter": _ITERATIONS, "maxfun": 2 * _ITERATIONS, "ftol": 1e-12, "gtol": 1e-7}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=limits).x
    coefficients = (prior + found[: prior.size].reshape(prior.shape)).reshape(members, classes, classes)
    intercepts = found[prior.size :]
    return coefficients, np.asarray(intercepts - intercepts.mean())
