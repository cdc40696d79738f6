"""How good probabilities are: pure functions of (N, K) probabilities and (N,) labels."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.rules import Labels, Probs, check_labels

__all__ = [
    "ClassScores",
    "accuracy",
    "accuracy_interval",
    "brier",
    "class_scores",
    "confusion_matrix",
    "expected_calibration_error",
    "nll",
    "wilson_interval",
]

FLOOR = 1e-12
"""Smallest probability in a logarithm: one face that was thought impossible costs 27.6 nats, not infinity."""


def accuracy(probs: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Share of faces whose most probable class is the true one; ties go to the lower index.

    Example:
        >>> accuracy([[0.9, 0.1], [0.6, 0.4]], [0, 1])
        0.5
    """
    p, y = _checked(probs, labels)
    return float((p.argmax(axis=1) == y).mean())


def nll(probs: npt.ArrayLike, labels: npt.ArrayLike, *, floor: float = FLOOR) -> float:
    """Mean negative log-likelihood of the labels in nats, probabilities below `floor` raised to it.

    Example:
        >>> round(nll([[0.5, 0.5]], [0]), 4)
        0.6931
    """
    p, y = _checked(probs, labels)
    return float(-np.log(np.maximum(p[np.arange(len(y)), y], floor)).mean())


def brier(probs: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean squared distance of the probabilities from the one-hot labels, summed over classes: 0 to 2.

    Example:
        >>> brier([[1.0, 0.0], [1.0, 0.0]], [0, 1])
        1.0
    """
    p, y = _checked(probs, labels)
    return float(((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1).mean())


def expected_calibration_error(probs: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence, weighted by their faces.

    Guo et al., 2017, On calibration of modern neural networks. Bins are (i/B, (i+1)/B].

    Example:
        >>> round(expected_calibration_error([[0.9, 0.1], [0.9, 0.1]], [0, 1]), 4)
        0.4
    """
    p, y = _checked(probs, labels)
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == y
    edges = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    index = np.digitize(confidence, edges, right=True)  # (N,)
    gaps = np.bincount(index, weights=correct, minlength=bins) - np.bincount(index, weights=confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(y))


def confusion_matrix(probs: npt.ArrayLike, labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """(K, K) numbers of faces: rows are true classes, columns predicted ones.

    Example:
        >>> confusion_matrix([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], [0, 1, 1]).tolist()
        [[1, 0], [1, 1]]
    """
    p, y = _checked(probs, labels)
    classes = p.shape[1]
    flat = np.bincount(y * classes + p.argmax(axis=1), minlength=classes * classes)
    return flat.reshape(classes, classes)


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """Scores per class; a score whose denominator is zero is 0.

    Attributes:
        precision: (K,) share of the faces predicted as the class that belong to it.
        recall: (K,) share of the class's faces that are predicted as it.
        f1: (K,) harmonic mean of the two.
        support: (K,) faces of the class.
    """

    precision: Probs
    recall: Probs
    f1: Probs
    support: npt.NDArray[np.int64]

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes, each counting the same."""
        return float(self.f1.mean())


def class_scores(probs: npt.ArrayLike, labels: npt.ArrayLike) -> ClassScores:
    """Precision, recall and F1 of every class.

    Example:
        >>> class_scores([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], [0, 1, 1]).recall
        array([1. , 0.5])
    """
    matrix = confusion_matrix(probs, labels)
    hits = np.diag(matrix).astype(np.float64)
    predicted, support = matrix.sum(axis=0), matrix.sum(axis=1)
    return ClassScores(
        precision=hits / np.maximum(predicted, 1),
        recall=hits / np.maximum(support, 1),
        f1=2.0 * hits / np.maximum(predicted + support, 1),
        support=support,
    )


def accuracy_interval(probs: npt.ArrayLike, labels: npt.ArrayLike, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson interval of the accuracy."""
    p, y = _checked(probs, labels)
    return wilson_interval(int((p.argmax(axis=1) == y).sum()), len(y), level=level)


def wilson_interval(hits: int, trials: int, *, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion.

    Wilson, 1927, Probable inference, the law of succession, and statistical inference.

    Raises:
        InputError: There is no trial, or there are more hits than trials.

    Example:
        >>> low, high = wilson_interval(690, 1000)
        >>> round(low, 4), round(high, 4)
        (0.6607, 0.7179)
    """
    if not 0 <= hits <= trials or not trials:
        raise InputError(f"Expected at least 1 trial and as many hits at most, but got {hits} of {trials}.")
    z = NormalDist().inv_cdf(0.5 + level / 2.0)
    share, shrink = hits / trials, 1.0 + z * z / trials
    centre = (share + z * z / (2 * trials)) / shrink
    half = z * sqrt(share * (1.0 - share) / trials + (z / (2 * trials)) ** 2) / shrink
    return max(0.0, centre - half), min(1.0, centre + half)


def _checked(probs: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Probs, Labels]:
    p = np.asarray(probs, dtype=np.float64)
    if p.ndim != 2:
        raise InputError(f"Expected probabilities of shape (samples, classes), but got {p.shape}.")
    return p, check_labels(labels, p.shape)
