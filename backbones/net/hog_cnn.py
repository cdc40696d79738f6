"""A scratch CNN whose features are joined by a hand-made descriptor of the input.

Owns how the two are put together; the network is `scratch_cnn`'s, the descriptor `backbones.layer.hog`'s.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from backbones.contract import InputShape
from backbones.errors import InputError
from backbones.layer.hog import Hog
from backbones.net.scratch_cnn import ScratchCNN
from backbones.parameter import Block, Count, Fraction
from backbones.registry import BACKBONES

__all__ = ["HogCNN"]


@BACKBONES.register("hog_cnn")
class HogCNN(ScratchCNN):
    """A CNN from scratch beside HOG features: both go to the fully connected layers.

    The hybrid features of Alizadeh & Fazel, 2017, Convolutional Neural Networks for Facial Expression Recognition. The
    histograms have no parameters. They see the normalised input, and do not depend on its mean and deviation unless
    these differ from pixel to pixel. A head that attaches to the map sees the convolutions alone.

    Args:
        shape: Input of the network.
        blocks: The blocks from input to output, as in `scratch_cnn`.
        pooling: `flatten` keeps every cell of the last map, `average` is global average pooling.
        dropout: Dropout of the convolutions' features; the histograms are kept.
        orientations: Bins of a histogram over 180 degrees.
        cell: Side of a histogram's cell, in pixels.
        cells_per_block: Side of the blocks in which histograms are normalised, in cells.

    Raises:
        InputError: A block cannot be built, or no block of histograms fits into the input.

    Example:
        >>> HogCNN(InputShape(channels=1, size=48), blocks=[{"filters": 8}]).num_features  # 8·24·24 + 900
        5508
    """

    def __init__(
        self,
        shape: InputShape,
        *,
        blocks: list[Block],
        pooling: Literal["flatten", "average"] = "flatten",
        dropout: Fraction = 0.0,
        orientations: Count = 9,
        cell: Count = 8,
        cells_per_block: Count = 2,
    ) -> None:
        super().__init__(shape, blocks=blocks, pooling=pooling, dropout=dropout)
        self.hog = Hog(orientations=orientations, cell=cell, block=cells_per_block)
        if not self.hog.length(shape.size):
            raise InputError(
                f"Expected `input.size` to be at least `cell` × `cells_per_block` = {cell * cells_per_block}, but got "
                f"{shape.size}. Use smaller cells or blocks, or a larger `input.size`."
            )
        self.num_features += self.hog.length(shape.size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, size, size) to (B, num_features): the convolutions' features, then the histograms."""
        features = super().forward(x)
        return torch.cat([features, self.hog(x).to(features.dtype)], dim=1)
