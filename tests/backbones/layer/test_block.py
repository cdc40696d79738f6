"""Blocks as they are announced and as they are built; what is refused is asked of `scratch_cnn`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.layer.block import block_size, make_block

POOLS = ["max", "average", "fractional", "stochastic", "none"]


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(4, 20),
    block=st.fixed_dictionaries(
        {
            "filters": st.integers(1, 3),
            "convs": st.integers(1, 2),
            "kernel": st.sampled_from([1, 3, 5]),
            "stride": st.integers(1, 2),
            "pool": st.sampled_from(POOLS),
            "residual": st.booleans(),
        }
    ),
)
def test_announced_size_is_the_blocks(size: int, block: dict[str, Any]) -> None:
    side = block_size(size, block, place="blocks[0]")  # type: ignore[arg-type]
    built = make_block(2, block)  # type: ignore[arg-type]
    assert built.eval()(torch.rand(1, 2, size, size)).shape == (1, block["filters"], side, side)


@pytest.mark.parametrize("pool", ["fractional", "stochastic"])
def test_random_pools_rest_with_a_frozen_block(pool: str) -> None:
    built = make_block(1, {"filters": 3, "pool": pool})  # type: ignore[typeddict-item]
    x = torch.randn(2, 1, 12, 12)
    assert not torch.equal(built.train()(x), built(x))
    assert torch.equal(built.eval()(x), built(x))
