"""Histogram equalisation of every face."""

from __future__ import annotations

import torch
from torch import Tensor

from pipelines.normalizers import NORMALIZERS, Normalizer

__all__ = ["Equalize", "equalize_histogram"]


def equalize_histogram(x: Tensor) -> Tensor:
    """Spread each channel's grey levels evenly over 0..255, with OpenCV's formula.

    Args:
        x: (B, C, H, W) grey levels 0..255.

    Returns:
        (B, C, H, W) whole grey levels.
    """
    batch, channels, height, width = x.shape
    planes = x.round().clamp(0, 255).long().reshape(batch * channels, height * width)
    # Counting by one-hot sums would need 256 times the memory, and other runtimes have no bincount.
    counts = torch.zeros(planes.shape[0], 256, dtype=torch.long, device=x.device)
    counts = counts.scatter_add(1, planes, torch.ones_like(planes))
    cumulated = counts.cumsum(dim=1)
    lowest = torch.where(cumulated > 0, cumulated, cumulated[:, -1:]).amin(dim=1, keepdim=True)
    span = (cumulated[:, -1:] - lowest).clamp_min(1)
    table = ((cumulated - lowest).clamp_min(0) * (255.0 / span)).round()  # (BC, 256)
    flat = (cumulated[:, -1:] == lowest).expand_as(table)
    table = torch.where(flat, torch.arange(256, device=x.device, dtype=table.dtype).expand_as(table), table)
    return table.gather(1, planes).reshape(batch, channels, height, width).float()


@NORMALIZERS.register("equalize")
class Equalize(Normalizer):
    """Histogram equalisation per face, then the uniform distribution's mean and deviation."""

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return (equalize_histogram(x) - 127.5) / 73.6
