"""Net B: the layer table, the parameter count, other sizes, and the authors' checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from backbones.contract import InputShape
from backbones.net.light_cnn import LightCNN
from backbones.network import build_network
from backbones.weights import load_weights

GREY128 = InputShape(channels=1, size=128)

TABLE = {  # name: (filters before the maximum, inputs, kernel)
    "features.0.filter": (96, 1, 5),
    "features.2.conv_a.filter": (96, 48, 1),
    "features.2.conv.filter": (192, 48, 3),
    "features.4.conv_a.filter": (192, 96, 1),
    "features.4.conv.filter": (384, 96, 3),
    "features.6.conv_a.filter": (384, 192, 1),
    "features.6.conv.filter": (256, 192, 3),
    "features.7.conv_a.filter": (256, 128, 1),
    "features.7.conv.filter": (256, 128, 3),
}


def test_layer_table() -> None:
    expected = {f"{name}.weight": (o, i, k, k) for name, (o, i, k) in TABLE.items()}
    expected |= {f"{name}.bias": (o,) for name, (o, _, _) in TABLE.items()}
    expected |= {"fc1.filter.weight": (512, 8192), "fc1.filter.bias": (512,)}
    assert {name: tuple(t.shape) for name, t in LightCNN(GREY128).state_dict().items()} == expected


def test_parameter_count_with_seven_classes() -> None:
    network, _ = build_network(backbone=("light_cnn", {}), head=("linear", {}), shape=GREY128, classes=7)
    assert sum(p.numel() for p in network.parameters()) == 5_482_663


def test_map_halves_after_conv1_2_3_and_5_only() -> None:
    net = LightCNN(InputShape(channels=1, size=64)).eval()
    x, sides = torch.zeros(1, 1, 64, 64), []
    for layer in net.features:
        x = layer(x)
        sides.append(x.shape[-1])
    assert sides == [64, 32, 32, 16, 16, 8, 8, 8, 4]


@pytest.mark.parametrize(("size", "side"), [(16, 1), (44, 3), (48, 3), (50, 4), (144, 9)])
def test_pools_round_up_at_any_size(size: int, side: int) -> None:
    net = LightCNN(InputShape(channels=1, size=size), grid="native").eval()
    assert net.map_shape == (128, side, side)
    assert net.forward_map(torch.zeros(1, 1, size, size)).shape[1:] == net.map_shape


def test_of_an_aligned_face_of_144_pixels_it_sees_a_window_of_128() -> None:
    net = LightCNN(InputShape(channels=1, size=144), dropout=0.0)
    whole = LightCNN(GREY128, dropout=0.0).eval()
    whole.load_state_dict(net.state_dict())  # fully connected layer 1 is kept
    x = torch.rand(3, 1, 144, 144)
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(x), whole(x[..., 8:136, 8:136]))
        torch.manual_seed(0)
        drawn = [net.train()(x) for _ in range(2)]
    assert drawn[0].shape == (3, 256)
    assert not torch.equal(*drawn)
    assert LightCNN(InputShape(channels=1, size=160)).map_shape == (128, 10, 10)


def test_pooled_grid_keeps_fully_connected_layer_1() -> None:
    net = LightCNN(InputShape(channels=1, size=48), grid="pool").eval()
    assert net.fc1.filter.weight.shape == (512, 8192)
    assert net(torch.zeros(1, 1, 48, 48)).shape == (1, 256)


@pytest.mark.parametrize("channels", [1, 3])
def test_original_checkpoints_load(tmp_path: Path, channels: int) -> None:
    original = LightCNN(GREY128, dropout=0.0).eval()
    state: dict[str, Any] = {f"module.{name}": tensor for name, tensor in original.state_dict().items()}
    state |= {"module.fc2.weight": torch.zeros(5, 256), "module.fc2.bias": torch.zeros(5)}
    torch.save({"epoch": 80, "arch": "LightCNN", "state_dict": state}, tmp_path / "net.pth.tar")
    net = LightCNN(InputShape(channels=channels, size=128), dropout=0.0).eval()
    report = load_weights(net, tmp_path / "net.pth.tar", minimum=1.0)
    assert (report.missing, report.unexpected) == ((), ())
    grey = torch.rand(1, 1, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(net(grey.expand(-1, channels, -1, -1)), original(grey), rtol=1e-4, atol=1e-5)


def test_rgb_kernels_are_summed_for_grey() -> None:
    rgb = LightCNN(InputShape(channels=3, size=16)).state_dict()
    name = "features.0.filter.weight"
    converted = LightCNN(InputShape(channels=1, size=16)).convert_weights(rgb)
    torch.testing.assert_close(converted[name], rgb[name].sum(1, keepdim=True))


def test_maxout_layer_is_fully_connected_layer_1_until_discarded() -> None:
    net = LightCNN(InputShape(channels=1, size=16))
    assert net.maxout_layer() is net.fc1.filter
    net.discard_features()
    assert net.maxout_layer() is None
    assert list(net.stages()) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
