"""Zero mean and unit variance over the training split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from backbones.contract import Normalization
from pipelines.normalizers import NORMALIZERS, Normalizer

__all__ = ["MeanStd"]


@NORMALIZERS.register("mean_std")
class MeanStd(Normalizer):
    """(x - μ) / σ with one mean and deviation per channel, of all pixels of the training split."""

    def __init__(self, convention: Normalization | None) -> None:
        super().__init__(convention)
        self.mean: list[float] = []
        self.std: list[float] = []

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Accumulate sums in float64, so that the order of batches does not matter beyond 1e-12."""
        count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        for batch in batches:
            pixels = batch.double()
            count += pixels.shape[0] * pixels.shape[2] * pixels.shape[3]
            total = total + pixels.sum(dim=(0, 2, 3)).cpu()  # (C,)
            squares = squares + pixels.square().sum(dim=(0, 2, 3)).cpu()
        mean = total / count
        self.mean = [round(float(m), 6) for m in mean]
        self.std = [round(max(float(s), 1.0), 6) for s in (squares / count - mean.square()).clamp_min(0).sqrt()]

    def state(self) -> dict[str, Any]:
        """Means and deviations per channel, in grey levels."""
        return {"mean": self.mean, "std": self.std}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore them."""
        self.mean, self.std = list(state["mean"]), list(state["std"])

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        mean = torch.tensor(self.mean, device=x.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=x.device).view(1, -1, 1, 1)
        return (x - mean) / std
