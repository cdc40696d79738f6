"""A block of faces on its way through a committee, and how one is gathered face by face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipelines.detection import Found
from pipelines.predictor import to_face

__all__ = ["FaceBlock", "FaceRows", "Shape"]

_PHOTO_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class FaceBlock:
    """Some faces of the committee's own size.

    Attributes:
        images: Name of the image that each face is from.
        numbers: Number of each face within its image.
        faces: (N, size, size) or (N, size, size, 3) uint8.
        boxes: (N, 4) pixels of the image, NaN where the image is the face.
        truths: Name of the true class of each face, empty where unknown.
        splits: Split of each face, empty where there is none.
        photos: Content of the image files that the faces are from, by name, where somebody wants to draw on them.
    """

    images: list[str]
    numbers: list[int]
    faces: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.float64]
    truths: list[str]
    splits: list[str]
    photos: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """Unique names of the faces, which also seed their views."""
        return [i if n == 0 else f"{i}#{n}" for i, n in zip(self.images, self.numbers, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the committee takes: faces of `size` pixels with `channels`, in blocks of `rows`."""

    size: int
    channels: int
    rows: int


class FaceRows:
    """Gathers faces until there are enough for a block.

    Args:
        shape: What the faces are brought to.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._clear()

    def _clear(self) -> None:
        self._images: list[str] = []
        self._numbers: list[int] = []
        self._faces: list[npt.NDArray[np.uint8]] = []
        self._boxes: list[tuple[float, ...]] = []
        self._truths: list[str] = []
        self._splits: list[str] = []
        self._photos: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._faces)

    @property
    def full(self) -> bool:
        """Whether there are enough faces for a block, or as many bytes of photos as one may hold."""
        return len(self) >= self.shape.rows or sum(map(len, self._photos.values())) >= _PHOTO_BYTES

    def keep(self, image: str, data: bytes) -> None:
        """Hand out an image file's content with the block that holds its faces."""
        self._photos[image] = data

    def add(self, image: str, found: Found, *, number: int = 0, truth: str = "", split: str = "") -> None:
        """Add a face found in an image."""
        self._images.append(image)
        self._numbers.append(number)
        self._faces.append(to_face(found.pixels, self.shape.size, self.shape.channels))
        self._boxes.append(found.box or (np.nan,) * 4)
        self._truths.append(truth)
        self._splits.append(split)

    def block(self) -> FaceBlock:
        """The faces so far, and start anew."""
        block = FaceBlock(
            images=self._images, numbers=self._numbers, faces=np.stack(self._faces),
            boxes=np.array(self._boxes, np.float64), truths=self._truths, splits=self._splits, photos=self._photos,
        )  # fmt: skip
        self._clear()
        return block
