"""No network: the pixels are the features, for baselines and for machines that want nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from backbones.contract import Backbone, InputShape
from backbones.registry import BACKBONES

__all__ = ["Pixels"]


@BACKBONES.register("pixels")
class Pixels(Backbone):
    """The image itself: its normalised pixels are the features, and there are no parameters.

    With a `linear` head it is softmax regression, with `mlp` a plain neural network, with `linear_svm` the baseline of
    Li, Shen & Miao. Having nothing to train, it counts as frozen.

    Example:
        >>> net = Pixels(InputShape(channels=1, size=48))
        >>> net.map_shape, net.num_features
        ((1, 48, 48), 2304)
    """

    def __init__(self, shape: InputShape) -> None:
        super().__init__(shape)
        self.map_shape = (shape.channels, shape.size, shape.size)
        self.num_features = shape.channels * shape.size * shape.size

    def stages(self) -> Mapping[str, nn.Module]:
        """None."""
        return {}

    def forward_map(self, x: Tensor) -> Tensor:
        """(B, channels, size, size), as it is."""
        return x

    def forward_features(self, feature_map: Tensor) -> Tensor:
        """(B, channels, size, size) to (B, channels·size·size)."""
        return feature_map.flatten(1)
