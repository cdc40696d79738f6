"""Max pooling over regions of random size: a map shrinks by a ratio between one and two.

Owns how regions are drawn and the maximum over them. Rows and columns are pooled one after the other: the maximum over
a rectangle is the maximum over its columns of the maxima over its rows.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from backbones.errors import InputError

__all__ = ["FixedMaxPool2d", "FractionalMaxPool2d", "draw_steps", "fractional_size"]

_STEPS = 2**24  # the values that u may take in (0, 1): a whole number of parts keeps the sequence exact
_FROZEN = 2014  # seeds the regions of eval mode
_CHUNK = 2**18  # numbers pooled at a time on a CPU, so that what lies between x and y stays in its cache


class FractionalMaxPool2d(nn.Module):
    """Max pooling to 1 / `ratio` of the side, over regions of one or two cells a side, drawn anew for every batch.

    Graham, 2014, Fractional Max-Pooling. Rows and columns are cut independently at 0 = a_0 < a_1 < ... < a_n, in steps
    of one or two: region i is a_i .. a_{i+1} - 1, or with a_{i+1} included where regions overlap. Training draws from
    torch's global CPU generator; in eval mode the regions are always the same for one size.

    Args:
        ratio: Side of the input over side of the output, above 1 and below 2.
        order: `random` permutes the right number of ones and twos; `pseudo` takes a_i = ceil(α (i + u)), which spreads
            them evenly, with one random u.
        overlapping: Neighbouring regions share a row and a column.

    Raises:
        InputError: The ratio is out of bounds.

    Example:
        >>> pool = FractionalMaxPool2d(1.5, order="pseudo", overlapping=False)
        >>> pool(torch.zeros(2, 3, 48, 48)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self, ratio: float = 1.4142, *, order: Literal["random", "pseudo"] = "random", overlapping: bool = True
    ) -> None:
        super().__init__()
        if not 1 < ratio < 2:
            raise InputError(f"Expected `ratio` to be above 1 and below 2, but got {ratio}. Use 1.4142, for example.")
        self.ratio, self.order, self.overlapping = ratio, order, overlapping

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, ⌊H / ratio⌋, ⌊W / ratio⌋)."""
        generator = None if self.training else _frozen()
        rows, columns = (self._places(side, generator).to(x.device) for side in x.shape[2:])
        y: Tensor = _RegionMax.apply(x.permute(0, 2, 3, 1).contiguous(), rows, columns).permute(0, 3, 1, 2)
        return y if x.is_contiguous(memory_format=torch.channels_last) else y.contiguous()

    def fixed(self, height: int, width: int) -> FixedMaxPool2d:
        """What this pool is in eval mode to maps of one size."""
        generator = _frozen()
        return FixedMaxPool2d(*(self._places(side, generator) for side in (height, width)))

    def extra_repr(self) -> str:
        """The parameters, for printing."""
        return f"{self.ratio}, order={self.order!r}, overlapping={self.overlapping}"

    def _places(self, size: int, generator: torch.Generator | None) -> Tensor:
        """Cells of each region along one side: (2, n), or (3, n) where regions overlap; short regions repeat one."""
        count = fractional_size(size, ratio=self.ratio, overlapping=self.overlapping)
        steps = draw_steps(size - self.overlapping, count, order=self.order, generator=generator)
        ends = steps.cumsum(0)
        starts = ends - steps
        return torch.stack([starts, starts + 1, ends] if self.overlapping else [starts, ends - 1])


class FixedMaxPool2d(nn.Module):
    """Max pooling over given regions, of plain operations that other runtimes have, too.

    Args:
        rows: (2, n) or (3, n) cells of each region along the height, as above.
        columns: (2, m) or (3, m) cells along the width.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, rows: Tensor, columns: Tensor) -> None:
        super().__init__()
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, n, m)."""
        for dim, places in ((2, self.rows), (3, self.columns)):
            x = torch.stack([x.index_select(dim, place) for place in places.unbind()]).amax(dim=0)
        return x


def fractional_size(size: int, *, ratio: float, overlapping: bool) -> int:
    """Side of the pooled map, ⌊size / ratio⌋; 0 where a map is too small to shrink.

    Disjoint regions of at most two cells cannot cover an odd side with less than half of it, rounded up.

    Example:
        >>> fractional_size(48, ratio=1.5, overlapping=True), fractional_size(5, ratio=1.9, overlapping=False)
        (32, 3)
    """
    if size < 2:
        return 0
    count = math.floor(size / ratio + 1e-9)  # 33 / 1.1 is a little less than 30
    return count if overlapping else max(count, -(-size // 2))


def draw_steps(
    total: int, count: int, *, order: Literal["random", "pseudo"], generator: torch.Generator | None = None
) -> Tensor:
    """Draw `count` steps of one or two that sum to `total`.

    Args:
        total: Between `count` and 2 · `count`.
        count: Number of steps.
        order: See `FractionalMaxPool2d`.
        generator: None draws from torch's global CPU generator.

    Returns:
        (count,) whole numbers.
    """
    if order == "random":
        steps = torch.ones(count, dtype=torch.long)
        steps[torch.randperm(count, generator=generator)[: total - count]] = 2
        return steps
    u = torch.randint(1, _STEPS, (), generator=generator)  # in parts of 1 / _STEPS
    numerators = total * (torch.arange(count + 1) * _STEPS + u)
    return -torch.div(-numerators, count * _STEPS, rounding_mode="floor").diff()  # a_i is rounded up


class _RegionMax(torch.autograd.Function):
    """Maxima over rectangles, (B, H, W, C) to (B, n, m, C); of equal cells in a region the first gets the gradient.

    Autograd alone would keep every gathered row for the backward pass, and takes several times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        ctx.save_for_backward(x, rows, columns)
        y = x.new_empty((x.shape[0], rows.shape[1], columns.shape[1], x.shape[3]))
        faces = _faces_at_a_time(x)
        for part, pooled in zip(torch.split(x, faces), torch.split(y, faces), strict=True):
            pooled.copy_(_maximum(_maximum(part, 1, rows), 2, columns))
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        x, rows, columns = ctx.saved_tensors
        result = torch.zeros_like(x)
        faces = _faces_at_a_time(x)
        parts = (torch.split(t, faces) for t in (x, gradients[0], result))
        for part, given, found in zip(*parts, strict=True):
            tall = _maximum(part, 1, rows)  # (b, n, W, C)
            inner = torch.zeros_like(tall)
            _route(inner, given, tall, _maximum(tall, 2, columns), 2, columns)
            _route(found, inner, part, tall, 1, rows)
        return result, None, None


def _frozen() -> torch.Generator:
    return torch.Generator().manual_seed(_FROZEN)


def _faces_at_a_time(x: Tensor) -> int:
    if x.device.type != "cpu":
        return max(1, len(x))
    return max(1, _CHUNK // max(1, x.shape[1:].numel()))


def _maximum(x: Tensor, dim: int, places: Tensor) -> Tensor:
    y = x.index_select(dim, places[0])
    for place in places[1:]:
        torch.maximum(y, x.index_select(dim, place), out=y)
    return y


def _route(into: Tensor, gradient: Tensor, x: Tensor, y: Tensor, dim: int, places: Tensor) -> None:
    """Add the gradient of `y` to the cells of `x` that were its maxima; what no earlier cell won is the last one's."""
    for place in places[:-1]:
        won = x.index_select(dim, place).eq_(y).mul_(gradient)
        into.index_add_(dim, place, won)
        gradient = gradient - won
    into.index_add_(dim, places[-1], gradient)
