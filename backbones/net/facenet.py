"""InceptionResnetV1, the face-recognition network known as FaceNet.

Owns where it is tapped and how it is divided into stages; the layers, and their names, are facenet-pytorch's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from backbones.contract import Backbone, InputShape, NativeInput, Normalization
from backbones.facenet_parts import inception_resnet_v1
from backbones.layer.stage import with_parameters
from backbones.parameter import Fraction
from backbones.registry import BACKBONES

__all__ = ["FaceNet"]

_STEM = ("conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a", "conv2d_3b", "conv2d_4a", "conv2d_4b")
_BODY = ("repeat_1", "mixed_6a", "repeat_2", "mixed_7a", "repeat_3", "block8")
_UNPADDED = ((3, 2), (3, 1), (3, 2), (3, 1), (3, 2), (3, 2), (3, 2))
"""(kernel, stride) of the layers that shrink the map: conv2d_1a, 2a, maxpool_3a, 4a, 4b, mixed_6a, 7a."""


@BACKBONES.register("facenet")
class FaceNet(Backbone):
    """InceptionResnetV1, pretrained on VGGFace2 or CASIA-WebFace: 512 features.

    Schroff et al., 2015, FaceNet: A Unified Embedding for Face Recognition and Clustering; Szegedy et al., 2016,
    Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning. Its own input is an RGB face of
    160×160 pixels. The features are tapped before the L2 normalisation of the embedding.

    Args:
        shape: Input of the network, RGB and at least 75 pixels wide.
        dropout: Dropout of the averaged map, before the last linear layer.
    """

    minimum_size: ClassVar[int] = 75
    allowed_channels: ClassVar[tuple[int, ...]] = (3,)
    native = NativeInput(size=160, channels=3, pixels="(x - 127.5) / 128", template="facenet")
    normalization = Normalization(mean=(127.5,), std=(128.0,))

    def __init__(self, shape: InputShape, *, dropout: Fraction = 0.6) -> None:
        super().__init__(shape)
        net: Any = inception_resnet_v1(dropout=dropout)
        for name, layer in net.named_children():
            self.add_module(name, layer)
        side = shape.size
        for kernel, stride in _UNPADDED:
            side = (side - kernel) // stride + 1
        self.map_shape = (1792, side, side)
        self.num_features = 512

    def stages(self) -> Mapping[str, nn.Module]:
        """`stem`, `repeat_1`, `mixed_6a`, `repeat_2`, `mixed_7a`, `repeat_3`, `block8`, `last_linear`, `last_bn`."""
        stem = nn.Sequential(*(self.get_submodule(name) for name in _STEM))
        embedding = nn.Sequential(self.get_submodule("dropout"), self.get_submodule("last_linear"))
        body = {name: self.get_submodule(name) for name in _BODY}
        return with_parameters(
            {"stem": stem, **body, "last_linear": embedding, "last_bn": self.get_submodule("last_bn")}
        )

    def forward_map(self, x: Tensor) -> Tensor:
        """(B, 3, size, size) to the output of `block8` (B, *map_shape)."""
        for name in (*_STEM, *_BODY):
            x = self.get_submodule(name)(x)
        return x

    def forward_features(self, feature_map: Tensor) -> Tensor:
        """(B, *map_shape) to (B, 512)."""
        pooled = self.get_submodule("dropout")(feature_map.mean((2, 3)))  # (B, 1792)
        features: Tensor = self.get_submodule("last_bn")(self.get_submodule("last_linear")(pooled))
        return features

    def discard_features(self) -> None:
        """Drop the embedding layers after `block8`."""
        self.add_module("last_linear", nn.Identity())
        self.add_module("last_bn", nn.Identity())

    def convert_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Drop the identity classifier."""
        return {name: tensor for name, tensor in state.items() if not name.startswith("logits.")}
