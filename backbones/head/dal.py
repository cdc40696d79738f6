"""The double activation layer: a maxout layer that can start from a face-recognition network's own.

Owns the layer and the inheritance of the pretrained maxout; the backbone says which layer that is.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from backbones.contract import Backbone, Head, Tap
from backbones.parameter import Count, Fraction
from backbones.registry import HEADS

__all__ = ["DAL"]


@HEADS.register("dal")
class DAL(Head):
    """Double activation layer, maxout then ReLU: IP2(relu(max(IP1a x, IP1b x))).

    Zhai et al., 2017, Deep Convolutional Neural Network for Facial Expression Recognition, figure 1. The text supports
    both attachments. On a LightCNN with `attach: conv` and 256 units it starts from the pretrained maxout layer.

    Args:
        features: Length of what it attaches to.
        classes: Number of classes.
        hidden: Units after the maximum.
        attach: `conv` replaces the backbone's fully connected layers, `fc` follows them.
        dropout: Dropout of the hidden units.

    Example:
        >>> DAL(256, 7, attach="fc")(torch.zeros(4, 256)).shape
        torch.Size([4, 7])
    """

    attach: Tap = "conv"

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        hidden: Count = 256,
        attach: Literal["conv", "fc"] = "conv",
        dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        self.attach = attach
        self.ip1a = nn.Linear(features, hidden)
        self.ip1b = nn.Linear(features, hidden)
        self.dropout = nn.Dropout(dropout)
        self.ip2 = nn.Linear(hidden, classes)

    def forward(self, features: Tensor) -> Tensor:
        """(B, features) to (B, classes)."""
        hidden = torch.relu(torch.maximum(self.ip1a(features), self.ip1b(features)))
        logits: Tensor = self.ip2(self.dropout(hidden))
        return logits

    def inherit(self, backbone: Backbone) -> None:
        """Copy the backbone's maxout layer, its first half to IP1a and its second to IP1b, where the shapes agree."""
        layer = backbone.maxout_layer() if self.attach == "conv" else None
        units, features = self.ip1a.weight.shape
        if layer is None or layer.weight.shape != (2 * units, features):
            return
        with torch.no_grad():
            for piece, half in ((self.ip1a, slice(None, units)), (self.ip1b, slice(units, None))):
                piece.weight.copy_(layer.weight[half])
                piece.bias.copy_(layer.bias[half])
