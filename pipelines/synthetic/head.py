"""Everything behind and around the features: backdrop, shoulders, hair, ears, skull, light on the skin, beard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from pipelines.synthetic.canvas import Canvas
from pipelines.synthetic.expression import ActionUnits
from pipelines.synthetic.geometry import Frame, cover, ellipse, only
from pipelines.synthetic.identity import Identity
from pipelines.synthetic.parameter import Plane, Span

__all__ = ["Light", "draw_backdrop", "draw_beard", "draw_fringe", "draw_light", "draw_skull"]


@dataclass(frozen=True)
class Light:
    """Backdrop and light of every picture; `across` and `down` say where the light comes from."""

    backdrop: Annotated[Plane, Span(0.05, 0.95)]
    ripple: Annotated[Plane, Span(0.0, 0.18)]
    ripple_across: Annotated[Plane, Span(-4.0, 4.0)]
    ripple_down: Annotated[Plane, Span(-4.0, 4.0)]
    ripple_phase: Annotated[Plane, Span(0.0, 6.28)]
    clothes: Annotated[Plane, Span(0.05, 0.9)]
    across: Annotated[Plane, Span(-0.42, 0.42)]
    down: Annotated[Plane, Span(-0.28, 0.10)]


def draw_backdrop(head: Frame, light: Light) -> Canvas:
    """Start a canvas: a backdrop of one tone with a slow ripple."""
    wave = np.cos(light.ripple_across * head.x + light.ripple_down * head.y + light.ripple_phase)
    return Canvas(light.backdrop + light.ripple * wave)


def _skull(head: Frame, who: Identity, units: ActionUnits) -> Plane:
    """Signed distance to the outline of the head: a narrowing jaw that grows longer as it drops."""
    below = np.maximum(head.y, np.float32(0.0))
    width = who.head_width * (1.0 - who.jaw_taper * below * below)
    height = np.where(head.y > 0, 0.97 + 0.10 * units[26], np.float32(1.0))
    return ellipse(head.x, head.y, width, height)


def draw_skull(canvas: Canvas, head: Frame, who: Identity, light: Light, units: ActionUnits) -> Plane:
    """Draw hair behind the head, shoulders, neck, ears and the skin of the face.

    Returns:
        Signed distance to the outline of the skull, `(faces, height, width)`.
    """
    volume = who.hair_volume
    outer = ellipse(head.x, head.y + 0.1, who.head_width + volume, 0.95 + volume)
    # Long hair falls straight down beside the face.
    curtain = np.maximum(head.side - who.head_width - volume, np.maximum(-0.1 - head.y, head.y - 1.1))
    hair = np.minimum(outer, only(who.long_hair, curtain))
    canvas.paint(cover(only(1.0 - who.bald, hair)), who.hair)
    canvas.paint(cover(np.maximum(head.side - 0.62 * who.head_width, 0.4 - head.y)), 0.72 * who.skin)
    canvas.paint(cover(ellipse(head.x, head.y - 1.75, 1.3, 0.6)), light.clothes)
    ears = ellipse(head.side - who.head_width, head.y - 0.02, 0.09, 0.17)
    canvas.paint(cover(only(1.0 - who.long_hair, ears)), 0.82 * who.skin)
    skull = _skull(head, who, units)
    canvas.paint(cover(skull), who.skin)
    return skull


def draw_light(canvas: Canvas, head: Frame, skull: Plane, who: Identity, light: Light) -> None:
    """Shade the skin as a lit ellipsoid: darker towards the rim and away from the light."""
    u, v = head.x / who.head_width, head.y
    rim = np.minimum(u * u + v * v, np.float32(1.2))
    canvas.shade(cover(skull), 0.22 * rim * rim + light.across * u + light.down * v)


def draw_fringe(canvas: Canvas, head: Frame, skull: Plane, who: Identity) -> None:
    """Draw the hair that covers the forehead, parted to one side."""
    hairline = who.hairline + 0.35 * head.x * head.x + who.hair_slant * head.x
    sideburn = np.maximum(0.93 * who.head_width - head.side, head.y - 0.05)
    hair = only(1.0 - who.bald, np.minimum(head.y - hairline, only(who.long_hair, sideburn)))
    # A little beyond the skull, lest a line of skin shows between this hair and that behind.
    canvas.paint(cover(np.maximum(hair, skull - 0.04)), who.hair)


def draw_beard(canvas: Canvas, face: Frame, skull: Plane, who: Identity) -> None:
    """Draw a beard along the jaw and over the chin, which leaves the mouth free."""
    cheek = 0.64 - 0.75 * face.side
    beard = np.maximum(cheek - face.y, -ellipse(face.x, face.y - 0.46, 0.30, 0.17))
    canvas.shade(cover(only(who.beard, beard), 0.12) * cover(skull), 0.5 - 0.45 * who.hair)
