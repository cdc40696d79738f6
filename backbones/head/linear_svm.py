"""A linear support vector machine as a head: its scores, and the sigmoids that turn them into probabilities.

Owns the arithmetic of a finished machine. Finding the separating planes is scikit-learn's work, in the pipelines; the
state is plain tensors, so a fitted machine is stored, loaded and fused like any network.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from backbones.contract import Head
from backbones.parameter import Folds, Positive
from backbones.registry import HEADS

__all__ = ["LinearSVM"]


@HEADS.register("linear_svm")
class LinearSVM(Head):
    """Linear SVM, one class against the rest, with Platt's probabilities; fitted by scikit-learn, not by gradients.

    Cortes & Vapnik, 1995, Support-vector networks; Platt, 1999, Probabilistic outputs for support vector machines. Li,
    Shen & Miao put it on raw pixels (backbone `pixels`); on any frozen backbone it works as well.

    Args:
        features: Length of the feature vector.
        classes: Number of classes.
        c: Weight of the squared hinge loss against the squared norm of the planes.
        folds: Cross-validation folds that give the scores on which the sigmoids are fitted.

    Example:
        >>> LinearSVM(16, 7)(torch.zeros(4, 16)).shape
        torch.Size([4, 7])
    """

    estimator: ClassVar[str | None] = "linear_svm"

    def __init__(self, features: int, classes: int, *, c: Positive = 1e-3, folds: Folds = 3) -> None:
        super().__init__()
        self.c, self.folds = c, folds
        self.planes = nn.Linear(features, classes)
        self.slope = nn.Parameter(torch.ones(classes))
        self.offset = nn.Parameter(torch.zeros(classes))

    def forward(self, features: Tensor) -> Tensor:
        """(B, features) to log σ(slope · score + offset) (B, classes): softmax makes these the normalised sigmoids."""
        return functional.logsigmoid(self.slope * self.planes(features) + self.offset)

    def scores(self, features: Tensor) -> Tensor:
        """(B, features) to the signed distances from the planes (B, classes), in units of the margin."""
        scores: Tensor = self.planes(features)
        return scores
