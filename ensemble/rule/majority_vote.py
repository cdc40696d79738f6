"""The majority vote: every member has one vote."""

from __future__ import annotations

import numpy as np

from ensemble.rules import RULES, FusionRule, Probs

__all__ = ["EDGE", "MajorityVote"]

# What the winner of a tie takes from the other tied classes. Small beside one vote of any committee, yet large enough
# to survive a rounding to float32.
EDGE = 1e-6


@RULES.register("majority_vote")
class MajorityVote(FusionRule):
    """Share of the members that vote for each class.

    A tie goes to the tied class with the highest mean probability among the members that voted for it: it is lifted
    above the others by a millionth. If that is equal too, the first class wins, as it does within one member.

    Example:
        >>> MajorityVote()([[[0.9, 0.1]], [[0.8, 0.2]], [[0.0, 1.0]]]).round(4)
        array([[0.6667, 0.3333]])
        >>> MajorityVote()([[[0.6, 0.4]], [[0.3, 0.7]]]).argmax(axis=1)
        array([1])
    """

    def _fuse(self, probs: Probs) -> Probs:
        votes = probs.argmax(axis=2)[:, :, None] == np.arange(probs.shape[2])  # (M, N, K)
        counts = votes.sum(axis=0)  # (N, K)
        tied = counts == counts.max(axis=1, keepdims=True)  # (N, K)
        # Rounded, so that the order in which the members are added up cannot decide.
        belief = np.round((probs * votes).sum(axis=0) / np.maximum(counts, 1), 12)
        winner = np.where(tied, belief, -1.0).argmax(axis=1)[:, None] == np.arange(probs.shape[2])  # (N, K)
        rivals = tied & ~winner
        shares = counts / len(probs) - EDGE * rivals
        return np.asarray(shares + EDGE * winner * rivals.sum(axis=1, keepdims=True))
