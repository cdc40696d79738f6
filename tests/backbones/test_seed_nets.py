"""The networks of the papers this product grew from: their published layer tables, from the YAML's words.

Every count is worked out by hand here. A convolution with batch normalisation has no bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from backbones.contract import InputShape
from backbones.network import Network, build_network

GREY48 = InputShape(channels=1, size=48)


@dataclass(frozen=True, kw_only=True)
class Net:
    """A published network: how it is written, and what it has to be made of."""

    paper: str
    blocks: list[dict[str, Any]]
    head: dict[str, Any]
    convolutions: list[tuple[int, int, int]]  # inputs, filters, kernel
    sides: list[int]  # of the map after each block
    linear: list[tuple[int, int]]
    parameters: int


def _conv(inputs: int, filters: int, kernel: int, *, norm: bool) -> int:
    """Weights, and a bias or the scale and the offset of its normalisation."""
    return inputs * filters * kernel**2 + filters * (2 if norm else 1)


def _affine(inputs: int, outputs: int, *, norm: bool = False) -> int:
    """Weights and bias, and the scale and the offset of its normalisation."""
    return inputs * outputs + outputs + (2 * outputs if norm else 0)


FIVE_LAYERS = Net(
    paper="Raghuvanshi & Choksi, table 1",
    blocks=[{"convs": 3, "filters": 64, "pool": "max"}, {"convs": 2, "filters": 128, "pool": "max"}],
    head={"hidden": [512], "norm": True, "dropout": 0.5},
    convolutions=[(1, 64, 3), (64, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3)],
    sides=[24, 12],
    linear=[(128 * 12 * 12, 512), (512, 7)],
    parameters=_conv(1, 64, 3, norm=True)
    + 2 * _conv(64, 64, 3, norm=True)
    + _conv(64, 128, 3, norm=True)
    + _conv(128, 128, 3, norm=True)
    + _affine(18_432, 512, norm=True)
    + _affine(512, 7),
)
TWO_BLOCKS = Net(
    paper="Levorse, figure 2",
    blocks=[
        {"convs": 2, "filters": 14, "kernel": 5, "norm": False},
        {"convs": 2, "filters": 8, "kernel": 7, "norm": False},
    ],
    head={"hidden": [144], "dropout": 0.5},
    convolutions=[(1, 14, 5), (14, 14, 5), (14, 8, 7), (8, 8, 7)],
    sides=[24, 12],
    linear=[(1152, 144), (144, 7)],
    parameters=364 + 4914 + 5496 + 3144 + 166_032 + 1015,
)
SHALLOW = Net(
    paper="Li, Shen & Miao, 3.1, and Yadav, Sahu & Bhaiya, the shallow model",
    blocks=[
        {"filters": 32, "kernel": 3, "pool": "none", "dropout": 0.2},
        {"filters": 64, "kernel": 3, "pool": "max", "dropout": 0.2},
    ],
    head={"hidden": [512]},
    convolutions=[(1, 32, 3), (32, 64, 3)],
    sides=[48, 24],
    linear=[(64 * 24 * 24, 512), (512, 7)],
    parameters=_conv(1, 32, 3, norm=True) + _conv(32, 64, 3, norm=True) + _affine(36_864, 512) + _affine(512, 7),
)
DEEP = Net(
    paper="Li, Shen & Miao, 3.2, and Yadav, Sahu & Bhaiya, the deep model",
    blocks=[
        {"filters": 64, "kernel": 3},
        {"filters": 128, "kernel": 5},
        {"filters": 512, "kernel": 3},
        {"filters": 512, "kernel": 3},
    ],
    head={"hidden": [256, 512], "norm": True, "dropout": 0.2},
    convolutions=[(1, 64, 3), (64, 128, 5), (128, 512, 3), (512, 512, 3)],
    sides=[24, 12, 6, 3],
    linear=[(512 * 3 * 3, 256), (256, 512), (512, 7)],
    parameters=_conv(1, 64, 3, norm=True)
    + _conv(64, 128, 5, norm=True)
    + _conv(128, 512, 3, norm=True)
    + _conv(512, 512, 3, norm=True)
    + _affine(4608, 256, norm=True)
    + _affine(256, 512, norm=True)
    + _affine(512, 7),
)


@pytest.fixture(params=[FIVE_LAYERS, TWO_BLOCKS, SHALLOW, DEEP], ids=lambda net: net.paper)
def published(request: pytest.FixtureRequest) -> Net:
    """Every published network."""
    net: Net = request.param
    return net


def _build(net: Net) -> Network:
    network, _ = build_network(
        backbone=("scratch_cnn", {"blocks": net.blocks}), head=("mlp", net.head), shape=GREY48, classes=7
    )
    return network.eval()


def test_layer_table(published: Net) -> None:
    network = _build(published)
    layers = list(network.modules())
    convolutions = [(m.in_channels, m.out_channels, m.kernel_size[0]) for m in layers if isinstance(m, nn.Conv2d)]
    assert convolutions == published.convolutions
    assert [(m.in_features, m.out_features) for m in layers if isinstance(m, nn.Linear)] == published.linear
    normalized = [m.num_features for m in layers if isinstance(m, nn.BatchNorm2d)]
    assert normalized == [filters for _, filters, _ in convolutions if published is not TWO_BLOCKS]


def test_parameter_count(published: Net) -> None:
    assert sum(p.numel() for p in _build(published).parameters()) == published.parameters


def test_sizes_of_the_maps(published: Net) -> None:
    network = _build(published)
    x, sides = torch.zeros(1, 1, 48, 48), []
    for block in network.backbone.stages().values():
        x = block(x)
        sides.append(x.shape[-1])
    assert sides == published.sides
    assert network(torch.zeros(1, 1, 48, 48)).shape == (1, 7)


def test_the_five_layer_network_in_one_number() -> None:
    assert FIVE_LAYERS.parameters == 9_738_695
