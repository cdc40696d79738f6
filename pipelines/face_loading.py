"""The one way from a source to faces: decoded and stored the first time, opened from then on.

A stored data set is one folder, made under another name and renamed when complete; processes that make the same one at
the same time end with the same result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from ensemble.align_spec import AlignSpec
from ensemble.binding import check_component
from ensemble.canonical import canonical_json
from ensemble.class_meaning import Wanted
from ensemble.data_spec import OnBad
from ensemble.faces import SPLITS
from pipelines.atomic import write_checked_json
from pipelines.face_store import META, FaceStore
from pipelines.face_writer import write_faces
from pipelines.fingerprint import FileFacts, digest_text
from pipelines.home_path import expanded
from pipelines.listing import check_splits
from pipelines.mapped_reader import MappedReader
from pipelines.readers import READERS, Decoder, Reader, choose_reader, require_source
from pipelines.skip_report import SKIPPED, SkipReport
from pipelines.store_folder import file_marks, making

__all__ = ["load_faces"]

STORE_VERSION = 2
"""Goes up when decoding or the stored format changes: older folders are then made anew."""


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
    judged: bool = False,
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
        judged: Whether a committee is only judged on them, in which case any splits may be there.
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
    store = FaceStore.open_whole(folder, source)
    if store is None and not make:
        raise InputError(f"Expected the faces of `{source}` to be decoded under `{cache}`, but they are not.")
    if store is None:
        decoder: Any = mapped or built
        if align is not None:
            decoder = _aligned(decoder, align, content, cache, device, judged, progress)
        guard = cache / "faces" / "facts"
        with making(folder, is_there=lambda: FaceStore.open(folder, source) is not None, guard=guard) as temporary:
            meta = write_faces(
                decoder, source, votes=votes, mapped=mapped, skipped=skipped, judged=judged, folder=temporary,
                progress=progress,
            )  # fmt: skip
            if skipped:
                meta["skipped"] = len(skipped)
                skipped.write(temporary / SKIPPED)
            if align is not None:
                meta["excluded"] = decoder.excluded
            write_checked_json(temporary / META, {"reader": name, **meta, "files": file_marks(temporary)})
        store = FaceStore.open_whole(folder, source)
    assert store is not None  # it has just been made
    if not judged:  # it may have been made for a judgement alone
        counts = {split: store.counts.get(split, 0) for split in SPLITS}
        check_splits(counts, sum(map(bool, store.class_counts.get("train", ()))), source=store.source)
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
    judged: bool,
    progress: Callable[[int, int], None] | None,
) -> Decoder:
    """The reader's faces, aligned. Their landmarks depend on what is read and on the detector alone."""
    from pipelines.aligned_reader import AlignedReader  # a detector takes seconds to import
    from pipelines.device import choose_device
    from pipelines.landmarks import LANDMARKS_VERSION

    folder = cache / "landmarks" / digest_text([LANDMARKS_VERSION, align.detector, *content])[:32]
    return AlignedReader(reader, align, device=choose_device(device), folder=folder, judged=judged, progress=progress)


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
