"""The scratch CNN builder: sizes, defaults, what it refuses, and the reference network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from backbones.contract import InputShape
from backbones.errors import InputError
from backbones.net.scratch_cnn import ScratchCNN

GREY48 = InputShape(channels=1, size=48)


def _kinds(module: nn.Module) -> list[str]:
    return [type(m).__name__ for m in module.modules() if not list(m.children()) and not isinstance(m, nn.Identity)]


def test_a_plain_block_is_conv_bn_relu_dropout_times_convs_then_pool() -> None:
    net = ScratchCNN(GREY48, blocks=[{"convs": 2, "filters": 6, "kernel": 5, "pool": "average", "dropout": 0.2}])
    assert _kinds(net.blocks) == ["Conv2d", "BatchNorm2d", "ReLU", "Dropout2d"] * 2 + ["AvgPool2d"]
    assert net.map_shape == (6, 24, 24)


def test_defaults_depend_on_residual() -> None:
    plain = ScratchCNN(GREY48, blocks=[{"filters": 6, "norm": False}])
    assert _kinds(plain.blocks) == ["Conv2d", "ReLU", "MaxPool2d"]
    residual = ScratchCNN(GREY48, blocks=[{"filters": 6, "stride": 2, "residual": True, "norm": False}])
    assert _kinds(residual.blocks) == ["Conv2d", "ReLU", "Conv2d", "AvgPool2d", "Conv2d"]
    assert residual.map_shape == (6, 24, 24)


def test_pools_shrink_by_their_ratio() -> None:
    blocks: list[Any] = [{"filters": 4, "pool": "fractional", "ratio": 1.5}, {"filters": 4, "pool": "stochastic"}]
    net = ScratchCNN(GREY48, blocks=blocks)
    assert net.map_shape == (4, 16, 16)
    assert net.forward_map(torch.randn(2, 1, 48, 48)).shape[1:] == net.map_shape


def test_the_reference_network_is_expressible() -> None:
    widths = (32, 64, 128, 128)
    blocks: list[Any] = [{"filters": 16, "pool": "none"}]
    blocks += [{"residual": True, "filters": width, "stride": 2} for width in widths]
    net = ScratchCNN(GREY48, blocks=blocks, pooling="average", dropout=0.1)
    convolutions = 9 * 16 + sum(9 * i * o + 9 * o * o + i * o for i, o in zip((16, *widths), widths, strict=False))
    norms = 2 * (16 + 3 * sum(widths))
    assert sum(p.numel() for p in net.parameters()) == convolutions + norms == 614_640
    assert (net.map_shape, net.num_features) == ((128, 3, 3), 128)


def test_average_pooling_is_the_mean_over_the_map() -> None:
    net = ScratchCNN(GREY48, blocks=[{"filters": 4}], pooling="average").eval()
    feature_map = torch.randn(2, 4, 24, 24)
    torch.testing.assert_close(net.forward_features(feature_map), feature_map.mean((2, 3)))


def test_initialised_for_relu() -> None:
    torch.manual_seed(0)
    net = ScratchCNN(GREY48, blocks=[{"filters": 64}, {"filters": 64, "norm": False}])
    first = net.blocks.block1[0][0]
    assert first.bias is None
    assert first.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.1)
    assert net.blocks.block2[0][0].bias.abs().max() == 0


@pytest.mark.parametrize(
    ("size", "blocks", "message"),
    [
        (4, [{"filters": 4}, {"filters": 4}, {"filters": 4}], r"Expected `blocks\[2\]` to leave a map .* input of 1×1"),
        (1, [{"filters": 4, "kernel": 2, "pool": "none"}], r"`blocks\[0\]` to leave a map .* input of 1×1\. Use fewer"),
        (1, [{"filters": 4, "pool": "fractional"}], r"`blocks\[0\]` to leave a map .* input of 1×1\. Use fewer"),
        (48, [{"filters": 4}, {"filters": 4, "ratio": 1.5}], r"`blocks\[1\]\.ratio` only where `blocks\[1\]\.pool` is"),
        (
            48,
            [{"filters": 4, "pool": "fractional", "ratio": 2}],
            r"Expected `ratio` to be above 1 and below 2, but got 2",
        ),
        (48, [{"filters": 4}, {"convs": 2}], r"Expected `blocks\[1\]\.filters` to be a number of channels"),
        (48, [{"filters": 4, "residual": True, "kernel": 4}], r"`blocks\[0\]\.kernel` to be odd .* Use 3 or 5"),
        (48, [], r"Expected `blocks` to hold at least one block, but got none"),
    ],
)
def test_what_cannot_be_built_is_refused(size: int, blocks: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ScratchCNN(InputShape(channels=1, size=size), blocks=blocks)
