"""A chain of the common transforms for batches of faces, on the device where the network lies.

What happens to each face is drawn for a whole batch at once. On a CPU it is then done to the bytes of the faces, by
OpenCV; on other devices to floats, by torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ensemble.spec import ComponentSpec
from pipelines.batched_geometry import Affine, HorizontalFlip
from pipelines.batched_pixels import CoarseDropout, GaussNoise, RandomBrightnessContrast
from pipelines.batched_transform import BatchedTransform, Drawn, Shape
from pipelines.transform_parameter import UnableError

__all__ = ["TRANSFORMS", "BatchedChain", "in_bytes", "in_floats"]

TRANSFORMS: Mapping[str, type[BatchedTransform]] = {
    kind.__name__: kind for kind in (HorizontalFlip, Affine, RandomBrightnessContrast, CoarseDropout, GaussNoise)
}
"""By the names of albumentations."""


class BatchedChain:
    """Transforms one after the other, drawn from one seeded sequence.

    Args:
        transforms: In order.
    """

    def __init__(self, transforms: Sequence[BatchedTransform]) -> None:
        self.transforms = transforms
        self.seed(0)

    @classmethod
    def of(cls, steps: Sequence[ComponentSpec]) -> Self | None:
        """The chain, or None if a step is nothing that is known here: then albumentations has to apply all of them."""
        try:
            return cls([TRANSFORMS[step.kind](step.parameters) for step in steps])
        except (KeyError, UnableError):
            return None

    def seed(self, seed: int) -> None:
        """Start the random sequence anew."""
        self._draw = np.random.default_rng(seed)

    def drawn(self, faces: Tensor) -> list[Drawn]:
        """What is to happen to a batch of faces (B, H, W) or (B, H, W, 3)."""
        count, height, width = faces.shape[:3]
        shape = Shape(count, height, width, 1 if faces.ndim == 3 else 3)
        return [t.drawn(shape, self._draw.random(count) < t.p, self._draw) for t in self.transforms]

    def __call__(self, faces: Tensor) -> Tensor:
        """(B, H, W) or (B, H, W, 3) uint8 to the same shape, on the same device."""
        apply = in_bytes if faces.device.type == "cpu" else in_floats
        return apply(faces, self.drawn(faces))


def in_bytes(faces: Tensor, steps: Sequence[Drawn]) -> Tensor:
    """Apply what was drawn; the faces (B, H, W[, 3]) uint8 lie on the CPU and stay as they are."""
    pixels = np.array(faces.numpy(), order="C")
    for step in steps:
        pixels = step.on_bytes(pixels)
    return torch.from_numpy(pixels)


def in_floats(faces: Tensor, steps: Sequence[Drawn]) -> Tensor:
    """Apply what was drawn, on any device; grey levels are rounded at the end, not after every step."""
    layers = faces.unsqueeze(1) if faces.ndim == 3 else faces.permute(0, 3, 1, 2)
    x = layers.float()  # (B, C, H, W)
    for step in steps:
        x = step.on_floats(x)
    x = x.round_().to(torch.uint8)
    return x.squeeze(1) if faces.ndim == 3 else x.permute(0, 2, 3, 1)
