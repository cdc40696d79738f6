"""The fully connected head: hidden layers, then the logits."""

from __future__ import annotations

from torch import Tensor, nn

from backbones.contract import Head
from backbones.layer.convolution import he_initialise
from backbones.layer.standardized import Standardized
from backbones.parameter import Fraction, Sizes
from backbones.registry import HEADS

__all__ = ["MLP"]


@HEADS.register("mlp")
class MLP(Head):
    """Hidden layers, then an affine map: [Affine-(BN)-ReLU-(Dropout)] × N - Affine.

    The fully connected part of Alizadeh & Fazel, 2017, Convolutional Neural Networks for Facial Expression Recognition.
    Hidden layers are initialised as He et al., 2015.

    Args:
        features: Length of the feature vector.
        classes: Number of classes.
        hidden: Units per hidden layer.
        dropout: Dropout after each hidden layer.
        norm: Batch normalisation in each hidden layer; training batches then need at least two faces.
        standardize: Bring every feature to mean 0 and deviation 1 first; for frozen backbones, whose features may have
            any scale. Training batches then need at least two faces.

    Example:
        >>> import torch
        >>> MLP(256, 7, hidden=[64, 32])(torch.zeros(4, 256)).shape
        torch.Size([4, 7])
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        hidden: Sizes,
        dropout: Fraction = 0.0,
        norm: bool = False,
        standardize: bool = False,
    ) -> None:
        super().__init__()
        self.standard = Standardized(features) if standardize else nn.Identity()
        self.hidden = nn.Sequential()
        for units in hidden:
            self.hidden.append(nn.Linear(features, units))
            if norm:
                self.hidden.append(nn.BatchNorm1d(units))
            self.hidden.append(nn.ReLU(inplace=True))
            self.hidden.append(nn.Dropout(dropout))
            features = units
        he_initialise(self.hidden)
        self.logits = nn.Linear(features, classes)

    def forward(self, features: Tensor) -> Tensor:
        """(B, features) to (B, classes)."""
        logits: Tensor = self.logits(self.hidden(self.standard(features)))
        return logits
