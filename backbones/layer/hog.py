"""Histograms of oriented gradients of an image batch.

Owns the descriptor, which has no parameters and passes no gradient on; knows nothing of networks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Hog"]

_EPSILON = 1e-5
_CEILING = 0.2  # no orientation may dominate its block (L2-Hys)


class Hog(nn.Module):
    """HOG features of the mean over channels, in the values and the order of `skimage.feature.hog`.

    Dalal & Triggs, 2005, Histograms of Oriented Gradients for Human Detection: central differences, unsigned
    orientations, hard bins weighted by the gradient's magnitude, overlapping blocks of cells with L2-Hys normalisation.
    The border has no gradient across itself, and pixels beyond the last whole cell are left out. A block is divided by
    its own norm, so features do not change with the contrast or brightness of the face, nor with one mean and deviation
    by which all its pixels were normalised.

    Args:
        orientations: Bins over 180 degrees.
        cell: Side of a cell, in pixels.
        block: Side of a block, in cells.

    Example:
        >>> Hog()(torch.rand(2, 1, 48, 48)).shape
        torch.Size([2, 900])
    """

    def __init__(self, *, orientations: int = 9, cell: int = 8, block: int = 2) -> None:
        super().__init__()
        self.orientations, self.cell, self.block = orientations, cell, block

    def length(self, size: int) -> int:
        """Number of features of a `size` × `size` image; 0 where not even one block fits."""
        blocks = max(0, size // self.cell - self.block + 1)
        return blocks**2 * self.block**2 * self.orientations

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, features)."""
        histograms = self._histograms(x.float().mean(1) if x.dtype.itemsize < 4 else x.mean(1))
        blocks = histograms.unfold(2, self.block, 1).unfold(3, self.block, 1)  # (B, K, rows, columns, block, block)
        vectors = blocks.permute(0, 2, 3, 4, 5, 1).flatten(3)  # (B, rows, columns, block·block·K)
        capped = _normalized(vectors).clamp_max(_CEILING)
        return _normalized(capped).flatten(1)

    def extra_repr(self) -> str:
        """The parameters, for printing."""
        return f"orientations={self.orientations}, cell={self.cell}, block={self.block}"

    def _histograms(self, grey: Tensor) -> Tensor:
        """(B, H, W) to the mean magnitude per orientation and cell (B, orientations, rows, columns)."""
        down, right = _differences(grey), _differences(grey.mT).mT
        # In double precision, because a diagonal lies exactly between two of eight bins.
        angles = torch.rad2deg(torch.atan2(down.double(), right.double())) % 180
        edges = torch.arange(1, self.orientations, dtype=angles.dtype, device=angles.device) * (180 / self.orientations)
        bins = torch.bucketize(angles, edges, right=True)  # (B, H, W)
        votes = grey.new_zeros((grey.shape[0], self.orientations, *grey.shape[1:]))
        votes.scatter_(1, bins.unsqueeze(1), torch.hypot(down, right).unsqueeze(1))
        return functional.avg_pool2d(votes, self.cell)


def _differences(grey: Tensor) -> Tensor:
    """Next row minus the one before, 0 in the first and the last row."""
    result = torch.zeros_like(grey)
    result[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    return result


def _normalized(vectors: Tensor) -> Tensor:
    return vectors / (vectors.square().sum(-1, keepdim=True) + _EPSILON**2).sqrt()
