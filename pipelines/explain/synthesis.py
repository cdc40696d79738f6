"""Pictures that a network would like to see: gradient ascent for a filter, dreams for an expression.

Both work on the network's input, behind the input layer: what is made there need not be a photograph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.explain.map_layer import MapLayer, recorded

__all__ = ["Ascent", "Dream", "ascend_filters", "dream_classes", "strongest_channels"]

_OCTAVES = (4, 2, 1)


@dataclass(frozen=True, kw_only=True)
class Ascent:
    """Pictures that excite the filters of one layer.

    Attributes:
        layer: The layer, in words.
        channels: Which of its filters.
        pictures: (B, channels, size, size) network input.
        before: Mean activation of each filter on the noise it started from.
        after: The same on its picture.
    """

    layer: str
    channels: tuple[int, ...]
    pictures: Tensor
    before: tuple[float, ...]
    after: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Dream:
    """One start, dreamed towards every class.

    Attributes:
        start: (1, channels, size, size) network input.
        pictures: (K, channels, size, size).
        before: K probabilities of each class on the start.
        after: The same on the pictures.
    """

    start: Tensor
    pictures: Tensor
    before: tuple[float, ...]
    after: tuple[float, ...]


def strongest_channels(network: nn.Module, layer: MapLayer, x: Tensor, count: int) -> list[int]:
    """The filters of a layer that respond most to these inputs, strongest first."""
    with torch.no_grad(), recorded((layer,)) as maps:
        network(x)
    means = maps[layer.name].mean(dim=(0, 2, 3))
    return [int(c) for c in means.argsort(descending=True, stable=True)[:count]]


def ascend_filters(
    network: nn.Module, layer: MapLayer, channels: Sequence[int], seen: Tensor, *, steps: int = 48, seed: int = 0
) -> Ascent:
    """Start from noise, coarse and fine, and climb each filter's mean activation.

    Simonyan et al., 2014, Deep Inside Convolutional Networks; regularised after Yosinski et al., 2015, Understanding
    Neural Networks Through Deep Visualization: normalised steps, a random shift of up to a sixteenth of the picture
    before each, a light blur after every fourth, decay towards grey, and the range of real inputs.

    Args:
        network: In evaluation mode.
        layer: A map inside it.
        channels: Filters of it, B of them.
        seen: (N, channels, size, size) inputs from real faces: they give the range.
        steps: Of the climb.
        seed: Of noise and shifts.
    """
    generator = torch.Generator().manual_seed(seed)
    low, high = _range(seen)
    middle, spread = seen.mean(), seen.std()
    shape = (len(channels), *(int(side) for side in seen.shape[1:]))
    x = (middle + spread * _cloud(shape, generator).to(seen)).clamp(low, high)
    rows = torch.arange(len(channels))

    def excitement(pictures: Tensor) -> Tensor:
        with recorded((layer,)) as maps:
            network(pictures)
        return maps[layer.name][rows, list(channels)].mean(dim=(1, 2))  # (B,)

    before = _without_gradient(excitement, x)
    reach = max(1, seen.shape[-1] // 16)
    for step in range(steps):
        dy, dx = (int(v) for v in torch.randint(-reach, reach + 1, (2,), generator=generator))
        gradient = _gradient(excitement, x.roll((dy, dx), (2, 3))).roll((-dy, -dx), (2, 3))
        silent = gradient.abs().amax(dim=(1, 2, 3), keepdim=True) == 0  # a filter that rests: look elsewhere
        way = torch.where(silent, 2 * _cloud(shape, generator).to(x), _unit(gradient))
        x = x + 0.15 * spread * way
        if step % 4 == 3:
            x = _blur(x)
        x = (middle + 0.99 * (x - middle)).clamp(low, high)
    after = _without_gradient(excitement, x)
    return Ascent(layer=str(layer), channels=tuple(channels), pictures=x.detach(), before=before, after=after)


def dream_classes(scores: nn.Module, start: Tensor, classes: int, *, steps: int = 20, seed: int = 0) -> Dream:
    """DeepDream towards each class: change a face until the network is sure of an expression.

    Mordvintsev et al., 2015, Inceptionism; its octaves are kept, coarse changes first. As a network takes one input
    size alone, an octave is a change at a quarter, a half and the whole of that size, stretched onto the face, and not
    a smaller face. The change is shifted at random before each step, blurred a little, and softly bounded by 0.8
    deviations of the face, so that the face stays.

    Args:
        scores: (B, channels, size, size) to scores of the classes before the softmax, in evaluation mode.
        start: (1, channels, size, size) network input.
        classes: K.
        steps: Of each octave.
        seed: Of the shifts.
    """
    generator = torch.Generator().manual_seed(seed)
    size, spread = start.shape[-1], start.std().clamp_min(1e-6)
    rows = torch.arange(classes)
    base = start.expand(classes, -1, -1, -1)

    def certainty(pictures: Tensor) -> Tensor:
        result: Tensor = scores(pictures).log_softmax(dim=1)[rows, rows]  # (K,)
        return result

    limit = 0.8 * spread
    change = torch.zeros_like(base)
    for octave in _OCTAVES:
        side = max(2, size // octave)
        own = torch.zeros(classes, start.shape[1], side, side).to(start)
        fixed = change
        for _ in range(steps):
            dy, dx = (int(v) for v in torch.randint(-2, 3, (2,), generator=generator))

            def shifted(own: Tensor, fixed: Tensor = fixed, dy: int = dy, dx: int = dx) -> Tensor:
                return certainty(base + _bounded(fixed + _stretched(own, size), limit).roll((dy, dx), (2, 3)))

            own = own + 0.05 * spread * _unit(_gradient(shifted, own))
            own = own if octave > 1 else 0.9 * own + 0.1 * _blur(own)
        change = fixed + _stretched(own, size)
    pictures = (base + _bounded(change, limit)).detach()
    before, after = (_probabilities(certainty, some) for some in (base, pictures))
    return Dream(start=start, pictures=pictures, before=before, after=after)


def _bounded(change: Tensor, limit: Tensor) -> Tensor:
    return limit * torch.tanh(change / limit)


def _probabilities(certainty: Callable[[Tensor], Tensor], pictures: Tensor) -> tuple[float, ...]:
    return tuple(math.exp(value) for value in _without_gradient(certainty, pictures))


def _gradient(objective: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        return torch.autograd.grad(objective(leaf).sum(), leaf)[0]


def _without_gradient(objective: Callable[[Tensor], Tensor], x: Tensor) -> tuple[float, ...]:
    with torch.no_grad():
        return tuple(objective(x).double().tolist())


def _unit(gradient: Tensor) -> Tensor:
    """Each picture's gradient at unit root mean square; zero stays zero."""
    size = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return gradient / size.clamp_min(1e-12)


def _cloud(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Noise of unit deviation per picture with both coarse and fine grain, as faces have."""
    fine = torch.randn(shape, generator=generator)
    coarse = torch.randn((*shape[:2], max(2, shape[2] // 8), max(2, shape[3] // 8)), generator=generator)
    noise = 0.3 * fine + _stretched(coarse, shape[3])
    return noise / noise.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)


def _range(seen: Tensor) -> tuple[float, float]:
    low, high = torch.quantile(seen.flatten()[:1_000_000].float(), torch.tensor([0.01, 0.99]).to(seen.device)).tolist()
    return low, high


def _stretched(x: Tensor, side: int) -> Tensor:
    if x.shape[-1] == side:
        return x
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)


def _blur(x: Tensor, sigma: float = 0.5) -> Tensor:
    """Gaussian over 3×3 pixels, edges repeated."""
    side = torch.exp(torch.tensor(-0.5 / sigma**2))
    line = torch.stack([side, torch.ones(()), side]).to(x)
    kernel = torch.outer(line, line) / line.sum() ** 2
    channels = x.shape[1]
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel.expand(channels, 1, 3, 3), groups=channels)
