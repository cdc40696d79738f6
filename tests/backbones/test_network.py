"""How a backbone and a head meet: attachment, inheritance, weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from backbones.contract import InputShape
from backbones.errors import InputError
from backbones.net.light_cnn import LightCNN
from backbones.network import build_network

SHAPE = InputShape(channels=1, size=32)


def test_dal_on_the_map_starts_from_the_loaded_maxout_layer(tmp_path: Path) -> None:
    source = LightCNN(SHAPE, dropout=0.0).eval()
    file = tmp_path / "net_b.safetensors"
    save_file(source.state_dict(), file)
    network, report = build_network(
        backbone=("light_cnn", {}), head=("dal", {"hidden": 256}), shape=SHAPE, classes=7, weights=file
    )
    network.eval()
    assert report is not None
    assert report.share == 1.0
    assert network.backbone.maxout_layer() is None
    assert "fc1" not in network.backbone.stages()
    x = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(x), network.head.ip2(torch.relu(source(x))))


@pytest.mark.parametrize("options", [{"hidden": 128}, {"hidden": 256, "attach": "fc"}])
def test_dal_of_another_shape_inherits_nothing(options: dict[str, object]) -> None:
    torch.manual_seed(0)
    network, _ = build_network(backbone=("light_cnn", {}), head=("dal", options), shape=SHAPE, classes=7)
    assert network(torch.rand(1, 1, 32, 32)).shape == (1, 7)


def test_without_pretrained_no_weights_are_read(tmp_path: Path) -> None:
    network, report = build_network(
        backbone=("vgg16", {"pretrained": True}),
        head=("linear", {}),
        shape=SHAPE,
        classes=2,
        weights=tmp_path / "absent.pt",
        pretrained=False,
    )
    assert report is None
    assert network.features(torch.zeros(1, 1, 32, 32)).shape == (1, 512)


@pytest.mark.parametrize(
    ("backbone", "head", "message"),
    [
        ("light_cn", "linear", r"Expected a backbone, but got 'light_cn'\. Did you mean `light_cnn`\?"),
        ("light_cnn", "liner", r"Expected a head, but got 'liner'\. Did you mean `linear`\?"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(backbone: str, head: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_network(backbone=(backbone, {}), head=(head, {}), shape=SHAPE, classes=7)
