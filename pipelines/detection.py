"""Finds the faces in a photo, and cuts them out the way the committee's own faces were made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch

from backbones.errors import InputError
from ensemble.align_spec import AlignSpec
from pipelines.alignment import align_face, aligned_size
from pipelines.detectors import DETECTORS, Box, Detection, Detector, search

__all__ = ["Detect", "FaceDetector", "Found"]

Detect = Literal["auto", "mtcnn", "haar", "none"]

FACE_SIZE = 112
"""Images whose shorter side is at most this many pixels are taken for ready-cropped faces by `auto`."""

_DEFAULT = "mtcnn"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A face in an image.

    Attributes:
        pixels: (side, side) or (side, side, 3) uint8 crop.
        box: x0, y0, x1, y1 in pixels of the image; None if the image is the face.
    """

    pixels: npt.NDArray[np.uint8]
    box: Box | None = None


class FaceDetector:
    """A detector on photos; ready-cropped faces pass through.

    Args:
        mode: The name of a detector searches every image with it, `none` searches none, `auto` those larger than a
            face with MTCNN.
        device: Where the detector runs.
        align: How the committee's own faces were aligned, if they were. Faces are then aligned instead of cropped, and
            `auto` searches every image.

    Raises:
        InputError: The detector named does not find the landmarks that aligning takes.
    """

    def __init__(self, mode: Detect, *, device: torch.device, align: AlignSpec | None = None) -> None:
        if align is not None and mode not in ("auto", "none", align.detector):
            raise InputError(
                f"Expected `--detect` to be auto, {align.detector} or none, since the committee was fitted on aligned "
                f"faces and {mode} finds no landmarks, but got {mode!r}."
            )
        self.mode = mode
        self.device = device
        self.align = align

    @property
    def aligns(self) -> bool:
        """Whether every image is searched for a face to align."""
        return self.align is not None and self.mode != "none"

    def find(self, image: npt.NDArray[np.uint8]) -> list[Found]:
        """All faces of an image, the largest first; none if it is a photo without a face.

        Args:
            image: (H, W) grey or (H, W, 3) RGB uint8.
        """
        if self.mode == "none" or (self.mode == "auto" and not self.aligns and min(image.shape[:2]) <= FACE_SIZE):
            return [Found(pixels=image)]
        return [self._cut(image, face) for face in search(self._detector, image)]

    @cached_property
    def _detector(self) -> Detector:
        return DETECTORS.build(_DEFAULT if self.mode == "auto" else self.mode, self.device)

    def _cut(self, image: npt.NDArray[np.uint8], face: Detection) -> Found:
        box = _squared(face.box, self._detector.margin)
        if self.align is None:
            return Found(pixels=_crop(image, box), box=box)
        assert face.landmarks is not None  # `align` names a detector that finds them
        size = aligned_size(self.align)
        return Found(pixels=align_face(image, face.landmarks, template=self.align.template, size=size), box=box)


def _squared(box: Box, margin: float) -> Box:
    """A square around the box's centre, `margin` times as wide as its longer side."""
    x0, y0, x1, y1 = box
    half = max(x1 - x0, y1 - y0) * margin / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return (x - half, y - half, x + half, y + half)


def _crop(image: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.uint8]:
    """The box's pixels; where it leaves the image, border pixels are repeated."""
    x0, y0, x1, _ = (round(v) for v in box)
    side = max(x1 - x0, 1)
    left, top = max(0, -x0), max(0, -y0)
    right, bottom = max(0, x0 + side - image.shape[1]), max(0, y0 + side - image.shape[0])
    padded = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REPLICATE)
    return np.asarray(padded[y0 + top : y0 + top + side, x0 + left : x0 + left + side], dtype=np.uint8)
