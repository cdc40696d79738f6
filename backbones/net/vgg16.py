"""VGG16, with or without batch normalisation, from the size of a FER2013 face up.

Owns the layers, under the names that timm's and torchvision's checkpoints share, and which of them are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional

from backbones import timm_parts
from backbones.contract import Backbone, InputShape, NativeInput
from backbones.errors import InputError
from backbones.layer.convolution import he_initialise
from backbones.layer.input_channels import adapt_kernel, normalization_for
from backbones.layer.stage import with_parameters
from backbones.parameter import Fraction
from backbones.registry import BACKBONES
from backbones.weights import load_weights

__all__ = ["VGG16"]

_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of convolutions of each stage; a pool closes it."""

_GRID = 7  # side of the last map at 224 pixels, which the fully connected layers were made for


@BACKBONES.register("vgg16")
class VGG16(Backbone):
    """VGG16: thirteen 3×3 convolutions in five stages, and its fully connected layers if wanted.

    Simonyan & Zisserman, 2015, Very Deep Convolutional Networks for Large-Scale Image Recognition, configuration D.

    Args:
        shape: Input of the network.
        batch_norm: Batch normalisation after each convolution.
        keep: `convolutions` averages the last map to 512 features; `all` keeps the two layers of 4096 units, 120
            million parameters made for 7×7 maps, onto which smaller maps are stretched.
        depth: Stages of convolutions that are kept, from the input; `keep: all` needs all five.
        dropout: Dropout of the feature vector.
        pretrained: Load timm's ImageNet weights from the local cache; nothing is downloaded.
    """

    minimum_size: ClassVar[int] = 32
    native = NativeInput(size=224, channels=3, pixels="ImageNet's mean and deviation")

    def __init__(
        self,
        shape: InputShape,
        *,
        batch_norm: bool = False,
        keep: Literal["convolutions", "all"] = "convolutions",
        depth: Literal[1, 2, 3, 4, 5] = 5,
        dropout: Fraction = 0.0,
        pretrained: bool = False,
    ) -> None:
        super().__init__(shape)
        if keep == "all" and depth < len(_STAGES):
            raise InputError(
                f"Expected `depth` to be {len(_STAGES)} where `keep` is `all`, but got {depth}: the fully connected "
                f"layers follow the last stage. Use `keep: convolutions`."
            )
        self.normalization = normalization_for((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), shape.channels)
        self.features: Any = nn.Sequential(*_convolutions(shape.channels, _STAGES[:depth], norm=batch_norm))
        self.pre_logits: nn.Module = _fully_connected() if keep == "all" else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        side = shape.size // 2**depth
        self.map_shape = (_STAGES[depth - 1][0], side, side)
        self.num_features = 4096 if keep == "all" else self.map_shape[0]
        he_initialise(self)
        if pretrained:
            load_weights(self, timm_parts.cached_weights("vgg16_bn" if batch_norm else "vgg16"))

    def stages(self) -> Mapping[str, nn.Module]:
        """`conv1` to `conv5`, each up to its pool, then `fc` where it is kept."""
        parts: dict[str, nn.Module] = {}
        start = 0
        for i, layer in enumerate(self.features):
            if isinstance(layer, nn.MaxPool2d):
                parts[f"conv{len(parts) + 1}"] = self.features[start : i + 1]
                start = i + 1
        return with_parameters({**parts, "fc": self.pre_logits})

    def forward_map(self, x: Tensor) -> Tensor:
        """(B, channels, size, size) to the last pooled map (B, *map_shape)."""
        feature_map: Tensor = self.features(x)
        return feature_map

    def forward_features(self, feature_map: Tensor) -> Tensor:
        """(B, *map_shape) to (B, num_features)."""
        if not isinstance(self.pre_logits, nn.Identity):
            height, width = (max(_GRID, side) for side in self.map_shape[1:])
            feature_map = self.pre_logits(functional.adaptive_avg_pool2d(feature_map, (height, width)))
        features: Tensor = self.dropout(feature_map.mean((2, 3)))  # (B, C, H, W) -> (B, C)
        return features

    def discard_features(self) -> None:
        """Drop the fully connected layers."""
        self.pre_logits = nn.Identity()

    def convert_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Checkpoints of timm or torchvision: fully connected layers become convolutions, what is not kept goes."""
        kept: dict[str, Tensor] = {}
        for name, tensor in state.items():
            renamed = name.replace("classifier.0.", "pre_logits.fc1.").replace("classifier.3.", "pre_logits.fc2.")
            if renamed.startswith("features.") and int(renamed.split(".")[1]) < len(self.features):
                kept[renamed] = tensor
            elif renamed.startswith("pre_logits.") and not isinstance(self.pre_logits, nn.Identity):
                kept[renamed] = _as_convolution(tensor)
        first = "features.0.weight"
        if first in kept:
            kept[first] = adapt_kernel(kept[first], self.shape.channels)
        return kept


def _convolutions(inputs: int, stages: Sequence[tuple[int, int]], *, norm: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for channels, repeats in stages:
        for _ in range(repeats):
            layers.append(nn.Conv2d(inputs, channels, 3, padding=1))
            if norm:
                layers.append(nn.BatchNorm2d(channels))
            layers.append(nn.ReLU(inplace=True))
            inputs = channels
        layers.append(nn.MaxPool2d(2))
    return layers


def _fully_connected() -> nn.Sequential:
    """Layers of 4096 units as convolutions, so that a map larger than 7×7 gives several answers to average."""
    layers = [("fc1", nn.Conv2d(512, 4096, _GRID)), ("act1", nn.ReLU(inplace=True)), ("drop", nn.Dropout(0.5))]
    layers += [("fc2", nn.Conv2d(4096, 4096, 1)), ("act2", nn.ReLU(inplace=True))]
    return nn.Sequential(OrderedDict(layers))


def _as_convolution(tensor: Tensor) -> Tensor:
    """A (4096, 512·7·7) or (4096, 4096) matrix as a 7×7 or 1×1 convolution; anything else as it is."""
    if tensor.ndim != 2:
        return tensor
    side = _GRID if tensor.shape[1] == 512 * _GRID * _GRID else 1
    return tensor.reshape(tensor.shape[0], -1, side, side)
