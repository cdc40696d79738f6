"""The plain head: one affine map from features to logits."""

from __future__ import annotations

from torch import Tensor, nn

from backbones.contract import Head
from backbones.layer.standardized import Standardized
from backbones.parameter import Fraction
from backbones.registry import HEADS

__all__ = ["Linear"]


@HEADS.register("linear")
class Linear(Head):
    """One affine map to the logits: softmax regression on the features.

    Args:
        features: Length of the feature vector.
        classes: Number of classes.
        dropout: Dropout of the features.
        standardize: Bring every feature to mean 0 and deviation 1 first; for frozen backbones, whose features may have
            any scale. Training batches then need at least two faces.

    Example:
        >>> import torch
        >>> Linear(256, 7)(torch.zeros(4, 256)).shape
        torch.Size([4, 7])
    """

    def __init__(self, features: int, classes: int, *, dropout: Fraction = 0.0, standardize: bool = False) -> None:
        super().__init__()
        self.standard = Standardized(features) if standardize else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(features, classes)

    def forward(self, features: Tensor) -> Tensor:
        """(B, features) to (B, classes)."""
        logits: Tensor = self.logits(self.dropout(self.standard(features)))
        return logits
