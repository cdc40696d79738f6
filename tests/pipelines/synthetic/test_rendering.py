"""Every parameter shows in the pictures, and every action unit acts on its own part of the face."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.synthetic.camera import Camera, Obstacle
from pipelines.synthetic.expression import ACTION_UNITS, ActionUnits
from pipelines.synthetic.eye import Gaze
from pipelines.synthetic.head import Light
from pipelines.synthetic.identity import Identity
from pipelines.synthetic.parameter import draw
from pipelines.synthetic.pose import Pose
from pipelines.synthetic.rendering import SIDE, Scene, render

FACES = 24
GROUPS = {"identity": Identity, "gaze": Gaze, "pose": Pose, "light": Light, "obstacle": Obstacle, "camera": Camera}
FIELDS = [(group, field.name) for group, kind in GROUPS.items() for field in dataclasses.fields(kind)]
AROUND_THE_EYES = (1, 2, 4, 5, 7)
AROUND_THE_MOUTH = (10, 12, 15, 17, 20, 23, 25, 26)


def at_rest() -> ActionUnits:
    return {unit: np.zeros((FACES, 1, 1), dtype=np.float32) for unit in ACTION_UNITS}


def make_scene() -> Scene:
    rng = np.random.default_rng(5)
    return Scene(
        identity=draw(Identity, rng, FACES),
        units=at_rest(),
        gaze=draw(Gaze, rng, FACES),
        pose=draw(Pose, rng, FACES),
        light=draw(Light, rng, FACES),
        obstacle=draw(Obstacle, rng, FACES),
        camera=draw(Camera, rng, FACES),
    )


def take(scene: Scene) -> NDArray[np.float64]:
    return render(scene, np.random.default_rng(0)).astype(np.float64)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene()


@pytest.fixture(scope="module")
def pictures(scene: Scene) -> NDArray[np.float64]:
    return take(scene)


def test_pictures_have_the_promised_side(pictures: NDArray[np.float64]) -> None:
    assert pictures.shape == (FACES, SIDE, SIDE)


@pytest.mark.parametrize(("group", "field"), FIELDS)
def test_every_parameter_shows(scene: Scene, pictures: NDArray[np.float64], group: str, field: str) -> None:
    """Faces that swap one parameter with their neighbour do not look the same."""
    values = getattr(scene, group)
    mine = getattr(values, field)
    assert np.ptp(mine) > 0, "this seed draws the same value for every face"
    swapped = dataclasses.replace(values, **{field: np.roll(mine, 1, axis=0)})
    assert np.abs(take(dataclasses.replace(scene, **{group: swapped})) - pictures).max() > 8


def change_by(unit: int, scene: Scene, pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean absolute change per row `(48,)` when one action unit is fully contracted."""
    contracted = {**scene.units, unit: np.ones((FACES, 1, 1), dtype=np.float32)}
    change: NDArray[np.float64] = np.abs(take(dataclasses.replace(scene, units=contracted)) - pictures)
    return np.asarray(change.mean(axis=(0, 2)))


@pytest.mark.parametrize("unit", ACTION_UNITS)
def test_every_action_unit_shows(scene: Scene, pictures: NDArray[np.float64], unit: int) -> None:
    assert change_by(unit, scene, pictures).max() > 0.5


@pytest.mark.parametrize("unit", AROUND_THE_EYES)
def test_units_of_brow_and_lid_act_above_the_nose(scene: Scene, pictures: NDArray[np.float64], unit: int) -> None:
    change = change_by(unit, scene, pictures)
    assert change[:28].sum() > 0.9 * change.sum()


@pytest.mark.parametrize("unit", AROUND_THE_MOUTH)
def test_units_of_the_mouth_act_below_the_eyes(scene: Scene, pictures: NDArray[np.float64], unit: int) -> None:
    change = change_by(unit, scene, pictures)
    assert change[24:].sum() > 0.9 * change.sum()
