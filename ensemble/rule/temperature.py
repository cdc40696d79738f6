"""A temperature for each voter: calibration before fusion, or after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from backbones.errors import InputError
from ensemble.metric import FLOOR
from ensemble.rules import RULES, FusionRule, Labels, Probs

__all__ = ["COLDEST", "HOTTEST", "Temperature", "best_temperature", "scaled"]

COLDEST, HOTTEST = 0.01, 100.0
"""No committee is read that has others: far outside what a fit can find, powers overflow."""

_RANGE = (0.05, 20.0)
_STEPS, _TOLERANCE, _FLAT = 100, 1e-12, 1e-300


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

    def load_state(self, state: Mapping[str, Any]) -> Self:
        """Take over what `state` returned.

        Raises:
            InputError: The state lacks the temperatures, or one is none that a fit can find.
        """
        super().load_state(state)
        if not ((self.temperatures_ >= COLDEST) & (self.temperatures_ <= HOTTEST)).all():
            raise InputError(
                f"Expected `temperatures` of the rule `{self.name}` to be from {COLDEST:g} to {HOTTEST:g}, "
                f"but got {state['temperatures']!r}. `ensemble fuse` fits them anew."
            )
        return self

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
    """The temperature between 0.05 and 20 of least NLL, which is convex in 1/T; 1 if every temperature does as well.

    Newton's method within a bracket that halves where a step would leave it. Importing scipy's would take longer.

    Args:
        probs: (N, K) probabilities.
        labels: (N,) true class indices.
    """
    logs = np.log(np.maximum(probs, FLOOR))
    logs -= logs.max(axis=1, keepdims=True)
    truth = logs[np.arange(len(labels)), labels]
    low, high, inverse = 1.0 / _RANGE[1], 1.0 / _RANGE[0], 1.0
    for _ in range(_STEPS):
        powers = np.exp(logs * inverse)
        powers /= powers.sum(axis=1, keepdims=True)
        mean = (powers * logs).sum(axis=1)  # (N,)
        slope = float((mean - truth).mean())
        curvature = float(((powers * logs**2).sum(axis=1) - mean**2).mean())
        low, high = (low, inverse) if slope > 0.0 else (inverse, high)
        step = slope / curvature if curvature > _FLAT else 0.0
        following = inverse - step if low <= inverse - step <= high else (low + high) / 2.0
        if abs(following - inverse) <= _TOLERANCE * inverse:
            break
        inverse = following
    return 1.0 / inverse
