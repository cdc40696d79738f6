"""The promises of `backbones.contract`, asked of every registered backbone with every registered head."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from backbones.contract import Backbone, InputShape
from backbones.errors import InputError
from backbones.freeze import freeze_all, freeze_until, frozen_stages
from backbones.network import Network, build_network
from backbones.registry import BACKBONES, HEADS

# Small variants, so that the whole grid runs in seconds; a backbone that is not listed runs at its smallest size.
SMALL: Mapping[str, tuple[Mapping[str, Any], int]] = {
    "scratch_cnn": (
        {"blocks": [{"filters": 4, "dropout": 0.1}, {"filters": 8, "residual": True, "stride": 2}], "dropout": 0.1},
        16,
    ),
    "timm": ({"model": "test_resnet"}, 32),
    "hog_cnn": (
        {"blocks": [{"filters": 4, "pool": "fractional"}, {"filters": 8, "pool": "stochastic"}], "cell": 4},
        16,
    ),
    "inception": ({"width": 0.1}, 16),
    "pixels": ({}, 8),
}
HEAD_PARAMETERS: Mapping[str, list[Mapping[str, Any]]] = {
    "mlp": [{"hidden": [8], "norm": True, "dropout": 0.2}],
    "dal": [{"hidden": 8, "attach": "conv"}, {"hidden": 8, "attach": "fc"}],
}
CLASSES = 7


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network of the grid."""

    backbone: tuple[str, Mapping[str, Any]]
    head: tuple[str, Mapping[str, Any]]
    shape: InputShape

    def build(self) -> Network:
        """The network with weights that depend on nothing but the case."""
        torch.manual_seed(0)
        network, _ = build_network(backbone=self.backbone, head=self.head, shape=self.shape, classes=CLASSES)
        return network

    def images(self) -> torch.Tensor:
        """Two images."""
        generator = torch.Generator().manual_seed(1)
        return torch.randn(2, self.shape.channels, self.shape.size, self.shape.size, generator=generator)

    def __str__(self) -> str:
        attach = self.head[1].get("attach", "")
        return f"{self.backbone[0]}-{self.shape.channels}-{self.head[0]}{attach and '@'}{attach}"


def _backbones() -> Iterator[tuple[tuple[str, Mapping[str, Any]], InputShape]]:
    for name in BACKBONES.names():
        cls = BACKBONES.get(name)
        parameters, size = SMALL.get(name, ({}, cls.minimum_size))
        for channels in cls.allowed_channels:
            yield (name, parameters), InputShape(channels=channels, size=size)


def _heads() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in HEADS.names():
        for parameters in HEAD_PARAMETERS.get(name, [{}]):
            yield name, parameters


CASES = [
    Case(backbone=backbone, head=head, shape=shape)
    for (backbone, shape), head in itertools.product(_backbones(), _heads())
]
BODIES = [case for case in CASES if case.head[0] == "linear"]


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


@pytest.mark.parametrize("name", BACKBONES.names())
def test_input_a_backbone_cannot_digest_is_refused(name: str) -> None:
    cls = BACKBONES.get(name)
    parameters, size = SMALL.get(name, ({}, cls.minimum_size))
    with pytest.raises(InputError, match=r"Expected `input.channels` to be one of .*, but got 2\."):
        cls(InputShape(channels=2, size=size), **parameters)
    if cls.minimum_size > 1:
        with pytest.raises(InputError, match=rf"Expected `input.size` to be at least {cls.minimum_size} "):
            cls(InputShape(channels=3, size=cls.minimum_size - 1), **parameters)
