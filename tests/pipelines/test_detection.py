"""What every detector keeps, and what becomes of the faces it finds."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from backbones.errors import InputError
from ensemble.align_spec import AlignSpec
from pipelines.command.predict import DetectMode
from pipelines.detection import Detect, FaceDetector, Found
from pipelines.detectors import DETECTORS, Detection, Detector, search

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    from skimage import data

    return np.asarray(data.astronaut())


@pytest.fixture(scope="module")
def detectors() -> dict[str, Detector]:
    return {name: DETECTORS.build(name, CPU) for name in DETECTORS.names()}


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return shared / (sum(areas) - shared)


def test_every_detector_can_be_asked_for() -> None:
    modes = {"auto", "none", *DETECTORS.names()}
    assert set(get_args(Detect)) == modes
    assert {mode.value for mode in DetectMode} == modes


@pytest.mark.parametrize("name", DETECTORS.names())
def test_one_face_is_found_whatever_size_and_colour_the_photo_has(
    name: str, photo: np.ndarray, detectors: dict[str, Detector]
) -> None:
    grey = np.ascontiguousarray(photo[..., 1])
    large = np.repeat(np.repeat(photo, 3, axis=0), 3, axis=1)
    for image, scale in ((photo, 1), (grey, 1), (large, 3)):
        (face,) = search(detectors[name], image)
        assert overlap(face.box, (181 * scale, 62 * scale, 268 * scale, 172 * scale)) > 0.4
        if face.landmarks is not None:
            nose = np.array([225, 129]) * scale
            assert np.abs(face.landmarks[2] - nose).max() < 6 * scale
    for shape in ((200, 300), (1, 1, 3), (3, 900)):
        assert search(detectors[name], np.full(shape, 90, np.uint8)) == []


@pytest.mark.parametrize("name", DETECTORS.names())
def test_a_small_tight_face_is_found(name: str, photo: np.ndarray, detectors: dict[str, Detector]) -> None:
    import cv2

    tight = cv2.resize(photo[60:180, 165:285, 1], (48, 48), interpolation=cv2.INTER_AREA)
    (face,) = search(detectors[name], np.asarray(tight, dtype=np.uint8))
    assert overlap(face.box, (6, 1, 41, 45)) > 0.4


def test_haar_and_mtcnn_crop_the_same_face(photo: np.ndarray) -> None:
    boxes = [FaceDetector(mode, device=CPU).find(photo)[0].box for mode in ("haar", "mtcnn")]
    assert all(box is not None for box in boxes)
    assert overlap(*boxes) > 0.4  # type: ignore[arg-type]


class Fake(Detector):
    """Finds two faces in every image."""

    margin = 1.15

    def detect(self, image: np.ndarray) -> list[Detection]:
        corner = np.array([[1.0, 1.0], [3.0, 1.0], [2.0, 2.0], [1.0, 3.0], [3.0, 3.0]])
        return [
            Detection(box=(100, 100, 120, 120), landmarks=corner * 10 + 100),
            Detection(box=(-10, -10, 30, 50), landmarks=corner * 10),
        ]


def with_fake(mode: Detect, **options: AlignSpec) -> FaceDetector:
    detector = FaceDetector(mode, device=CPU, **options)
    detector.__dict__["_detector"] = Fake(CPU)
    return detector


def test_modes() -> None:
    small, big = np.zeros((48, 60), np.uint8), np.zeros((300, 300, 3), np.uint8)
    assert FaceDetector("auto", device=CPU).find(small)[0].box is None
    assert isinstance(FaceDetector("none", device=CPU).find(big)[0], Found)
    assert len(with_fake("auto").find(big)) == 2
    assert len(with_fake("haar").find(small)) == 2


def test_crops_are_square_reach_beyond_the_border_and_come_largest_first() -> None:
    first, second = with_fake("mtcnn").find(np.full((200, 200), 7, np.uint8))
    assert first.box == pytest.approx((-24.5, -14.5, 44.5, 54.5))
    assert first.pixels.shape in ((68, 68), (69, 69))
    assert (first.pixels == 7).all()
    assert second.box == pytest.approx((98.5, 98.5, 121.5, 121.5))


def test_a_committee_of_aligned_faces_has_every_image_searched_and_aligned() -> None:
    align = AlignSpec(size=40, template="arcface")
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    detector = with_fake("auto", align=align)
    assert detector.aligns
    first, second = detector.find(image)
    assert first.pixels.shape == second.pixels.shape == (40, 40, 3)
    assert first.box == pytest.approx((-24.5, -14.5, 44.5, 54.5))
    assert len(with_fake("auto", align=align).find(image[:80, :80])) == 2
    taken = with_fake("none", align=align)
    assert not taken.aligns
    assert taken.find(image)[0].pixels is image


def test_a_detector_without_landmarks_cannot_align() -> None:
    with pytest.raises(InputError, match=r"`--detect` to be auto, mtcnn or none.*but got 'haar'"):
        FaceDetector("haar", device=CPU, align=AlignSpec())
