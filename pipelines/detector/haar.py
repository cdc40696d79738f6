"""OpenCV's cascade of Haar features for frontal faces: quick, without a network, without landmarks."""

from __future__ import annotations

from pathlib import Path

import cv2
import cv2.data
import numpy as np
import numpy.typing as npt
import torch

from pipelines.detectors import DETECTORS, Detection, Detector
from pipelines.image_file import with_channels

__all__ = ["Haar"]

_CASCADE = "haarcascade_frontalface_default.xml"
_STEP = 1.1
_NEIGHBOURS = 5
_SMALLEST = 30


@DETECTORS.register("haar")
class Haar(Detector):
    """Frontal faces, boxes only (Viola & Jones, 2001, Rapid object detection using a boosted cascade of features)."""

    # FER2013's own faces were cut along the boxes of such a cascade, so its boxes stay as they are.
    margin = 1.0
    longest = 640  # in the texture of larger images it sees faces where there are none

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._cascade = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / _CASCADE))

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Detection]:
        """The faces that several neighbouring windows agree on."""
        boxes = self._cascade.detectMultiScale(
            with_channels(image, 1), scaleFactor=_STEP, minNeighbors=_NEIGHBOURS, minSize=(_SMALLEST, _SMALLEST)
        )
        corners = [(float(x), float(y), float(x + width), float(y + height)) for x, y, width, height in boxes]
        return [Detection(box=corner) for corner in corners]
