"""Poses: the head's coordinates against a rotation matrix, and what a turn does to the features."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.synthetic.parameter import Plane
from pipelines.synthetic.pose import Pose, feature_frame, head_frame


def pose(**values: float) -> Pose:
    rest = {"roll": 0.0, "yaw": 0.0, "pitch": 0.0, "across": 0.0, "down": 0.0, "size": 1.0}
    planes: dict[str, Plane] = {name: np.full((1, 1, 1), v, dtype=np.float32) for name, v in (rest | values).items()}
    return Pose(**planes)


def test_at_rest_the_frame_spans_the_picture() -> None:
    frame = head_frame(pose(), 4)
    np.testing.assert_allclose(frame.x[0, 0], [-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_allclose(frame.y[0, :, 0], [-0.75, -0.25, 0.25, 0.75])


@pytest.mark.parametrize("roll", [-0.3, 0.2])
def test_the_frame_undoes_the_pose(roll: float) -> None:
    frame = head_frame(pose(roll=roll, across=0.1, down=-0.2, size=0.8), 48)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    on_head = np.stack([frame.x[0], frame.y[0]]).reshape(2, -1)
    on_picture = (0.8 * turn @ on_head + np.array([[0.1], [-0.2]])).reshape(2, 48, 48)
    centres = (np.arange(48) + 0.5) / 24 - 1
    np.testing.assert_allclose(on_picture[0], np.broadcast_to(centres, (48, 48)), atol=1e-5)
    np.testing.assert_allclose(on_picture[1], np.broadcast_to(centres[:, None], (48, 48)), atol=1e-5)


def test_a_turned_head_shows_less_of_its_far_half() -> None:
    turned = pose(yaw=0.1)
    x = feature_frame(head_frame(turned, 480), turned).x[0, 0]
    near, far = np.count_nonzero((x > -0.5) & (x < 0)), np.count_nonzero((x > 0) & (x < 0.5))
    assert far < near
