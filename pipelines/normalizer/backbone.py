"""The normalisation that the backbone's weights were trained with."""

from __future__ import annotations

import torch
from torch import Tensor

from backbones.contract import Normalization
from backbones.errors import InputError
from pipelines.normalizers import NORMALIZERS, Normalizer

__all__ = ["BackboneConvention"]


@NORMALIZERS.register("backbone")
class BackboneConvention(Normalizer):
    """(x - mean) / std with the backbone's own constants: use it with pretrained weights."""

    def __init__(self, convention: Normalization | None) -> None:
        super().__init__(convention)
        if convention is None:
            raise InputError(
                "Expected a backbone with a normalisation of its own because of `normalize: backbone`, "
                "but this one has none. Use `normalize: mean_std`."
            )
        self.mean, self.std = convention.mean, convention.std

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape; per-channel constants are averaged for grey input."""
        mean = torch.tensor(self.mean, device=x.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=x.device).view(1, -1, 1, 1)
        if x.shape[1] == 1:
            mean, std = mean.mean(dim=1, keepdim=True), std.mean(dim=1, keepdim=True)
        return (x - mean) / std
