"""The registry of data readers, and the choice of the one that understands a source.

A reader turns one layout of labelled faces into a `Listing` and blocks of pixels. It neither caches nor checks what a
committee needs: that is the business of `pipelines.face_store`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from backbones.registry import Registry
from pipelines.file_tree import is_empty
from pipelines.home_path import expanded
from pipelines.listing import Listing
from pipelines.skip_report import SkipReport

__all__ = ["LAYOUTS", "READERS", "Decoder", "Reader", "choose_reader"]


class Decoder(Protocol):
    """Lists the faces of a source and decodes them."""

    def scan(self, source: Path | str, skipped: SkipReport | None = None) -> Listing:
        """Ids, labels and splits of all faces.

        Args:
            source: Where they are.
            skipped: Told of faces that cannot be read, which are then left out: all are decoded to know. With None
                none is but the first, and the first wrong one raises, here or in `decode`.
        """

    def decode(self, source: Path | str, listing: Listing) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield blocks of faces (n, *listing.shape) in the order of the listing.

        Raises:
            UnevenFacesError: The faces have several shapes, and `listing.resize` is off.
            InputError: A face cannot be decoded.
        """


class Reader(Decoder, Protocol):
    """One layout of labelled faces. Its keyword-only constructor parameters are what YAML may set under `data:`.

    Attributes:
        fallback: Whether it is asked only after every other reader has declined the source.
    """

    fallback: ClassVar[bool]

    @classmethod
    def claims(cls, source: Path | str) -> bool:
        """Whether the source looks like this layout; quick, without decoding anything."""

    def fingerprint(self, source: Path | str) -> str:
        """sha256 that changes whenever the source does."""


READERS: Registry[Any] = Registry("reader", "pipelines.reader")

LAYOUTS = (
    "a FER csv (`emotion,pixels,Usage`; plain, .gz, or inside .zip or .tar.gz), "
    "FER2013 as image folders (train/happy/Training_1.png, test/happy/PublicTest_2.png), "
    "one folder per class, with or without train/validation/test folders, also as .zip or .tar.gz, "
    "or the word `synthetic`"
)
"""The layouts understood, in words, for messages."""


def choose_reader(source: Path | str) -> str:
    """Name of the reader that understands `source`.

    Args:
        source: A path, or `synthetic`.

    Returns:
        A name of `READERS`.

    Raises:
        InputError: The path does not exist, holds nothing, or has no layout that a reader knows.

    Example:
        >>> choose_reader("synthetic")
        'synthetic'
    """
    readers = {name: cast("type[Reader]", READERS.get(name)) for name in READERS.names()}
    if str(source) in readers and readers[str(source)].claims(str(source)):
        return str(source)
    path = require_source(source)
    for name in sorted(readers, key=lambda name: readers[name].fallback):
        if readers[name].claims(path):
            return name
    raise InputError(
        f"Expected labelled faces in {path}, but recognise no layout. Understood are {LAYOUTS}. "
        "Classes are known by names of expressions; folders of other names are read with `reader: class_folder`."
    )


def require_source(source: Path | str) -> Path:
    """The source as a path that exists and is not empty.

    Raises:
        InputError: There is no such file or folder, or nothing in it.
    """
    path = expanded(source)
    if not path.exists():
        raise InputError(f"Expected `source` to be a file, a folder or `synthetic`, but found no such file: {path}.")
    if not (path.is_file() or path.is_dir()):
        raise InputError(f"Expected `source` to be a file or a folder, but {path} is a pipe or a device.")
    if is_empty(path):
        raise InputError(f"Expected labelled faces in {path}, but it is empty.")
    return path
