"""Features on one scale, whatever network they come from."""

from __future__ import annotations

from torch import nn

__all__ = ["standardized"]


def standardized(features: int) -> nn.Module:
    """Mean 0 and deviation 1 for each feature: batch normalisation (Ioffe & Szegedy, 2015) without scale and shift.

    Features of an untrained network may have deviations of 1e-5, which a head at an ordinary rate does not learn on:
    hence an epsilon far below the usual 1e-5. A feature that is the same for all faces becomes 0.

    Args:
        features: Length of the feature vector.

    Example:
        >>> import torch
        >>> layer = standardized(1)
        >>> layer(torch.tensor([[1e-5], [3e-5]])).round(decimals=3).flatten().tolist()
        [-1.0, 1.0]
    """
    return nn.BatchNorm1d(features, eps=1e-14, affine=False)
