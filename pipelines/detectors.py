"""The registry of face detectors, their contract, and the search that brings images to the size they work on.

A detector knows faces in images of a handy size. What becomes of a face, a crop or an aligned one, is the business of
`pipelines.detection`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from backbones.registry import Registry

if TYPE_CHECKING:
    import torch

__all__ = ["DETECTORS", "Box", "Detection", "Detector", "Image", "search"]

Image = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]

_SHORTEST = 160
"""Smaller images are enlarged: detectors look for faces of 20 to 30 pixels and more, with something around them."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A face that a detector has found.

    Attributes:
        box: x0, y0, x1, y1 in pixels, as the detector gives it.
        landmarks: (5, 2) pixel coordinates of the left eye, the right eye, the nose and the left and right mouth
            corners, as seen in the image; None if the detector does not look for them.
    """

    box: Box
    landmarks: npt.NDArray[np.float64] | None = None

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)

    def rescaled(self, scale: float) -> Detection:
        """The same face in an image `scale` times as large."""
        x0, y0, x1, y1 = (float(value * scale) for value in self.box)
        # A box's edges lie between pixels, landmarks on their centres.
        points = None if self.landmarks is None else (self.landmarks + 0.5) * scale - 0.5
        return Detection(box=(x0, y0, x1, y1), landmarks=points)


class Detector:
    """Base class.

    Args:
        device: Where it runs, if it is a network.
    """

    margin: ClassVar[float] = 1.0
    """Side of the square crop, as a multiple of the longer side of the detector's box."""

    longest: ClassVar[int] = 1280
    """Images whose longer side has more pixels are shrunk to it first."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def detect(self, image: Image) -> list[Detection]:
        """The faces of an image, none for an image without any.

        Args:
            image: (H, W) grey or (H, W, 3) RGB uint8.
        """
        raise NotImplementedError


DETECTORS: Registry[Detector] = Registry("detector", "pipelines.detector")


def search(detector: Detector, image: Image) -> list[Detection]:
    """The faces of an image of any size, in its own pixels, the largest first.

    Args:
        detector: Who looks.
        image: (H, W) grey or (H, W, 3) RGB uint8.
    """
    height, width = image.shape[:2]
    scale = float(min(max(1.0, _SHORTEST / min(height, width)), detector.longest / max(height, width)))
    faces = [face.rescaled(1 / scale) for face in detector.detect(_rescaled(image, scale))]
    return sorted(faces, key=lambda face: face.area, reverse=True)


def _rescaled(image: Image, scale: float) -> Image:
    if scale == 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)
