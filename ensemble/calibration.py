"""Does the confidence mean what it says, and what is gained by keeping quiet when it is low?

Pure functions of (N, K) probabilities and (N,) labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ensemble.fold import stratified_folds
from ensemble.rule.temperature import best_temperature, scaled
from ensemble.rules import Labels, Probs

__all__ = [
    "THRESHOLDS",
    "CoverageRow",
    "ReliabilityBin",
    "calibrated",
    "coverage",
    "cross_calibrated",
    "least_area",
    "reliability",
    "risk_curve",
]

THRESHOLDS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """The faces whose confidence lies in (low, high].

    Attributes:
        low: Lower edge.
        high: Upper edge.
        faces: How many there are.
        confidence: Their mean confidence.
        accuracy: The share of them that is right.
    """

    low: float
    high: float
    faces: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class CoverageRow:
    """What happens if faces below a confidence get no answer.

    Attributes:
        threshold: Least confidence for an answer.
        coverage: Share of the faces that get one.
        accuracy: Share of the answers that are right; NaN where there is none.
    """

    threshold: float
    coverage: float
    accuracy: float


def reliability(probs: Probs, labels: Labels, *, bins: int = 15) -> list[ReliabilityBin]:
    """Confidence against accuracy, in bins of equal width; empty bins are left out.

    Guo et al., 2017, On calibration of modern neural networks.

    Example:
        >>> reliability(np.array([[0.92, 0.08], [0.95, 0.05]]), np.array([0, 1]), bins=10)[0].accuracy
        0.5
    """
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    index = np.digitize(confidence, edges[1:-1], right=True)
    return [
        ReliabilityBin(
            low=float(edges[i]), high=float(edges[i + 1]), faces=int((index == i).sum()),
            confidence=float(confidence[index == i].mean()), accuracy=float(right[index == i].mean()),
        )
        for i in np.unique(index)
    ]  # fmt: skip


def coverage(probs: Probs, labels: Labels, *, thresholds: Sequence[float] = THRESHOLDS) -> list[CoverageRow]:
    """Share of faces answered and accuracy of the answers, for several least confidences.

    Example:
        >>> rows = coverage(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]), thresholds=(0.0, 0.8))
        >>> [(row.coverage, row.accuracy) for row in rows]
        [(1.0, 0.5), (0.5, 1.0)]
    """
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    rows = []
    for threshold in thresholds:
        kept = confidence >= threshold
        score = float(right[kept].mean()) if kept.any() else float("nan")
        rows.append(CoverageRow(threshold=threshold, coverage=float(kept.mean()), accuracy=score))
    return rows


def calibrated(probs: Probs, temperature: float) -> Probs:
    """Probabilities (N, K) at a temperature, without a change of any vote.

    Two classes so close that rounding makes them one are kept apart: the one that led still leads, by the last digit.
    """
    if temperature == 1.0:
        return probs
    result = scaled(probs, temperature)
    leader = probs.argmax(axis=1)
    lost = np.flatnonzero(result.argmax(axis=1) != leader)
    result[lost, leader[lost]] = np.nextafter(result[lost].max(axis=1), np.inf)
    return result


def cross_calibrated(probs: Probs, labels: Labels, *, folds: int = 10, seed: int = 0) -> Probs:
    """Probabilities (N, K), each face's at the temperature that is best for the faces of the other folds."""
    fold = stratified_folds(labels, folds=folds, seed=seed)  # (N,)
    result = np.empty_like(probs)
    for index in range(fold.max() + 1):
        held = fold == index
        result[held] = calibrated(probs[held], best_temperature(probs[~held], labels[~held]))
    return result


def risk_curve(probs: Probs, labels: Labels) -> Probs:
    """(N,) share of wrong answers among the one, two … N faces of the highest confidence.

    El-Yaniv & Wiener, 2010, On the foundations of noise-free selective classification; its mean is the area under the
    risk-coverage curve (AURC) of Geifman, Uziel & El-Yaniv, 2019, Bias-reduced uncertainty estimation for deep neural
    classifiers. Faces of the same confidence share their errors evenly, so that the order of the faces does not matter.

    Example:
        >>> risk_curve(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]))
        array([0. , 0.5])
    """
    confidence, wrong = probs.max(axis=1), probs.argmax(axis=1) != labels
    _, group, sizes = np.unique(-confidence, return_inverse=True, return_counts=True)
    rate = np.bincount(group, weights=wrong) / sizes  # of the faces of one confidence
    return np.asarray(np.cumsum(rate[np.sort(group)]) / np.arange(1, len(labels) + 1))


def least_area(errors: int, faces: int) -> float:
    """The least area under a risk-coverage curve: that of a confidence which is lower for every error than elsewhere.

    Example:
        >>> least_area(1, 2)
        0.25
    """
    answered = np.arange(1, faces + 1)
    return float((np.maximum(answered - (faces - errors), 0) / answered).mean())
