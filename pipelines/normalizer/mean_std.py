"""Zero mean and unit variance over the training split."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from backbones.contract import Normalization
from backbones.errors import InputError
from pipelines.normalizers import NORMALIZERS, Normalizer

__all__ = ["MeanStd"]

_GREY_LEVELS = {"mean": (0.0, 255.0), "std": (1e-6, 255.0)}
"""What pixels can have, to the digits that are kept."""


@NORMALIZERS.register("mean_std")
class MeanStd(Normalizer):
    """(x - μ) / σ over the training split: one μ and σ per channel, or one per pixel of the face (the mean face)."""

    def __init__(self, convention: Normalization | None, *, per: Literal["channel", "pixel"] = "channel") -> None:
        super().__init__(convention)
        self.per = per
        self.mean: list[Any] = []
        self.std: list[Any] = []

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Accumulate sums in float64, so that the order of batches does not matter beyond 1e-12."""
        axes = (0,) if self.per == "pixel" else (0, 2, 3)
        count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        for batch in batches:
            pixels = batch.double()
            count += math.prod(pixels.shape[axis] for axis in axes)
            total = total + pixels.sum(dim=axes).cpu()  # (C,) or (C, H, W)
            squares = squares + pixels.square().sum(dim=axes).cpu()
        mean = total / count
        deviation = (squares / count - mean.square()).clamp_min(0).sqrt().clamp_min(1.0)
        self.mean, self.std = (torch.round(t, decimals=6).tolist() for t in (mean, deviation))

    def state(self) -> dict[str, Any]:
        """Means and deviations in grey levels: a number per channel, or rows of numbers per channel."""
        return {"mean": self.mean, "std": self.std}

    def load_state(self, state: dict[str, Any], shape: tuple[int, int, int]) -> None:
        """Restore them, if they are those of faces (C, H, W)."""
        wanted = shape if self.per == "pixel" else shape[:1]
        for key, (least, most) in _GREY_LEVELS.items():
            try:
                values = torch.tensor(state[key], dtype=torch.float32)
            except (TypeError, ValueError, RuntimeError, KeyError, OverflowError):
                raise InputError(f"Expected `{key}` to hold numbers, but it does not.") from None
            if values.shape != wanted:
                raise InputError(f"Expected `{key}` to be of shape {wanted}, but got {tuple(values.shape)}.")
            if not ((values >= least) & (values <= most)).all():  # NaN is not either
                raise InputError(f"Expected `{key}` to be from {least:g} to {most:g} grey levels, but it is not.")
        self.mean, self.std = list(state["mean"]), list(state["std"])

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape; of one channel in its own memory, which three that repeat it share."""
        mean, std = (torch.tensor(values, device=x.device) for values in (self.mean, self.std))
        if mean.ndim == 1:  # (C,) -> (C, 1, 1)
            mean, std = mean[:, None, None], std[:, None, None]
        return (x.sub_(mean) if x.shape[1] == 1 else x - mean).div_(std)
