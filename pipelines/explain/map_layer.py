"""The spatial maps inside a backbone: one at the end of each stage, found by watching a face pass.

Works for every backbone through its contract (`stages`, `forward_map`): plain and channels-last convolutions, and
transformers, whose patch tokens are a map as well.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from backbones.network import Network

__all__ = ["MapLayer", "first_filters", "map_layers", "recorded"]

Layout = Literal["channels_first", "channels_last", "tokens"]


@dataclass(frozen=True, kw_only=True)
class MapLayer:
    """A module whose output is a map.

    Attributes:
        name: Of the stage that it ends.
        module: Runs once in a forward pass.
        shape: (channels, height, width) of the map.
        layout: How the output holds the map.
        prefix: Tokens before those of the patches.
    """

    name: str
    module: nn.Module
    shape: tuple[int, int, int]
    layout: Layout = "channels_first"
    prefix: int = 0

    def __str__(self) -> str:
        channels, height, width = self.shape
        return f"{self.name} ({channels}×{height}×{width})"

    def to_map(self, output: Tensor) -> Tensor:
        """The module's output as (B, channels, height, width)."""
        if self.layout == "tokens":
            return output[:, self.prefix :].transpose(1, 2).reshape(len(output), *self.shape)
        return output.permute(0, 3, 1, 2) if self.layout == "channels_last" else output

    def from_map(self, feature_map: Tensor, output: Tensor) -> Tensor:
        """The inverse: an output that holds `feature_map`; tokens of no patch are taken from `output`."""
        if self.layout == "tokens":
            return torch.cat([output[:, : self.prefix], feature_map.flatten(2).transpose(1, 2)], dim=1)
        return feature_map.permute(0, 2, 3, 1) if self.layout == "channels_last" else feature_map


@torch.no_grad()
def map_layers(network: Network, x: Tensor) -> tuple[MapLayer, ...]:
    """The maps at the ends of the backbone's stages, from input to output; none for a backbone without parameters.

    Args:
        network: In evaluation mode.
        x: (B, channels, size, size), any input.
    """
    backbone: Any = network.backbone
    calls: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            calls.append((module, tuple(output.shape)))

    hooks = [m.register_forward_hook(note) for m in backbone.modules() if m is not backbone]
    try:
        backbone.forward_map(x[:1])
    finally:
        for hook in hooks:
            hook.remove()
    times = Counter(id(module) for module, _ in calls)
    found = []
    for name, stage in backbone.stages().items():
        own = {id(m) for m in stage.modules()}
        inside = [(m, shape) for m, shape in calls if id(m) in own and times[id(m)] == 1]
        layer = _layer(name, *inside[-1], backbone) if inside else None
        found += [layer] if layer else []
    return tuple(found)


def _layer(name: str, module: nn.Module, shape: tuple[int, ...], backbone: Any) -> MapLayer | None:
    if getattr(backbone, "tokens", False):
        prefix = int(getattr(backbone.net, "num_prefix_tokens", 0))
        side = math.isqrt(max(0, shape[1] - prefix)) if len(shape) == 3 else 0
        if side < 1 or side * side != shape[1] - prefix:
            return None
        return MapLayer(name=name, module=module, shape=(shape[2], side, side), layout="tokens", prefix=prefix)
    if len(shape) != 4:
        return None
    if getattr(backbone, "channels_last", False):
        return MapLayer(name=name, module=module, shape=(shape[3], shape[1], shape[2]), layout="channels_last")
    return MapLayer(name=name, module=module, shape=(shape[1], shape[2], shape[3]))


@contextmanager
def recorded(layers: tuple[MapLayer, ...]) -> Iterator[Mapping[str, Tensor]]:
    """While it lasts, the maps of these layers by name, of the latest forward pass."""
    maps: dict[str, Tensor] = {}

    def keeper(layer: MapLayer) -> Any:
        def keep(_: nn.Module, __: Any, output: Tensor) -> None:
            maps[layer.name] = layer.to_map(output).clone()  # a later layer may work in place

        return keep

    hooks = [layer.module.register_forward_hook(keeper(layer)) for layer in layers]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def first_filters(network: Network) -> Tensor | None:
    """Weights of the layer that sees the image (filters, channels, height, width), None where no such layer is found.

    Where the pixels themselves are the features, the first fully connected layer has one picture per unit.
    """
    channels, size = network.backbone.shape.channels, network.backbone.shape.size
    for module in network.backbone.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == channels:
            return module.weight.detach()
    if network.backbone.map_shape != (channels, size, size):
        return None
    for module in network.head.modules():
        if isinstance(module, nn.Linear) and module.in_features == channels * size * size:
            return module.weight.detach().view(-1, channels, size, size)
    return None
