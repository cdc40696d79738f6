"""Every registered backbone × {grey, RGB} × every registered head, in variants small enough for tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from backbones.contract import InputShape
from backbones.network import Network, build_network
from backbones.registry import BACKBONES, HEADS

__all__ = ["BODIES", "CASES", "CLASSES", "SMALL", "Case"]

# A backbone that is not listed runs at its smallest size.
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
    "mlp": [{"hidden": [8], "norm": True, "dropout": 0.2, "standardize": True}],
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
