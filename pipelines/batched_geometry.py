"""Transforms that move pixels: the mirror image, and rotation, zoom and shift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from pipelines.affine_warp import BORDERS, placed, warp, warp_pixels
from pipelines.batched_transform import BatchedTransform, Chosen, Draw, Drawn, Pixels, Shape, onto
from pipelines.transform_parameter import UnableError, rising, whole_rising

__all__ = ["Affine", "HorizontalFlip"]


@dataclass(frozen=True)
class _Mirror(Drawn):
    chosen: Chosen

    def on_bytes(self, pixels: Pixels) -> Pixels:
        own = pixels[self.chosen]  # one below the other they are one picture
        if len(own):
            pixels[self.chosen] = cv2.flip(own.reshape(-1, *own.shape[2:]), 1).reshape(own.shape)
        return pixels

    def on_floats(self, x: Tensor) -> Tensor:
        rows = onto(x, np.flatnonzero(self.chosen))
        return x.index_copy_(0, rows, x[rows].flip(-1))


class HorizontalFlip(BatchedTransform):
    """The mirror image."""

    defaults: ClassVar[Mapping[str, Any]] = {}

    def drawn(self, shape: Shape, chosen: Chosen, draw: Draw) -> Drawn:
        """Mirror the chosen faces."""
        return _Mirror(chosen)


@dataclass(frozen=True)
class _Move(Drawn):
    back: npt.NDArray[np.float64]  # (B, 2, 2) and
    offset: npt.NDArray[np.float64]  # (B, 2), see `warp`
    maps: npt.NDArray[np.float64]  # (B, 2, 3), see `warp_pixels`
    border: int

    def on_bytes(self, pixels: Pixels) -> Pixels:
        return warp_pixels(pixels, self.maps, border=self.border)

    def on_floats(self, x: Tensor) -> Tensor:
        return warp(x, self.back, self.offset, border=self.border)


class Affine(BatchedTransform):
    """Rotation (degrees), zoom and shift (whole pixels), about the middle of the face, bilinear."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "rotate": [0.0, 0.0],
        "scale": [1.0, 1.0],
        "translate_px": [0, 0],
        "keep_ratio": False,
        "border_mode": 0,
    }

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self.rotate, self.scale = rising(self.given["rotate"]), rising(self.given["scale"], low=1e-3)
        self.shift = whole_rising(self.given["translate_px"])
        border = self.given["border_mode"]
        if not isinstance(border, int) or border not in BORDERS or not isinstance(self.given["keep_ratio"], bool):
            raise UnableError

    def drawn(self, shape: Shape, chosen: Chosen, draw: Draw) -> Drawn:
        """Move the chosen faces."""
        count = shape.faces
        angle = np.radians(draw.uniform(*self.rotate, count))
        scale = draw.uniform(*self.scale, (count, 1 if self.given["keep_ratio"] else 2)) * np.ones((count, 2))
        shift = draw.integers(self.shift[0], self.shift[1] + 1, (count, 2))
        # A pixel p from the middle goes to R · S · p + t, and so x comes from S⁻¹ · Rᵀ · (x - t).
        cosine, sine = np.cos(angle), np.sin(angle)
        back = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], 1) / scale[:, :, None]
        back[~chosen], shift[~chosen] = np.eye(2), 0
        offset = -(back @ shift[:, :, None])[:, :, 0]
        maps = placed(back, offset, height=shape.height, width=shape.width)
        return _Move(back, offset, maps, self.given["border_mode"])
