"""The promises of `backbones.contract`, asked of every registered backbone with every registered head."""

from __future__ import annotations

import copy

import pytest
import torch
from network_grid import BODIES, CASES, CLASSES, SMALL, Case
from torch.nn.modules.batchnorm import _BatchNorm

from backbones.contract import Backbone, InputShape, NativeInput
from backbones.declaration import read_declaration
from backbones.errors import InputError
from backbones.freeze import freeze_all, freeze_until, frozen_stages, release, trained_stages
from backbones.network import build_network
from backbones.registry import BACKBONES


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    """Every backbone × channels × head."""
    found: Case = request.param
    return found


@pytest.fixture(params=BODIES, ids=str)
def body(request: pytest.FixtureRequest) -> Case:
    """Every backbone × channels, with the plain head."""
    found: Case = request.param
    return found


def test_network_shapes_gradients_and_state(case: Case) -> None:
    network = case.build().train()
    x = case.images()
    logits = network(x)
    assert logits.shape == (2, CLASSES)
    logits.logsumexp(dim=1).sum().backward()
    untouched = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert untouched == []

    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.manual_seed(5)
    other, report = build_network(
        backbone=case.backbone, head=case.head, shape=case.shape, classes=CLASSES, pretrained=False
    )
    assert report is None
    other.load_state_dict(state, strict=True)
    with torch.no_grad():
        torch.testing.assert_close(other.eval()(x), network.eval()(x))


def test_backbone_shapes_are_as_announced(body: Case) -> None:
    backbone: Backbone = body.build().eval().backbone
    with torch.no_grad():
        feature_map = backbone.forward_map(body.images())
        from_map = backbone.forward_features(feature_map)
        features = backbone(body.images())
    assert feature_map.shape == (2, *backbone.map_shape)
    assert features.shape == (2, backbone.num_features)
    if type(backbone).forward is Backbone.forward:
        assert from_map.shape == features.shape
    torch.testing.assert_close(features[:, : from_map.shape[1]], from_map)


def test_stages_hold_every_parameter_once_and_in_order(body: Case) -> None:
    backbone = body.build().backbone
    staged = [id(p) for stage in backbone.stages().values() for p in stage.parameters()]
    assert len(staged) == len(set(staged))
    assert set(staged) == {id(p) for p in backbone.parameters()}
    assert staged == [id(p) for p in backbone.parameters()]
    assert all(list(stage.parameters()) for stage in backbone.stages().values())


def test_frozen_stages_get_no_gradient_and_keep_their_statistics(body: Case) -> None:
    network = body.build()
    names = list(network.backbone.stages())
    if not names:
        pytest.skip("a backbone without parameters has no stage to freeze")
    stage = names[len(names) // 2 - 1]
    freeze_until(network.backbone, stage)
    kept = names[: names.index(stage) + 1]
    assert frozen_stages(network.backbone) == kept
    frozen = {f"{name}.{key}": t for name in kept for key, t in network.backbone.stages()[name].state_dict().items()}
    before = {key: tensor.clone() for key, tensor in frozen.items()}

    network.train()
    network(body.images()).square().sum().backward()
    assert all((p.grad is None) == (not p.requires_grad) for p in network.parameters())
    assert all(torch.equal(frozen[key], before[key]) for key in frozen)
    layers = [m for name in kept for m in network.backbone.stages()[name].modules() if not list(m.children())]
    assert not any(layer.training for layer in layers)
    assert any(layer.training for layer in network.backbone.modules())


def test_freezing_everything_makes_the_backbone_deterministic(body: Case) -> None:
    network = body.build()
    freeze_all(network.backbone)
    network.train()
    assert network.head.training
    first, second = network.features(body.images()), network.features(body.images())
    assert torch.equal(first, second)
    assert not first.requires_grad


def test_kept_statistics_stay_while_everything_learns(body: Case) -> None:
    network = body.build()
    layers = [m for m in network.backbone.modules() if isinstance(m, _BatchNorm)]
    if not layers:
        pytest.skip("a backbone without batch normalisation has no statistics to keep")
    network.keeps_statistics = True
    before = [tensor.clone() for layer in layers for tensor in layer.buffers()]
    copied = copy.deepcopy(network)  # as the average of the weights does
    for one in (network, copied):
        own = [m for m in one.backbone.modules() if isinstance(m, _BatchNorm)]
        one.train()(body.images()).square().sum().backward()
        assert all(torch.equal(a, b) for a, b in zip(before, (t for m in own for t in m.buffers()), strict=True))
        assert all(p.grad is not None for m in own for p in m.parameters())
        assert one.backbone.training
    network.keeps_statistics = False
    network.train()(body.images())
    assert not all(torch.equal(a, b) for a, b in zip(before, (t for m in layers for t in m.buffers()), strict=True))


def test_stages_are_released_from_the_last_and_taken_back(body: Case) -> None:
    backbone = body.build().backbone
    names = list(backbone.stages())
    if not names:
        pytest.skip("a backbone without parameters has no stage to release")
    fixed = next(backbone.stages()[names[-1]].parameters())
    fixed.requires_grad_(False)  # as some networks have parameters that never learn
    stages = trained_stages(backbone)
    for count in (0, 1, len(stages), 1, 0):
        release(stages, count)
        learning = [name for name in names if any(p.requires_grad for p in backbone.stages()[name].parameters())]
        assert learning == list(stages)[len(stages) - count :]
        assert not fixed.requires_grad


@pytest.mark.parametrize("name", BACKBONES.names())
def test_what_is_declared_without_importing_is_true(name: str) -> None:
    cls, declared = BACKBONES.get(name), read_declaration(name)
    assert (declared.minimum_size, declared.allowed_channels) == (cls.minimum_size, cls.allowed_channels)
    assert (None if cls.native is None else NativeInput(**declared.native)) == cls.native
    backbone = next(case for case in BODIES if case.backbone[0] == name).build().backbone
    if name == "timm":  # whose stages are the model's
        assert backbone.native == NativeInput(size=160, channels=3, pixels=cls.native.pixels)
        return
    named = [stage for stage in backbone.stages() if f"`{stage}`" in declared.stages]
    assert named[:1] + named[-1:] == list(backbone.stages())[:1] + list(backbone.stages())[-1:]


CONVENTIONS = {
    "(x - 127.5) / 128": ((127.5,) * 3, (128.0,) * 3),
    "x / 255": ((0.0,) * 3, (255.0,) * 3),
    "ImageNet's mean and deviation": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}


@pytest.mark.parametrize("name", [name for name in BACKBONES.names() if BACKBONES.get(name).native is not None])
def test_the_convention_in_words_is_the_one_in_numbers(name: str) -> None:
    case = next(case for case in BODIES if case.backbone[0] == name and case.shape.channels == 3)
    backbone = case.build().backbone
    assert backbone.native is not None
    assert backbone.normalization is not None
    mean, std = CONVENTIONS.get(backbone.native.pixels, ((backbone.normalization.mean), (backbone.normalization.std)))
    own = backbone.normalization
    assert torch.tensor(own.mean).expand(3).tolist() == pytest.approx(mean)
    assert torch.tensor(own.std).expand(3).tolist() == pytest.approx(std)


@pytest.mark.parametrize("name", BACKBONES.names())
def test_input_a_backbone_cannot_digest_is_refused(name: str) -> None:
    cls = BACKBONES.get(name)
    parameters, size = SMALL.get(name, ({}, cls.minimum_size))
    with pytest.raises(InputError, match=r"`input.channels` to be one of .*, but got 2\. Set `input: \{channels: 3\}`"):
        cls(InputShape(channels=2, size=size), **parameters)
    if cls.minimum_size > 1:
        with pytest.raises(InputError, match=rf"Expected `input.size` to be at least {cls.minimum_size} "):
            cls(InputShape(channels=3, size=cls.minimum_size - 1), **parameters)
