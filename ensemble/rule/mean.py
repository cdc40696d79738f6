"""The arithmetic mean of the probabilities."""

from __future__ import annotations

from ensemble.rules import RULES, FusionRule, Probs

__all__ = ["Mean"]


@RULES.register("mean")
class Mean(FusionRule):
    """Arithmetic mean of the members' probabilities.

    The baseline of every committee: nothing is learned, so nothing is overfitted.

    Example:
        >>> Mean()([[[0.9, 0.1]], [[0.5, 0.5]]])
        array([[0.7, 0.3]])
    """

    def _fuse(self, probs: Probs) -> Probs:
        mean: Probs = probs.mean(axis=0)  # (M, N, K) -> (N, K)
        return mean
