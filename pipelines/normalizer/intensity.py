"""Intensity normalisation: every pixel against its own neighbourhood."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from backbones.contract import Normalization
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
    batch, channels, height, width = x.shape
    offset = torch.arange(window, dtype=torch.float32, device=x.device) - (window - 1) / 2
    kernel = torch.exp(-0.5 * (offset / sigma).square())
    kernel = kernel / kernel.sum()
    planes = x.reshape(batch * channels, 1, height, width)
    # Centred first: E[x²] - E[x]² cancels badly in float32 for bright, flat regions.
    centre = planes.mean(dim=(2, 3), keepdim=True)
    centred = planes - centre
    moments = torch.cat([centred, centred.square()], dim=1)  # (BC, 2, H, W)
    half = window // 2
    padded = F.pad(moments, (half, half, half, half), mode="reflect")
    across = F.conv2d(padded, kernel.view(1, 1, 1, -1).expand(2, 1, 1, -1), groups=2)
    local = F.conv2d(across, kernel.view(1, 1, -1, 1).expand(2, 1, -1, 1), groups=2)
    mean, square = local[:, :1], local[:, 1:]
    deviation = (square - mean.square()).clamp_min(0).sqrt().clamp_min(floor)
    return ((centred - mean) / deviation).reshape(batch, channels, height, width)


@NORMALIZERS.register("intensity")
class Intensity(Normalizer):
    """Local mean and deviation in a Gaussian 7×7 window, against light and skin tone (Levorse)."""

    def __init__(
        self, convention: Normalization | None, *, window: Count = 7, sigma: Positive = 1.4, floor: Positive = 4.0
    ) -> None:
        super().__init__(convention)
        if window % 2 == 0:
            raise ValueError(f"Expected `window` to be odd, but got {window}.")
        self.window, self.sigma, self.floor = window, sigma, floor

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return normalize_intensity(x, window=self.window, sigma=self.sigma, floor=self.floor)
