"""Decides what `ensemble predict` is given: an image, a folder, a zip, a glob, or labelled data in a known layout."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from backbones.errors import InputError
from ensemble.class_meaning import Wanted
from pipelines.detection import FaceDetector
from pipelines.face_block import Shape
from pipelines.face_stream import AlignedStream, ImageStream, LabelledStream
from pipelines.file_tree import is_archive
from pipelines.home_path import expanded
from pipelines.image_file import IMAGE_SUFFIXES
from pipelines.image_tree import image_names
from pipelines.mapped_reader import MappedReader
from pipelines.readers import READERS, Decoder, choose_reader
from pipelines.skip_report import SkipReport

__all__ = ["expand_inputs", "open_stream"]


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
