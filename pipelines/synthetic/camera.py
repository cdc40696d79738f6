"""From the painted scene to the stored picture: occlusion, blur, contrast, gamma, noise, 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from pipelines.synthetic.canvas import Canvas
from pipelines.synthetic.geometry import Frame, clamp, cover, only
from pipelines.synthetic.parameter import Chance, Plane, Span

__all__ = ["Camera", "Obstacle", "draw_obstacle", "expose"]


@dataclass(frozen=True)
class Obstacle:
    """Something in front of some of the faces: a bar that enters from one side."""

    present: Annotated[Plane, Chance(0.12)]
    angle: Annotated[Plane, Span(0.0, 6.28)]
    reach: Annotated[Plane, Span(0.45, 0.80)]
    width: Annotated[Plane, Span(0.10, 0.22)]
    across: Annotated[Plane, Span(-0.5, 0.5)]
    tone: Annotated[Plane, Span(0.05, 0.95)]


@dataclass(frozen=True)
class Camera:
    """What the camera does to every picture."""

    blur: Annotated[Plane, Span(0.1, 0.8)]
    contrast: Annotated[Plane, Span(0.65, 1.15)]
    brightness: Annotated[Plane, Span(-0.12, 0.12)]
    gamma: Annotated[Plane, Span(0.7, 1.45)]
    noise: Annotated[Plane, Span(0.004, 0.030)]


def draw_obstacle(canvas: Canvas, head: Frame, obstacle: Obstacle) -> None:
    """Draw the bar before the face, for those who have one."""
    cosine, sine = np.cos(obstacle.angle), np.sin(obstacle.angle)
    along = cosine * head.x + sine * head.y
    beside = np.abs(cosine * head.y - sine * head.x - obstacle.across) - obstacle.width
    bar = np.maximum(beside, obstacle.reach - along)
    canvas.paint(cover(only(obstacle.present, bar)), obstacle.tone)


def _soften(picture: Plane) -> Plane:
    """Blur with the kernel [1, 2, 1] / 4 along both axes, edges repeated."""
    padded = np.pad(picture, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + 2.0 * padded[:, 1:-1] + padded[:, 2:]
    blurred: Plane = (rows[:, :, :-2] + 2.0 * rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(16.0)
    return blurred


def expose(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Take the picture.

    Args:
        canvas: The painted scene, `(N, H, W)`.
        camera: Settings of `N` pictures.
        rng: Where the noise comes from.

    Returns:
        Grey pictures `(N, H, W)`.
    """
    picture = canvas.tones + camera.blur * (_soften(canvas.tones) - canvas.tones)
    picture = clamp((picture - 0.5) * camera.contrast + 0.5 + camera.brightness) ** camera.gamma
    picture += camera.noise * rng.standard_normal(picture.shape, dtype=np.float32)
    levels: NDArray[np.uint8] = np.rint(clamp(picture) * 255.0).astype(np.uint8)
    return levels
