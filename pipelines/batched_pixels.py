"""Transforms that change grey levels: light, boxes painted over, noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipelines.batched_transform import BatchedTransform, Chosen, Draw, Drawn, Pixels, Shape, onto, spread
from pipelines.transform_parameter import UnableError, number, rising, whole_rising

__all__ = ["CoarseDropout", "GaussNoise", "RandomBrightnessContrast"]

Range = tuple[float, float]


@dataclass(frozen=True)
class _Light(Drawn):
    factor: npt.NDArray[np.float64]  # (B,) 1 where nothing is to change
    shift: npt.NDArray[np.float64]  # (B,) share of `by_max`'s reference
    by_max: bool

    def on_bytes(self, pixels: Pixels) -> Pixels:
        for row in np.flatnonzero((self.factor != 1.0) | (self.shift != 0.0)):
            face = pixels[row]
            reference = 255.0 if self.by_max else face.mean()
            cv2.addWeighted(face, self.factor[row], face, 0.0, self.shift[row] * reference, dst=face)
        return pixels

    def on_floats(self, x: Tensor) -> Tensor:
        reference = 255.0 if self.by_max else x.mean(dim=(1, 2, 3), keepdim=True)
        shifts = spread(onto(x, self.shift.astype(np.float32))) * reference
        return x.mul_(spread(onto(x, self.factor.astype(np.float32)))).add_(shifts).clamp_(0.0, 255.0)


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

    def drawn(self, shape: Shape, chosen: Chosen, draw: Draw) -> Drawn:
        """Light the chosen faces otherwise."""
        factor = np.where(chosen, 1.0 + draw.uniform(*self.contrast, shape.faces), 1.0)
        shift = np.where(chosen, draw.uniform(*self.brightness, shape.faces), 0.0)
        return _Light(factor, shift, bool(self.given["brightness_by_max"]))


@dataclass(frozen=True)
class _Boxes(Drawn):
    count: npt.NDArray[np.int64]  # (B,) boxes of each face
    sides: npt.NDArray[np.int64]  # (B, boxes, 4) top, bottom, left, right; bottom and right are the first ones outside
    colours: npt.NDArray[np.float64]  # (B, boxes, C)

    def on_bytes(self, pixels: Pixels) -> Pixels:
        layers = pixels if pixels.ndim == 4 else pixels[..., None]
        for row in np.flatnonzero(self.count):
            for box in range(self.count[row]):
                top, bottom, left, right = self.sides[row, box]
                layers[row, top:bottom, left:right] = self.colours[row, box]
        return pixels

    def on_floats(self, x: Tensor) -> Tensor:
        down, across = (torch.arange(side, device=x.device) for side in x.shape[2:])
        sides, colours = onto(x, self.sides), onto(x, self.colours.astype(np.float32))
        for box in range(self.sides.shape[1]):
            where = onto(x, np.flatnonzero(box < self.count))
            top, bottom, left, right = (side[:, None] for side in sides[where, box].unbind(1))
            lines, columns = (down >= top) & (down < bottom), (across >= left) & (across < right)  # (R, H), (R, W)
            painted = lines[:, None, :, None] & columns[:, None, None, :]  # (R, 1, H, W)
            x.index_copy_(0, where, torch.where(painted, colours[where, box][:, :, None, None], x[where]))
        return x


class CoarseDropout(BatchedTransform):
    """Boxes painted over: sides as shares of the face's, or in pixels if the upper end is 1 or more."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "num_holes_range": [1, 2],
        "hole_height_range": [0.1, 0.2],
        "hole_width_range": [0.1, 0.2],
        "fill": 0,
    }

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self.holes = whole_rising(self.given["num_holes_range"], low=1)
        self.height = rising(self.given["hole_height_range"], low=0.0)
        self.width = rising(self.given["hole_width_range"], low=0.0)
        if self.given["fill"] != "random_uniform":
            number(self.given["fill"], 0, 255)

    def drawn(self, shape: Shape, chosen: Chosen, draw: Draw) -> Drawn:
        """Paint boxes over the chosen faces."""
        count, most = shape.faces, self.holes[1]
        boxes = draw.integers(self.holes[0], most + 1, count)
        in_pixels = self.height[1] >= 1
        sides = np.empty((count, most, 4), np.int64)
        colours = np.zeros((count, most, shape.channels))
        for box in range(most):
            down = self._span(self.height, shape.height, count, draw, in_pixels)
            across = self._span(self.width, shape.width, count, draw, in_pixels)
            sides[:, box] = np.stack([*down, *across], axis=-1)
            fill = self.given["fill"]
            colours[:, box] = draw.integers(0, 256, (count, shape.channels)) if fill == "random_uniform" else fill
        return _Boxes(np.where(chosen, boxes, 0), sides, colours)

    @staticmethod
    def _span(sides: Range, whole: int, count: int, draw: Draw, in_pixels: bool) -> tuple[npt.NDArray[np.int64], ...]:
        """First and last-plus-one pixel of each box along one side of the face."""
        if in_pixels:
            length = draw.integers(int(sides[0]), int(min(sides[1], whole)) + 1, count)
        else:
            length = (whole * draw.uniform(*sides, count)).astype(np.int64)
        start = draw.integers(0, whole - length + 1)
        return start, start + length


@dataclass(frozen=True)
class _Noise(Drawn):
    deviation: npt.NDArray[np.float32]  # (B,) grey levels, 0 where nothing is to change
    layers: tuple[int, int, int, int]  # (B, C, H, W) of the noise; C is 1 where all channels get the same
    seed: int

    def on_bytes(self, pixels: Pixels) -> Pixels:
        layers = pixels if pixels.ndim == 4 else pixels[..., None]
        noise = self._on(torch.device("cpu")).permute(0, 2, 3, 1).numpy()
        noisy: Pixels = np.clip(np.rint(layers + noise), 0, 255).astype(np.uint8)
        return noisy.reshape(pixels.shape)

    def on_floats(self, x: Tensor) -> Tensor:
        return (x + self._on(x.device)).clamp_(0.0, 255.0)

    def _on(self, device: torch.device) -> Tensor:
        """(B, C, H, W) the noise, on a device."""
        source = torch.Generator(device).manual_seed(self.seed)
        noise = torch.randn(self.layers, generator=source, device=device)
        return noise.mul_(spread(torch.from_numpy(self.deviation).to(device)))


class GaussNoise(BatchedTransform):
    """Normal noise for every pixel and channel, its deviation a share of 255."""

    defaults: ClassVar[Mapping[str, Any]] = {"std_range": [0.2, 0.44], "per_channel": True}

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self.deviation = rising(self.given["std_range"], low=0.0)
        if self.deviation[1] > 1.0:
            raise UnableError

    def drawn(self, shape: Shape, chosen: Chosen, draw: Draw) -> Drawn:
        """Add noise to the chosen faces."""
        deviation = 255.0 * draw.uniform(*self.deviation, shape.faces)
        seed = int(draw.integers(2**63 - 1))
        channels = shape.channels if self.given["per_channel"] else 1
        layers = (shape.faces, channels, shape.height, shape.width)
        return _Noise(np.where(chosen, deviation, 0.0).astype(np.float32), layers, seed)
