"""Types that component constructors may use for their YAML parameters.

They carry their bounds (`annotated_types`), so that one place both checks YAML values and documents them. Free of
torch: the signature reader resolves these names without importing the component.
"""

from __future__ import annotations

from typing import Annotated, Literal, Required

from annotated_types import Ge, Gt, Lt, MinLen
from typing_extensions import TypedDict

__all__ = ["Block", "Count", "Folds", "Fraction", "Natural", "NonNegative", "Positive", "Sizes"]

Count = Annotated[int, Ge(1)]
"""A whole number, at least 1."""

Natural = Annotated[int, Ge(0)]
"""A whole number, at least 0."""

Folds = Annotated[int, Ge(2)]
"""Parts of a cross-validation, at least 2."""

Fraction = Annotated[float, Ge(0), Lt(1)]
"""A share in [0, 1): dropout rates, smoothing."""

Positive = Annotated[float, Gt(0)]
"""A number above 0."""

NonNegative = Annotated[float, Ge(0)]
"""A number, at least 0."""

Sizes = Annotated[list[Count], MinLen(1)]
"""At least one width, e.g. hidden units per layer."""


class Block(TypedDict, total=False):
    """One block of a scratch CNN: [Conv-(BN)-ReLU-(Dropout)] × `convs`, then the pool.

    Attributes:
        convs: Convolutions in the block (default 1; 2 in a residual block).
        filters: Output channels of each of them (required).
        kernel: Side of the square kernel (default 3; odd in a residual block).
        stride: Stride of the first convolution (default 1).
        pool: Kind of the pool that closes the block (default `max`; `none` in a residual block, which shrinks the map
            by its `stride`). All are 2×2 but `fractional`, which shrinks the map by its `ratio`.
        ratio: Side of the map over side of the pooled map, in fractional pooling (default 1.4142).
        overlapping: Neighbouring regions share a row and a column, in fractional pooling (default true).
        order: Regions of random size, or evenly spread, in fractional pooling (default `random`).
        relu: After each convolution, or after the last of the block alone (default `each`; residual blocks have their
            own).
        residual: Add a shortcut around the block's convolutions (default false).
        norm: Batch normalisation after each convolution (default true).
        dropout: Channel dropout after each ReLU (default 0).
    """

    __pydantic_config__ = {"extra": "forbid"}  # type: ignore[misc]  # noqa: RUF012

    convs: Count
    filters: Required[Count]
    kernel: Count
    stride: Count
    pool: Literal["max", "average", "fractional", "stochastic", "none"]
    ratio: Annotated[float, Gt(1), Lt(2)]
    overlapping: bool
    order: Literal["random", "pseudo"]
    relu: Literal["each", "last"]
    residual: bool
    norm: bool
    dropout: Fraction
