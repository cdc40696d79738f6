"""Brows and forehead: action units 1, 2 and 4 move the brows and fold the skin around them."""

from __future__ import annotations

import numpy as np

from pipelines.synthetic.canvas import Canvas
from pipelines.synthetic.expression import ActionUnits
from pipelines.synthetic.geometry import Frame, clamp, cover, stroke
from pipelines.synthetic.identity import Identity
from pipelines.synthetic.parameter import Plane

__all__ = ["draw_brows", "draw_forehead"]

HALF_LENGTH = 0.20


def _brow_line(along: Plane, who: Identity, units: ActionUnits) -> Plane:
    """Height of the brow at `along`, which runs from -1 at the nose to 1 at the temple."""
    outward = 0.5 + 0.5 * along
    inward = 1.0 - outward
    rest = who.eye_height - who.brow_height - who.brow_arch * (1.0 - along * along) + 0.03 * outward
    raised = 0.15 * units[1] * inward + 0.12 * units[2] * outward
    lowered = 0.04 * units[4] + (0.11 * units[4] * (1.0 - 0.8 * clamp(units[1])) + 0.04 * units[9]) * inward
    height: Plane = rest - raised + lowered
    return height


def draw_brows(canvas: Canvas, face: Frame, who: Identity, units: ActionUnits) -> None:
    """Draw both brows, thinning towards the temples."""
    centre = who.eye_distance + 0.02 - 0.035 * units[4]
    along = (face.side - centre) / HALF_LENGTH
    inside = clamp(along, -1.0, 1.0)
    thickness = who.brow_thickness * (1.0 - 0.45 * inside)
    offset = face.y - _brow_line(inside, who, units)
    end: Plane = HALF_LENGTH * (np.abs(along) - 1.0)
    canvas.paint(0.9 * cover(stroke(offset, thickness, end)), who.brow_tone * who.skin)


def draw_forehead(canvas: Canvas, face: Frame, who: Identity, units: ActionUnits) -> None:
    """Fold the forehead: level lines over raised brows, two upright lines between lowered ones."""
    brow = who.eye_height - who.brow_height
    for rise in (0.17, 0.27):
        bow = brow - rise - 0.08 * units[1] + 0.10 * face.x * face.x
        line = stroke(face.y - bow, 0.008, face.side - 0.34)
        canvas.shade(cover(line), 0.30 * units[1] * (0.4 + 0.6 * units[2]))
    end = np.abs(face.y - (brow + 0.03)) - np.float32(0.09)
    frown = stroke(face.side - 0.055, 0.008, end)
    canvas.shade(cover(frown), 0.45 * units[4])
