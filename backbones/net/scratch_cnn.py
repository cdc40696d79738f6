"""Convolutional networks built from a list of blocks and trained from nothing.

Owns how blocks follow one another and become a feature vector; what a block is made of is `backbones.layer.block`'s.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from backbones.contract import Backbone, InputShape
from backbones.errors import InputError
from backbones.layer.block import block_size, make_block
from backbones.layer.convolution import he_initialise
from backbones.parameter import Block, Fraction
from backbones.registry import BACKBONES

__all__ = ["ScratchCNN"]


@BACKBONES.register("scratch_cnn")
class ScratchCNN(Backbone):
    """A CNN from scratch: a list of convolution blocks, then the flattened or averaged map.

    [Conv-(BN)-ReLU-(Dropout)-(Pool)] × M, the pattern of Alizadeh & Fazel, 2017, Convolutional Neural Networks for
    Facial Expression Recognition; residual blocks as in He et al., 2016, Deep Residual Learning for Image Recognition.
    The fully connected layers after it are the head's (`mlp`). Initialised as He et al., 2015.

    Args:
        shape: Input of the network.
        blocks: The blocks from input to output. In a plain block `convs` is 1 and `pool` is `max` by default; in a
            residual one `convs` is 2 and `pool` is `none`, because its `stride` shrinks the map. Pools are `max`,
            `average`, `stochastic` (2×2), `fractional` (with `ratio`, `overlapping`, `order`) and `none`.
        pooling: `flatten` keeps every cell of the last map, `average` is global average pooling.
        dropout: Dropout of the feature vector.

    Raises:
        InputError: There are no blocks, or one of them cannot be built; the message names the block.

    Example:
        >>> net = ScratchCNN(InputShape(channels=1, size=48), blocks=[{"filters": 8}, {"filters": 16}])
        >>> net.map_shape, net.num_features, list(net.stages())
        ((16, 12, 12), 2304, ['block1', 'block2'])
    """

    def __init__(
        self,
        shape: InputShape,
        *,
        blocks: list[Block],
        pooling: Literal["flatten", "average"] = "flatten",
        dropout: Fraction = 0.0,
    ) -> None:
        super().__init__(shape)
        if not blocks:
            raise InputError("Expected `blocks` to hold at least one block, but got none. Add `{filters: 32}`.")
        channels, size = shape.channels, shape.size
        built: OrderedDict[str, nn.Module] = OrderedDict()
        for i, block in enumerate(blocks):
            size = block_size(size, block, place=f"blocks[{i}]")
            built[f"block{i + 1}"] = make_block(channels, block)
            channels = block["filters"]
        self.blocks = nn.Sequential(built)
        self.map_shape = (channels, size, size)
        self.num_features = channels if pooling == "average" else channels * size * size
        self.pool = nn.AdaptiveAvgPool2d(1) if pooling == "average" else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        he_initialise(self)

    def stages(self) -> Mapping[str, nn.Module]:
        """`block1`, `block2`, ..."""
        return dict(self.blocks.named_children())

    def forward_map(self, x: Tensor) -> Tensor:
        """(B, channels, size, size) to the last block's output (B, *map_shape)."""
        feature_map: Tensor = self.blocks(x)
        return feature_map

    def forward_features(self, feature_map: Tensor) -> Tensor:
        """(B, *map_shape) to (B, num_features)."""
        features: Tensor = self.dropout(self.pool(feature_map).flatten(1))  # (B, C, H, W) -> (B, num_features)
        return features
