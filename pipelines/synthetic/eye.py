"""Eyes, lids and glasses: action units 5, 6 and 7 open, squeeze and tighten the lids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from pipelines.synthetic.canvas import Canvas
from pipelines.synthetic.expression import ActionUnits
from pipelines.synthetic.geometry import Frame, between, clamp, cover, ellipse, only, stroke
from pipelines.synthetic.identity import Identity
from pipelines.synthetic.parameter import Plane, Span

__all__ = ["Gaze", "draw_eyes", "draw_glasses"]

IRIS_RADIUS = 0.078


@dataclass(frozen=True)
class Gaze:
    """Where the eyes look, and how far the lids have fallen by themselves (1 is shut)."""

    across: Annotated[Plane, Span(-0.05, 0.05)]
    down: Annotated[Plane, Span(-0.02, 0.03)]
    droop: Annotated[Plane, Span(0.0, 0.22)]


def draw_eyes(canvas: Canvas, face: Frame, who: Identity, gaze: Gaze, units: ActionUnits) -> None:
    """Draw both eyes: socket, white, iris, lids and the folds under the lower lids."""
    dx: Plane = face.side - who.eye_distance
    dy: Plane = face.y - who.eye_height + who.eye_slant * clamp(dx / who.eye_width, -1.5, 1.5)
    along = dx / who.eye_width
    bow = 1.0 - along * along  # (N, H, W), 1 at the middle of the eye and 0 at its corners
    wide = 1.0 - gaze.droop
    above = who.eye_opening * wide * (0.078 + 0.062 * units[5] - 0.030 * units[7] - 0.018 * units[9])
    below = who.eye_opening * (0.046 + 0.012 * units[5] - 0.030 * units[7] - 0.026 * units[6] - 0.02 * units[9])
    upper = -np.maximum(above, np.float32(0.008)) * bow
    lower = np.maximum(below, np.float32(0.004)) * bow
    end = (np.abs(along) - 1.05) * who.eye_width

    socket: Plane = dy + 0.05
    canvas.shade(cover(ellipse(dx, socket, 0.24, 0.17), 0.12), 0.14)
    opening = cover(between(dy, upper, lower, end))
    canvas.paint(opening, 0.45 + 0.5 * who.skin)
    aim: Plane = face.x - face.sign * who.eye_distance - gaze.across
    iris = ellipse(aim, dy - gaze.down, IRIS_RADIUS, IRIS_RADIUS)
    canvas.paint(cover(iris) * opening, who.iris)
    canvas.paint(cover(iris + 0.045) * opening, 0.02)
    canvas.shade(cover(stroke(dy - upper, 0.014, end)), 0.80)
    canvas.shade(cover(stroke(dy - lower, 0.005, end)), 0.35)
    canvas.shade(cover(stroke(dy - upper + 0.05, 0.004, end)), 0.30 * (1.0 - 0.6 * clamp(units[5])))
    pouch = stroke(dy - lower - 0.055, 0.008, end)
    canvas.shade(cover(pouch), 0.12 + 0.38 * units[6] + 0.25 * units[7])


def draw_glasses(canvas: Canvas, face: Frame, who: Identity) -> None:
    """Draw the frame of the glasses, for those who wear some."""
    dx, dy = face.side - who.eye_distance, face.y - who.eye_height - 0.02
    rim = np.abs(ellipse(dx, dy, 0.235 * who.glasses_size, 0.185 * who.glasses_size)) - 0.014
    bridge = stroke(dy + 0.05, 0.014, face.side - 0.10)
    temple = np.maximum(stroke(dy + 0.06, 0.014, face.side - 0.80), 0.55 - face.side)
    frame = np.minimum(np.minimum(rim, bridge), temple)
    canvas.paint(0.85 * cover(only(who.glasses, frame)), 0.12)
