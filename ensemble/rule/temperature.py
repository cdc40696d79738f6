"""A temperature for each voter: calibration before fusion, or after it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ensemble.metric import FLOOR
from ensemble.rules import RULES, FusionRule, Labels, Probs

__all__ = ["Temperature", "best_temperature", "scaled"]

_RANGE = (0.05, 20.0)


@RULES.register("temperature")
class Temperature(FusionRule):
    """Mean of the members' probabilities, each to the power 1/T with the member's own T of least NLL.

    Guo et al., 2017, On calibration of modern neural networks. Over a single child it only corrects the confidence, the
    vote stays: that is where `calibrate` puts it, before fusion, or after it.

    Attributes:
        temperatures_: (M,) T of every member; above 1 it was too sure of itself.
    """

    learned: ClassVar[tuple[str, ...]] = ("temperatures_",)
    per_member: ClassVar[tuple[str, ...]] = ("temperatures_",)

    temperatures_: Probs

    @property
    def members(self) -> int | None:
        """Number of members the rule was fitted on."""
        return len(self.temperatures_) if self.fitted else None

    def _fit(self, probs: Probs, labels: Labels) -> None:
        self.temperatures_ = np.array([best_temperature(own, labels) for own in probs])

    def _fuse(self, probs: Probs) -> Probs:
        fused: Probs = np.mean([scaled(p, t) for p, t in zip(probs, self.temperatures_, strict=True)], axis=0)
        return fused


def scaled(probs: Probs, temperature: float) -> Probs:
    """Probabilities (..., K) to the power 1/T, normalised.

    Example:
        >>> scaled(np.array([[0.9, 0.1]]), 2.0).round(2)
        array([[0.75, 0.25]])
    """
    logs = np.log(np.maximum(probs, FLOOR)) / temperature
    powers = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def best_temperature(probs: Probs, labels: Labels) -> float:
    """The temperature between 0.05 and 20 of least NLL, which is convex in 1/T.

    Args:
        probs: (N, K) probabilities.
        labels: (N,) true class indices.
    """
    from scipy.optimize import minimize_scalar

    logs = np.log(np.maximum(probs, FLOOR))
    truth = logs[np.arange(len(labels)), labels]

    def loss(inverse: float) -> float:
        top = logs.max(axis=1) * inverse
        partition = np.log(np.exp(logs * inverse - top[:, None]).sum(axis=1)) + top
        return float((partition - truth * inverse).mean())

    low, high = 1.0 / _RANGE[1], 1.0 / _RANGE[0]
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-9})
    return float(1.0 / found.x)
