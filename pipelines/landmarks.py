"""The landmarks of a data set's faces: found once, kept beside the other caches.

Finding them takes longest of all that is done to a face before training, so it can be interrupted, and another
template or size does not search again. What lies in the folder follows from the images and the detector alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.block_file import BlockFile, open_or_make
from pipelines.detectors import Detection, Detector, Image, search

__all__ = ["LANDMARKS_VERSION", "find_landmarks"]

LANDMARKS_VERSION = 1
"""Goes up when a detector, or how it is used, changes."""

_BLOCK = 16
"""Images between two notes of how far it has come."""

Landmarks = npt.NDArray[np.float64]


def find_landmarks(
    images: Callable[[int], Iterator[Image]],
    count: int,
    *,
    detector: Detector,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Landmarks:
    """Landmarks of the largest face of every image, from the cache if they are there.

    Args:
        images: Gives the images from that row on.
        count: Images in all.
        detector: Finds them; it has to be one that gives landmarks.
        folder: Where they are kept; its name stands for the images and the detector.
        progress: Called with (images done, images in all).

    Returns:
        (count, 5, 2) pixel coordinates, NaN where no face was found.
    """
    path = folder / "landmarks.npy"
    found = open_or_make(path, lambda: _find(images, count, detector, path, progress), guard=folder)
    return np.asarray(found, dtype=np.float64)


def _find(
    images: Callable[[int], Iterator[Image]],
    count: int,
    detector: Detector,
    path: Path,
    progress: Callable[[int, int], None] | None,
) -> None:
    store = BlockFile(path, shape=(count, 5, 2), dtype=np.float64, block=_BLOCK)
    rest = images(store.done)
    for start, stop in store.missing():
        faces = [search(detector, image) for image in islice(rest, stop - start)]
        store.write(start, np.stack([_landmarks(own) for own in faces]))
        if progress is not None:
            progress(stop, count)
    store.finish()


def _landmarks(faces: Sequence[Detection]) -> Landmarks:
    """(5, 2) of the largest face; NaN where there is none."""
    if not faces or faces[0].landmarks is None:
        return np.full((5, 2), np.nan)
    return np.asarray(faces[0].landmarks, dtype=np.float64)
