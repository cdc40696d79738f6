"""Windows of larger pictures: the central one, or one drawn for every picture."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["central_window", "random_window"]


def central_window(x: Tensor, side: int) -> Tensor:
    """(B, C, S, S) to the middle (B, C, side, side), a view."""
    start = (x.shape[-1] - side) // 2
    return x[..., start : start + side, start : start + side]


def random_window(x: Tensor, side: int) -> Tensor:
    """(B, C, S, S) to (B, C, side, side), anywhere in each picture: torch's generator of the device decides where."""
    places = x.shape[-1] - side + 1
    if places == 1:
        return x
    top, left = torch.randint(places, (2, len(x)), device=x.device)
    windows = x.unfold(2, side, 1).unfold(3, side, 1)  # (B, C, places, places, side, side), a view
    return windows[torch.arange(len(x), device=x.device), :, top, left]
