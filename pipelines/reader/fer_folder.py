"""FER2013 as image folders: the file name's prefix decides the split, the folder's name the expression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from backbones.parameter import Count
from ensemble.expression import canonical_classes
from pipelines.home_path import expanded
from pipelines.image_tree import (
    classes_of,
    common_shape,
    decode_images,
    holds_files,
    image_fingerprint,
    image_names,
    images_in,
    relative_names,
)
from pipelines.listing import Listing
from pipelines.readers import READERS, require_source
from pipelines.skip_report import SkipReport

__all__ = ["FerFolder"]

_SPLITS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
_PEEK = 20


@READERS.register("fer_folder")
class FerFolder:
    """FER2013 as images: `train/happy/Training_1.png`, `test/happy/PublicTest_2.png`, `.../PrivateTest_3.jpg`.

    Args:
        size: Side of the faces in pixels; None keeps the images' own.
    """

    fallback: ClassVar[bool] = False

    def __init__(self, *, size: Count | None = None) -> None:
        self.size = size

    @classmethod
    def claims(cls, source: Path | str) -> bool:
        """Whether the first images are named as in FER2013."""
        if not holds_files(source):
            return False
        first = images_in(expanded(source))[:_PEEK]
        return bool(first) and all(_prefix(name) in _SPLITS for name in first)

    def fingerprint(self, source: Path | str) -> str:
        """sha256 of an archive, or of a folder's names, sizes and times of change."""
        return image_fingerprint(require_source(source))

    def scan(self, source: Path | str, skipped: SkipReport | None = None) -> Listing:
        """Read labels and splits from the names.

        Raises:
            InputError: A name has no known prefix, or an image lies in no expression's folder.
        """
        path = require_source(source)
        names = image_names(path, skipped)
        unknown = next((name for name in names if _prefix(name) not in _SPLITS), None)
        if unknown is not None:
            raise InputError(
                f"Expected image names that begin with {', '.join(f'{prefix}_' for prefix in _SPLITS)}, "
                f"but got {unknown!r} in {path}. Folders with other names are read with `reader: class_folder`."
            )
        places = classes_of(path, names)
        folders = [folder for folder, _ in places]
        _check_folders(path, names, [split for _, split in places])
        classes, mapping = canonical_classes(folders)
        shape, resize = common_shape(path, names, self.size)
        return Listing(
            ids=np.array(relative_names(names), dtype=np.str_),
            labels=np.array([classes.index(mapping[folder]) for folder in folders], dtype=np.int64),
            splits=np.array([_SPLITS[_prefix(name)] for name in names], dtype=np.str_),
            classes=classes,
            shape=shape,
            entries=tuple(names),
            resize=resize,
        )

    def decode(self, source: Path | str, listing: Listing) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield blocks of faces in the order of the listing."""
        return decode_images(require_source(source), listing)


def _check_folders(path: Path, names: Sequence[str], splits: Sequence[str]) -> None:
    """FER2013's own folders are `train` and `test`, the latter of both of its test sets."""
    for name, split in zip(names, splits, strict=True):
        meant = _SPLITS[_prefix(name)]
        if split not in ("", meant) and (split, meant) != ("test", "validation"):
            raise InputError(
                f"Expected the names of the images in {path} to tell the splits, as FER2013's do, but {name!r}, of the "
                f"{meant} split by its name, lies in a {split} folder. Say `reader: class_folder` to go by the folders."
            )


def _prefix(name: str) -> str:
    return name.rpartition("/")[2].partition("_")[0]
