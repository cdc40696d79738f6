"""What every backbone and every head promises.

A backbone turns an image batch into a convolutional map and then into a feature vector, names its stages from input to
output, and states the input it was made for. A head turns one of the two into logits. Losses compare logits with label
distributions. The contract tests run over every registered component.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from backbones.errors import InputError

__all__ = ["Backbone", "Head", "InputShape", "Loss", "NativeInput", "Normalization", "Tap"]

Tap = Literal["conv", "fc"]
"""Where a head attaches: the last convolutional map (flattened), or the feature vector."""


@dataclass(frozen=True, kw_only=True)
class InputShape:
    """Square input of a network: `channels` × `size` × `size` pixels."""

    channels: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """(x - mean) / std per channel, in units of pixel values 0..255; one number stands for all channels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class NativeInput:
    """What the public weights of a network were trained on; other inputs work, but are strange to them.

    Written with literal values, so that it can be listed without importing the network.

    Attributes:
        size: Side of the input in pixels; None where it depends on the weights.
        channels: 1 grey, 3 RGB.
        pixels: In words, what becomes of the values 0..255: what `Backbone.normalization` does.
        template: Alignment template of the faces, as in `data.align`; empty where they were not aligned.
    """

    size: int | None = None
    channels: int
    pixels: str
    template: str = ""


class Backbone(nn.Module):
    """Base class of all backbones.

    A subclass takes an `InputShape` positionally and its YAML parameters keyword-only, and sets `num_features` and
    `map_shape`.

    Attributes:
        minimum_size: Smallest side of the input, in pixels, that the network can digest.
        allowed_channels: Input channels the network can be built for.
        native: What the weights were trained on; None for a network that is trained from nothing.
        normalization: Their convention for pixel values; None where a network has none of its own.
        shape: The input this instance was built for.
        num_features: Length of the vector that `forward` returns.
        map_shape: (channels, height, width) of what `forward_map` returns.
    """

    minimum_size: ClassVar[int] = 1
    allowed_channels: ClassVar[tuple[int, ...]] = (1, 3)
    native: NativeInput | None = None
    normalization: Normalization | None = None

    num_features: int
    map_shape: tuple[int, int, int]

    def __init__(self, shape: InputShape) -> None:
        super().__init__()
        if shape.size < self.minimum_size:
            raise InputError(
                f"Expected `input.size` to be at least {self.minimum_size} for {type(self).__name__}, "
                f"but got {shape.size}. Set `input: {{size: {self.minimum_size}}}` or larger."
            )
        if shape.channels not in self.allowed_channels:
            raise InputError(
                f"Expected `input.channels` to be one of {list(self.allowed_channels)} for {type(self).__name__}, "
                f"but got {shape.channels}. Set `input: {{channels: {self.allowed_channels[-1]}}}`."
            )
        self.shape = shape

    def stages(self) -> Mapping[str, nn.Module]:
        """Named parts in order from input to output; together they hold every parameter. `freeze.until` names one.

        A backbone without parameters has no stages, and counts as frozen.
        """
        raise NotImplementedError

    def forward_map(self, x: Tensor) -> Tensor:
        """(B, channels, size, size) float images to the last convolutional map (B, *map_shape)."""
        raise NotImplementedError

    def forward_features(self, feature_map: Tensor) -> Tensor:
        """(B, *map_shape) to the feature vector (B, num_features), or to its start: see `forward`."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, size, size) to (B, num_features).

        A backbone that describes the image itself as well overrides this, and appends what it finds.
        """
        return self.forward_features(self.forward_map(x))

    def discard_features(self) -> None:
        """Drop the parameters that only `forward_features` uses: called when a head attaches to the map."""

    def convert_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Original checkpoint keys and shapes to this module's: renames, drops the old classifier, adapts channels."""
        return dict(state)

    def maxout_layer(self) -> nn.Linear | None:
        """The pretrained fully connected layer on the map whose two halves feed a maxout, where there is one."""
        return None


class Head(nn.Module):
    """Base class of all heads.

    A subclass takes (features, classes) positionally, `features` being the length of what it attaches to.

    Attributes:
        attach: Where the head attaches to the backbone.
        estimator: Name of the estimator that fits the head on features, or None where gradients train it.
    """

    attach: Tap = "fc"
    estimator: ClassVar[str | None] = None

    def forward(self, features: Tensor) -> Tensor:
        """(B, features) to logits (B, classes)."""
        raise NotImplementedError

    def scores(self, features: Tensor) -> Tensor:
        """(B, features) to (B, classes): the logits, or what they were before a calibration on held-out faces."""
        scores: Tensor = self(features)
        return scores

    def inherit(self, backbone: Backbone) -> None:
        """Take over pretrained parameters of the backbone that fit this head; does nothing by default."""


class Loss(nn.Module):
    """Base class of all losses.

    A subclass takes `class_counts` (K,), the training faces per class, positionally.
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits (B, K) and target distributions (B, K; one-hot for plain labels) to the batch mean, a scalar."""
        raise NotImplementedError
