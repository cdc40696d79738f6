"""Streams of faces to predict: block by block, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from pipelines.aligned_reader import whole_images
from pipelines.detection import FaceDetector
from pipelines.face_block import FaceBlock, FaceRows, Shape
from pipelines.face_store import FaceStore
from pipelines.file_tree import stream_files
from pipelines.image_file import decode_image
from pipelines.listing import Listing
from pipelines.plain_name import plain_name
from pipelines.predictor import to_face
from pipelines.skip_report import SkipReport

__all__ = ["AlignedStream", "FaceStream", "ImageStream", "LabelledStream", "StoreStream"]


@dataclass(frozen=True, kw_only=True)
class StoreStream:
    """The validation split of stored faces."""

    store: FaceStore
    shape: Shape
    labelled = True

    def __len__(self) -> int:
        return int(self.store.counts["validation"])

    def blocks(self) -> Iterator[FaceBlock]:
        """Blocks in stored order."""
        faces = self.store.split("validation")
        for start in range(0, len(faces), self.shape.rows):
            part = slice(start, start + self.shape.rows)
            names = [str(i) for i in faces.ids[part]]
            truths = [faces.classes[label] for label in faces.labels[part]]
            yield _ready(names, faces.images[part], truths, ["validation"] * len(names), self.shape)


@dataclass(frozen=True, kw_only=True)
class LabelledStream:
    """A data set in a layout that a reader knows."""

    source: Path
    reader: Any
    listing: Listing
    shape: Shape
    labelled = True

    def __len__(self) -> int:
        return len(self.listing)

    def blocks(self) -> Iterator[FaceBlock]:
        """Blocks in the source's order."""
        row = 0
        for images in self.reader.decode(self.source, self.listing):
            for start in range(0, len(images), self.shape.rows):
                part = images[start : start + self.shape.rows]
                rows = slice(row, row + len(part))
                row += len(part)
                names = [str(i) for i in self.listing.ids[rows]]
                splits = [str(s) for s in self.listing.splits[rows]]
                truths = [self.listing.classes[label] for label in self.listing.labels[rows]]
                yield _ready(names, part, truths, splits, self.shape)


@dataclass(frozen=True, kw_only=True)
class AlignedStream:
    """A data set in a layout that a reader knows, whose faces are found and aligned first; one face an image.

    Attributes:
        missed: Told the name of every image without a face, and nothing of its content.
    """

    source: Path
    reader: Any
    listing: Listing
    detector: FaceDetector
    shape: Shape
    missed: Callable[[str, bytes], None]
    labelled = True

    def __len__(self) -> int:
        return len(self.listing)

    def blocks(self) -> Iterator[FaceBlock]:
        """Blocks in the source's order."""
        rows, listing = FaceRows(self.shape), self.listing
        for row, image in enumerate(whole_images(self.reader, self.source, listing)):
            name, truth, split = str(listing.ids[row]), listing.classes[listing.labels[row]], str(listing.splits[row])
            found = self.detector.find(image)
            if found:
                rows.add(name, found[0], truth=truth, split=split)
            else:
                self.missed(name, b"")
            if rows.full:
                yield rows.block()
        if rows:
            yield rows.block()


@dataclass(frozen=True, kw_only=True)
class ImageStream:
    """Image files, each with any number of faces.

    Attributes:
        sources: Image files, and folders or archives with the names of the images in them.
        missed: Told the name and the content of every photo without a face.
        keep: Whether blocks hold the content of their photos.
        skipped: Told of files that cannot be read, which are then passed over; None refuses them.
    """

    sources: Sequence[tuple[Path, Sequence[str]]]
    detector: FaceDetector
    shape: Shape
    missed: Callable[[str, bytes], None]
    keep: bool = False
    skipped: SkipReport | None = None
    labelled = False

    def __len__(self) -> int:
        return sum(max(1, len(names)) for _, names in self.sources)

    def blocks(self) -> Iterator[FaceBlock]:
        """Blocks in the order of the files."""
        rows = FaceRows(self.shape)
        for name, data, image in self._images():
            found = self.detector.find(image)
            if not found:
                self.missed(name, data)
            elif self.keep:
                rows.keep(name, data)
            for number, face in enumerate(found):
                rows.add(name, face, number=number)
            if rows.full:
                yield rows.block()
        if rows:
            yield rows.block()

    def _images(self) -> Iterator[tuple[str, bytes, npt.NDArray[np.uint8]]]:
        """Yield (name, content, pixels) of every image that can be read."""
        told: set[str] = set()  # a file may be named twice, in its folder and on its own
        for path, names in self.sources:
            # A file on its own is the one image of its folder.
            folder, inside = (path, names) if names else (path.parent, [path.name])
            for name, data in stream_files(folder, inside, self.skipped):
                full = plain_name(f"{path}/{name}" if names else str(path))
                if full in told:
                    continue
                told.add(full)
                try:
                    image = decode_image(data, name=full)
                except InputError as error:
                    if self.skipped is None:
                        raise
                    self.skipped.add(full, str(error))
                else:
                    yield full, data, image


FaceStream = StoreStream | LabelledStream | AlignedStream | ImageStream


def _ready(
    names: list[str], images: npt.NDArray[np.uint8], truths: list[str], splits: list[str], shape: Shape
) -> FaceBlock:
    faces = np.stack([to_face(image, shape.size, shape.channels) for image in images])
    return FaceBlock(
        images=names, numbers=[0] * len(names), faces=faces, boxes=np.full((len(names), 4), np.nan),
        truths=truths, splits=splits,
    )  # fmt: skip
