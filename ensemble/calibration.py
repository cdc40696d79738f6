"""Does the confidence mean what it says, and what is gained by keeping quiet when it is low?

Pure functions of (N, K) probabilities and (N,) labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ensemble.rules import Labels, Probs

__all__ = ["CoverageRow", "ReliabilityBin", "coverage", "reliability"]


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


def coverage(
    probs: Probs, labels: Labels, *, thresholds: Sequence[float] = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
) -> list[CoverageRow]:
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
