"""MTCNN: three small networks in a row; the only detector here that also gives landmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from backbones.facenet_parts import mtcnn
from pipelines.detectors import DETECTORS, Detection, Detector
from pipelines.image_file import with_channels

__all__ = ["Mtcnn"]

_CONFIDENCE = 0.9
_SMALLEST = 20


@DETECTORS.register("mtcnn")
class Mtcnn(Detector):
    """Boxes and five landmarks (Zhang et al., 2016, Joint face detection and alignment using multitask networks)."""

    margin = 1.15  # FER2013's crops are that much wider than its boxes

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._network: Any = None

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Detection]:
        """The faces of which it is sure.

        One image at a time: in a batch, other images change which of several overlapping boxes is kept.
        """
        if min(image.shape[:2]) < _SMALLEST:  # its image pyramid would have no step
            return []
        if self._network is None:
            self._network = mtcnn(self.device, min_face_size=_SMALLEST)
        boxes, scores, points = self._network.detect(with_channels(image, 3), landmarks=True)
        if boxes is None:
            return []
        # The library answers arrays of objects.
        corners, chances = np.asarray(boxes, np.float64), np.asarray(scores, np.float64)
        return [
            Detection(box=(float(x0), float(y0), float(x1), float(y1)), landmarks=np.asarray(own, np.float64))
            for (x0, y0, x1, y1), chance, own in zip(corners, chances, points, strict=True)
            if chance >= _CONFIDENCE
        ]
