"""How the head sits before the camera: turn, tilt, size and place in the picture.

A pose turns the pixel grid into the `Frame` in which the face is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from pipelines.synthetic.geometry import Frame
from pipelines.synthetic.parameter import Plane, Span

__all__ = ["Pose", "feature_frame", "head_frame"]


@dataclass(frozen=True)
class Pose:
    """Pose of every picture; angles in radians, places as fractions of half the picture."""

    roll: Annotated[Plane, Span(-0.18, 0.18)]
    yaw: Annotated[Plane, Span(-0.09, 0.09)]
    pitch: Annotated[Plane, Span(-0.04, 0.04)]
    across: Annotated[Plane, Span(-0.07, 0.07)]
    down: Annotated[Plane, Span(-0.05, 0.07)]
    size: Annotated[Plane, Span(0.86, 1.00)]


def head_frame(pose: Pose, side: int) -> Frame:
    """Lay the head's coordinates over a square of `side` pixels.

    Args:
        pose: Pose of `N` faces.
        side: Width and height of the picture in pixels.

    Returns:
        The frame of the skull, planes of shape `(N, side, side)`.
    """
    ruler = ((np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(2.0 / side)) - np.float32(1.0)
    x = (ruler[None, None, :] - pose.across) / pose.size  # (N, 1, W)
    y = (ruler[None, :, None] - pose.down) / pose.size  # (N, H, 1)
    cosine, sine = np.cos(pose.roll), np.sin(pose.roll)
    return Frame(cosine * x + sine * y, cosine * y - sine * x)


def feature_frame(head: Frame, pose: Pose) -> Frame:
    """Shift eyes, nose and mouth against the skull as a turned head does, the far half foreshortened."""
    shifted = head.shift(pose.yaw, pose.pitch)
    return Frame(shifted.x * (1.0 + 1.6 * pose.yaw * shifted.x), shifted.y)
