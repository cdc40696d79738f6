"""Weights in proportion to a power of the validation accuracy; the exponent is searched."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from backbones.parameter import Positive
from ensemble.rule.va_simple import member_accuracies
from ensemble.rules import RULES, Labels, Probs, WeightedMean

__all__ = ["VAExpo", "count_correct", "power_weights"]

# Scores closer than this are a tie, whatever the order in which they were added up.
_TIE = 1e-12
# Neighbouring exponents that are bounded together.
_RUN = 32
# Rounding that a bound must exceed to be believed.
_SURE = 1e-9


@RULES.register("va_expo")
class VAExpo(WeightedMean):
    """Weighted mean with exponential validation-accuracy weights: w_k = a_k^q / Σ a_j^q.

    The exponent q is the first of `low`, `low + step`, … `high` with the highest accuracy of the fused vote. Fitted on
    a few hundred faces it overfits by several points: compare its nested accuracy.

    Kim et al., 2015, Hierarchical committee of deep convolutional neural networks for robust facial expression
    recognition.

    Args:
        low: First exponent tried.
        high: Last exponent tried.
        step: Distance of the exponents tried.

    Attributes:
        accuracies_: (M,) accuracy of every member on the faces of the fit.
        exponent_: The exponent q.
        weights_: (M,) weights.
    """

    learned: ClassVar[tuple[str, ...]] = ("accuracies_", "exponent_", "weights_")
    per_member: ClassVar[tuple[str, ...]] = ("accuracies_", "weights_")

    accuracies_: Probs
    exponent_: float

    def __init__(self, *, low: float = -50.0, high: float = 150.0, step: Positive = 0.1) -> None:
        if not low <= high or (high - low) / step > 100_000:
            raise InputError(
                f"Expected `low` to be at most `high`, and at most 100000 steps, but got {low} to {high} by {step}."
            )
        self.low, self.high, self.step = low, high, step

    @property
    def exponents(self) -> Probs:
        """(Q,) exponents tried, in order."""
        count = int(np.floor((self.high - self.low) / self.step + 1e-9)) + 1
        # Rounded, so that 0 is 0 and 0.1 is 0.1 however the grid is counted.
        return np.round(self.low + self.step * np.arange(count), 10)

    def _fit(self, probs: Probs, labels: Labels) -> None:
        self.accuracies_ = member_accuracies(probs, labels)
        # A member that is never right counts as half a face right: 0^q has no meaning for q <= 0.
        floored = np.maximum(self.accuracies_, 0.5 / len(labels))
        exponents = self.exponents
        weights = power_weights(floored, exponents)
        best = int(count_correct(probs, labels, weights).argmax())
        self.exponent_ = float(exponents[best])
        self.weights_ = weights[best]


def power_weights(accuracies: Probs, exponents: Probs) -> Probs:
    """(Q, M) weights a_k^q / Σ a_j^q for every exponent, computed in log space.

    Example:
        >>> power_weights(np.array([0.8, 0.4]), np.array([0.0, 1.0])).round(4)
        array([[0.5   , 0.5   ],
               [0.6667, 0.3333]])
    """
    logs = np.outer(exponents, np.log(accuracies))  # (Q, M)
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def count_correct(probs: Probs, labels: Labels, weights: Probs) -> npt.NDArray[np.int64]:
    """How many faces each of Q weighted means gets right; ties go to the lower class index.

    Fusing all faces under thousands of weights would take minutes in a cross-fitted committee, so only what is open is
    computed. First, only the (face, class) pairs on which the members disagree: a class that every member ranks below
    the true one stays below it under any weights. Second, of those, pair by pair, only the runs of neighbouring weights
    for which the smallest and the largest weights of the run do not decide alike.

    Args:
        probs: (M, N, K) probabilities.
        labels: (N,) true class indices.
        weights: (Q, M) weights, rows on the simplex; quick where neighbouring rows are similar.

    Returns:
        (Q,) numbers of faces.
    """
    classes = np.arange(probs.shape[2])
    margins = np.take_along_axis(probs, labels[None, :, None], axis=2) - probs  # (M, N, K): true class minus class
    # The class beats the true one where the fused margin lies below its bar.
    bars = np.where(classes > labels[:, None], -_TIE, _TIE)  # (N, K)
    bars[np.arange(len(labels)), labels] = -np.inf
    below: npt.NDArray[np.bool_] = margins < bars  # (M, N, K)
    always_lost = np.any(below.all(axis=0), axis=1)  # (N,)
    contested = below.any(axis=0) & ~always_lost[:, None]  # (N, K)
    faces, rivals = np.nonzero(contested)  # (P,), sorted by face
    kept = len(labels) - int(always_lost.sum())
    if not len(faces):
        return np.full(len(weights), kept, dtype=np.int64)
    pairs = np.ascontiguousarray(margins[:, faces, rivals].T)  # (P, M)
    return kept - _count_lost(pairs, bars[faces, rivals], faces, weights)


def _count_lost(pairs: Probs, bars: Probs, faces: npt.NDArray[np.intp], weights: Probs) -> npt.NDArray[np.int64]:
    """(Q,) numbers of faces with a margin below its bar; pairs (P, M), bars and faces (P,)."""
    starts = np.arange(0, len(weights), _RUN)  # (R,)
    low, high = np.minimum.reduceat(weights, starts), np.maximum.reduceat(weights, starts)  # (R, M)
    signed = np.hstack([np.maximum(pairs, 0.0), np.minimum(pairs, 0.0)])  # (P, 2M)
    most = signed @ np.hstack([high, low]).T  # (P, R): the largest margin that the run can give
    least = signed @ np.hstack([low, high]).T
    first = np.diff(faces, prepend=-1) > 0  # (P,): where the pairs of the next face begin
    lost = np.logical_or.reduceat(most < (bars - _SURE)[:, None], np.flatnonzero(first), axis=0)  # (F, R)
    open_ = (least < (bars + _SURE)[:, None]) & ~lost[np.cumsum(first) - 1]  # (P, R)
    counts = np.repeat(lost.sum(axis=0), _RUN)[: len(weights)]
    for run, start in enumerate(starts):
        rows = np.flatnonzero(open_[:, run])
        if len(rows):
            falls = pairs[rows] @ weights[start : start + _RUN].T < bars[rows, None]  # (rows, run)
            per_face = np.logical_or.reduceat(falls, np.flatnonzero(np.diff(faces[rows], prepend=-1)), axis=0)
            counts[start : start + _RUN] += per_face.sum(axis=0)
    return counts
