"""MobileFaceNet: the paper's table, its taps, and the public weights where they are at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d

from backbones.contract import InputShape
from backbones.net.mobile_facenet import MobileFaceNet
from backbones.weights import load_weights, read_state_dict

WEIGHTS = Path(__file__).resolve().parents[4] / "shared" / "weights" / "mobilefacenet.pt"
RGB112 = InputShape(channels=3, size=112)
needs_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"the public weights are not at {WEIGHTS}")


def test_names_and_count_are_the_public_checkpoints() -> None:
    state = MobileFaceNet(RGB112, taps="embedding").state_dict()
    assert len(state) == 307
    assert state["features.5.conv.0.0.weight"].shape == (256, 64, 1, 1)
    assert state["gdconv.depthwise.weight"].shape == (512, 1, 7, 7)
    assert state["conv3.weight"].shape == (128, 512, 1, 1)


def test_map_follows_the_table() -> None:
    net = MobileFaceNet(RGB112).eval()
    x = net.dw_conv(net.conv1(torch.zeros(1, 3, 112, 112)))
    shapes = [tuple(x.shape[1:])]
    for layer in net.features:
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(64, 56, 56)] + [(64, 28, 28)] * 5 + [(128, 14, 14)] * 7 + [(128, 7, 7)] * 3


def test_shortcuts_are_where_the_shape_stays() -> None:
    net = MobileFaceNet(RGB112)
    assert [i for i, block in enumerate(net.features) if not block.shortcut] == [0, 5, 12]


@pytest.mark.parametrize(("size", "side"), [(16, 1), (48, 3), (96, 6), (112, 7), (100, 7), (128, 8)])
@pytest.mark.parametrize("taps", ["gdconv+map", "embedding"])
def test_other_sizes_are_pooled_to_the_global_kernel(size: int, side: int, taps: Literal["embedding"]) -> None:
    net = MobileFaceNet(InputShape(channels=1, size=size), taps=taps).eval()
    assert net.map_shape == (128, side, side)
    assert net(torch.zeros(1, 1, size, size)).shape == (1, net.num_features)


def test_features_are_the_global_convolution_then_the_map_means() -> None:
    net = MobileFaceNet(RGB112).eval()
    feature_map = torch.randn(2, 128, 7, 7)
    features = net.forward_features(feature_map)
    torch.testing.assert_close(features[:, 512:], feature_map.mean((2, 3)))
    torch.testing.assert_close(features[:, :512], net.gdconv(net.conv2(feature_map)).flatten(1))


@pytest.mark.parametrize(("size", "side"), [(48, 3), (64, 4), (80, 5), (112, 7)])
def test_levels_are_the_cells_of_three_maps(size: int, side: int) -> None:
    net = MobileFaceNet(InputShape(channels=1, size=size), taps="levels").eval()
    x = torch.randn(2, 1, size, size)
    with torch.no_grad():
        joined, features = net.forward_map(x), net(x)
        x, maps = net.dw_conv(net.conv1(x)), []
        for layer in net.features:
            x = layer(x)
            maps.append(x)
    assert joined.shape[1:] == net.map_shape == (384, side, side)
    torch.testing.assert_close(joined[:, 256:], maps[-1])
    torch.testing.assert_close(joined[:, :128], adaptive_avg_pool2d(maps[7], side))
    torch.testing.assert_close(features, adaptive_avg_pool2d(joined, 4).flatten(1))
    assert features.shape[1] == net.num_features == 6144
    assert list(net.stages())[-1] == "bottleneck5"


@needs_weights
@pytest.mark.parametrize(("taps", "tensors"), [("embedding", 307), ("gdconv+map", 300), ("levels", 288)])
def test_public_weights_load_completely(taps: Literal["embedding"], tensors: int) -> None:
    net = MobileFaceNet(RGB112, taps=taps)
    report = load_weights(net, WEIGHTS, minimum=1.0)
    assert (len(report.loaded), report.adapted, report.missing, report.unexpected) == (tensors, (), (), ())
    if taps == "embedding":
        net.load_state_dict(read_state_dict(WEIGHTS), strict=True)


@needs_weights
def test_public_weights_see_grey_as_they_see_equal_channels() -> None:
    grey = MobileFaceNet(InputShape(channels=1, size=48)).eval()
    rgb = MobileFaceNet(InputShape(channels=3, size=48)).eval()
    assert load_weights(grey, WEIGHTS).adapted == ("conv1.0.weight",)
    load_weights(rgb, WEIGHTS)
    x = torch.randn(2, 1, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(grey(x), rgb(x.expand(-1, 3, -1, -1)), rtol=1e-3, atol=1e-3)


@needs_weights
def test_public_weights_fit_the_activations() -> None:
    """Statistics of random images stay finite and near those that the batch norms recorded on faces."""
    net = MobileFaceNet(RGB112, taps="embedding").eval()
    load_weights(net, WEIGHTS)
    with torch.no_grad():
        embedding = net(torch.randn(4, 3, 112, 112, generator=torch.Generator().manual_seed(0)))
    assert embedding.isfinite().all()
    assert 0.1 < embedding.std().item() < 10
