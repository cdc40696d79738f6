"""VGG16 against timm's, which takes the same checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backbones import timm_parts
from backbones.contract import InputShape
from backbones.net.vgg16 import VGG16
from backbones.weights import load_weights


@pytest.mark.parametrize("batch_norm", [False, True])
def test_convolutions_are_timms(batch_norm: bool) -> None:
    shape = InputShape(channels=3, size=32)
    with torch.device("meta"):  # timm's always has the 120 million parameters: in shape only
        reference = timm_parts.create_model("vgg16_bn" if batch_norm else "vgg16", shape=shape).eval()
    net = VGG16(shape, batch_norm=batch_norm).eval()
    assert net.convert_weights(reference.state_dict()).keys() == net.state_dict().keys()
    reference.features.load_state_dict(net.features.state_dict(), strict=True, assign=True)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(net.forward_map(x), reference.forward_features(x))


def test_stages_end_with_their_pool() -> None:
    net = VGG16(InputShape(channels=1, size=48))
    assert list(net.stages()) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert [sum(isinstance(m, torch.nn.Conv2d) for m in s) for s in net.stages().values()] == [2, 2, 3, 3, 3]
    assert net(torch.zeros(1, 1, 48, 48)).shape == (1, 512)


def test_fully_connected_layers_take_torchvision_names() -> None:
    """On the meta device: 120 million parameters in shape only."""
    with torch.device("meta"):
        net = VGG16(InputShape(channels=3, size=48), keep="all")
        state = {
            "classifier.0.weight": torch.zeros(4096, 25088),
            "classifier.0.bias": torch.zeros(4096),
            "classifier.3.weight": torch.zeros(4096, 4096),
            "classifier.3.bias": torch.zeros(4096),
            "classifier.6.weight": torch.zeros(1000, 4096),
            "classifier.6.bias": torch.zeros(1000),
        }
        converted = net.convert_weights(state)
        assert net(torch.zeros(2, 3, 48, 48)).shape == (2, 4096)
    own = net.state_dict()
    assert {name: own[name].shape for name in converted} == {name: t.shape for name, t in converted.items()}
    assert set(converted) == {f"pre_logits.{fc}.{part}" for fc in ("fc1", "fc2") for part in ("weight", "bias")}
    assert list(net.stages())[-1] == "fc"
    net.discard_features()
    assert list(net.stages())[-1] == "conv5"


def test_pretrained_weights_come_from_the_local_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = VGG16(InputShape(channels=3, size=32))
    torch.save(source.state_dict(), tmp_path / "vgg16.pth")
    monkeypatch.setattr(timm_parts, "cached_weights", {"vgg16": tmp_path / "vgg16.pth"}.__getitem__)
    net = VGG16(InputShape(channels=1, size=32), pretrained=True)
    torch.testing.assert_close(net.features[0].weight, source.features[0].weight.sum(1, keepdim=True))
    assert load_weights(net, tmp_path / "vgg16.pth").adapted == ("features.0.weight",)
