"""The blocks of a scratch CNN: from the grammar of the YAML to layers.

Owns the defaults of a block's keys and its size arithmetic; the layers come from their own modules.
"""

from __future__ import annotations

from torch import nn

from backbones.errors import InputError
from backbones.layer.convolution import conv_size, conv_unit
from backbones.layer.pool import check_pool, make_pool, pool_size
from backbones.layer.residual import ResidualBlock
from backbones.parameter import Block

__all__ = ["block_size", "make_block"]


def make_block(inputs: int, block: Block) -> nn.Sequential:
    """[Conv-(BN)-ReLU-(Dropout)] × convs, or a residual block, then the pool.

    Args:
        inputs: Input channels.
        block: Checked by `block_size`.
    """
    outputs, residual = block["filters"], block.get("residual", False)
    kernel, stride = block.get("kernel", 3), block.get("stride", 1)
    norm, dropout = block.get("norm", True), block.get("dropout", 0.0)
    pool = make_pool(block)
    if residual:
        convs = block.get("convs", 2)
        return nn.Sequential(
            ResidualBlock(inputs, outputs, convs=convs, kernel=kernel, stride=stride, norm=norm, dropout=dropout), pool
        )
    count, each = block.get("convs", 1), block.get("relu", "each") == "each"
    units = [
        conv_unit(
            outputs if i else inputs, outputs, kernel=kernel, stride=1 if i else stride, norm=norm, dropout=dropout,
            relu=each or i == count - 1,
        )
        for i in range(count)
    ]  # fmt: skip
    return nn.Sequential(*units, pool)


def block_size(size: int, block: Block, *, place: str) -> int:
    """Side of the map after the block.

    Args:
        size: Side of its input.
        block: Keys and values as in the YAML.
        place: Where it stands there, for messages.

    Raises:
        InputError: The block cannot be built: a key is absent or does not suit the others, or nothing of the map is
            left.
    """
    if "filters" not in block:
        raise InputError(f"Expected `{place}.filters` to be a number of channels, but got none. Add `filters: 32`.")
    kernel, residual = block.get("kernel", 3), block.get("residual", False)
    if residual and kernel % 2 == 0:
        raise InputError(
            f"Expected `{place}.kernel` to be odd in a residual block, but got {kernel}. "
            f"Use {kernel - 1} or {kernel + 1}."
        )
    if residual and "relu" in block:
        raise InputError(f"Expected no `{place}.relu` in a residual block, which has its own, but got it. Remove it.")
    check_pool(block, place=place)
    out = size
    for i in range(block.get("convs", 2 if residual else 1)):
        out = conv_size(out, kernel=kernel, stride=block.get("stride", 1) if i == 0 else 1) if out > 0 else 0
    out = pool_size(out, block)
    if out < 1:
        raise InputError(
            f"Expected `{place}` to leave a map of at least 1×1, but got nothing from its input of {size}×{size}. Use "
            "fewer pools and strides, or a larger `input.size`."
        )
    return out
