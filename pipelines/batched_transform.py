"""What a transform of a batch of faces is: it draws what is to happen, which is then done to their bytes or as floats.

Each takes the parameters of the albumentations transform of its name and draws from the same distribution. Where one is
asked for what it cannot do, it says so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipelines.transform_parameter import UnableError, number

__all__ = ["BatchedTransform", "Chosen", "Draw", "Drawn", "Pixels", "Shape", "onto", "spread"]

Draw = np.random.Generator
Chosen = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
"""(B, H, W) or (B, H, W, 3), contiguous."""


class Shape(NamedTuple):
    """Of a batch of faces."""

    faces: int
    height: int
    width: int
    channels: int


class Drawn(ABC):
    """What was drawn for the faces of one batch."""

    @abstractmethod
    def on_bytes(self, pixels: Pixels) -> Pixels:
        """(B, H, W[, 3]) uint8 in memory to the same, perhaps in place."""

    @abstractmethod
    def on_floats(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float pixels of 0..255 to the same, perhaps in place."""


class BatchedTransform(ABC):
    """One transform of a batch, applied to each face with probability `p`.

    Args:
        parameters: Of the albumentations transform of this name; those not given have its defaults.
    """

    defaults: ClassVar[Mapping[str, Any]]

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        unknown = set(parameters) - set(self.defaults) - {"p"}
        if unknown:
            raise UnableError(unknown)
        self.given = {"p": 0.5, **self.defaults, **parameters}
        self.p = number(self.given["p"], 0.0, 1.0)

    @abstractmethod
    def drawn(self, shape: Shape, chosen: Chosen, draw: Draw) -> Drawn:
        """Draw for a batch; only the faces `chosen` (B,) are to change."""


def onto(x: Tensor, values: npt.NDArray[Any]) -> Tensor:
    """The values on the device of `x`."""
    return torch.from_numpy(values).to(x.device)


def spread(values: Tensor) -> Tensor:
    """(B,) to (B, 1, 1, 1)."""
    return values[:, None, None, None]
