"""Paints a box over faces of a batch.

On a CPU a face at a time, which touches the pixels of the box alone; on other devices for the whole batch. The two give
the same pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["by_batch", "by_face", "paint"]


def paint(
    x: Tensor, rows: npt.NDArray[np.int64], boxes: npt.NDArray[np.int64], colours: npt.NDArray[np.float32]
) -> None:
    """Paint in place.

    Args:
        x: (B, C, H, W) pixels.
        rows: (R,) faces that get a box, each once.
        boxes: (R, 4) top, bottom, left, right in pixels; bottom and right are the first ones outside.
        colours: (R, C) of the boxes.
    """
    (by_face if x.device.type == "cpu" else by_batch)(x, rows, boxes, colours)


def by_face(
    x: Tensor, rows: npt.NDArray[np.int64], boxes: npt.NDArray[np.int64], colours: npt.NDArray[np.float32]
) -> None:
    """As `paint`, by numpy; `x` lies on the CPU."""
    pixels = x.numpy()
    for row, (top, bottom, left, right), colour in zip(rows, boxes.tolist(), colours, strict=True):
        pixels[row, :, top:bottom, left:right] = colour[:, None, None]


def by_batch(
    x: Tensor, rows: npt.NDArray[np.int64], boxes: npt.NDArray[np.int64], colours: npt.NDArray[np.float32]
) -> None:
    """As `paint`, by torch on any device."""
    top, bottom, left, right = (side[:, None] for side in torch.from_numpy(boxes).to(x.device).unbind(1))
    down, across = (torch.arange(side, device=x.device) for side in x.shape[2:])
    lines, columns = (down >= top) & (down < bottom), (across >= left) & (across < right)  # (R, H), (R, W)
    where, colour = torch.from_numpy(rows).to(x.device), torch.from_numpy(colours).to(x.device)
    painted = lines[:, None, :, None] & columns[:, None, None, :]  # (R, 1, H, W)
    x.index_copy_(0, where, torch.where(painted, colour[:, :, None, None], x[where]))
