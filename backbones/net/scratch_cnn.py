"""Convolutional networks built from a list of blocks and trained from nothing.

Owns the block grammar of the YAML, its defaults and its size arithmetic; the layers come from `backbones.layer`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from backbones.contract import Backbone, InputShape
from backbones.errors import InputError
from backbones.layer.convolution import conv_size, conv_unit, he_initialise, make_pool
from backbones.layer.residual import ResidualBlock
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
            residual one `convs` is 2 and `pool` is `none`, because its `stride` shrinks the map.
        pooling: `flatten` keeps every cell of the last map, `average` is global average pooling.
        dropout: Dropout of the feature vector.

    Raises:
        InputError: There are no blocks, or the map shrinks to nothing; the message names the block.

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
            size = _shrink(size, block, place=f"blocks[{i}]")
            built[f"block{i + 1}"] = _build(channels, block)
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


def _pool_kind(block: Block) -> Literal["max", "average", "none"]:
    return block.get("pool", "none" if block.get("residual", False) else "max")


def _build(inputs: int, block: Block) -> nn.Module:
    outputs, residual = block["filters"], block.get("residual", False)
    kernel, stride = block.get("kernel", 3), block.get("stride", 1)
    norm, dropout = block.get("norm", True), block.get("dropout", 0.0)
    pool = make_pool(_pool_kind(block))
    if residual:
        convs = block.get("convs", 2)
        return nn.Sequential(
            ResidualBlock(inputs, outputs, convs=convs, kernel=kernel, stride=stride, norm=norm, dropout=dropout), pool
        )
    units = [conv_unit(inputs, outputs, kernel=kernel, stride=stride, norm=norm, dropout=dropout)]
    units += [
        conv_unit(outputs, outputs, kernel=kernel, norm=norm, dropout=dropout) for _ in range(block.get("convs", 1) - 1)
    ]
    return nn.Sequential(*units, pool)


def _shrink(size: int, block: Block, *, place: str) -> int:
    """Side of the map after the block; refuses a block that cannot be built."""
    if "filters" not in block:
        raise InputError(f"Expected `{place}.filters` to be a number of channels, but got none. Add `filters: 32`.")
    kernel, residual = block.get("kernel", 3), block.get("residual", False)
    if residual and kernel % 2 == 0:
        raise InputError(
            f"Expected `{place}.kernel` to be odd in a residual block, but got {kernel}. "
            f"Use {kernel - 1} or {kernel + 1}."
        )
    out = size
    for i in range(block.get("convs", 2 if residual else 1)):
        out = conv_size(out, kernel=kernel, stride=block.get("stride", 1) if i == 0 else 1) if out > 0 else 0
    if _pool_kind(block) != "none":
        out //= 2
    if out < 1:
        raise InputError(
            f"Expected `{place}` to leave a map of at least 1×1, but got nothing from its input of {size}×{size}. Use "
            "fewer pools and strides, or a larger `input.size`."
        )
    return out
