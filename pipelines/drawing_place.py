"""Where annotated photos go: their names below the folder of `ensemble predict --draw`, and what that folder may be.

A photo keeps its place below the common folder of all inputs, so no two photos meet. Nothing is ever written over a
file that is no drawing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from backbones.errors import InputError
from pipelines.plain_name import plain_name

__all__ = ["FORMATS", "check_place", "drawing_names", "fitting_name"]

FORMATS: Mapping[str, str] = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""Kinds of files that a drawing keeps; every other photo becomes a PNG."""

_LONGEST = 200


def check_place(folder: Path, inputs: Sequence[Path]) -> None:
    """Refuse a folder that cannot be written to, or where a later run would take drawings for photos.

    Args:
        folder: Of the drawings; need not exist.
        inputs: The user's files and folders.

    Raises:
        InputError: It is no such folder.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"Expected `--draw` to be a folder, but `{folder}` is a file.")
    place = folder.resolve()
    present = next(p for p in (place, *place.parents) if p.exists())
    if not present.is_dir() or not os.access(present, os.W_OK | os.X_OK):
        raise InputError(f"Expected `--draw` to be a folder that can be written to, but `{present}` cannot.")
    for path in inputs:
        found = path.resolve()
        if found == place or place in found.parents:
            raise InputError(
                f"Expected the photos to lie outside the folder of `--draw`, `{folder}`, but `{path}` is in it. "
                f"Choose a folder of its own, so that no photo is overwritten and no drawing is read again."
            )
        if found.is_dir() and found in place.parents:
            raise InputError(
                f"Expected `--draw` to be outside the folders of photos, but `{folder}` is in `{path}`: the next run "
                f"would take the drawings for photos. Choose a folder beside it."
            )


def drawing_names(sources: Sequence[tuple[Path, Sequence[str]]]) -> dict[str, PurePosixPath]:
    """Places of drawings by the name that a photo has in the prediction file.

    Args:
        sources: Image files, and folders or archives with the names of the images in them.

    Example:
        >>> drawing_names([(Path("party"), ["1.jpg", "late/1.gif"])])
        {'party/1.jpg': PurePosixPath('1.jpg'), 'party/late/1.gif': PurePosixPath('late/1.gif.png')}
    """
    root = _common_folder(sources)
    names: dict[str, PurePosixPath] = {}
    taken: set[str] = set()
    for path, inside in sources:
        below = PurePosixPath(os.path.relpath(_absolute(path), root))
        for given, place in [(f"{path}/{n}", below / n) for n in inside] or [(str(path), below)]:
            photo = plain_name(given)
            if photo not in names:  # else it was given twice
                names[photo] = _free(fitting_name(PurePosixPath(plain_name(str(place)))), taken)
                taken.add(str(names[photo]).casefold())
    return names


def fitting_name(place: PurePosixPath) -> PurePosixPath:
    """A name with the ending of a format that is written, and no longer than file systems take."""
    name = place.name if place.suffix.lower() in FORMATS else f"{place.name}.png"
    raw = os.fsencode(name)
    if len(raw) > _LONGEST:
        digest, ending = hashlib.sha256(raw).hexdigest()[:8], PurePosixPath(name).suffix
        name = f"{raw[: _LONGEST - 20].decode('utf-8', 'ignore')}-{digest}{ending}"
    return place.with_name(name)


def _common_folder(sources: Sequence[tuple[Path, Sequence[str]]]) -> str:
    return os.path.commonpath([_absolute(path) if inside else _absolute(path).parent for path, inside in sources])


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would follow links away from the user's names


def _free(place: PurePosixPath, taken: set[str]) -> PurePosixPath:
    """The name, or the same with a number: some file systems do not tell `A.png` from `a.png`."""
    free, number = place, 1
    while str(free).casefold() in taken:
        number += 1
        free = place.with_name(f"{place.stem}-{number}{place.suffix}")
    return free
