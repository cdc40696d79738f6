"""The order in which a face is painted, back to front.

Rendering takes parameters and gives pictures; it draws no random number but the noise of the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.synthetic.brow import draw_brows, draw_forehead
from pipelines.synthetic.camera import Camera, Obstacle, draw_obstacle, expose
from pipelines.synthetic.canvas import Canvas
from pipelines.synthetic.expression import ActionUnits
from pipelines.synthetic.eye import Gaze, draw_eyes, draw_glasses
from pipelines.synthetic.geometry import Frame
from pipelines.synthetic.head import Light, draw_backdrop, draw_beard, draw_fringe, draw_light, draw_skull
from pipelines.synthetic.identity import Identity
from pipelines.synthetic.mouth import draw_mouth
from pipelines.synthetic.nose import draw_cheeks, draw_nose
from pipelines.synthetic.pose import Pose, feature_frame, head_frame

__all__ = ["SIDE", "Scene", "render"]

SIDE = 48
"""Width and height of a picture in pixels."""


@dataclass(frozen=True)
class Scene:
    """Everything there is to know about `N` pictures before they are taken."""

    identity: Identity
    units: ActionUnits
    gaze: Gaze
    pose: Pose
    light: Light
    obstacle: Obstacle
    camera: Camera


def _strip(canvas: Canvas, face: Frame, top: float, bottom: float) -> tuple[Canvas, Frame]:
    """Cut out the rows that reach the faces between two heights: features cover but a part of the picture."""
    reached = (face.y > top) & (face.y < bottom) & (face.side < 0.85)
    rows = np.flatnonzero(reached.any(axis=(0, 2)))
    cut = (slice(None), slice(rows[0], rows[-1] + 1))
    return Canvas(canvas.tones[cut]), Frame(face.x[cut], face.y[cut])


def render(scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Paint the scene and take its pictures.

    Args:
        scene: Parameters of `N` pictures.
        rng: Where the noise of the camera comes from.

    Returns:
        Grey pictures `(N, 48, 48)`.
    """
    who, units = scene.identity, scene.units
    head = head_frame(scene.pose, SIDE)
    face = feature_frame(head, scene.pose)
    canvas = draw_backdrop(head, scene.light)
    skull = draw_skull(canvas, head, who, scene.light, units)
    draw_beard(canvas, face, skull, who)
    upper = _strip(canvas, face, -0.82, 0.20)
    middle = _strip(canvas, face, -0.30, 0.65)
    lower = _strip(canvas, face, 0.20, 1.0)
    draw_forehead(*upper, who, units)
    draw_cheeks(*middle, who, units)
    draw_nose(*middle, who, scene.pose.yaw, units)
    draw_eyes(*upper, who, scene.gaze, units)
    draw_brows(*upper, who, units)
    draw_mouth(*lower, who, units)
    draw_glasses(*upper, who)
    draw_fringe(canvas, head, skull, who)
    draw_light(canvas, head, skull, who, scene.light)
    draw_obstacle(canvas, head, scene.obstacle)
    return expose(canvas, scene.camera, rng)
