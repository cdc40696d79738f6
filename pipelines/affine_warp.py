"""Moves faces by affine maps: their bytes by OpenCV on a CPU, floats by torch's sampler on any device.

OpenCV takes a fraction of the time that torch's sampler takes on a CPU. The two agree to OpenCV's precision, a 32nd of
a pixel, and to the grey level that it rounds to.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["BORDERS", "placed", "warp", "warp_pixels"]

BORDERS = {0: ("zeros", True), 1: ("border", True), 2: ("reflection", False), 4: ("reflection", True)}
"""OpenCV's border modes as `grid_sample` names them, with its `align_corners`."""

_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
_BLOCK = 2**17
"""Pixels that are moved together: where they are found then stays in the processor's cache."""
_LONGEST = 2**15 - 1
"""OpenCV's longest side of a picture to remap."""


def placed(
    back: npt.NDArray[np.float64], offset: npt.NDArray[np.float64], *, height: int, width: int
) -> npt.NDArray[np.float64]:
    """(B, 2, 3) the maps that `warp` takes, of pixels counted from the corner as `warp_pixels` takes them."""
    middle = (np.array([width, height]) - 1) / 2.0
    return np.concatenate([back, (middle + offset - back @ middle)[:, :, None]], axis=2)


def warp_pixels(faces: npt.NDArray[np.uint8], moves: npt.NDArray[np.float64], *, border: int) -> npt.NDArray[np.uint8]:
    """Move the faces of a batch, bilinear.

    Args:
        faces: (B, H, W) or (B, H, W, 3) uint8.
        moves: (B, 2, 3); the pixel p of a result, x before y, is found at move · (p, 1).
        border: What lies outside a face; one of `BORDERS`.
    """
    moved = np.empty_like(faces)
    height, width = faces.shape[1:3]
    if border == cv2.BORDER_REPLICATE:
        size = max(1, min(_BLOCK // (height * width), _LONGEST // height))
        for start in range(0, len(faces), size):
            block = slice(start, start + size)
            _warp_column(faces[block], moves[block], moved[block])
    else:
        for face, move, place in zip(faces, moves, moved, strict=True):
            cv2.warpAffine(face, move, (width, height), dst=place, flags=_FLAGS, borderMode=border)
    return moved


def _warp_column(faces: npt.NDArray[np.uint8], moves: npt.NDArray[np.float64], moved: npt.NDArray[np.uint8]) -> None:
    """Move all of them in one call, as one picture, each below the last; what lies outside a face is its rim."""
    count, height, width = faces.shape[:3]
    plan = moves.astype(np.float32)  # (B, 2, 3)
    x, y = np.empty((2, count, height, width), np.float32)
    for axis, found in enumerate((x, y)):
        across = plan[:, axis, 0, None] * np.arange(width, dtype=np.float32)  # (B, W)
        down = plan[:, axis, 1, None] * np.arange(height, dtype=np.float32) + plan[:, axis, 2, None]  # (B, H)
        np.add(down[:, :, None], across[:, None, :], out=found)
    np.clip(y, 0, height - 1, out=y)  # OpenCV does so with x, but the next face is not outside the picture
    y += (np.arange(count, dtype=np.float32) * height)[:, None, None]
    rim = cv2.BORDER_REPLICATE
    cv2.remap(_column(faces), _column(x), _column(y), cv2.INTER_LINEAR, dst=_column(moved), borderMode=rim)


def _column(faces: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return faces.reshape(-1, *faces.shape[2:])


def warp(x: Tensor, back: npt.NDArray[np.float64], offset: npt.NDArray[np.float64], *, border: int) -> Tensor:
    """Move the faces of a batch, bilinear.

    Args:
        x: (B, C, H, W) float pixels.
        back: (B, 2, 2); the pixel p of a result, x before y and counted from the middle, is found at back · p + offset.
        offset: (B, 2) pixels.
        border: What lies outside a face; one of `BORDERS`.

    Returns:
        (B, C, H, W), on the same device.
    """
    padding, corners = BORDERS[border]
    side = np.array([x.shape[3], x.shape[2]])  # width, height
    unit = (side - 1 if corners else side) / 2.0  # pixels per unit of the grid
    theta = np.concatenate([back * unit[None, None, :] / unit[None, :, None], (offset / unit)[:, :, None]], axis=2)
    moves = torch.from_numpy(theta.astype(np.float32)).to(x.device)
    grid = functional.affine_grid(moves, list(x.shape), align_corners=corners)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode=padding, align_corners=corners)
