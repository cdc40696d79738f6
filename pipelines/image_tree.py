"""Image files of a folder or an archive: their names, their common shape, their decoded blocks.

What a folder's name means is the readers' business; here the tree only holds images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from pipelines.file_tree import file_names, is_archive, stream_files
from pipelines.fingerprint import digest_file, digest_folder
from pipelines.home_path import expanded
from pipelines.image_file import IMAGE_SUFFIXES, decode_image, resize_face, with_channels
from pipelines.image_header import header_size
from pipelines.listing import Listing, UnevenFacesError
from pipelines.plain_name import plain_name
from pipelines.skip_report import SkipReport

__all__ = [
    "SPLIT_FOLDERS",
    "class_of",
    "classes_of",
    "common_shape",
    "decode_images",
    "holds_files",
    "image_fingerprint",
    "image_names",
    "images_in",
    "relative_names",
]

SPLIT_FOLDERS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Folder names, in lower case, that name a split."""

_BLOCK_BYTES = 4 << 20
_LARGEST_MEDIAN = 224


def holds_files(source: Path | str) -> bool:
    """Whether the source is a folder or an archive."""
    path = expanded(source)
    return path.is_dir() or is_archive(path)


def images_in(source: Path) -> list[str]:
    """Posix paths of all images below a folder, or in an archive, if there are any."""
    return [name for name in file_names(source) if name.lower().endswith(IMAGE_SUFFIXES)]


def image_names(source: Path, skipped: SkipReport | None = None) -> list[str]:
    """Posix paths of all images below a folder, or in an archive.

    Args:
        source: The folder or archive.
        skipped: Decode every image, leave those out that cannot be, and tell them; None looks at names alone.

    Raises:
        InputError: There is none.
    """
    names = images_in(source)
    if not names:
        raise InputError(f"Expected images ({', '.join(IMAGE_SUFFIXES)}) in {source}, but found none.")
    return names if skipped is None else _readable_names(source, names, skipped)


def _readable_names(source: Path, names: Sequence[str], skipped: SkipReport) -> list[str]:
    kept = []
    for name, data in stream_files(source, names, skipped):
        try:
            decode_image(data, name=f"{source}: {name}")
        except InputError as error:
            skipped.add(f"{source}/{name}", str(error))
        else:
            kept.append(name)
    if not kept:
        raise InputError(f"Expected a readable image in {source}, but none of {len(names)} is. {skipped.entries[0][1]}")
    return kept


def image_fingerprint(source: Path) -> str:
    """sha256 of an archive's content, or of the names, sizes and times of change in a folder."""
    return digest_folder(source, file_names(source)) if source.is_dir() else digest_file(source)


def relative_names(names: Sequence[str]) -> list[str]:
    """Names without the folders that all of them share, down to the one that holds the splits or the classes.

    Names in no known encoding are spelt out.

    Example:
        >>> relative_names(["a/fer/train/sad/1.png", "a/fer/train/fear/1.png"])
        ['train/sad/1.png', 'train/fear/1.png']
    """
    folders = [name.split("/")[:-2] for name in names]  # without class and file
    shared = 0
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1 or level[0].lower() in SPLIT_FOLDERS:
            break
        shared += 1
    return [plain_name("/".join(name.split("/")[shared:])) for name in names]


def class_of(name: str) -> tuple[str, str]:
    """Class folder and split of an image; "" for what its path does not tell.

    The split's folder may lie above or below that of the class.

    Example:
        >>> class_of("fer/Train/joy/1.png"), class_of("joy/1.png"), class_of("train/1.png")
        (('joy', 'train'), ('joy', ''), ('', 'train'))
    """
    folders = name.split("/")[-3:-1]
    split = next((folder for folder in folders if folder.lower() in SPLIT_FOLDERS), None)
    if split is None:
        return (folders[-1] if folders else ""), ""
    others = [folder for folder in folders if folder != split]
    return (others[-1] if others else ""), SPLIT_FOLDERS[split.lower()]


def classes_of(source: Path, names: Sequence[str]) -> list[tuple[str, str]]:
    """Class folder and split of every image.

    Raises:
        InputError: An image lies in no class's folder.
    """
    places = [class_of(name) for name in names]
    stray = next((name for name, (folder, _) in zip(names, places, strict=True) if not folder), None)
    if stray is not None:
        raise InputError(f"Expected {stray!r} in {source} to lie in a folder named after its expression.")
    return places


def common_shape(source: Path, names: Sequence[str], size: int | None) -> tuple[tuple[int, ...], bool]:
    """Guess the shape of all faces from the first one.

    Args:
        source: The folder or archive.
        names: Its images.
        size: Side that the user wants, or None for the images' own.

    Returns:
        The shape, and whether faces of other sizes are to be resized to it.
    """
    _, data = next(iter(stream_files(source, names[:1])))
    first = decode_image(data, name=f"{source}: {names[0]}")
    if size is not None:
        return (size, size, *first.shape[2:]), True
    if first.shape[0] == first.shape[1]:
        return first.shape, False
    side = _median_side(source, names)
    return (side, side, *first.shape[2:]), True


def decode_images(source: Path, listing: Listing) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield blocks of decoded faces in the order of `listing.entries`.

    Raises:
        UnevenFacesError: The first face that has another shape, unless the listing says to resize it.
        InputError: An image cannot be decoded.
    """
    faces = max(1, _BLOCK_BYTES // int(np.prod(listing.shape)))
    block: list[npt.NDArray[np.uint8]] = []
    for name, data in stream_files(source, listing.entries):
        image = decode_image(data, name=f"{source}: {name}")
        block.append(image if image.shape == listing.shape else _fit(image, source, listing))
        if len(block) == faces:
            yield np.stack(block)
            block.clear()
    if block:
        yield np.stack(block)


def _fit(image: npt.NDArray[np.uint8], source: Path, listing: Listing) -> npt.NDArray[np.uint8]:
    side, channels = listing.shape[0], 1 if len(listing.shape) == 2 else 3
    if image.ndim > len(listing.shape):
        raise UnevenFacesError(replace(listing, shape=(side, side, 3)))
    if image.shape[:2] != (side, side) and not listing.resize:
        side = _median_side(source, listing.entries)
        raise UnevenFacesError(replace(listing, shape=(side, side, *listing.shape[2:]), resize=True))
    return resize_face(with_channels(image, channels), side)


def _median_side(source: Path, names: Sequence[str]) -> int:
    """Median of the shorter sides, from the images' headers."""
    sides = [min(header_size(data, name=f"{source}: {name}")) for name, data in stream_files(source, names)]
    return min(_LARGEST_MEDIAN, int(np.median(sides)))
