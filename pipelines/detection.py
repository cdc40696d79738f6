"""Finds the faces in a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch

from backbones.facenet_parts import mtcnn

__all__ = ["Detect", "FaceDetector", "Found"]

Detect = Literal["auto", "mtcnn", "none"]

FACE_SIZE = 112
"""Images whose shorter side is at most this many pixels are taken for ready-cropped faces by `auto`."""

_LONGEST = 1280
_MARGIN = 1.15
_CONFIDENCE = 0.9


@dataclass(frozen=True, kw_only=True)
class Found:
    """A face in an image.

    Attributes:
        pixels: (side, side) or (side, side, 3) uint8 crop.
        box: x0, y0, x1, y1 in pixels of the image; None if the image is the face.
    """

    pixels: npt.NDArray[np.uint8]
    box: tuple[float, float, float, float] | None = None


class FaceDetector:
    """MTCNN on photos; ready-cropped faces pass through.

    Zhang et al., 2016, Joint face detection and alignment using multitask cascaded convolutional networks.

    Args:
        mode: `mtcnn` searches every image, `none` none, `auto` those larger than a face.
        device: Where the detector runs.
    """

    def __init__(self, mode: Detect, *, device: torch.device) -> None:
        self.mode = mode
        self.device = device
        self._network: Any = None

    def find(self, image: npt.NDArray[np.uint8]) -> list[Found]:
        """All faces of an image, the largest first; none if it is a photo without a face.

        Args:
            image: (H, W) grey or (H, W, 3) RGB uint8.
        """
        if self.mode == "none" or (self.mode == "auto" and min(image.shape[:2]) <= FACE_SIZE):
            return [Found(pixels=image)]
        return [Found(pixels=_crop(image, box), box=box) for box in self._boxes(image)]

    def _boxes(self, image: npt.NDArray[np.uint8]) -> list[tuple[float, float, float, float]]:
        """Square boxes around the faces, in pixels of the image."""
        if self._network is None:
            self._network = mtcnn(self.device)
        height, width = image.shape[:2]
        scale = min(1.0, _LONGEST / max(height, width))
        colour: npt.NDArray[Any] = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        if scale < 1:
            colour = cv2.resize(colour, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        boxes, scores = self._network.detect(colour)
        if boxes is None:
            return []
        boxes, scores = np.asarray(boxes, np.float64), np.asarray(scores, np.float64)
        return [_squared(box / scale) for box, score in zip(boxes, scores, strict=True) if score >= _CONFIDENCE]


def _squared(box: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """A square around the box's centre, with the margin that FER2013's crops have."""
    x0, y0, x1, y1 = box
    half = max(x1 - x0, y1 - y0) * _MARGIN / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return (float(x - half), float(y - half), float(x + half), float(y + half))


def _crop(image: npt.NDArray[np.uint8], box: tuple[float, float, float, float]) -> npt.NDArray[np.uint8]:
    """The box's pixels; where it leaves the image, border pixels are repeated."""
    x0, y0, x1, _ = (round(v) for v in box)
    side = max(x1 - x0, 1)
    left, top = max(0, -x0), max(0, -y0)
    right, bottom = max(0, x0 + side - image.shape[1]), max(0, y0 + side - image.shape[0])
    padded = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REPLICATE)
    return np.asarray(padded[y0 + top : y0 + top + side, x0 + left : x0 + left + side], dtype=np.uint8)
