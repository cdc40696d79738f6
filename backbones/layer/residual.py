"""A residual block of a scratch CNN: convolutions beside a shortcut, summed before the last ReLU.

Owns the shortcut's rule; the convolutions come from `convolution`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backbones.layer.convolution import conv_unit, plain_conv

__all__ = ["ResidualBlock"]


class ResidualBlock(nn.Module):
    """`convs` convolutions plus a shortcut, ReLU after the sum, then channel dropout.

    He et al., 2016, Deep Residual Learning for Image Recognition. Where stride or width changes, the shortcut averages
    stride × stride cells and maps them with a 1×1 convolution (He et al., 2019, Bag of Tricks, ResNet-D), so that no
    pixel is thrown away; elsewhere it is the identity.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        convs: Convolutions on the main path.
        kernel: Side of their kernels, odd.
        stride: Stride of the first one.
        norm: Batch normalisation after each convolution.
        dropout: Channel dropout between the convolutions and after the sum.
    """

    def __init__(
        self, inputs: int, outputs: int, *, convs: int, kernel: int, stride: int, norm: bool, dropout: float
    ) -> None:
        super().__init__()
        widths = [inputs, *([outputs] * convs)]
        strides = [stride, *([1] * (convs - 1))]
        last = convs - 1
        self.main = nn.Sequential(
            *(
                plain_conv(widths[i], outputs, kernel=kernel, stride=strides[i], norm=norm)
                if i == last
                else conv_unit(widths[i], outputs, kernel=kernel, stride=strides[i], norm=norm, dropout=dropout)
                for i in range(convs)
            )
        )
        self.shortcut = _shortcut(inputs, outputs, stride=stride, norm=norm)
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        summed: Tensor = self.dropout(torch.relu(self.main(x) + self.shortcut(x)))
        return summed


def _shortcut(inputs: int, outputs: int, *, stride: int, norm: bool) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    path = plain_conv(inputs, outputs, kernel=1, norm=norm)
    if stride > 1:
        # ceil_mode rounds as a strided convolution does; cells outside the map do not count.
        pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
        path = nn.Sequential(pool, *path)
    return path
