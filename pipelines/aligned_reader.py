"""A reader whose faces are found and aligned before anyone sees them; images without a face are left out.

Wraps the reader of any layout: what the layout is stays that reader's business, what is done with the faces stays the
face store's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from backbones.errors import InputError
from ensemble.align_spec import AlignSpec
from ensemble.faces import SPLITS
from pipelines.alignment import align_face, aligned_size
from pipelines.detectors import DETECTORS, Image
from pipelines.file_tree import stream_files
from pipelines.home_path import expanded
from pipelines.image_file import decode_image, with_channels
from pipelines.landmarks import Landmarks, find_landmarks
from pipelines.listing import Listing, UnevenFacesError, check_listing
from pipelines.readers import Decoder
from pipelines.skip_report import SkipReport

__all__ = ["AlignedReader", "whole_images"]

_BLOCK = 64


class AlignedReader:
    """The faces of another reader, aligned.

    Attributes:
        excluded: Images without a face by split, known after `scan`.

    Args:
        reader: Understands the source.
        align: Template, size, colours and detector.
        device: Where the detector runs.
        folder: The landmarks are kept here; its name stands for the source, the reader and the detector.
        judged: Whether a committee is only judged on them, in which case any splits may be there.
        progress: Called with (images searched, images in all).
    """

    def __init__(
        self,
        reader: Decoder,
        align: AlignSpec,
        *,
        device: torch.device,
        folder: Path,
        judged: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.reader, self.align, self.judged = reader, align, judged
        self.device, self.folder, self.progress = device, folder, progress
        self.excluded: dict[str, int] = {}

    def scan(self, source: Path | str, skipped: SkipReport | None = None) -> Listing:
        """List the images in which a face was found.

        Raises:
            InputError: The data set is unfit, or a split that it needs has no face left.
        """
        listing = self.reader.scan(source, skipped)
        check_listing(listing, source=str(source), judged=self.judged)  # before minutes of searching
        self._listing = listing
        self._landmarks = self._find(source, listing)
        found = _found(self._landmarks)
        lost = Counter(listing.splits[~found].tolist())
        self.excluded = {split: lost[split] for split in SPLITS if split in listing.splits}
        for split, count in self.excluded.items():
            if count == (listing.splits == split).sum():
                raise InputError(
                    f"Expected faces to align in the {split} images of {source}, but {self.align.detector} found none "
                    f"in all {count}. Remove `align` if they are not photos of faces."
                )
        size = aligned_size(self.align)
        colours = listing.shape[2:] if self.align.channels is None else (3,) * (self.align.channels == 3)
        return replace(listing.take(found), shape=(size, size, *colours))

    def decode(self, source: Path | str, listing: Listing) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield blocks of aligned faces in the order of the listing, which `scan` gave.

        Raises:
            UnevenFacesError: An image in colour, where grey ones were expected and either is right.
        """
        found = _found(self._landmarks)
        landmarks = self._landmarks[found]
        block: list[Image] = []
        for row, image in enumerate(whole_images(self.reader, source, self._listing, rows=found)):
            if image.ndim > len(listing.shape) and self.align.channels is None:
                raise UnevenFacesError(replace(listing, shape=(*listing.shape, 3)))
            face = align_face(image, landmarks[row], template=self.align.template, size=listing.shape[0])
            block.append(with_channels(face, 1 if len(listing.shape) == 2 else 3))
            if len(block) == _BLOCK:
                yield np.stack(block)
                block = []
        if block:
            yield np.stack(block)

    def _find(self, source: Path | str, listing: Listing) -> Landmarks:
        numbers = np.arange(len(listing))
        return find_landmarks(
            lambda start: whole_images(self.reader, source, listing, rows=numbers >= start),
            len(listing),
            detector=DETECTORS.build(self.align.detector, self.device),
            folder=self.folder,
            progress=self.progress,
        )


def _found(landmarks: Landmarks) -> npt.NDArray[np.bool_]:
    """(N,) whether the image has a face."""
    return np.asarray(~np.isnan(landmarks[:, 0, 0]), dtype=bool)


def whole_images(
    reader: Decoder, source: Path | str, listing: Listing, *, rows: npt.NDArray[np.bool_] | None = None
) -> Iterator[Image]:
    """The images of a data set at their own sizes and in their own colours, in the order of the listing.

    Args:
        reader: Gave the listing.
        source: Of the listing.
        listing: What is in the source.
        rows: (N,) which images to give; None gives all.
    """
    wanted = np.ones(len(listing), dtype=bool) if rows is None else rows
    if not listing.entries:  # faces of one size, out of a table or a painter
        images = (image for block in reader.decode(source, listing) for image in block)
        yield from (image for image, keep in zip(images, wanted, strict=True) if keep)
        return
    path = expanded(source)
    entries = [entry for entry, keep in zip(listing.entries, wanted, strict=True) if keep]
    for name, data in stream_files(path, entries):
        yield decode_image(data, name=f"{path}: {name}")
