"""LightCNN, Net B: nine convolutions with max-feature-maps, made for grey aligned faces.

Owns the architecture under the names of its authors' checkpoints, and how those checkpoints are taken over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor, nn

from backbones.contract import Backbone, InputShape, NativeInput, Normalization
from backbones.layer.input_channels import adapt_kernel
from backbones.layer.max_feature_map import MaxFeatureConv, MaxFeatureLinear
from backbones.layer.stage import with_parameters
from backbones.layer.window import central_window, random_window
from backbones.parameter import Fraction
from backbones.registry import BACKBONES

__all__ = ["LightCNN"]

_NATIVE, _GRID = 128, 8  # side of the input that the network was trained on, and of its last map
_ALIGNED = 144  # side of the faces that those inputs were cut from


@BACKBONES.register("light_cnn")
class LightCNN(Backbone):
    """LightCNN Net B (LightCNN-9), pretrained on faces: 256 maxout features.

    Wu et al., 2015, A Light CNN for Deep Face Representation with Noisy Labels, table 2. Its own input is a grey
    128×128 crop of an aligned 144×144 face, in 0..1.

    Args:
        shape: Input of the network.
        grid: What fully connected layer 1 sees where the last map is not 8×8: `crop` keeps the layer for inputs of 129
            to 144 pixels, of which it sees a window of 128, drawn for every face in training, the middle one otherwise;
            `native`, and `crop` at any other size, sizes the layer to the map (its pretrained weights then fit no
            more); `pool` averages the map to 8×8 and keeps the layer.
        dropout: Dropout of the 256 features.

    Example:
        >>> net = LightCNN(InputShape(channels=1, size=128))
        >>> net.map_shape, net.num_features, sum(p.numel() for p in net.parameters())
        ((128, 8, 8), 256, 5480864)
    """

    minimum_size: ClassVar[int] = 16
    native = NativeInput(size=128, channels=1, pixels="x / 255", template="lightcnn")
    normalization = Normalization(mean=(0.0,), std=(255.0,))

    def __init__(
        self, shape: InputShape, *, grid: Literal["crop", "native", "pool"] = "crop", dropout: Fraction = 0.7
    ) -> None:
        super().__init__(shape)
        self.features = nn.Sequential(
            MaxFeatureConv(shape.channels, 48, kernel=5),
            _pool(),
            _Group(48, 96),
            _pool(),
            _Group(96, 192),
            _pool(),
            _Group(192, 128),
            _Group(128, 128),
            _pool(),
        )
        self.crops = grid == "crop" and _NATIVE < shape.size <= _ALIGNED
        side = _GRID if grid == "pool" or self.crops else -(-shape.size // 16)  # four pools that round up
        self.grid = nn.AdaptiveAvgPool2d(_GRID) if grid == "pool" else nn.Identity()
        self.fc1: nn.Module = MaxFeatureLinear(128 * side * side, 256)
        self.dropout = nn.Dropout(dropout)
        self.map_shape = (128, side, side)
        self.num_features = 256

    def stages(self) -> Mapping[str, nn.Module]:
        """`conv1` to `conv5`, each with its 1×1 convolution, then `fc1`."""
        convs = {f"conv{i + 1}": self.features[at] for i, at in enumerate((0, 2, 4, 6, 7))}
        return with_parameters({**convs, "fc1": self.fc1})

    def forward_map(self, x: Tensor) -> Tensor:
        """(B, channels, size, size) to the last pooled map (B, *map_shape)."""
        if self.crops:
            x = (random_window if self.training else central_window)(x, _NATIVE)
        feature_map: Tensor = self.grid(self.features(x))
        return feature_map

    def forward_features(self, feature_map: Tensor) -> Tensor:
        """(B, *map_shape) to (B, 256)."""
        features: Tensor = self.dropout(self.fc1(feature_map.flatten(1)))  # (B, 128, H, W) -> (B, 128·H·W) -> (B, 256)
        return features

    def discard_features(self) -> None:
        """Drop fully connected layer 1, three quarters of the parameters."""
        self.fc1 = nn.Identity()

    def convert_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Drop the identity classifier `fc2`, and fit the first kernels to the input channels."""
        kept = {name: tensor for name, tensor in state.items() if not name.startswith("fc2.")}
        first = "features.0.filter.weight"
        if first in kept:
            kept[first] = adapt_kernel(kept[first], self.shape.channels)
        return kept

    def maxout_layer(self) -> nn.Linear | None:
        """Fully connected layer 1: 512 units, the first and the last 256 of which compete."""
        return self.fc1.filter if isinstance(self.fc1, MaxFeatureLinear) else None


class _Group(nn.Module):
    """A 1×1 convolution that mixes channels, then a 3×3 convolution, each with its max-feature-map."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_a = MaxFeatureConv(inputs, inputs, kernel=1)
        self.conv = MaxFeatureConv(inputs, outputs, kernel=3)

    def forward(self, x: Tensor) -> Tensor:
        mapped: Tensor = self.conv(self.conv_a(x))
        return mapped


def _pool() -> nn.Module:
    return nn.MaxPool2d(2, ceil_mode=True)
