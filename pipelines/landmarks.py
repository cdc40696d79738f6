"""The landmarks of a data set's faces: found once, kept beside the other caches.

Finding them takes longest of all that is done to a face before training, so it can be interrupted, and another
template or size does not search again. What lies in the folder follows from the images and the detector alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.atomic import write_json
from pipelines.detectors import Detector, Image, search
from pipelines.lock import locked

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
    if path.is_file():
        return _read(path)
    with locked(folder, wait=True):
        if not path.is_file():  # another process may have been at it
            _find(images, count, detector, folder, path, progress)
    return _read(path)


def _find(
    images: Callable[[int], Iterator[Image]],
    count: int,
    detector: Detector,
    folder: Path,
    path: Path,
    progress: Callable[[int, int], None] | None,
) -> None:
    part, counter = folder / "landmarks.part.npy", folder / "done.json"
    store, done = _open_partial(part, counter, count)
    for row, image in enumerate(images(done), start=done):
        faces = search(detector, image)
        store[row] = faces[0].landmarks if faces and faces[0].landmarks is not None else np.nan
        if (row + 1) % _BLOCK == 0 or row + 1 == count:
            store.flush()
            write_json(counter, {"done": row + 1})
            if progress is not None:
                progress(row + 1, count)
    del store
    part.replace(path)
    counter.unlink(missing_ok=True)


def _open_partial(part: Path, counter: Path, count: int) -> tuple[np.memmap, int]:
    """The unfinished file and how many of its rows are done."""
    shape = (count, 5, 2)
    try:
        store = np.lib.format.open_memmap(part, mode="r+")
        done = int(json.loads(counter.read_text(encoding="utf-8"))["done"])
        if store.shape == shape and 0 <= done <= count:
            return store, done
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return np.lib.format.open_memmap(part, mode="w+", dtype=np.float64, shape=shape), 0


def _read(path: Path) -> Landmarks:
    return np.asarray(np.load(path), dtype=np.float64)
