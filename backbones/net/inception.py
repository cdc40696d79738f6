"""The small Inception network for facial expressions, trained from nothing.

Owns the layer table and the module of parallel convolutions that it is made of.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from backbones.contract import Backbone, InputShape
from backbones.layer.convolution import conv_unit, he_initialise
from backbones.parameter import Fraction, Positive
from backbones.registry import BACKBONES

__all__ = ["Inception"]

_STEM = (64, 64, 192)
"""Channels of the 7×7, the 1×1 and the 3×3 convolution."""

_MODULES: Mapping[str, tuple[int, ...]] = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
}
"""Channels of the 1×1 path, before and after the 3×3, before and after the 5×5, and behind the pool."""

_POOLED = "inception3b"  # the module behind which the map shrinks


@BACKBONES.register("inception")
class Inception(Backbone):
    """Two convolutions and four Inception modules, averaged to 512 features: small enough to train on faces alone.

    Mollahosseini, Chan & Mahoor, 2016, Going Deeper in Facial Expression Recognition using Deep Neural Networks; the
    modules and their widths are those of Szegedy et al., 2015, Going Deeper with Convolutions, whose local response
    normalisation became batch normalisation. The paper's fully connected layers are a head: `mlp` with `hidden`
    [4096, 1024]. Initialised as He et al., 2015.

    Args:
        shape: Input of the network.
        width: Factor on the channels of every layer.
        norm: Batch normalisation after each convolution.
        dropout: Dropout of the feature vector.

    Example:
        >>> net = Inception(InputShape(channels=1, size=48), width=0.25)
        >>> net.map_shape, net.num_features, list(net.stages())[:3]
        ((128, 3, 3), 128, ['conv1', 'conv2', 'inception3a'])
    """

    minimum_size: ClassVar[int] = 16

    def __init__(self, shape: InputShape, *, width: Positive = 1.0, norm: bool = True, dropout: Fraction = 0.0) -> None:
        super().__init__(shape)
        first, mixed, channels = (_scaled(c, width) for c in _STEM)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv1"] = nn.Sequential(conv_unit(shape.channels, first, kernel=7, stride=2, norm=norm), _pool())
        layers["conv2"] = nn.Sequential(
            conv_unit(first, mixed, kernel=1, norm=norm), conv_unit(mixed, channels, kernel=3, norm=norm), _pool()
        )
        for name, widths in _MODULES.items():
            module = _Module(channels, tuple(_scaled(c, width) for c in widths), norm=norm)
            layers[name] = nn.Sequential(module, _pool()) if name == _POOLED else module
            channels = module.outputs
        self.layers = nn.Sequential(layers)
        self.dropout = nn.Dropout(dropout)
        side = (shape.size + 1) // 2 // 8  # the first convolution rounds up, three pools round down
        self.map_shape = (channels, side, side)
        self.num_features = channels
        he_initialise(self)

    def stages(self) -> Mapping[str, nn.Module]:
        """`conv1`, `conv2`, `inception3a`, `inception3b`, `inception4a`, `inception4b`."""
        return dict(self.layers.named_children())

    def forward_map(self, x: Tensor) -> Tensor:
        """(B, channels, size, size) to the last module's map (B, *map_shape)."""
        feature_map: Tensor = self.layers(x)
        return feature_map

    def forward_features(self, feature_map: Tensor) -> Tensor:
        """(B, *map_shape) to (B, num_features)."""
        features: Tensor = self.dropout(feature_map.mean((2, 3)))  # (B, C, H, W) -> (B, C)
        return features


class _Module(nn.Module):
    """1×1, 3×3 and 5×5 convolutions and a pool side by side, their channels one after the other.

    Args:
        inputs: Input channels.
        widths: As in `_MODULES`.
        norm: Batch normalisation after each convolution.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...], *, norm: bool) -> None:
        super().__init__()
        one, before3, three, before5, five, pooled = widths
        self.one = conv_unit(inputs, one, kernel=1, norm=norm)
        self.three = nn.Sequential(
            conv_unit(inputs, before3, kernel=1, norm=norm), conv_unit(before3, three, kernel=3, norm=norm)
        )
        self.five = nn.Sequential(
            conv_unit(inputs, before5, kernel=1, norm=norm), conv_unit(before5, five, kernel=5, norm=norm)
        )
        self.pooled = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), conv_unit(inputs, pooled, kernel=1, norm=norm)
        )
        self.outputs = one + three + five + pooled

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], dim=1)


def _scaled(channels: int, width: float) -> int:
    return max(1, round(width * channels))


def _pool() -> nn.MaxPool2d:
    """GoogLeNet's: a window of three halves an even map, because the last one may stand half outside."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)
