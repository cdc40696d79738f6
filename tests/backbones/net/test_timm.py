"""timm models of several families as backbones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backbones import timm_parts
from backbones.contract import InputShape
from backbones.errors import InputError
from backbones.freeze import freeze_until
from backbones.net.timm import Timm
from backbones.network import build_network
from backbones.weights import load_weights

GREY32 = InputShape(channels=1, size=32)

FAMILIES = {  # model: (map shape, first stages, last stages)
    "test_resnet": ((96, 1, 1), ["conv1", "bn1", "layer1"], ["layer3", "layer4"]),
    "test_vit": ((64, 1, 5), ["tokens", "patch_embed", "blocks.0"], ["norm"]),
    "convnext_atto": ((320, 1, 1), ["stem", "stages.0"], ["stages.3", "head"]),
    "mobilenetv3_small_050": ((288, 1, 1), ["conv_stem", "bn1", "blocks.0"], ["blocks.5", "conv_head"]),
    "swin_tiny_patch4_window7_224": ((768, 1, 1), ["patch_embed", "layers.0"], ["layers.3", "norm"]),
}


@pytest.mark.parametrize("model", FAMILIES)
def test_families(model: str) -> None:
    map_shape, first, last = FAMILIES[model]
    net = Timm(GREY32, model=model).eval()
    stages = list(net.stages())
    assert stages[: len(first)] == first
    assert stages[-len(last) :] == last
    assert net.map_shape == map_shape
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        whole = net.net(x) if model != "test_vit" else net.net.forward_head(net.net.forward_features(x))
        torch.testing.assert_close(net(x), whole)
        assert net.forward_map(x).shape[1:] == map_shape


@pytest.mark.parametrize(("model", "gone"), [("mobilenetv3_small_050", "conv_head"), ("convnext_atto", "head")])
def test_a_head_on_the_map_drops_what_the_map_does_not_need(model: str, gone: str) -> None:
    network, _ = build_network(
        backbone=("timm", {"model": model}), head=("dal", {"hidden": 4}), shape=GREY32, classes=7
    )
    assert gone not in network.backbone.stages()
    network(torch.randn(2, 1, 32, 32)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_freezing_a_transformers_tokens_freezes_its_position_embedding() -> None:
    net = Timm(GREY32, model="test_vit")
    freeze_until(net, "blocks.0")
    assert not net.net.pos_embed.requires_grad
    assert not net.net.blocks[0].attn.qkv.weight.requires_grad
    assert net.net.blocks[1].attn.qkv.weight.requires_grad


def test_a_checkpoint_of_another_input_size_and_channels_loads(tmp_path: Path) -> None:
    source = timm_parts.create_model("test_vit", shape=InputShape(channels=3, size=64))
    head = {"head.weight": torch.zeros(1000, 64), "head.bias": torch.zeros(1000)}
    torch.save({**source.state_dict(), **head}, tmp_path / "vit.pth")
    net = Timm(GREY32, model="test_vit")
    report = load_weights(net, tmp_path / "vit.pth", minimum=1.0)
    assert (report.missing, report.unexpected) == ((), ())
    assert {"net.patch_embed.proj.weight", "net.pos_embed"} <= set(report.adapted)
    assert torch.equal(net.net.norm.weight, source.norm.weight)


def test_normalization_is_the_models_own_in_pixel_values() -> None:
    rgb = Timm(InputShape(channels=3, size=32), model="test_resnet").normalization
    assert rgb is not None
    assert rgb.mean == pytest.approx((127.5, 127.5, 127.5))
    grey = Timm(GREY32, model="test_resnet").normalization
    assert grey is not None
    assert grey.std == pytest.approx((127.5,))


def test_probing_changes_no_statistics() -> None:
    net = Timm(GREY32, model="test_resnet")
    assert net.training
    assert all(int(t) == 0 for name, t in net.state_dict().items() if name.endswith("num_batches_tracked"))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model": "resnt18"}, r"but got 'resnt18'\. Did you mean `resnet18`\?"),
        ({"model": "levit_128s"}, r"(?s)`levit_128s`.*224"),
    ],
)
def test_what_timm_cannot_do_is_told(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Timm(InputShape(channels=3, size=30), **parameters)
