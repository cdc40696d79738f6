"""Folded batch normalisation: the same answers, fewer layers, and nothing folded that is not simply in sequence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from backbones.batch_norm_folding import fold_batch_norm
from backbones.contract import InputShape
from backbones.registry import BACKBONES

BLOCKS = [{"filters": 8, "dropout": 0.1}, {"convs": 2, "filters": 16, "stride": 2, "residual": True}]


def lived(network: nn.Module) -> nn.Module:
    """With statistics and parameters as after a training."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low in ((module.running_mean, -1.0), (module.running_var, 0.5)):
                tensor.uniform_(low, low + 2)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


@pytest.mark.parametrize(
    ("kind", "parameters", "least"),
    [
        ("scratch_cnn", {"blocks": BLOCKS}, 4),
        ("mobile_facenet", {}, 45),
        ("timm", {"model": "resnet10t"}, 3),
        ("timm", {"model": "densenet121"}, 0),  # its normalisations hold the activations
    ],
)
def test_answers_stay_the_same(kind: str, parameters: dict[str, Any], least: int) -> None:
    network = lived(BACKBONES.build(kind, InputShape(channels=1, size=48), **parameters))
    x = torch.randn(3, 1, 48, 48).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        before = network(x)
    count = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    folded = fold_batch_norm(network)
    assert folded >= least
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == count - folded
    with torch.inference_mode():
        torch.testing.assert_close(network(x), before, rtol=1e-4, atol=1e-4 * float(before.abs().max()))


def test_without_scale_or_with_a_bias() -> None:
    network = lived(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, affine=False), nn.ReLU()))
    x = torch.randn(2, 2, 5, 5)
    with torch.inference_mode():
        before = network(x)
        assert fold_batch_norm(network) == 1
        torch.testing.assert_close(network(x), before)


class Reversed(nn.Sequential):
    """Runs its parts in an order of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self[0](self[1](x))


@pytest.mark.parametrize(
    "network",
    [
        Reversed(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)),
        nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.BatchNorm2d(2)),
        nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)),
    ],
)
def test_what_cannot_be_folded_is_left_alone(network: nn.Module) -> None:
    assert fold_batch_norm(network) == 0


def test_only_torch_s_own_layers_are_folded_and_only_neighbours() -> None:
    class Scaled(nn.Conv2d):
        """Its weights are not used as they are."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self._conv_forward(x, 2 * self.weight, self.bias)

    shared = nn.ReLU()
    network = lived(
        nn.Sequential(
            Scaled(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.Conv2d(4, 4, 3),
            shared,
            nn.Conv2d(4, 4, 3),
            shared,
            nn.BatchNorm2d(4),
        )
    )
    x = torch.randn(2, 1, 16, 16)
    with torch.inference_mode():
        before = network(x)
        assert fold_batch_norm(network) == 0
        assert torch.equal(network(x), before)
