"""Rates per parameter: the head's, the backbone's, and layer by layer, from the first update to the last."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from backbones.contract import InputShape
from backbones.freeze import freeze_until
from backbones.network import Network, build_network
from ensemble.spec import OptimizerSpec, ScheduleSpec
from pipelines.optimization import make_optimizer, make_schedule

BLOCKS = [{"filters": 4}, {"filters": 4}, {"filters": 4}]


def make_network() -> Network:
    torch.manual_seed(0)
    network, _ = build_network(
        backbone=("scratch_cnn", {"blocks": BLOCKS, "pooling": "average"}),
        head=("linear", {}),
        shape=InputShape(channels=1, size=16),
        classes=3,
    )
    return network


def rates(network: Network, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """The rate of the head and of every stage, each of one rate only."""
    by_id = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    parts: dict[str, nn.Module] = {**network.backbone.stages(), "head": network.head}
    found = {name: {by_id[id(p)] for p in part.parameters() if id(p) in by_id} for name, part in parts.items()}
    assert all(len(values) <= 1 for values in found.values())
    return {name: values.pop() for name, values in found.items() if values}


def schedule(optimizer: torch.optim.Optimizer, lr: float, **fields: Any) -> Any:
    spec = ScheduleSpec.model_validate(fields)
    return make_schedule(optimizer, spec, peak=lr, epochs=2, steps_per_epoch=10)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ({}, {"block1": 0.1, "block2": 0.1, "block3": 0.1, "head": 0.1}),
        ({"backbone_lr": 0.02}, {"block1": 0.02, "block2": 0.02, "block3": 0.02, "head": 0.1}),
        ({"layer_decay": 0.5}, {"block1": 0.0125, "block2": 0.025, "block3": 0.05, "head": 0.1}),
        ({"layer_decay": 0.5, "backbone_lr": 0.02}, {"block1": 0.0025, "block2": 0.005, "block3": 0.01, "head": 0.1}),
        ({"layer_decay": 1.0}, {"block1": 0.1, "block2": 0.1, "block3": 0.1, "head": 0.1}),
    ],
)
def test_rates_hold_for_the_first_update(optimizer: dict[str, float], expected: dict[str, float]) -> None:
    network = make_network()
    made = make_optimizer(network, OptimizerSpec(kind="sgd", lr=0.1, **optimizer))
    schedule(made, 0.1, kind="constant")
    assert rates(network, made) == pytest.approx(expected)


def test_the_first_update_moves_every_stage_by_its_own_rate() -> None:
    network = make_network().eval()
    made = make_optimizer(
        network, OptimizerSpec(kind="sgd", lr=0.1, layer_decay=0.5, momentum=0, nesterov=False, weight_decay=0)
    )
    schedule(made, 0.1)
    parts = {**network.backbone.stages(), "head": network.head}
    before = {name: [p.detach().clone() for p in part.parameters()] for name, part in parts.items()}
    network(torch.randn(4, 1, 16, 16)).square().sum().backward()
    made.step()
    for name, rate in {"block1": 0.0125, "block2": 0.025, "block3": 0.05, "head": 0.1}.items():
        for old, new in zip(before[name], parts[name].parameters(), strict=True):
            assert new.grad is not None
            torch.testing.assert_close(new.detach(), old - rate * new.grad)


@pytest.mark.parametrize("kind", ["cosine", "linear", "step", "constant"])
def test_stages_keep_their_share_over_the_whole_schedule(kind: str) -> None:
    network, lr = make_network(), 0.1
    made = make_optimizer(network, OptimizerSpec(lr=lr, backbone_lr=0.02, layer_decay=0.75))
    steps = schedule(made, lr, kind=kind, warmup_epochs=0.5, min_lr=0.3, decay_epochs=1)
    heads = []
    for update in range(21):
        now = rates(network, made)
        heads.append(now["head"])
        for depth, name in enumerate(("block3", "block2", "block1"), 1):
            assert now[name] == pytest.approx(now["head"] * 0.2 * 0.75**depth), (update, name)
        steps.step_update(update + 1)
    assert heads[0] == pytest.approx(0.05 * lr)
    assert max(heads) <= lr * (1 + 1e-9)
    if kind == "cosine":  # timm's cosine counts the warm-up as part of its way
        expected = [0.3 * lr + 0.35 * lr * (1 + math.cos(math.pi * t / 20)) for t in range(5, 20)]
        assert heads[5:20] == pytest.approx(expected)


def test_a_backbone_rate_of_its_own_keeps_its_share_too() -> None:
    network, lr = make_network(), 0.1
    made = make_optimizer(network, OptimizerSpec(lr=lr, backbone_lr=0.002))
    steps = schedule(made, lr, kind="cosine", warmup_epochs=0.5, warmup_lr=0.05, min_lr=0.01)
    for update in range(21):
        now = rates(network, made)
        assert {now[name] for name in ("block1", "block2", "block3")} == {now["block1"]}
        assert now["block1"] == pytest.approx(0.02 * now["head"])
        steps.step_update(update + 1)


def test_frozen_stages_are_not_in_it_and_do_not_change_the_others_rates() -> None:
    network = make_network()
    freeze_until(network.backbone, "block2")
    made = make_optimizer(network, OptimizerSpec(lr=0.1, layer_decay=0.5))
    schedule(made, 0.1, kind="constant")
    assert rates(network, made) == pytest.approx({"block3": 0.05, "head": 0.1})


def test_decay_spares_biases_norms_and_whatever_has_no_gradient() -> None:
    network = make_network()
    made = make_optimizer(network, OptimizerSpec(kind="adamw", lr=0.1, layer_decay=0.5, weight_decay=0.2))
    decays = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
    assert {(p.ndim > 1, decays[id(p)]) for p in network.parameters()} == {(True, 0.2), (False, 0.0)}
    network.backbone.requires_grad_(False)  # as in the epochs of the head alone
    before = [p.detach().clone() for p in network.backbone.parameters()]
    network(torch.randn(4, 1, 16, 16)).square().sum().backward()
    made.step()
    assert all(torch.equal(old, new) for old, new in zip(before, network.backbone.parameters(), strict=True))
    assert not any(made.state[p] for p in network.backbone.parameters())


@pytest.mark.parametrize("staged", [False, True])
def test_sgd_updates_as_torch_s_plain_one_does(staged: bool) -> None:
    networks = [make_network().eval(), make_network().eval()]
    ours = make_optimizer(networks[0], OptimizerSpec(kind="sgd", lr=0.1, weight_decay=0), staged=staged)
    plain = torch.optim.SGD(networks[1].parameters(), lr=0.1, momentum=0.9, nesterov=True)
    for _ in range(3):
        x = torch.randn(4, 1, 16, 16)
        for network, optimizer in zip(networks, (ours, plain), strict=True):
            optimizer.zero_grad()
            network(x).square().mean().backward()
            optimizer.step()
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw", "rmsprop"])
def test_parameters_may_get_their_first_gradient_later(kind: str) -> None:
    network = make_network().eval()
    made = make_optimizer(network, OptimizerSpec(kind=kind, lr=0.1), staged=True)
    for learns in (False, True):
        network.backbone.requires_grad_(learns)
        before = [p.detach().clone() for p in network.backbone.parameters()]
        made.zero_grad()
        network(torch.randn(4, 1, 16, 16)).square().sum().backward()
        made.step()
        changed = [not torch.equal(old, new) for old, new in zip(before, network.backbone.parameters(), strict=True)]
        assert any(changed) == learns
