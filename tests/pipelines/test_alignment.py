"""Umeyama's transform against scikit-image and against known ones; aligned photos with the eyes where they belong."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.errors import InputError
from ensemble.align_spec import AlignSpec
from pipelines.alignment import TEMPLATES, align_face, aligned_size, similarity, template_points
from pipelines.detectors import DETECTORS, search
from pipelines.image_file import with_channels

SQUARE = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [1.0, 3.0]])


def turned(points: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ rotation.T + shift


@settings(deadline=None)
@given(
    degrees=st.floats(-180, 180, allow_subnormal=False),
    scale=st.floats(0.01, 100, allow_subnormal=False),
    x=st.floats(-1000, 1000, allow_subnormal=False),
    y=st.floats(-1000, 1000, allow_subnormal=False),
)
def test_a_known_rotation_scale_and_shift_is_found(degrees: float, scale: float, x: float, y: float) -> None:
    target = turned(SQUARE, degrees, scale, (x, y))
    found = similarity(SQUARE, target)
    np.testing.assert_allclose(SQUARE @ found[:, :2].T + found[:, 2], target, atol=1e-6 * max(1, scale))
    assert np.linalg.det(found[:, :2]) == pytest.approx(scale**2)


@pytest.mark.parametrize("seed", range(8))
def test_noisy_points_are_fitted_as_scikit_image_fits_them(seed: int) -> None:
    from skimage.transform import SimilarityTransform

    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(5, 2)) * 20, rng.normal(size=(5, 2)) * 50
    if seed % 2:
        target[:, 0] *= -1  # some of these would be fitted best by a mirror image
    expected = SimilarityTransform.from_estimate(source, target).params[:2]
    np.testing.assert_allclose(similarity(source, target), expected, atol=1e-9)


def test_a_mirror_image_is_never_the_answer() -> None:
    found = similarity(SQUARE, SQUARE * (-1, 1))
    assert np.linalg.det(found[:, :2]) > 0


def test_landmarks_in_one_place_are_refused() -> None:
    with pytest.raises(InputError, match="different places"):
        similarity(np.ones((5, 2)), SQUARE)


def test_templates_are_where_their_papers_put_them() -> None:
    assert sorted(TEMPLATES) == sorted(get_args(AlignSpec.model_fields["template"].annotation))
    assert set(TEMPLATES) == {"arcface", "lightcnn", "facenet"}
    assert {name: aligned_size(AlignSpec(template=name)) for name in TEMPLATES} == {  # type: ignore[arg-type]
        "arcface": 112, "lightcnn": 144, "facenet": 160,
    }  # fmt: skip
    left, right, _, left_corner, right_corner = template_points("lightcnn", 144)
    np.testing.assert_allclose((left + right) / 2, [72, 48])
    np.testing.assert_allclose((left_corner + right_corner) / 2, [72, 96])
    arcface = template_points("arcface", 112)
    np.testing.assert_allclose(template_points("arcface", 56) * 2, arcface)
    for name in TEMPLATES:  # all show the same face, up to scale and place
        residual = template_points(name, 112)
        matrix = similarity(residual, arcface)
        np.testing.assert_allclose(residual @ matrix[:, :2].T + matrix[:, 2], arcface, atol=0.5)


@pytest.mark.parametrize("size", [16, 300])
def test_a_face_that_lies_on_the_template_stays_as_it_is(size: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    same = align_face(image, template_points("arcface", size), template="arcface", size=size)
    np.testing.assert_array_equal(same, image)


def test_beyond_the_border_pixels_are_repeated() -> None:
    image = np.zeros((40, 40), np.uint8)
    image[:, 20:] = 200
    aligned = align_face(image, template_points("arcface", 40) - np.array([0, 100]), template="arcface", size=40)
    assert aligned.shape == (40, 40)
    assert (aligned[:, :19] == 0).all()
    assert (aligned[:, 21:] == 200).all()


def test_shrinking_averages() -> None:
    image = np.indices((800, 800)).sum(axis=0) % 2 * np.uint8(200)
    aligned = align_face(image.astype(np.uint8), template_points("arcface", 800), template="arcface", size=40)
    assert np.abs(aligned.astype(int) - 100).max() <= 2


@pytest.mark.parametrize("template", sorted(TEMPLATES))
@pytest.mark.parametrize("degrees", [0, 20])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_astronauts_eyes_are_level_wherever_her_head_was(template: str, degrees: int, channels: int) -> None:
    from skimage import data
    from skimage.transform import rotate

    photo = rotate(np.asarray(data.astronaut())[:300, 100:400], degrees, preserve_range=True).astype(np.uint8)
    mtcnn, size = DETECTORS.build("mtcnn", torch.device("cpu")), TEMPLATES[template].size
    photo = with_channels(photo, channels)
    landmarks = search(mtcnn, photo)[0].landmarks
    assert landmarks is not None
    aligned = align_face(photo, landmarks, template=template, size=size)
    assert aligned.shape == (size, size, 3)[: photo.ndim]
    again = search(mtcnn, aligned)[0].landmarks
    assert again is not None
    assert again[0, 1] == pytest.approx(again[1, 1], abs=0.03 * size)
    # No face has the template's proportions, and in a tight crop the detector errs by some pixels; but as a whole the
    # face lies where the template does, and is as large.
    target = template_points(template, size)
    assert np.abs(again.mean(axis=0) - target.mean(axis=0)).max() < 0.06 * size
    assert np.linalg.det(similarity(again, target)[:, :2]) == pytest.approx(1, abs=0.2)
