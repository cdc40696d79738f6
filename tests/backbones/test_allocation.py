from __future__ import annotations

import pytest
import torch
from torch import nn

from backbones.allocation import AllocationLimit
from backbones.contract import InputShape
from backbones.errors import InputError
from backbones.limits import NETWORK_BYTES
from backbones.network import build_network


@pytest.mark.parametrize(
    ("make", "taken"),
    [
        (lambda: torch.empty(3, 5), 60),
        (lambda: torch.empty((3, 5)), 60),
        (lambda: torch.zeros(size=(3, 5), dtype=torch.float64), 120),
        (lambda: torch.ones([7], dtype=torch.int64), 56),
        (lambda: torch.full((2, 2), 1.0, dtype=torch.float16), 8),
        (lambda: torch.eye(4), 64),
        (lambda: torch.eye(4, 2), 32),
        (lambda: torch.empty(()), 4),
        (lambda: nn.Linear(3, 5), 80),
        (lambda: nn.Conv2d(2, 4, 3, bias=False), 288),
    ],
)  # fmt: skip
def test_every_way_to_make_a_tensor_is_counted(make: object, taken: int) -> None:
    limit = AllocationLimit(taken, place="x")
    with limit:
        make()  # type: ignore[operator]
    assert limit.taken == taken
    with (
        pytest.raises(InputError, match=rf"x to ask for a network of at most {taken - 1} bytes"),
        AllocationLimit(taken - 1, place="x"),
    ):
        make()  # type: ignore[operator]


def test_what_is_too_large_is_never_made() -> None:
    with pytest.raises(InputError), AllocationLimit(1 << 20, place="x"):
        nn.Linear(10**7, 10**7)  # 400 TB


def test_honest_networks_pass_even_those_that_drop_layers() -> None:
    """VGG16's fully connected layers are built and dropped when the head takes the map."""
    with AllocationLimit(NETWORK_BYTES, place="x"):
        network, _ = build_network(
            backbone=("vgg16", {}), head=("dal", {"attach": "conv"}),
            shape=InputShape(channels=3, size=48), classes=7, pretrained=False,
        )  # fmt: skip
    assert sum(p.numel() for p in network.parameters()) < 20_000_000
