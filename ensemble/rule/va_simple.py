"""Weights in proportion to validation accuracy."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ensemble.rules import RULES, Labels, Probs, WeightedMean

__all__ = ["VASimple", "member_accuracies"]


@RULES.register("va_simple")
class VASimple(WeightedMean):
    """Weighted mean with weights in proportion to validation accuracy: w_k = a_k / Σ a_j.

    Kim et al., 2015, Hierarchical committee of deep convolutional neural networks for robust facial expression
    recognition.

    Attributes:
        accuracies_: (M,) accuracy of every member on the faces of the fit.
        weights_: (M,) weights; equal if no member is ever right.
    """

    learned: ClassVar[tuple[str, ...]] = ("accuracies_", "weights_")
    per_member: ClassVar[tuple[str, ...]] = ("accuracies_", "weights_")

    accuracies_: Probs

    def _fit(self, probs: Probs, labels: Labels) -> None:
        self.accuracies_ = member_accuracies(probs, labels)
        total = self.accuracies_.sum()
        self.weights_ = self.accuracies_ / total if total > 0 else np.full(len(probs), 1.0 / len(probs))


def member_accuracies(probs: Probs, labels: Labels) -> Probs:
    """(M,) accuracy of every member; probs (M, N, K), labels (N,)."""
    return np.asarray((probs.argmax(axis=2) == labels).mean(axis=1), dtype=np.float64)
