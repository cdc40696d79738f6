"""Decoded faces in a folder: memory-mapped pixels per split, so that training never parses a source twice.

Opening one split touches no file of another: the test split stays closed until someone asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.canonical import digest_of
from ensemble.faces import Faces
from pipelines.atomic import CHECKSUM
from pipelines.store_folder import file_mark

__all__ = ["META", "FaceStore"]

META = "meta.json"
"""Written last into the folder of a stored data set."""


@dataclass(frozen=True, kw_only=True)
class FaceStore:
    """A stored data set; its splits are opened one by one.

    Attributes:
        folder: Where it lies.
        source: What it was read from.
        reader: Name of the reader.
        classes: Class names in label order.
        counts: Faces per split; a split without faces is missing.
        class_counts: Faces per split and class.
        size: Side of the faces in pixels.
        channels: 1 for grey, 3 for RGB.
        digest: sha256 over all splits' pixels, labels and votes, whatever the source's layout and order.
        digests: The same per split.
        order_digests: sha256 of the faces and their ids in order, per split.
        excluded: Images left out per split, because no face to align was found in them; None where none was looked for.
        left_out: Rows per split that opening the split skips.
        unwanted: Faces left out per split, because the class map leaves out their class; None without a map.
        mapped: Whether the class map changed anything; then the names of the classes count in the digests.
        skipped: Images or rows left out because they cannot be read; `skipped.csv` in the folder names them.
        files: Size and CRC-32 of every stored file.
        confirmed: Splits whose files have been compared with these already.
    """

    folder: Path
    source: str
    reader: str
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    class_counts: Mapping[str, tuple[int, ...]]
    size: int
    channels: int
    digest: str
    digests: Mapping[str, str]
    order_digests: Mapping[str, str]
    excluded: Mapping[str, int] | None = None
    left_out: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    unwanted: Mapping[str, int] | None = None
    mapped: bool = False
    skipped: int = 0
    files: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    confirmed: frozenset[str] = frozenset()

    @classmethod
    def open(cls, folder: Path, source: str | Path) -> Self | None:
        """The stored data set, or None if there is none or files of it are missing or cut short.

        Args:
            folder: Where it lies.
            source: What it was read from.
        """
        try:
            meta = json.loads((folder / META).read_text(encoding="utf-8"))
            if meta.pop(CHECKSUM) != digest_of(meta):
                return None
            meta["files"] = {name: (int(size), int(crc)) for name, (size, crc) in meta["files"].items()}
            if any((folder / name).stat().st_size != size for name, (size, _) in meta["files"].items()):
                return None
            meta["classes"] = tuple(meta["classes"])
            meta["class_counts"] = {split: tuple(counts) for split, counts in meta["class_counts"].items()}
            return cls(folder=folder, source=str(source), **meta)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    @classmethod
    def open_whole(cls, folder: Path, source: str | Path) -> Self | None:
        """As `open`, but None as well if it is damaged, and then given up; the test split stays closed."""
        store = cls.open(folder, source)
        if store is None:
            return None
        seen = [name for name in ("train", "validation") if name in store.counts]
        if all(store.is_whole(name) for name in [*seen, "unwanted"]):
            return replace(store, confirmed=frozenset(seen))
        (folder / META).unlink(missing_ok=True)
        return None

    def split(self, name: str) -> Faces:
        """Open one split; its pixels are memory-mapped.

        Raises:
            InputError: The data has no such split, or its stored files are damaged.
        """
        self._require(name)
        if name not in self.confirmed and not self.is_whole(name):
            (self.folder / META).unlink(missing_ok=True)
            raise InputError(
                f"Expected the stored faces in `{self.folder}` to be as they were written, but files of the {name} "
                f"split have changed. They have been given up: run the same command again, which decodes them anew."
            )
        votes = self.folder / f"{name}.votes.npy"
        faces = Faces(
            split=name,
            classes=self.classes,
            ids=np.load(self.folder / f"{name}.ids.npy"),
            images=np.load(self.folder / f"{name}.images.npy", mmap_mode="r"),
            labels=np.load(self.folder / f"{name}.labels.npy"),
            votes=np.load(votes) if votes.exists() else None,
            digest=self.digests[name],
            order_digest=self.order_digests[name],
            mapped=self.mapped,
        )
        rows = self.left_out.get(name, ())
        return faces.take(np.delete(np.arange(len(faces)), rows)) if rows else faces

    def names(self, name: str) -> npt.NDArray[np.str_]:
        """Ids of all faces of a split, those left out included; neither pixels nor labels are opened.

        Raises:
            InputError: The data has no such split.
        """
        self._require(name)
        ids: npt.NDArray[np.str_] = np.load(self.folder / f"{name}.ids.npy")
        return ids

    @property
    def unwanted_names(self) -> list[str]:
        """Ids of the faces that the class map leaves out."""
        return [] if self.unwanted is None else np.load(self.folder / "unwanted.npy").tolist()

    def groups(self, name: str) -> npt.NDArray[np.str_] | None:
        """Group (a person, say) of every face of a split as `split` opens it, if known.

        Raises:
            InputError: The data has no such split.
        """
        self._require(name)
        path = self.folder / f"{name}.groups.npy"
        return np.delete(np.load(path), self.left_out.get(name, ())) if path.exists() else None

    def is_whole(self, name: str) -> bool:
        """Whether the stored files of a split are as they were written."""
        own = {file: mark for file, mark in self.files.items() if file.startswith(f"{name}.")}
        return all(file_mark(self.folder / file) == mark for file, mark in own.items())

    def _require(self, name: str) -> None:
        if name not in self.counts:
            found = ", ".join(f"{split} ({count} faces)" for split, count in self.counts.items())
            raise InputError(f"Expected {self.source} to have a {name} split, but it has {found}.")
