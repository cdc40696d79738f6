"""Max-feature-map: the two halves of a layer's output compete, and the larger one of each pair survives.

Owns the activation and the two layers that carry it. Their convolution or linear map is called `filter`, as in the
checkpoints that LightCNN's authors published.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["MaxFeatureConv", "MaxFeatureLinear", "max_feature_map"]


def max_feature_map(x: Tensor) -> Tensor:
    """Elementwise maximum of the first and the second half of the channels.

    Wu et al., 2015, A Light CNN for Deep Face Representation with Noisy Labels, equation 2.

    Args:
        x: (B, 2C, ...), the channels along the second axis.

    Returns:
        (B, C, ...).

    Example:
        >>> max_feature_map(torch.tensor([[1.0, 5.0, 3.0, 2.0]]))
        tensor([[3., 5.]])
    """
    first, second = x.chunk(2, dim=1)
    return torch.maximum(first, second)


class MaxFeatureConv(nn.Module):
    """Convolution to twice the channels, then the max-feature-map.

    Args:
        inputs: Input channels.
        outputs: Output channels, after the maximum.
        kernel: Side of the square kernel; the map keeps its size when it is odd.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int) -> None:
        super().__init__()
        self.filter = nn.Conv2d(inputs, 2 * outputs, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        return max_feature_map(self.filter(x))


class MaxFeatureLinear(nn.Module):
    """Linear map to twice the features, then the max-feature-map: a maxout of two pieces.

    Args:
        inputs: Input features.
        outputs: Output features, after the maximum.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.filter = nn.Linear(inputs, 2 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) to (B, outputs)."""
        return max_feature_map(self.filter(x))
