"""What `ensemble predict` is given becomes a stream of faces, block by block in constant memory.

An input is an image, a folder, a zip, a glob, or a labelled data set that a reader knows; without one, it is the
validation split of the data the committee was fitted on.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.class_map import Wanted
from pipelines.aligned_reader import whole_images
from pipelines.detection import FaceDetector
from pipelines.face_block import FaceBlock, FaceRows, Shape
from pipelines.face_store import FaceStore
from pipelines.file_tree import is_archive, stream_files
from pipelines.home_path import expanded
from pipelines.image_file import IMAGE_SUFFIXES, decode_image
from pipelines.image_tree import image_names
from pipelines.listing import Listing
from pipelines.mapped_reader import MappedReader
from pipelines.plain_name import plain_name
from pipelines.predictor import to_face
from pipelines.readers import READERS, Decoder, choose_reader
from pipelines.skip_report import SkipReport

__all__ = [
    "AlignedStream",
    "FaceStream",
    "ImageStream",
    "LabelledStream",
    "StoreStream",
    "expand_inputs",
    "open_stream",
]


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
        for path, names in self.sources:
            # A file on its own is the one image of its folder.
            folder, inside = (path, names) if names else (path.parent, [path.name])
            for name, data in stream_files(folder, inside, self.skipped):
                full = plain_name(f"{path}/{name}" if names else str(path))
                try:
                    image = decode_image(data, name=full)
                except InputError as error:
                    if self.skipped is None:
                        raise
                    self.skipped.add(full, str(error))
                else:
                    yield full, data, image


FaceStream = StoreStream | LabelledStream | AlignedStream | ImageStream


def open_stream(
    inputs: Sequence[str],
    *,
    detector: FaceDetector,
    classes: Wanted | None = None,
    shape: Shape,
    missed: Callable[[str, bytes], None],
    keep: bool = False,
    skipped: SkipReport | None = None,
) -> LabelledStream | AlignedStream | ImageStream:
    """Decide what the inputs are.

    A single source in a known layout is labelled data, whatever its classes, unless faces are to be detected in it:
    only to align them. Everything else is images.

    Args:
        inputs: As the user gave them.
        detector: Finds faces in images.
        classes: What becomes of classes of labelled data; faces of a class that becomes None are left out.
        shape: What the committee takes.
        missed: Told the name, and for image files the content, of every photo without a face.
        keep: Whether blocks of image files hold their content.
        skipped: Told of images and rows that cannot be read, which are then passed over; None refuses them.

    Raises:
        InputError: An input does not exist or holds no image, or `classes` is given for what is not labelled.
    """
    paths = expand_inputs(inputs)
    if len(paths) == 1 and detector.mode in ("auto", "none"):
        labelled = _labelled(paths[0], classes, shape, skipped)
        if labelled is not None and detector.aligns:
            return AlignedStream(
                source=labelled.source, reader=labelled.reader, listing=labelled.listing, detector=detector,
                shape=shape, missed=missed,
            )  # fmt: skip
        if labelled is not None:
            return labelled
    if classes:
        raise InputError("Expected one labelled data set, whose faces are not to be searched for, beside `--classes`.")
    sources = [(path, _names(path)) for path in paths]
    return ImageStream(sources=sources, detector=detector, shape=shape, missed=missed, keep=keep, skipped=skipped)


def expand_inputs(inputs: Sequence[str]) -> list[Path]:
    """The files and folders that the user means, each once.

    Raises:
        InputError: There is none of that name.
    """
    return list(dict.fromkeys(path for text in inputs for path in _expanded(text)))


def _expanded(text: str) -> list[Path]:
    path = expanded(text)
    if path.exists():
        return [path]
    found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise InputError(f"Expected INPUT to be an image, a folder, a zip, a csv or a glob, but found no {text!r}.")
    return [Path(f) for f in found]


def _labelled(path: Path, classes: Wanted | None, shape: Shape, skipped: SkipReport | None) -> LabelledStream | None:
    """The path as labelled data, or None if it is something else."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return None
    try:
        reader: Decoder = READERS.build(choose_reader(path))
        listing = reader.scan(path, skipped)
    except InputError:
        if not (path.is_dir() or is_archive(path)):
            raise
        if skipped is not None:
            skipped.entries.clear()  # they are photos, and each is looked at again
        return None
    if classes:
        if skipped is not None:
            skipped.entries.clear()
        reader = MappedReader(reader, classes)
        listing = reader.scan(path, skipped)
    if listing.entries:  # image files of any sizes and colours: let the reader bring them to one shape
        listing = replace(listing, shape=(shape.size, shape.size, 3), resize=True)
    return LabelledStream(source=path, reader=reader, listing=listing, shape=shape)


def _names(path: Path) -> list[str]:
    """The images in a folder or an archive; none for an image file."""
    if path.is_dir() or is_archive(path):
        return image_names(path)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"Expected `{path}` to be an image ({', '.join(IMAGE_SUFFIXES)}), but got {path.suffix!r}.")
    return []


def _ready(
    names: list[str], images: npt.NDArray[np.uint8], truths: list[str], splits: list[str], shape: Shape
) -> FaceBlock:
    faces = np.stack([to_face(image, shape.size, shape.channels) for image in images])
    return FaceBlock(
        images=names, numbers=[0] * len(names), faces=faces, boxes=np.full((len(names), 4), np.nan),
        truths=truths, splits=splits,
    )  # fmt: skip
