"""A reader whose faces have the classes wanted before anyone sees them; those of classes left out are left out.

Wraps the reader of any layout, as `data: {classes: …}` asks for: which names the layout has stays that reader's
business, and where a map leads is `ensemble.class_map`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ensemble.class_map import ClassMap
from ensemble.class_meaning import Wanted
from ensemble.faces import SPLITS
from pipelines.listing import Listing
from pipelines.readers import Decoder
from pipelines.skip_report import SkipReport

__all__ = ["MappedReader"]


class MappedReader:
    """The faces of another reader, under the classes wanted.

    Attributes:
        class_map: From the source's classes to those wanted; known after `scan`, as the rest.
        whole: Faces of the source, those left out or passed over included.
        unwanted: Faces left out by split.
        unwanted_ids: Their names.

    Args:
        reader: Understands the source.
        wanted: What becomes of its classes.
    """

    def __init__(self, reader: Decoder, wanted: Wanted) -> None:
        self.reader, self.wanted = reader, wanted

    def scan(self, source: Path | str, skipped: SkipReport | None = None) -> Listing:
        """List the faces that are not left out.

        Raises:
            InputError: A name is none of the source's classes, or fewer than two classes are left.
        """
        listing = self.reader.scan(source, skipped)
        self.class_map = ClassMap.of(listing.classes, self.wanted, where=str(source))
        labels = self.class_map.labels(listing.labels)
        self._kept = labels >= 0
        self.whole, self.unwanted_ids = len(listing) + len(listing.passed_over), listing.ids[~self._kept]
        lost = listing.splits[~self._kept]
        self.unwanted = {split: int((lost == split).sum()) for split in SPLITS if split in listing.splits}
        return replace(listing.take(self._kept), labels=labels[self._kept], classes=self.class_map.target)

    def decode(self, source: Path | str, listing: Listing) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield blocks of faces in the order of the listing, which `scan` gave.

        Raises:
            UnevenFacesError: As the reader does.
        """
        if listing.entries:  # the reader finds each image by its name
            yield from self.reader.decode(source, listing)
            return
        row = 0
        for block in self.reader.decode(source, listing):
            kept = self._kept[row : row + len(block)]
            row += len(block)
            if kept.any():
                yield block[kept]
