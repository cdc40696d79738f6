"""The pools that may close a block of a scratch CNN, by the names they have in YAML.

Owns the keys of a block that belong to its pool: which there are, their defaults, and the size each pool leaves.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from backbones.errors import InputError
from backbones.layer.fractional_pool import FractionalMaxPool2d, fractional_size
from backbones.layer.stochastic_pool import StochasticPool2d
from backbones.parameter import Block

__all__ = ["check_pool", "make_pool", "pool_size"]

_FRACTIONAL: tuple[Literal["ratio", "overlapping", "order"], ...] = ("ratio", "overlapping", "order")
_RATIO = 1.4142


def make_pool(block: Block) -> nn.Module:
    """The block's pool: 2×2 of stride 2 (an odd last row and column are dropped), fractional, or the identity."""
    match _kind(block):
        case "max":
            return nn.MaxPool2d(2)
        case "average":
            return nn.AvgPool2d(2)
        case "fractional":
            return FractionalMaxPool2d(
                block.get("ratio", _RATIO),
                order=block.get("order", "random"),
                overlapping=block.get("overlapping", True),
            )
        case "stochastic":
            return StochasticPool2d()
        case "none":
            return nn.Identity()


def pool_size(size: int, block: Block) -> int:
    """Side of the map that the block's pool makes of a `size` × `size` map; 0 where nothing is left.

    Example:
        >>> pool_size(48, {"filters": 8}), pool_size(48, {"filters": 8, "pool": "fractional"})
        (24, 33)
    """
    match _kind(block):
        case "none":
            return size
        case "fractional":
            return fractional_size(size, ratio=block.get("ratio", _RATIO), overlapping=block.get("overlapping", True))
        case _:
            return size // 2


def check_pool(block: Block, *, place: str) -> None:
    """Refuse keys of fractional pooling in a block with another pool.

    Args:
        block: The block.
        place: Where it stands, for the message.

    Raises:
        InputError: The block has such a key.
    """
    kind = _kind(block)
    for key in _FRACTIONAL:
        if key in block and kind != "fractional":
            raise InputError(
                f"Expected `{place}.{key}` only where `{place}.pool` is fractional, but got it with the pool {kind!r}. "
                f"Add `pool: fractional`, or remove `{key}`."
            )


def _kind(block: Block) -> Literal["max", "average", "fractional", "stochastic", "none"]:
    return block.get("pool", "none" if block.get("residual", False) else "max")
