"""Coordinates and anti-aliased shapes, as arithmetic on signed distances.

A `Frame` gives every pixel its place in face units: the head is centred on the origin, x grows to the right and y
downwards, the chin is near y = 1. A shape is a signed distance, negative inside; `cover` turns it into a soft mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipelines.synthetic.parameter import Plane

__all__ = ["Frame", "between", "clamp", "cover", "ellipse", "only", "stroke"]

SOFTNESS = 0.05
"""Width in face units over which an edge fades: about one pixel, so that edges show no steps."""


@dataclass(frozen=True)
class Frame:
    """Where every pixel lies on the face: `x` and `y` of shape `(faces, height, width)`."""

    x: Plane
    y: Plane

    @cached_property
    def side(self) -> Plane:
        """Distance from the vertical axis, which draws both halves of a symmetric feature at once."""
        return np.abs(self.x)

    @cached_property
    def sign(self) -> Plane:
        """-1 on the left half of the picture, 1 on the right one."""
        return np.copysign(np.float32(1.0), self.x)

    def shift(self, dx: Plane, dy: Plane) -> Frame:
        """The frame of something that sits `(dx, dy)` away from the origin."""
        return Frame(self.x - dx, self.y - dy)


def clamp(value: Plane, low: float = 0.0, high: float = 1.0) -> Plane:
    """Keep values between `low` and `high`."""
    clamped: Plane = np.clip(value, low, high)
    return clamped


def cover(distance: Plane, softness: float = SOFTNESS) -> Plane:
    """Turn a signed distance into a mask: 1 inside, 0 outside, a linear ramp of width `softness` between.

    Example:
        >>> cover(np.array([-1.0, 0.0, 1.0], dtype=np.float32)).tolist()
        [1.0, 0.5, 0.0]
    """
    mask = distance * np.float32(-1.0 / softness)
    mask += np.float32(0.5)
    return np.clip(mask, 0.0, 1.0, out=mask)


def ellipse(dx: Plane, dy: Plane, width: Plane | float, height: Plane | float) -> Plane:
    """Approximate signed distance to an ellipse, from offsets to its centre and its half axes."""
    u, v = dx * (1.0 / width), dy * (1.0 / height)
    radius: Plane = np.sqrt(u * u + v * v)
    return (radius - 1.0) * np.minimum(width, height)


def only(present: Plane, distance: Plane) -> Plane:
    """Keep a shape on the faces where `present` is 1, and push it out of the picture where it is 0."""
    return distance + 9.0 * (1.0 - present)


def stroke(offset: Plane, thickness: Plane | float, end: Plane) -> Plane:
    """Signed distance to a stroke along a curve.

    Args:
        offset: Signed distance to the curve.
        thickness: Half the width of the stroke.
        end: Signed distance along the curve beyond its end, negative before it.

    Returns:
        Signed distance, negative inside the stroke.
    """
    return np.maximum(np.abs(offset) - thickness, end)


def between(value: Plane, upper: Plane, lower: Plane, end: Plane) -> Plane:
    """Signed distance to the band below the curve `upper` and above `lower`, cut off where `end` is positive."""
    outside: Plane = np.maximum(upper - value, value - lower)
    return np.maximum(outside, end)
