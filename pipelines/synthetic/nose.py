"""Nose and cheeks: action unit 9 wrinkles the bridge and lifts the wings, 6 and 12 fold the cheeks."""

from __future__ import annotations

import numpy as np

from pipelines.synthetic.canvas import Canvas
from pipelines.synthetic.expression import ActionUnits
from pipelines.synthetic.geometry import Frame, clamp, cover, ellipse, stroke
from pipelines.synthetic.identity import Identity
from pipelines.synthetic.parameter import Plane

__all__ = ["draw_cheeks", "draw_nose"]


def draw_nose(canvas: Canvas, face: Frame, who: Identity, turn: Plane, units: ActionUnits) -> None:
    """Draw bridge, tip, wings and nostrils; `turn` is how far the tip leads the face when the head turns."""
    tip = who.eye_height + 0.12 + who.nose_length - 0.035 * units[9]
    width = who.nose_width * (1.0 + 0.18 * units[9] + 0.10 * units[12])
    nose = face.shift(0.5 * turn, tip)
    slope = 0.045 + 0.25 * (width - 0.045) * clamp(1.0 + nose.y / 0.35)
    flank = stroke(nose.side - slope, 0.008, np.maximum(nose.y, -0.34 - nose.y))
    canvas.shade(cover(flank, 0.06), 0.26)
    canvas.shade(cover(ellipse(nose.x, nose.y - 0.01, 0.06, 0.05), 0.06), -0.16)
    wing = np.abs(ellipse(nose.side - 0.75 * width, nose.y - 0.035, 0.05, 0.05)) - 0.008
    canvas.shade(cover(np.maximum(wing, 0.6 * width - nose.side)), 0.42)
    canvas.shade(cover(ellipse(nose.side - 0.52 * width, nose.y - 0.065, 0.034, 0.022)), 0.72)
    for rise in (0.24, 0.31):
        fold = stroke(nose.y + rise - 0.5 * nose.side, 0.008, nose.side - 0.10)
        canvas.shade(cover(fold), 0.55 * clamp(units[9]))


def draw_cheeks(canvas: Canvas, face: Frame, who: Identity, units: ActionUnits) -> None:
    """Draw the folds from the nose to the corners of the mouth and the raised apples of the cheeks."""
    top = who.eye_height + 0.12 + who.nose_length - 0.06 * units[9] - 0.03 * units[10]
    bottom = who.mouth_height + 0.02
    fall = clamp((face.y - top) / (bottom - top))
    reach = who.nose_width + 0.04 + (0.16 + 0.06 * units[12] + 0.05 * units[10] + 0.05 * units[9]) * fall
    fold = stroke(face.side - reach, 0.010, np.maximum(top - face.y, face.y - bottom))
    depth = 0.07 + 0.30 * units[12] + 0.32 * units[9] + 0.25 * units[10]
    canvas.shade(cover(fold, 0.05), clamp(depth, high=0.55))
    apple = ellipse(face.side - who.eye_distance - 0.06, face.y - who.eye_height - 0.30, 0.18, 0.11)
    canvas.shade(cover(apple, 0.10), -0.16 * units[6])
