"""The median of the probabilities, class by class."""

from __future__ import annotations

import numpy as np

from ensemble.rules import RULES, FusionRule, Probs

__all__ = ["Median"]


@RULES.register("median")
class Median(FusionRule):
    """Median of the members' probabilities per class, scaled to sum to 1 again.

    One member that is confidently wrong moves it less than it moves the mean.

    Example:
        >>> Median()([[[0.5, 0.5]], [[0.6, 0.4]], [[0.0, 1.0]]])
        array([[0.5, 0.5]])
    """

    def _fuse(self, probs: Probs) -> Probs:
        median: Probs = np.median(probs, axis=0)  # (M, N, K) -> (N, K)
        # Members certain of as many different classes have a median of 0 everywhere: only the mean is left to ask.
        empty = median.sum(axis=1, keepdims=True) <= 0.0
        return np.where(empty, probs.mean(axis=0), median)
