"""What stays the same in every picture of one person: proportions, tones, hair, glasses, beard.

All lengths are in face units, in which the head is about 2 high; all tones run from 0 (black) to 1 (white).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pipelines.synthetic.parameter import Chance, Plane, Span

__all__ = ["Identity"]


@dataclass(frozen=True)
class Identity:
    """The lasting traits of people, each field of shape `(people, 1, 1)`."""

    head_width: Annotated[Plane, Span(0.70, 0.84)]
    jaw_taper: Annotated[Plane, Span(0.08, 0.34)]
    skin: Annotated[Plane, Span(0.48, 0.88)]
    hair: Annotated[Plane, Span(0.04, 0.55)]
    hairline: Annotated[Plane, Span(-0.80, -0.58)]
    hair_slant: Annotated[Plane, Span(-0.25, 0.25)]
    hair_volume: Annotated[Plane, Span(0.03, 0.16)]
    long_hair: Annotated[Plane, Chance(0.35)]
    bald: Annotated[Plane, Chance(0.10)]
    eye_distance: Annotated[Plane, Span(0.30, 0.37)]
    eye_height: Annotated[Plane, Span(-0.16, -0.06)]
    eye_width: Annotated[Plane, Span(0.135, 0.175)]
    eye_opening: Annotated[Plane, Span(0.85, 1.15)]
    eye_slant: Annotated[Plane, Span(-0.025, 0.025)]
    iris: Annotated[Plane, Span(0.06, 0.34)]
    brow_height: Annotated[Plane, Span(0.19, 0.25)]
    brow_thickness: Annotated[Plane, Span(0.022, 0.048)]
    brow_arch: Annotated[Plane, Span(0.01, 0.05)]
    brow_tone: Annotated[Plane, Span(0.08, 0.38)]
    nose_length: Annotated[Plane, Span(0.20, 0.30)]
    nose_width: Annotated[Plane, Span(0.09, 0.14)]
    mouth_height: Annotated[Plane, Span(0.46, 0.54)]
    mouth_width: Annotated[Plane, Span(0.23, 0.30)]
    lip_thickness: Annotated[Plane, Span(0.75, 1.35)]
    lip_tone: Annotated[Plane, Span(0.50, 0.85)]
    beard: Annotated[Plane, Chance(0.14)]
    moustache: Annotated[Plane, Chance(0.12)]
    glasses: Annotated[Plane, Chance(0.14)]
    glasses_size: Annotated[Plane, Span(0.90, 1.15)]
