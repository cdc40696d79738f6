"""The common transforms for whole batches of faces, on the device where the network lies.

A face at a time, transforms cost as much as a small network's step; a batch at a time they cost next to nothing. Each
one here takes the parameters of the albumentations transform of its name and draws from the same distribution. Where
one is asked for what it cannot do, the whole chain is left to albumentations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ensemble.spec import ComponentSpec
from pipelines.affine_warp import BORDERS, warp
from pipelines.box_paint import paint
from pipelines.transform_parameter import UnableError, number, rising, whole_rising

__all__ = ["TRANSFORMS", "BatchedChain", "BatchedTransform"]

Draw = np.random.Generator
Chosen = npt.NDArray[np.bool_]
Range = tuple[float, float]


class BatchedTransform(ABC):
    """One transform of a batch, applied to each face with probability `p`.

    Args:
        parameters: Of the albumentations transform of this name; those not given have its defaults.
    """

    defaults: ClassVar[Mapping[str, Any]]
    stays_within: ClassVar[bool] = False
    """Whether pixels of 0..255 always give pixels of 0..255."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        unknown = set(parameters) - set(self.defaults) - {"p"}
        if unknown:
            raise UnableError(unknown)
        self.given = {"p": 0.5, **self.defaults, **parameters}
        self.p = number(self.given["p"], 0.0, 1.0)

    @abstractmethod
    def __call__(self, x: Tensor, chosen: Chosen, draw: Draw) -> Tensor:
        """(B, C, H, W) float pixels of 0..255 to the same, perhaps in place; only those `chosen` (B,) change."""


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
        """The chain, or None if a step is nothing that is known here."""
        try:
            return cls([TRANSFORMS[step.kind](step.parameters) for step in steps])
        except (KeyError, UnableError):
            return None

    def seed(self, seed: int) -> None:
        """Start the random sequence anew."""
        self._draw = np.random.default_rng(seed)

    def __call__(self, faces: Tensor) -> Tensor:
        """(B, H, W) or (B, H, W, 3) uint8 to the same shape, on the same device."""
        layers = faces.unsqueeze(1) if faces.ndim == 3 else faces.permute(0, 3, 1, 2)
        x = layers.float()  # (B, C, H, W)
        for transform in self.transforms:
            x = transform(x, self._draw.random(len(x)) < transform.p, self._draw)
            x = x if transform.stays_within else x.clamp_(0.0, 255.0)
        x = x.round_().to(torch.uint8)
        return x.squeeze(1) if faces.ndim == 3 else x.permute(0, 2, 3, 1)


class HorizontalFlip(BatchedTransform):
    """The mirror image."""

    defaults: ClassVar[Mapping[str, Any]] = {}
    stays_within = True

    def __call__(self, x: Tensor, chosen: Chosen, draw: Draw) -> Tensor:
        """Mirror the chosen faces."""
        rows = _onto(x, np.flatnonzero(chosen))
        return x.index_copy_(0, rows, x[rows].flip(-1))


class Affine(BatchedTransform):
    """Rotation (degrees), zoom and shift (whole pixels), about the middle of the face, bilinear."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "rotate": [0.0, 0.0],
        "scale": [1.0, 1.0],
        "translate_px": [0, 0],
        "keep_ratio": False,
        "border_mode": 0,
    }
    stays_within = True

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self.rotate, self.scale = rising(self.given["rotate"]), rising(self.given["scale"], low=1e-3)
        self.shift = whole_rising(self.given["translate_px"])
        if self.given["border_mode"] not in BORDERS or not isinstance(self.given["keep_ratio"], bool):
            raise UnableError

    def __call__(self, x: Tensor, chosen: Chosen, draw: Draw) -> Tensor:
        """Move the chosen faces."""
        count = len(x)
        angle = np.radians(draw.uniform(*self.rotate, count))
        scale = draw.uniform(*self.scale, (count, 1 if self.given["keep_ratio"] else 2)) * np.ones((count, 2))
        shift = draw.integers(self.shift[0], self.shift[1] + 1, (count, 2))
        # A pixel p from the middle goes to R · S · p + t, and so x comes from S⁻¹ · Rᵀ · (x - t).
        cosine, sine = np.cos(angle), np.sin(angle)
        back = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], 1) / scale[:, :, None]
        back[~chosen], shift[~chosen] = np.eye(2), 0
        return warp(x, back, -(back @ shift[:, :, None])[:, :, 0], border=self.given["border_mode"])


class RandomBrightnessContrast(BatchedTransform):
    """A factor on the pixels, and a shift of them."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "brightness_limit": [-0.2, 0.2],
        "contrast_limit": [-0.2, 0.2],
        "brightness_by_max": True,
    }

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        limits = (self.given[key] for key in ("brightness_limit", "contrast_limit"))
        both = [[-value, value] if isinstance(value, float) and value >= 0 else value for value in limits]
        self.brightness, self.contrast = rising(both[0]), rising(both[1])

    def __call__(self, x: Tensor, chosen: Chosen, draw: Draw) -> Tensor:
        """Light the chosen faces otherwise."""
        factor = np.where(chosen, 1.0 + draw.uniform(*self.contrast, len(x)), 1.0)
        shift = np.where(chosen, draw.uniform(*self.brightness, len(x)), 0.0)
        reference = 255.0 if self.given["brightness_by_max"] else x.mean(dim=(1, 2, 3), keepdim=True)
        shifts = _spread(_onto(x, shift.astype(np.float32))) * reference
        return x.mul_(_spread(_onto(x, factor.astype(np.float32)))).add_(shifts)


class CoarseDropout(BatchedTransform):
    """Boxes painted over: sides as shares of the face's, or in pixels if the upper end is 1 or more."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "num_holes_range": [1, 2],
        "hole_height_range": [0.1, 0.2],
        "hole_width_range": [0.1, 0.2],
        "fill": 0,
    }
    stays_within = True

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self.holes = whole_rising(self.given["num_holes_range"], low=1)
        self.height = rising(self.given["hole_height_range"], low=0.0)
        self.width = rising(self.given["hole_width_range"], low=0.0)
        if self.given["fill"] != "random_uniform":
            number(self.given["fill"], 0, 255)

    def __call__(self, x: Tensor, chosen: Chosen, draw: Draw) -> Tensor:
        """Paint boxes over the chosen faces."""
        count, channels, height, width = x.shape
        boxes = draw.integers(self.holes[0], self.holes[1] + 1, count)
        in_pixels = self.height[1] >= 1
        for box in range(self.holes[1]):
            down = self._span(self.height, height, count, draw, in_pixels)
            across = self._span(self.width, width, count, draw, in_pixels)
            fill = draw.integers(0, 256, (count, channels)) if self.given["fill"] == "random_uniform" else None
            rows = np.flatnonzero(chosen & (box < boxes))
            colours = np.broadcast_to(self.given["fill"] if fill is None else fill[rows], (len(rows), channels))
            paint(x, rows, np.stack([*down, *across], axis=-1)[rows], colours.astype(np.float32))
        return x

    @staticmethod
    def _span(sides: Range, whole: int, count: int, draw: Draw, in_pixels: bool) -> tuple[npt.NDArray[np.int64], ...]:
        """First and last-plus-one pixel of each box along one side of the face."""
        if in_pixels:
            length = draw.integers(int(sides[0]), int(min(sides[1], whole)) + 1, count)
        else:
            length = (whole * draw.uniform(*sides, count)).astype(np.int64)
        start = draw.integers(0, whole - length + 1)
        return start, start + length


class GaussNoise(BatchedTransform):
    """Normal noise for every pixel and channel, its deviation a share of 255."""

    defaults: ClassVar[Mapping[str, Any]] = {"std_range": [0.2, 0.44], "per_channel": True}

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self.deviation = rising(self.given["std_range"], low=0.0)
        if self.deviation[1] > 1.0:
            raise UnableError

    def __call__(self, x: Tensor, chosen: Chosen, draw: Draw) -> Tensor:
        """Add noise to the chosen faces."""
        deviation = _onto(x, 255.0 * draw.uniform(*self.deviation, len(x)).astype(np.float32))
        source = torch.Generator(x.device).manual_seed(int(draw.integers(2**63 - 1)))
        channels = x.shape[1] if self.given["per_channel"] else 1
        shape = (len(x), channels, *x.shape[2:])
        noise = torch.randn(shape, generator=source, device=x.device) * _spread(deviation * _onto(x, chosen))
        return x + noise


TRANSFORMS: Mapping[str, type[BatchedTransform]] = {
    kind.__name__: kind for kind in (HorizontalFlip, Affine, RandomBrightnessContrast, CoarseDropout, GaussNoise)
}
"""By the names of albumentations."""


def _onto(x: Tensor, values: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(values).to(x.device)


def _spread(values: Tensor) -> Tensor:
    """(B,) to (B, 1, 1, 1)."""
    return values[:, None, None, None]
