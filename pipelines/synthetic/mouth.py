"""The mouth: lips, teeth and the dark between them, and how action units 10 to 26 pull at them."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.synthetic.canvas import Canvas
from pipelines.synthetic.expression import ActionUnits
from pipelines.synthetic.geometry import Frame, between, clamp, cover, ellipse, only, stroke
from pipelines.synthetic.identity import Identity
from pipelines.synthetic.parameter import Plane

__all__ = ["draw_mouth"]


@dataclass(frozen=True)
class Shape:
    """The mouth in numbers, each `(faces, 1, 1)` and in face units."""

    width: Plane
    corner: Plane
    parted_up: Plane
    parted_down: Plane
    upper_lip: Plane
    lower_lip: Plane
    teeth: Plane


def _shape(who: Identity, units: ActionUnits) -> Shape:
    """Let the action units pull at a mouth at rest."""
    tight = 1.0 - 0.65 * clamp(units[23])
    stretched = 1.0 - 0.35 * clamp(units[20])
    jaw = units[26]
    width = who.mouth_width + 0.075 * units[12] + 0.085 * units[20] - 0.035 * units[23] - 0.05 * jaw
    return Shape(
        width=width - 0.02 * units[17],
        corner=-0.135 * units[12] + 0.115 * units[15] + 0.045 * units[20] + 0.05 * units[10] + 0.02 * units[17],
        parted_up=0.022 * units[25] + 0.055 * jaw + 0.035 * units[10] * units[25],
        parted_down=0.035 * units[25] + 0.190 * jaw + 0.045 * units[12] * units[25],
        upper_lip=0.058 * who.lip_thickness * tight * stretched * (1.0 - 0.3 * clamp(units[12])),
        lower_lip=0.074 * who.lip_thickness * tight * stretched,
        teeth=0.075 * (units[12] + 0.7 * units[20] + 0.9 * units[10]) + 0.01,
    )


def draw_mouth(canvas: Canvas, face: Frame, who: Identity, units: ActionUnits) -> None:
    """Draw lips, teeth, the opening and the shadow under the lower lip."""
    shape = _shape(who, units)
    along = face.x / shape.width
    square = clamp(along * along, high=1.6)
    bow = 1.0 - square  # (N, H, W), 1 at the middle of the mouth and 0 at its corners
    rest = who.mouth_height - 0.045 * units[10] - 0.03 * units[17] - 0.02 * units[9]
    centre = rest + shape.corner * (square - 0.4)
    top, bottom = centre - shape.parted_up * bow, centre + shape.parted_down * bow
    # The upper lip dips in the middle: Cupid's bow.
    dip = 1.0 - 0.35 * clamp(1.0 - 9.0 * square)
    crest = top - shape.upper_lip * bow * dip - 0.02 * units[10] * bow
    base = bottom + shape.lower_lip * bow
    end = face.side - shape.width

    canvas.shade(cover(ellipse(face.x, face.y - base - 0.045, 0.16, 0.03), 0.06), 0.16 + 0.25 * units[17])
    moustache = between(face.y, crest - 0.085, crest + 0.02, end)
    canvas.paint(0.8 * cover(only(who.moustache, moustache)), who.hair * who.skin)
    canvas.paint(cover(between(face.y, crest, base, end)), who.lip_tone * who.skin * 0.85)
    inside = cover(between(face.y, top, bottom, end))
    canvas.paint(inside, 0.06)
    teeth = between(face.y, top, top + shape.teeth, end)
    canvas.paint(cover(teeth) * inside, 0.88)
    seam = stroke(face.y - centre, 0.010, end)
    parted = clamp(20.0 * (shape.parted_up + shape.parted_down))
    canvas.shade(cover(seam), 0.65 * (1.0 - parted))
    corners = ellipse(face.side - shape.width, face.y - rest - 0.6 * shape.corner, 0.022, 0.022)
    canvas.shade(cover(corners), 0.5)
