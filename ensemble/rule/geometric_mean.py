"""The geometric mean of the probabilities: the mean of the logits."""

from __future__ import annotations

import numpy as np

from backbones.parameter import Positive
from ensemble.rules import RULES, FusionRule, Probs

__all__ = ["GeometricMean"]


@RULES.register("geometric_mean")
class GeometricMean(FusionRule):
    """Normalised geometric mean of the members' probabilities, which is the softmax of their mean logits.

    A member that excludes a class vetoes it, up to the floor.

    Args:
        floor: Smallest probability that is believed; below it, one member's rounding to zero would decide alone.

    Example:
        >>> GeometricMean()([[[0.8, 0.2]], [[0.5, 0.5]]]).round(4)
        array([[0.6667, 0.3333]])
    """

    def __init__(self, *, floor: Positive = 1e-12) -> None:
        self.floor = floor

    def _fuse(self, probs: Probs) -> Probs:
        logits = np.log(np.maximum(probs, self.floor)).mean(axis=0)  # (M, N, K) -> (N, K)
        scores: Probs = np.exp(logits - logits.max(axis=1, keepdims=True))
        return scores
