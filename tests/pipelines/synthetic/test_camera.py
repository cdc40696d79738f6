"""The camera against scipy's convolution and arithmetic by hand."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipelines.synthetic.camera import Camera, expose
from pipelines.synthetic.canvas import Canvas
from pipelines.synthetic.parameter import Plane


def camera(**values: float) -> Camera:
    plain = {"blur": 0.0, "contrast": 1.0, "brightness": 0.0, "gamma": 1.0, "noise": 0.0}
    planes: dict[str, Plane] = {name: np.full((1, 1, 1), v, dtype=np.float32) for name, v in (plain | values).items()}
    return Camera(**planes)


def scene(seed: int = 0) -> Plane:
    return np.random.default_rng(seed).random((2, 12, 10), dtype=np.float32)


def test_a_plain_camera_only_rounds() -> None:
    tones = scene()
    picture = expose(Canvas(tones.copy()), camera(), np.random.default_rng(0))
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, np.rint(tones * 255))


def test_full_blur_is_a_binomial_filter() -> None:
    tones = scene(1)
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    expected = np.stack([ndimage.convolve(tone.astype(np.float64), kernel, mode="nearest") for tone in tones])
    picture = expose(Canvas(tones), camera(blur=1.0), np.random.default_rng(0))
    np.testing.assert_allclose(picture, expected * 255, atol=0.51)


def test_contrast_brightness_and_gamma() -> None:
    tones = np.full((1, 4, 4), 0.7, dtype=np.float32)
    picture = expose(Canvas(tones), camera(contrast=0.5, brightness=-0.1, gamma=2.0), np.random.default_rng(0))
    assert np.unique(picture).tolist() == [64]  # ((0.7 - 0.5) * 0.5 + 0.5 - 0.1) ** 2 * 255 = 63.75


def test_noise_has_the_given_strength() -> None:
    tones = np.full((1, 100, 100), 0.5, dtype=np.float32)
    picture = expose(Canvas(tones), camera(noise=0.04), np.random.default_rng(0))
    assert abs(picture.std() / 255 - 0.04) < 0.002


def test_paint_and_shade_mix_by_mask() -> None:
    canvas = Canvas(np.full((1, 1, 3), 0.8, dtype=np.float32))
    mask = np.array([[[0.0, 0.5, 1.0]]], dtype=np.float32)
    canvas.paint(mask, 0.2)
    np.testing.assert_allclose(canvas.tones.ravel(), [0.8, 0.5, 0.2], atol=1e-6)
    canvas.shade(mask, 0.5)
    np.testing.assert_allclose(canvas.tones.ravel(), [0.8, 0.375, 0.1], atol=1e-6)
