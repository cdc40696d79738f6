"""Decoded faces, stored once: memory-mapped pixels per split, so that training never parses a source twice.

`load_faces` is the one way from a source to `Faces`. A stored data set is one folder, made under another name and
renamed when complete; processes that make the same one at the same time end with the same result. Opening one split
touches no file of another: the test split stays closed until someone asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.align_spec import AlignSpec
from ensemble.binding import check_component
from ensemble.canonical import canonical_json, digest_of
from ensemble.class_map import Wanted
from ensemble.data_spec import OnBad
from ensemble.faces import Faces
from pipelines.atomic import CHECKSUM, write_checked_json
from pipelines.face_writer import write_faces
from pipelines.fingerprint import FileFacts, digest_text
from pipelines.home_path import expanded
from pipelines.mapped_reader import MappedReader
from pipelines.readers import READERS, Decoder, Reader, choose_reader, require_source
from pipelines.skip_report import SKIPPED, SkipReport
from pipelines.store_folder import file_mark, file_marks, making

__all__ = ["FaceStore", "load_faces"]

STORE_VERSION = 1
"""Goes up when decoding or the stored format changes: older folders are then made anew."""

_META = "meta.json"


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
        names_digests: sha256 of the ids in order per split.
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
    names_digests: Mapping[str, str]
    excluded: Mapping[str, int] | None = None
    left_out: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    unwanted: Mapping[str, int] | None = None
    mapped: bool = False
    skipped: int = 0
    files: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    confirmed: frozenset[str] = frozenset()

    def split(self, name: str) -> Faces:
        """Open one split; its pixels are memory-mapped.

        Raises:
            InputError: The data has no such split, or its stored files are damaged.
        """
        self._require(name)
        if name not in self.confirmed and not self.is_whole(name):
            (self.folder / _META).unlink(missing_ok=True)
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
            names_digest=self.names_digests[name],
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


def load_faces(
    source: str | Path,
    *,
    reader: str | None = None,
    options: Mapping[str, Any] | None = None,
    votes: str | Path | None = None,
    align: AlignSpec | None = None,
    classes: Wanted | None = None,
    on_bad: OnBad = "error",
    cache: Path,
    device: str | None = None,
    make: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> FaceStore:
    """Open a data set, decoding and storing it first if it is new or has changed.

    Args:
        source: A path, or `synthetic`.
        reader: Name of the reader; None lets the source's layout decide.
        options: The reader's parameters.
        votes: FER+ votes file.
        align: How faces are found and aligned; None stores the images as they are.
        classes: What becomes of classes of the source; faces of a class that becomes None are left out.
        on_bad: What becomes of images and rows that cannot be read: an error, or they are skipped and reported.
        cache: The data set is stored in a folder of `<cache>/faces`, landmarks in one of `<cache>/landmarks`.
        device: Where faces are looked for; default CUDA where there is one.
        make: Whether to decode a data set that is not stored; otherwise it is refused.
        progress: Called with (faces done, faces in all), first while looking for faces, then while decoding.

    Returns:
        The stored data set.

    Raises:
        InputError: The source is missing, damaged or of no known layout; an option is wrong; or the data set is unfit:
            duplicate ids, people in two splits, empty or swapped splits; or `classes` names a class that it lacks.
    """
    facts = FileFacts(cache / "faces" / "facts")
    name = reader or _choose_reader(source, facts)
    problems = check_component(name, options or {}, READERS, "data")
    if problems:
        raise InputError("\n".join(problems))
    votes = None if votes is None else require_source(votes)
    built: Reader = READERS.build(name, **(options or {}))
    resolved = {key: p.default for key, p in READERS.describe(name).parameters.items()} | dict(options or {})
    content = [name, json.dumps(resolved, sort_keys=True), _fingerprint(built, source, facts)]
    mapped = _mapped(built, classes, votes) if classes else None
    content += [canonical_json(classes)] if mapped else []
    skipped = SkipReport() if on_bad == "skip" else None
    content += [] if skipped is None else ["bad faces skipped"]
    aligned = [] if align is None else [align.model_dump_json()]
    key = digest_text([STORE_VERSION, *content, facts.digest(votes) if votes else None, *aligned])
    folder = cache / "faces" / key[:32]
    store = _open_whole(folder, source)
    if store is None and not make:
        raise InputError(f"Expected the faces of `{source}` to be decoded under `{cache}`, but they are not.")
    if store is None:
        decoder: Any = mapped or built
        if align is not None:
            decoder = _aligned(decoder, align, content, cache, device, progress)
        with making(folder, is_there=lambda: _open(folder, source) is not None) as temporary:
            meta = write_faces(
                decoder, source, votes=votes, mapped=mapped, skipped=skipped, folder=temporary, progress=progress
            )
            if skipped:
                meta["skipped"] = len(skipped)
                skipped.write(temporary / SKIPPED)
            if align is not None:
                meta["excluded"] = decoder.excluded
            write_checked_json(temporary / _META, {"reader": name, **meta, "files": file_marks(temporary)})
        store = _open_whole(folder, source)
    assert store is not None  # it has just been made
    return store


def _mapped(reader: Decoder, classes: Wanted, votes: Path | None) -> MappedReader:
    number = next((name for name in classes if name.isdecimal()), None)
    if votes is not None and number is not None:
        raise InputError(
            f"Expected classes by name in `classes` beside `votes`, whose columns are names, but got {number!r}."
        )
    return MappedReader(reader, classes)


def _aligned(
    reader: Decoder,
    align: AlignSpec,
    content: Sequence[str],
    cache: Path,
    device: str | None,
    progress: Callable[[int, int], None] | None,
) -> Decoder:
    """The reader's faces, aligned. Their landmarks depend on what is read and on the detector alone."""
    from pipelines.aligned_reader import AlignedReader  # a detector takes seconds to import
    from pipelines.device import choose_device
    from pipelines.landmarks import LANDMARKS_VERSION

    folder = cache / "landmarks" / digest_text([LANDMARKS_VERSION, align.detector, *content])[:32]
    return AlignedReader(reader, align, device=choose_device(device), folder=folder, progress=progress)


def _choose_reader(source: str | Path, facts: FileFacts) -> str:
    """The reader that the layout asks for; remembered, because looking into a large archive takes seconds."""
    fact = f"reader among {', '.join(READERS.names())}"
    return _remembered(fact, source, facts, lambda: choose_reader(source))


def _fingerprint(reader: Reader, source: str | Path, facts: FileFacts) -> str:
    """The reader's fingerprint, which for a file is its sha256."""
    return _remembered("sha256", source, facts, lambda: reader.fingerprint(source))


def _remembered(fact: str, source: str | Path, facts: FileFacts, find: Callable[[], str]) -> str:
    path = expanded(source)
    if not path.is_file():
        return find()
    known = facts.recall(path, fact)
    if known is None:
        known = find()
        facts.remember(path, fact, known)
    return known


def _open_whole(folder: Path, source: str | Path) -> FaceStore | None:
    """The stored data set, or None if there is none or it is damaged; the test split stays closed."""
    store = _open(folder, source)
    if store is None:
        return None
    seen = [name for name in ("train", "validation") if name in store.counts]
    if all(store.is_whole(name) for name in [*seen, "unwanted"]):
        return replace(store, confirmed=frozenset(seen))
    (folder / _META).unlink(missing_ok=True)
    return None


def _open(folder: Path, source: str | Path) -> FaceStore | None:
    """The stored data set, or None if there is none or files of it are missing or cut short."""
    try:
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
        if meta.pop(CHECKSUM) != digest_of(meta):
            return None
        meta["files"] = {name: (int(size), int(crc)) for name, (size, crc) in meta["files"].items()}
        if any((folder / name).stat().st_size != size for name, (size, _) in meta["files"].items()):
            return None
        meta["classes"] = tuple(meta["classes"])
        meta["class_counts"] = {split: tuple(counts) for split, counts in meta["class_counts"].items()}
        return FaceStore(folder=folder, source=str(source), **meta)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
