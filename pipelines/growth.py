"""Growing faces: the first epochs see them reduced, which costs a convolutional network their share of the area.

Tan & Le, 2021, EfficientNetV2: Smaller Models and Faster Training, section 4; Howard et al. called it progressive
resizing. Validation and prediction always see the full size, and so do the last epochs, for the batch statistics.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from backbones.contract import InputShape
from backbones.errors import InputError, reason_of
from ensemble.grow_spec import GrowSpec

__all__ = ["Growth", "check_growth"]


class Growth:
    """Reduces the batches of one member while its faces are small.

    Args:
        spec: How.
        epochs: Epochs of the whole training.
    """

    def __init__(self, spec: GrowSpec, *, epochs: int) -> None:
        self.spec, self.epochs = spec, epochs
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Tell which epoch is next, counted from 0."""
        self._on = epoch < math.floor(self.spec.until * self.epochs + 1e-9)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) network input to (B, C, size, size), or unchanged once the faces have grown."""
        if not self._on:
            return x
        side = (self.spec.size, self.spec.size)
        return interpolate(x, size=side, mode="bilinear", align_corners=False, antialias=True)


def check_growth(network: nn.Module, spec: GrowSpec, shape: InputShape) -> None:
    """Refuse a network that cannot see the smaller faces.

    Args:
        network: On the CPU.
        spec: How faces are to grow.
        shape: Its full input.

    Raises:
        InputError: The faces would not grow, or the network takes one size only.
    """
    if spec.size >= shape.size:
        raise InputError(f"Expected `grow.size` to be below `input.size`, {shape.size}, but got {spec.size}.")
    training = network.training
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, shape.channels, spec.size, spec.size))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise InputError(
            f"Expected a network for inputs of any size because of `grow`, but this one fails at {spec.size} pixels: "
            f"{reason_of(error)}. Average its last map, such as with `backbone.pooling: average`, or remove `grow`."
        ) from None
    finally:
        network.train(training)
