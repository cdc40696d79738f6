"""Are two sets of answers to the same faces different, or is it luck? And how far does a score wander?

Owns paired tests and bootstrap intervals; knows nothing of members or rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, fsum, lgamma, log

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.rules import Labels, Probs

__all__ = ["Comparison", "bootstrap_interval", "disagreement", "mcnemar", "oracle_accuracy", "q_statistic"]

_DRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A paired comparison of two classifiers on the same faces.

    Attributes:
        gain: Accuracy of the first minus that of the second.
        only_first: Faces that only the first gets right.
        only_second: Faces that only the second gets right.
        p_value: Chance of so uneven a split if both were equally good.
    """

    gain: float
    only_first: int
    only_second: int
    p_value: float


def mcnemar(first: Probs, second: Probs, labels: Labels) -> Comparison:
    """Exact two-sided McNemar test of two classifiers' votes.

    McNemar, 1947, Note on the sampling error of the difference between correlated proportions or percentages.

    Args:
        first: (N, K) probabilities.
        second: (N, K) probabilities of the same faces.
        labels: (N,) true class indices.

    Raises:
        InputError: The shapes differ.

    Example:
        >>> sure, unsure = np.eye(2)[[0, 1, 0]], np.eye(2)[[1, 1, 1]]
        >>> mcnemar(sure, unsure, np.array([0, 1, 0])).p_value
        0.5
    """
    if first.shape != second.shape or len(first) != len(labels):
        raise InputError(f"Expected the same faces, but got {first.shape}, {second.shape} and {len(labels)} labels.")
    a, b = first.argmax(axis=1) == labels, second.argmax(axis=1) == labels
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    # Both tails of a fair coin: exact, since it is symmetric.
    p_value = min(1.0, 2.0 * _heads_at_most(min(only_a, only_b), only_a + only_b))
    return Comparison(gain=float(a.mean() - b.mean()), only_first=only_a, only_second=only_b, p_value=p_value)


def _heads_at_most(count: int, throws: int) -> float:
    """Chance of at most `count` heads in `throws` throws of a fair coin. scipy's takes longer to import than a fit."""
    ways = (lgamma(throws + 1) - lgamma(k + 1) - lgamma(throws - k + 1) for k in range(count + 1))
    return fsum(exp(way - throws * log(2.0)) for way in ways)


def bootstrap_interval(
    scores: npt.NDArray[np.float64], *, level: float = 0.95, draws: int = _DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean of (N,) scores of single faces, faces drawn again with replacement.

    Efron, 1979, Bootstrap methods: another look at the jackknife.

    Example:
        >>> low, high = bootstrap_interval(np.repeat([0.0, 1.0], 200))
        >>> 0.43 < low < 0.5 < high < 0.57
        True
    """
    rng, count = np.random.default_rng(seed), len(scores)
    means = [scores[rng.integers(count, size=count)].mean() for _ in range(draws)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _pairs(
    hits: npt.NDArray[np.bool_], score: Callable[[npt.NDArray[np.bool_], npt.NDArray[np.bool_]], float]
) -> Probs:
    members = len(hits)
    result = np.zeros((members, members))
    for i in range(members):
        for j in range(i + 1, members):
            result[i, j] = result[j, i] = score(hits[i], hits[j])
    return result


def disagreement(votes: npt.NDArray[np.int64]) -> Probs:
    """(M, M) share of the faces on which two members vote differently; votes are (M, N) class indices.

    Example:
        >>> disagreement(np.array([[0, 1, 1, 0], [0, 1, 0, 0]]))[0, 1]
        np.float64(0.25)
    """
    result: Probs = (votes[:, None, :] != votes[None, :, :]).mean(axis=2)
    return result


def q_statistic(votes: npt.NDArray[np.int64], labels: Labels) -> Probs:
    """(M, M) Yule's Q: 1 where two members are right on the same faces, 0 if independent, below where they complement.

    Kuncheva & Whitaker, 2003, Measures of diversity in classifier ensembles. The diagonal is 1.
    """

    def q(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
        both, none = float((a & b).sum()), float((~a & ~b).sum())
        only_a, only_b = float((a & ~b).sum()), float((b & ~a).sum())
        total = both * none + only_a * only_b
        return (both * none - only_a * only_b) / total if total else 0.0

    return _pairs(votes == labels, q) + np.eye(len(votes))


def oracle_accuracy(votes: npt.NDArray[np.int64], labels: Labels) -> float:
    """Share of the faces that at least one of the (M, N) votes gets right: what a perfect fusion could reach.

    Example:
        >>> oracle_accuracy(np.array([[0, 1], [1, 1]]), np.array([0, 0]))
        0.5
    """
    return float((votes == labels).any(axis=0).mean())
