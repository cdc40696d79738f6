"""The small Inception network: its layer table, its parameter count, and its sizes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from backbones.contract import InputShape
from backbones.net.inception import Inception

GREY48 = InputShape(channels=1, size=48)

# input channels, then GoogLeNet's table 1: 1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, pool projection
MODULES = {
    "inception3a": (192, 64, 96, 128, 16, 32, 32),
    "inception3b": (256, 128, 128, 192, 32, 96, 64),
    "inception4a": (480, 192, 96, 208, 16, 48, 64),
    "inception4b": (512, 160, 112, 224, 24, 64, 64),
}


def _convolutions(module: nn.Module) -> list[tuple[int, int, int]]:
    return [(m.in_channels, m.out_channels, m.kernel_size[0]) for m in module.modules() if isinstance(m, nn.Conv2d)]


def test_layer_table() -> None:
    stages = Inception(GREY48).stages()
    assert _convolutions(stages["conv1"]) == [(1, 64, 7)]
    assert _convolutions(stages["conv2"]) == [(64, 64, 1), (64, 192, 3)]
    for name, (i, one, before3, three, before5, five, pool) in MODULES.items():
        paths = [(i, one, 1), (i, before3, 1), (before3, three, 3), (i, before5, 1), (before5, five, 5), (i, pool, 1)]
        assert _convolutions(stages[name]) == paths
    assert list(stages) == ["conv1", "conv2", *MODULES]


def test_parameter_count_is_googlenets_up_to_4b() -> None:
    """Szegedy et al., table 1, rounds to 112, 159, 380, 364 and 437 units of 1024 weights."""
    stages = Inception(GREY48).stages()
    weights = {name: sum(i * o * k * k for i, o, k in _convolutions(stage)) for name, stage in stages.items()}
    assert weights == {
        "conv1": 3136, "conv2": 4096 + 110_592, "inception3a": 163_328,
        "inception3b": 388_096, "inception4a": 375_552, "inception4b": 448_512,
    }  # fmt: skip
    assert [n / 1024 for n in weights.values()][1:] == pytest.approx([112, 159, 380, 364, 437], rel=0.01)
    channels = sum(o for stage in stages.values() for _, o, _ in _convolutions(stage))
    assert sum(p.numel() for p in Inception(GREY48).parameters()) == sum(weights.values()) + 2 * channels
    assert sum(p.numel() for p in Inception(GREY48, norm=False).parameters()) == sum(weights.values()) + channels


def test_modules_put_the_four_paths_side_by_side() -> None:
    module = Inception(GREY48, width=0.125).eval().layers.inception3a
    x = torch.randn(1, 24, 6, 6)
    paths = [module.one(x), module.three(x), module.five(x), module.pooled(x)]
    assert torch.equal(module(x), torch.cat(paths, dim=1))
    assert [path.shape[1] for path in paths] == [8, 16, 4, 4]


def test_map_shrinks_four_times_before_the_mean() -> None:
    net = Inception(GREY48, width=0.1).eval()
    x, sides = torch.zeros(1, 1, 48, 48), []
    for stage in net.stages().values():
        x = stage(x)
        sides.append(x.shape[-1])
    assert sides == [12, 6, 6, 3, 3, 3]


@pytest.mark.parametrize("size", [16, 17, 23, 47, 48, 50, 64, 95])
def test_announced_size_is_the_maps(size: int) -> None:
    net = Inception(InputShape(channels=1, size=size), width=0.1).eval()
    feature_map = net.forward_map(torch.randn(1, 1, size, size))
    assert feature_map.shape[1:] == net.map_shape
    torch.testing.assert_close(net.forward_features(feature_map), feature_map.mean((2, 3)))
