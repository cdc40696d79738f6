"""Features on one scale, whatever network they come from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Standardized"]

_SMALLEST = 1e-20
_SHARE = 1e-4


class Standardized(nn.Module):
    """Mean 0 and deviation 1 for each feature: batch normalisation (Ioffe & Szegedy, 2015) without scale and shift.

    Its epsilon goes with the features: 1e-4 of their mean variance. Features of an untrained network may all have
    deviations of 1e-5, which a constant epsilon would not bring to 1. And a feature that hardly differs between faces,
    as some do in face networks, must not be blown up: while the backbone learns, every step moves it by many times its
    own deviation, and what training sees would have little to do with what the running statistics give afterwards.

    Args:
        features: Length of the feature vector.
        momentum: Share of a batch in the running mean and variance.

    Example:
        >>> layer = Standardized(2)
        >>> layer(torch.tensor([[1e-5, 7.0], [3e-5, 7.0]])).round(decimals=2).flatten().tolist()
        [-1.0, 0.0, 1.0, 0.0]
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, *, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        """(B, features) to the same; in training B is at least 2."""
        if not self.training:
            return _scaled(x, self.running_mean, self.running_var)
        if len(x) < 2:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
        variance, mean = torch.var_mean(x.float(), dim=0, correction=0)
        with torch.no_grad():
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(variance.detach() * len(x) / (len(x) - 1), self.momentum)
        return _scaled(x, mean, variance)


def _scaled(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return (x - mean) * torch.rsqrt(variance + _SHARE * variance.mean() + _SMALLEST)
