"""MobileFaceNet: inverted residuals and a global depthwise convolution, made for face verification on phones.

Owns the architecture (the ReLU6 variant) under the names of the public checkpoint, and which of its layers make the
feature vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from backbones.contract import Backbone, InputShape, NativeInput
from backbones.layer.depthwise_convolution import DepthwiseConvolution
from backbones.layer.input_channels import adapt_kernel, normalization_for
from backbones.layer.stage import with_parameters
from backbones.parameter import Fraction
from backbones.registry import BACKBONES

__all__ = ["MobileFaceNet"]

_BOTTLENECKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""Rows of table 1: expansion, channels, repeats, stride of the first."""

_LEVELS, _CELLS = (8, 13, 15), 4
"""Inverted residuals after which `levels` taps the maps, and the side that these are averaged to."""

_GRID = 7  # side of the last map at 112 pixels, hence of the global depthwise kernel
_MAP, _DEPTHWISE, _EMBEDDING = 128, 512, 128

_BEHIND_DEPTHWISE = ("conv3.", "bn.")
_BEHIND_MAP = ("conv2.", "gdconv.", *_BEHIND_DEPTHWISE)


@BACKBONES.register("mobile_facenet")
class MobileFaceNet(Backbone):
    """MobileFaceNet, pretrained on faces: one million parameters, 640 features.

    Chen et al., 2018, MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices,
    table 1, with ReLU6 for PReLU. Its own input is an RGB face of 112×112 pixels aligned to the usual five points; at
    other sizes the last map is averaged to the 7×7 cells that the global depthwise kernel covers.

    Args:
        shape: Input of the network.
        taps: What makes the feature vector. `gdconv+map` joins the global depthwise convolution's 512 outputs with the
            128 channel means of the last map. `levels` joins the maps of three depths, each averaged to 4×4 cells:
            frozen, they tell expressions better than what is made for telling persons. `embedding` is the paper's 128
            numbers, trained to ignore expression.
        dropout: Dropout of the feature vector.

    Example:
        >>> net = MobileFaceNet(InputShape(channels=3, size=112))
        >>> net.map_shape, net.num_features
        ((128, 7, 7), 640)
    """

    minimum_size: ClassVar[int] = 16
    native = NativeInput(size=112, channels=3, pixels="ImageNet's mean and deviation", template="arcface")

    def __init__(
        self,
        shape: InputShape,
        *,
        taps: Literal["gdconv+map", "levels", "embedding"] = "gdconv+map",
        dropout: Fraction = 0.0,
    ) -> None:
        super().__init__(shape)
        self.normalization = normalization_for((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), shape.channels)
        self.conv1 = _bn_relu6(nn.Conv2d(shape.channels, 64, 3, stride=2, padding=1, bias=False))
        self.dw_conv = _DepthwiseSeparable(64)
        self.features = nn.Sequential(*_bottlenecks(64))
        self.conv2: nn.Module = _bn_relu6(nn.Conv2d(_MAP, _DEPTHWISE, 1, bias=False))
        self.gdconv: nn.Module = _GlobalDepthwise(_DEPTHWISE)
        if taps == "embedding":
            self.conv3: nn.Module = nn.Conv2d(_DEPTHWISE, _EMBEDDING, 1)
            self.bn: nn.Module = nn.BatchNorm1d(_EMBEDDING)
        self.dropout = nn.Dropout(dropout)
        self.taps = taps
        side = -(-shape.size // 16)  # four strided convolutions that round up
        self.grid = nn.AdaptiveAvgPool2d(_GRID) if side != _GRID else nn.Identity()
        self.cells = nn.AdaptiveAvgPool2d(_CELLS)
        self.map_shape = (_MAP * (len(_LEVELS) if taps == "levels" else 1), side, side)
        self.num_features = {
            "embedding": _EMBEDDING, "levels": _MAP * len(_LEVELS) * _CELLS**2, "gdconv+map": _DEPTHWISE + _MAP,
        }[taps]  # fmt: skip
        if taps == "levels":
            self.discard_features()

    def stages(self) -> Mapping[str, nn.Module]:
        """`conv1`, `dw_conv`, `bottleneck1` to `bottleneck5` (rows of the paper's table), `conv2`, `gdconv`.

        Where the embedding is tapped, `conv3` and `bn` follow.
        """
        parts: dict[str, nn.Module] = {"conv1": self.conv1, "dw_conv": self.dw_conv}
        start = 0
        for row, (_, _, repeats, _) in enumerate(_BOTTLENECKS, start=1):
            parts[f"bottleneck{row}"] = self.features[start : start + repeats]
            start += repeats
        parts |= {"conv2": self.conv2, "gdconv": self.gdconv}
        if self.taps == "embedding":
            parts |= {"conv3": self.conv3, "bn": self.bn}
        return with_parameters(parts)

    def forward_map(self, x: Tensor) -> Tensor:
        """(B, channels, size, size) to the last bottleneck's map, or to those of the levels (B, *map_shape)."""
        x = self.dw_conv(self.conv1(x))
        if self.taps != "levels":
            feature_map: Tensor = self.features(x)
            return feature_map
        maps = []
        for start, end in pairwise((0, *_LEVELS)):
            x = self.features[start:end](x)
            maps.append(adaptive_avg_pool2d(x, self.map_shape[1:]))
        return torch.cat(maps, dim=1)

    def forward_features(self, feature_map: Tensor) -> Tensor:
        """(B, *map_shape) to (B, num_features)."""
        if self.taps == "levels":
            cells: Tensor = self.dropout(self.cells(feature_map).flatten(1))
            return cells
        x = self.gdconv(self.grid(self.conv2(feature_map)))  # (B, 512, 1, 1)
        if self.taps == "embedding":
            features: Tensor = self.bn(self.conv3(x).flatten(1))
        else:
            features = torch.cat([x.flatten(1), feature_map.mean((2, 3))], dim=1)
        dropped: Tensor = self.dropout(features)
        return dropped

    def discard_features(self) -> None:
        """Drop everything after the last bottleneck."""
        self.conv2, self.gdconv = nn.Identity(), nn.Identity()
        if self.taps == "embedding":
            self.conv3, self.bn = nn.Identity(), nn.Identity()

    def convert_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Drop the layers behind what is tapped, and fit the first kernels to the input channels."""
        dropped = {"embedding": (), "gdconv+map": _BEHIND_DEPTHWISE, "levels": _BEHIND_MAP}[self.taps]
        kept = {name: tensor for name, tensor in state.items() if not name.startswith(dropped)}
        if "conv1.0.weight" in kept:
            kept["conv1.0.weight"] = adapt_kernel(kept["conv1.0.weight"], self.shape.channels)
        return kept


class _DepthwiseSeparable(nn.Module):
    """Depthwise 3×3, then pointwise convolution, each with batch normalisation and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = DepthwiseConvolution(channels, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.depthwise(x)))
        return torch.relu(self.bn2(self.pointwise(x)))


class _InvertedResidual(nn.Module):
    """Pointwise expansion, depthwise 3×3, linear pointwise projection; a shortcut where the shape stays.

    Sandler et al., 2018, MobileNetV2: Inverted Residuals and Linear Bottlenecks.
    """

    def __init__(self, inputs: int, outputs: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.conv = nn.Sequential(
            _bn_relu6(nn.Conv2d(inputs, hidden, 1, bias=False)),
            _bn_relu6(DepthwiseConvolution(hidden, 3, stride=stride, padding=1)),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        mapped: Tensor = self.conv(x)
        return x + mapped if self.shortcut else mapped


class _GlobalDepthwise(nn.Module):
    """A linear depthwise convolution as large as the map: each cell of the face gets its own weight."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = DepthwiseConvolution(channels, _GRID)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        summed: Tensor = self.bn(self.depthwise(x))
        return summed


def _bn_relu6(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU6(inplace=True))


def _bottlenecks(inputs: int) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for expansion, outputs, repeats, stride in _BOTTLENECKS:
        for i in range(repeats):
            blocks.append(_InvertedResidual(inputs, outputs, expansion=expansion, stride=stride if i == 0 else 1))
            inputs = outputs
    return blocks
