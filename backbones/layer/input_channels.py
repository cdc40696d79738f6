"""Weights trained on RGB used for grey input, and the other way round.

Owns how first-layer kernels and normalisation constants move between one and three channels.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from backbones.contract import Normalization

__all__ = ["adapt_kernel", "normalization_for"]


def adapt_kernel(kernel: Tensor, channels: int) -> Tensor:
    """A first convolution's kernel for another number of input channels.

    Three to one sums, one to three repeats a third each: either way a grey image, given as such or as three equal
    channels, gets the response it had before. A kernel that fits already is returned as it is.

    Args:
        kernel: (filters, 1 or 3, H, W).
        channels: Input channels of the network it goes to, 1 or 3.

    Example:
        >>> import torch
        >>> adapt_kernel(torch.ones(8, 3, 5, 5), 1).shape
        torch.Size([8, 1, 5, 5])
    """
    given = kernel.shape[1]
    if given == 3 and channels == 1:
        return kernel.sum(dim=1, keepdim=True)
    if given == 1 and channels == 3:
        return kernel.repeat(1, 3, 1, 1) / 3
    return kernel


def normalization_for(mean: Sequence[float], std: Sequence[float], channels: int) -> Normalization:
    """Mean and standard deviation per RGB channel, averaged where the input is grey.

    Args:
        mean: Per channel, in units of pixel values 0..1.
        std: Per channel, in the same units.
        channels: Input channels, 1 or 3.
    """
    if channels == 1:
        mean, std = [sum(mean) / len(mean)], [sum(std) / len(std)]
    return Normalization(mean=tuple(255 * m for m in mean), std=tuple(255 * s for s in std))
