"""Declaring and drawing the random parameters of a face.

A group of parameters is a frozen dataclass whose annotations say how each field is drawn: `Span(low, high)` or
`Chance(p)`. Drawn fields are arrays `(faces, 1, 1)`, ready to broadcast over pixels. Nothing here knows what a face is.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Chance", "Plane", "Span", "draw", "select"]

Group = TypeVar("Group", bound="DataclassInstance")

Plane = NDArray[np.float32]
"""Values per face and pixel, `(faces, height, width)`; drawn parameters have height and width 1."""


@dataclass(frozen=True)
class Span:
    """Drawn uniformly between two bounds."""

    low: float
    high: float

    def place(self, uniform: NDArray[np.float64]) -> Plane:
        """Map numbers in 0..1 to the span."""
        return (self.low + (self.high - self.low) * uniform).astype(np.float32)


@dataclass(frozen=True)
class Chance:
    """1 with some probability and 0 otherwise."""

    probability: float

    def place(self, uniform: NDArray[np.float64]) -> Plane:
        """Map numbers in 0..1 to 1 if they are below the probability, else to 0."""
        return (uniform < self.probability).astype(np.float32)


@cache
def _rules(kind: type[Any]) -> dict[str, Span | Chance]:
    """Rule of every field, read once per group: resolving annotations costs as much as rendering a face."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


def draw(kind: type[Group], rng: np.random.Generator, count: int) -> Group:
    """Draw `count` sets of parameters.

    Args:
        kind: A dataclass, every field of which is annotated `Annotated[Plane, Span(...)]` or `[..., Chance(...)]`.
        rng: Where the randomness comes from; each field takes `count` numbers, in the order of declaration.
        count: How many sets to draw.

    Returns:
        One `kind` whose fields are `(count, 1, 1)` float32 arrays.

    Example:
        >>> from pipelines.synthetic.pose import Pose
        >>> draw(Pose, np.random.default_rng(0), 3).roll.shape
        (3, 1, 1)
    """
    return kind(**{name: rule.place(rng.random((count, 1, 1))) for name, rule in _rules(kind).items()})


def select(group: Group, index: NDArray[np.int64]) -> Group:
    """Pick sets of parameters by position, with repetition, so that several faces can share one set."""
    return dataclasses.replace(group, **{f.name: getattr(group, f.name)[index] for f in dataclasses.fields(group)})
