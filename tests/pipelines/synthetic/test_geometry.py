"""Shapes against textbook distances, frames against rotation matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.synthetic.geometry import Frame, between, clamp, cover, ellipse, only, stroke
from pipelines.synthetic.parameter import Plane


def plane(*values: float) -> Plane:
    return np.array(values, dtype=np.float32).reshape(1, 1, -1)


@given(x=st.floats(-2, 2, allow_subnormal=False), y=st.floats(-2, 2, allow_subnormal=False), radius=st.floats(0.1, 2))
def test_an_ellipse_with_equal_axes_is_a_circle(x: float, y: float, radius: float) -> None:
    distance = ellipse(plane(x), plane(y), radius, radius).item()
    assert distance == pytest.approx(np.hypot(x, y) - radius, abs=1e-4)


def test_the_outline_of_an_ellipse_is_at_distance_zero() -> None:
    angle = np.linspace(0, 2 * np.pi, 9)
    x, y = plane(*(0.7 * np.cos(angle))), plane(*(0.3 * np.sin(angle)))
    np.testing.assert_allclose(ellipse(x, y, 0.7, 0.3), 0.0, atol=1e-6)


def test_cover_falls_from_inside_to_outside() -> None:
    mask = cover(plane(-1.0, -0.01, 0.0, 0.01, 1.0), softness=0.04)
    np.testing.assert_allclose(mask.ravel(), [1.0, 0.75, 0.5, 0.25, 0.0], atol=1e-6)


def test_a_stroke_is_cut_off_at_its_end() -> None:
    distance = stroke(plane(0.0, 0.0, 0.3), 0.1, plane(-0.5, 0.2, -0.5))
    np.testing.assert_allclose(distance.ravel(), [-0.1, 0.2, 0.2], atol=1e-6)


def test_between_is_negative_only_inside_the_band() -> None:
    value = plane(-0.5, 0.0, 0.5)
    inside = between(value, plane(-0.2), plane(0.3), plane(-1.0)) < 0
    assert inside.ravel().tolist() == [False, True, False]
    assert not (between(value, plane(-0.2), plane(0.3), plane(0.1)) < 0).any()


def test_a_frame_folds_both_halves_onto_each_other() -> None:
    frame = Frame(plane(-0.4, 0.4), plane(0.1, 0.1))
    np.testing.assert_array_equal(frame.side, plane(0.4, 0.4))
    np.testing.assert_array_equal(frame.sign, plane(-1.0, 1.0))
    shifted = frame.shift(plane(0.1), plane(0.1))
    np.testing.assert_allclose(shifted.x, plane(-0.5, 0.3), atol=1e-6)
    np.testing.assert_allclose(shifted.y, 0.0, atol=1e-6)


def test_only_removes_the_shape_from_other_faces() -> None:
    present = np.array([1.0, 0.0], dtype=np.float32).reshape(2, 1, 1)
    distance = np.full((2, 1, 1), -0.5, dtype=np.float32)
    np.testing.assert_array_equal(cover(only(present, distance)).ravel(), [1.0, 0.0])


def test_clamp_keeps_single_precision() -> None:
    clamped = clamp(plane(-1.0, 0.4, 3.0))
    assert clamped.dtype == np.float32
    np.testing.assert_allclose(clamped.ravel(), [0.0, 0.4, 1.0], atol=1e-6)
