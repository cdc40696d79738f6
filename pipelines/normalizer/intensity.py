"""Intensity normalisation: every pixel against its own neighbourhood."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from backbones.contract import Normalization
from backbones.errors import InputError
from backbones.parameter import Count, Positive
from pipelines.normalizers import NORMALIZERS, Normalizer

__all__ = ["Intensity", "normalize_intensity"]


def normalize_intensity(x: Tensor, *, window: int = 7, sigma: float = 1.4, floor: float = 4.0) -> Tensor:
    """(x - μ) / σ with the Gaussian mean and deviation of the pixel's neighbourhood.

    Lopes et al., 2017, Facial expression recognition with convolutional neural networks, eq. 1, as used by
    Levorse: σ² = G*x² - (G*x)², mirrored at the border (edge pixel not repeated).

    Args:
        x: (B, C, H, W) grey levels.
        window: Side of the neighbourhood in pixels, odd.
        sigma: Standard deviation of the Gaussian in pixels (1.4 is OpenCV's for a window of 7).
        floor: Least σ in grey levels, so that noise in flat regions is not blown up.

    Returns:
        (B, C, H, W), about zero mean.
    """
    # Centred first: E[x²] - E[x]² cancels badly in float32 for bright, flat regions.
    centred = x - x.mean(dim=(2, 3), keepdim=True)
    down = _blur_matrix(x.shape[2], window, sigma).to(x.device)
    across = _blur_matrix(x.shape[3], window, sigma).to(x.device).T
    # Two small matrix products do the separable filter and its border; a grouped convolution takes many times as long.
    mean, square = down @ centred @ across, down @ centred.square() @ across  # (B, C, H, W)
    deviation = (square - mean.square()).clamp_min(0).sqrt().clamp_min(floor)
    return (centred - mean) / deviation


@cache
def _blur_matrix(size: int, window: int, sigma: float) -> Tensor:
    """(size, size): row i holds the Gaussian's weights around cell i, mirrored at the border."""
    offsets = torch.arange(window) - window // 2
    kernel = torch.exp(-0.5 * (offsets / sigma).square().double())
    kernel = kernel / kernel.sum()
    cells = (torch.arange(size)[:, None] + offsets).abs()  # (size, window), mirrored at the first cell
    cells = torch.where(cells >= size, 2 * (size - 1) - cells, cells)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    matrix.scatter_add_(1, cells, kernel.expand(size, -1))
    return matrix.float()


@NORMALIZERS.register("intensity")
class Intensity(Normalizer):
    """Local mean and deviation in a Gaussian 7×7 window, against light and skin tone (Levorse)."""

    def __init__(
        self, convention: Normalization | None, *, window: Count = 7, sigma: Positive = 1.4, floor: Positive = 4.0
    ) -> None:
        super().__init__(convention)
        if window % 2 == 0:
            raise InputError(f"Expected `window` to be odd, but got {window}. Take {window + 1}.")
        self.window, self.sigma, self.floor = window, sigma, floor

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return normalize_intensity(x, window=self.window, sigma=self.sigma, floor=self.floor)
