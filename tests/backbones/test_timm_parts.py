"""What the product takes from timm: names, offline weights, schedules, the weight average."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from backbones import timm_parts
from backbones.contract import InputShape
from backbones.errors import InputError

SHAPE = InputShape(channels=3, size=32)


def _optimizer(lr: float = 1.0, **group: Any) -> torch.optim.SGD:
    return torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], **group}], lr=lr)


def _rates(optimizer: torch.optim.Optimizer, steps: int, **schedule: Any) -> list[float]:
    scheduler = timm_parts.create_scheduler(optimizer, **schedule)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step_update(step + 1)
    return rates


def test_names() -> None:
    names = timm_parts.model_names()
    assert {"resnet18", "convnext_atto", "vit_tiny_patch16_224"} < set(names)
    assert not any("." in name for name in names)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "resnet_18",
            r"Expected `model` to be the name of a timm model, but got 'resnet_18'\. Did you mean `resnet18`",
        ),
        ("test_resnet.nowhere", r"Expected a pretrained tag of `test_resnet`, but got 'test_resnet\.nowhere'"),
        ("hf-hub:someone/model", r"Expected `model` to be the name of a timm model"),
    ],
)
def test_unknown_models_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        timm_parts.create_model(name, shape=SHAPE)


def test_a_rate_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(InputError, match="leave out the rates it does not know"):
        timm_parts.create_model("vgg11", shape=SHAPE, drop_path_rate=0.1)


@pytest.mark.parametrize(
    ("rates", "dropout", "paths"),
    [
        ({}, 0.2, []),  # the model's own
        ({"drop_rate": 0.0}, 0.0, []),
        ({"drop_rate": 0.4, "drop_path_rate": 0.3}, 0.4, [0.02 * block for block in range(1, 16)]),
    ],
)
def test_rates_override_the_models_own_zero_included(
    rates: dict[str, float], dropout: float, paths: list[float]
) -> None:
    model = timm_parts.create_model("rexnet_100", shape=SHAPE, **rates)
    assert model.head.drop.p == dropout
    assert [m.drop_prob for m in model.modules() if type(m).__name__ == "DropPath"] == pytest.approx(paths)


@pytest.mark.usefixtures("_empty_caches")
def test_absent_pretrained_weights_are_told_without_any_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", no_network)
    message = r"(?s)pretrained weights of `test_resnet` on this disk.*`pretrained: false` and `weights: \{file: PATH\}`"
    with pytest.raises(InputError, match=message):
        timm_parts.create_model("test_resnet", shape=SHAPE, pretrained=True)


@pytest.fixture
def _empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))


def test_weights_in_the_local_cache_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = timm_parts.create_model("test_resnet", shape=SHAPE)
    file = tmp_path / "model.pth"
    head = {"fc.weight": torch.zeros(1000, 96), "fc.bias": torch.zeros(1000)}
    torch.save({**source.state_dict(), **head}, file)
    monkeypatch.setattr(timm_parts, "cached_weights", lambda name: file)
    grey = timm_parts.create_model("test_resnet", shape=InputShape(channels=1, size=32), pretrained=True)
    expected = source.state_dict()["conv1.0.weight"].sum(dim=1, keepdim=True)
    torch.testing.assert_close(grey.state_dict()["conv1.0.weight"], expected)


def test_cosine_follows_its_formula() -> None:
    rates = _rates(_optimizer(), 21, kind="cosine", epochs=2, steps_per_epoch=10, min_lr=0.2)
    expected = [0.2 + 0.4 * (1 + math.cos(math.pi * t / 20)) for t in range(20)]
    assert rates == pytest.approx([*expected, 0.2])


def test_poly_of_power_one_is_a_straight_line() -> None:
    rates = _rates(_optimizer(), 11, kind="poly", epochs=1, steps_per_epoch=10)
    assert rates == pytest.approx([1 - t / 10 for t in range(11)])


def test_step_falls_every_decay_epochs() -> None:
    rates = _rates(_optimizer(), 12, kind="step", epochs=3, steps_per_epoch=4, decay_epochs=1, decay_rate=0.5)
    assert rates == pytest.approx([1.0] * 4 + [0.5] * 4 + [0.25] * 4)


def test_warm_up_is_linear_and_may_last_a_fraction_of_an_epoch() -> None:
    rates = _rates(_optimizer(), 10, kind="constant", epochs=1, steps_per_epoch=10, warmup_epochs=0.5, warmup_lr=0.5)
    assert rates == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9] + [1.0] * 5)


def test_layer_wise_rates_hold_from_the_first_update() -> None:
    rates = _rates(_optimizer(lr_scale=0.1), 3, kind="constant", epochs=1, steps_per_epoch=10)
    assert rates == pytest.approx([0.1] * 3)


def test_resuming_needs_only_the_number_of_updates() -> None:
    schedule: dict[str, Any] = {"kind": "cosine", "epochs": 2, "steps_per_epoch": 10, "warmup_epochs": 0.3}
    whole = _rates(_optimizer(), 20, **schedule)
    optimizer = _optimizer()
    timm_parts.create_scheduler(optimizer, **schedule).step_update(13)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(whole[13])


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"kind": "cosin", "epochs": 2}, r"but got 'cosin'\. Did you mean `cosine`\?"),
        ({"kind": "cosine", "epochs": 2, "warmup_epochs": 2.0}, r"less than `epochs` \(2\), but got 2\.0"),
    ],
)
def test_wrong_schedules_are_refused(schedule: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        timm_parts.create_scheduler(_optimizer(), steps_per_epoch=10, **schedule)


def test_average_follows_the_model_and_leaves_it_alone() -> None:
    model = nn.Linear(2, 1)
    average = timm_parts.create_ema(model, 0.5)
    with torch.no_grad():
        for step in range(1, 60):
            model.weight.fill_(3.0)
            average.update(model, step=step)
    torch.testing.assert_close(average.module.weight, model.weight)
    assert average.module.weight is not model.weight
    assert not average.module.training


@pytest.mark.usefixtures("_empty_caches")
@pytest.mark.parametrize("name", timm_parts.CATALOGUED)
def test_the_catalogue_is_named_where_it_has_the_weights(name: str) -> None:
    with pytest.raises(InputError, match=rf"`vgg16` and `weights: {name}`, which `ensemble weights fetch {name}` gets"):
        timm_parts.cached_weights(name)
