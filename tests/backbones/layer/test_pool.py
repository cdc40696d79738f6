"""The pools by their names: sizes, defaults, and keys that do not belong together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from backbones.errors import InputError
from backbones.layer.pool import check_pool, make_pool, pool_size
from backbones.parameter import Block

BLOCKS: list[Any] = [
    {"filters": 4},
    {"filters": 4, "residual": True},
    {"filters": 4, "pool": "average"},
    {"filters": 4, "pool": "stochastic"},
    {"filters": 4, "pool": "fractional"},
    {"filters": 4, "pool": "fractional", "ratio": 1.9, "overlapping": False, "order": "pseudo"},
    {"filters": 4, "pool": "none"},
]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
@pytest.mark.parametrize("size", [2, 5, 12, 47, 48])
def test_announced_size_is_the_pools(size: int, block: Block) -> None:
    side = pool_size(size, block)
    assert make_pool(block)(torch.rand(1, 4, size, size)).shape == (1, 4, side, side)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.get("pool") != "none"][2:], ids=str)
def test_a_single_cell_cannot_be_pooled(block: Block) -> None:
    assert pool_size(1, block) == 0


def test_default_kinds() -> None:
    assert isinstance(make_pool({"filters": 4}), torch.nn.MaxPool2d)
    assert isinstance(make_pool({"filters": 4, "residual": True}), torch.nn.Identity)
    assert repr(make_pool({"filters": 4, "pool": "fractional"})) == (
        "FractionalMaxPool2d(1.4142, order='random', overlapping=True)"
    )


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (
            {"filters": 4, "ratio": 1.5},
            r"`blocks\[1\]\.ratio` only where `blocks\[1\]\.pool` is fractional, .* 'max'\. ",
        ),
        (
            {"filters": 4, "pool": "average", "order": "pseudo"},
            r"`blocks\[1\]\.order` only .* 'average'.* remove `order`",
        ),
        ({"filters": 4, "residual": True, "overlapping": True}, r"`blocks\[1\]\.overlapping` only .* the pool 'none'"),
    ],
)
def test_fractional_keys_need_fractional_pooling(block: Block, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_pool(block, place="blocks[1]")
    check_pool({**block, "pool": "fractional"}, place="blocks[1]")


@pytest.mark.parametrize(("key", "value"), [("ratio", 2.0), ("ratio", 1.0), ("order", "none"), ("pool", "median")])
def test_values_out_of_bounds_are_refused_before_torch_is_needed(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        TypeAdapter(Block).validate_python({"filters": 4, "pool": "fractional", key: value})
