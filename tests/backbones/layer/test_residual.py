"""The residual block: its shortcut and its sizes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from backbones.layer.convolution import conv_size, plain_conv
from backbones.layer.residual import ResidualBlock


def _block(inputs: int, outputs: int, **options: int) -> ResidualBlock:
    sizes = {"convs": 2, "kernel": 3, "stride": 1, **options}
    return ResidualBlock(inputs, outputs, norm=True, dropout=0.0, **sizes).eval()


def test_same_shape_has_an_identity_shortcut() -> None:
    block = _block(8, 8)
    for parameter in block.main.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(block(x), x.relu())


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(8, 8, 2), (8, 16, 1), (8, 16, 2)])
def test_another_shape_is_averaged_and_mapped(inputs: int, outputs: int, stride: int) -> None:
    block = _block(inputs, outputs, stride=stride)
    for parameter in block.main.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, inputs, 6, 6)
    cells = x.reshape(2, inputs, 6 // stride, stride, 6 // stride, stride).mean((3, 5))
    conv = next(m for m in block.shortcut.modules() if isinstance(m, nn.Conv2d))
    expected = torch.einsum("oi,bihw->bohw", conv.weight[:, :, 0, 0], cells).relu()
    torch.testing.assert_close(block(x), expected / (1 + 1e-5) ** 0.5, rtol=1e-4, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 20),
    stride=st.integers(1, 3),
    kernel=st.sampled_from([1, 3, 5]),
    convs=st.integers(1, 3),
)
def test_both_paths_round_odd_sizes_alike(size: int, stride: int, kernel: int, convs: int) -> None:
    block = _block(2, 3, stride=stride, kernel=kernel, convs=convs)
    side = -(-size // stride)
    assert block(torch.randn(1, 2, size, size)).shape == (1, 3, side, side)


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 20), kernel=st.integers(1, 6), stride=st.integers(1, 3))
def test_announced_size_is_the_convolutions(size: int, kernel: int, stride: int) -> None:
    side = conv_size(size, kernel=kernel, stride=stride)
    conv = plain_conv(1, 1, kernel=kernel, stride=stride)
    if side >= 1:
        assert conv.eval()(torch.zeros(1, 1, size, size)).shape[-1] == side
    else:
        with pytest.raises(RuntimeError):
            conv.eval()(torch.zeros(1, 1, size, size))
