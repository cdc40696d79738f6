"""Greedy selection of members with replacement."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backbones.parameter import Count
from ensemble.metric import FLOOR
from ensemble.rules import RULES, Labels, Probs, WeightedMean

__all__ = ["Greedy", "select_greedily"]

# Losses closer than this are a tie, whatever the order in which they were added up.
_TIE = 1e-12


@RULES.register("greedy")
class Greedy(WeightedMean):
    """Weighted mean whose weights count how often a member was picked, each time as the best addition.

    Caruana et al., 2004, Ensemble selection from libraries of models. Members may be picked again; of all prefixes of
    the sequence the best one is kept, the shortest of equals. Selection by accuracy on a few hundred faces overfits by
    several points: compare its nested accuracy.

    Args:
        metric: What an addition is judged by.
        rounds: Longest sequence of picks.

    Attributes:
        picks_: (M,) how often each member was picked.
        weights_: (M,) shares of the picks.
    """

    learned: ClassVar[tuple[str, ...]] = ("picks_", "weights_")
    per_member: ClassVar[tuple[str, ...]] = ("picks_", "weights_")

    picks_: Probs

    def __init__(self, *, metric: Literal["nll", "accuracy"] = "nll", rounds: Count = 100) -> None:
        self.metric, self.rounds = metric, rounds

    def _fit(self, probs: Probs, labels: Labels) -> None:
        self.picks_ = select_greedily(probs, labels, accuracy=self.metric == "accuracy", rounds=self.rounds)
        self.weights_ = self.picks_ / self.picks_.sum()


def select_greedily(probs: Probs, labels: Labels, *, accuracy: bool, rounds: int) -> Probs:
    """How often each member is in the best greedy sequence.

    Ties go to the member with the lower NLL of its own, then by content: the order of the members does not matter.

    Args:
        probs: (M, N, K) probabilities.
        labels: (N,) true class indices.
        accuracy: Judge by errors, else by NLL.
        rounds: Longest sequence.

    Returns:
        (M,) counts.

    Example:
        >>> good, bad = [[0.9, 0.1], [0.2, 0.8]], [[0.4, 0.6], [0.5, 0.5]]
        >>> select_greedily(np.array([good, bad]), np.array([0, 1]), accuracy=False, rounds=10)
        array([1., 0.])
    """
    rows = np.arange(len(labels))
    truth = probs[:, rows, labels]  # (M, N)
    own = -np.log(np.maximum(truth, FLOOR)).mean(axis=1)  # (M,)
    order = sorted(range(len(probs)), key=lambda k: (round(float(own[k]), 9), probs[k].tobytes()))
    picks, best_picks, best = np.zeros(len(probs)), np.zeros(len(probs)), np.inf
    total = np.zeros_like(probs[0] if accuracy else truth[0])  # sum of what was picked
    for count in range(1, rounds + 1):
        sums = total + (probs if accuracy else truth)  # (M, N, K) or (M, N)
        if accuracy:
            losses = (sums.argmax(axis=2) != labels).mean(axis=1)
        else:
            losses = -np.log(np.maximum(sums / count, FLOOR)).mean(axis=1)
        pick = next(k for k in order if losses[k] <= losses.min() + _TIE)
        picks[pick] += 1
        total = sums[pick]
        if losses[pick] < best - _TIE:
            best, best_picks = losses[pick], picks.copy()
    return best_picks
