"""The unit of a scratch CNN: Conv-(BN)-ReLU-(Dropout).

Owns sizes and initialisation of plain convolutions; knows nothing of blocks, pools or shortcuts.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

__all__ = ["conv_size", "conv_unit", "he_initialise", "plain_conv"]


def plain_conv(inputs: int, outputs: int, *, kernel: int, stride: int = 1, norm: bool = True) -> nn.Sequential:
    """Convolution and, by default, batch normalisation; without norm the convolution carries the bias.

    The padding is (kernel - 1) // 2: an odd kernel keeps the size at stride 1, an even one shrinks it by a pixel.
    """
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=(kernel - 1) // 2, bias=not norm)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs)) if norm else nn.Sequential(conv)


def conv_unit(
    inputs: int,
    outputs: int,
    *,
    kernel: int,
    stride: int = 1,
    norm: bool = True,
    dropout: float = 0.0,
    relu: bool = True,
) -> nn.Sequential:
    """Conv-(BN)-(ReLU)-(Dropout); the dropout is over whole channels."""
    unit = plain_conv(inputs, outputs, kernel=kernel, stride=stride, norm=norm)
    if relu:
        unit.append(nn.ReLU(inplace=True))
    if dropout:
        unit.append(nn.Dropout2d(dropout))
    return unit


def conv_size(size: int, *, kernel: int, stride: int = 1) -> int:
    """Side of the map that `plain_conv` makes of a `size` × `size` map; 0 or less where it does not fit.

    Example:
        >>> conv_size(48, kernel=3, stride=2), conv_size(48, kernel=4)
        (24, 47)
    """
    return (size + 2 * ((kernel - 1) // 2) - kernel) // stride + 1


def he_initialise(module: nn.Module) -> None:
    """Initialise every convolution and linear map below `module` for ReLU.

    He et al., 2015, Delving Deep into Rectifiers, equation 14 (the variant that preserves the backward signal for
    convolutions). Biases become 0.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            mode: Literal["fan_in", "fan_out"] = "fan_out" if isinstance(part, nn.Conv2d) else "fan_in"
            nn.init.kaiming_normal_(part.weight, mode=mode, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
