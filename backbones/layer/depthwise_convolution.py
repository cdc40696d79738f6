"""A depthwise convolution: every channel has a kernel of its own.

On a CPU it is computed in float32 under bfloat16 autocast, too: the processor's matrix units do not help it, and the
gradient takes twice as long by the bfloat16 kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DepthwiseConvolution"]


class DepthwiseConvolution(nn.Conv2d):
    """`nn.Conv2d` with as many groups as channels, without bias.

    Args:
        channels: Channels in and out.
        kernel: Side of the kernels.
        stride: Step between positions.
        padding: Zeros around the map.
    """

    def __init__(self, channels: int, kernel: int, *, stride: int = 1, padding: int = 0) -> None:
        super().__init__(channels, channels, kernel, stride=stride, padding=padding, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, channels, H', W')."""
        if x.device.type != "cpu":
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())
