"""Opens the faces that a committee is judged on: a split of its own data, or other labelled faces, whole or a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from backbones.errors import InputError
from ensemble.class_map import ClassMap
from ensemble.class_meaning import Wanted
from ensemble.data_spec import DataSpec
from ensemble.faces import Faces
from pipelines.bundle import read_committee, read_resolved
from pipelines.console import Console
from pipelines.data_opening import open_data, open_faces_of_fit
from pipelines.face_store import FaceStore
from pipelines.fit_data import FitData, are_faces_of_fit
from pipelines.image_tree import class_of
from pipelines.own_split import place_in_own
from pipelines.stored_posteriors import stored_posteriors
from pipelines.workspace import Workspace

__all__ = ["Judged", "open_judged"]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Faces to judge a committee on.

    Attributes:
        faces: With labels that count the committee's classes.
        own: Whether they are read from where those of the fit lie.
        of_fit: Whether they are so, or show the same; drawn ones count as others.
        tested: Whether test faces are among them.
    """

    faces: Faces
    own: bool
    of_fit: bool
    tested: bool


def open_judged(
    folder: Path,
    split: str,
    source: str | None,
    classes: Wanted | None,
    known: tuple[str, ...],
    console: Console,
    workspace: Workspace,
) -> Judged:
    """Open faces to judge a committee on.

    Args:
        folder: The committee's.
        split: `train`, `validation` or `test`, or `all` of other data.
        source: Other data; None for that of the fit.
        classes: What becomes of the source's classes.
        known: The committee's classes.
        console: Told what was found.
        workspace: Holds the cache.

    Raises:
        InputError: The data cannot be read, has no such split, or has faces of other classes.
    """
    spec = DataSpec.model_validate(read_resolved(folder)["data"])
    own = source is None or _is_own(spec, source, classes)
    if own:
        store, of_fit = open_faces_of_fit(folder, workspace, console), True
    else:
        assert source is not None
        store = open_data(_elsewhere(spec, source, classes), workspace, console, judged=True)
        of_fit = source != "synthetic" and _is_of_fit(folder, store)
        if of_fit:
            console.note(f"{source}: the faces that the committee was fitted on")
        elif split != "all" and _is_drawn(store, split):
            console.note(f"{source} names no {split} faces, so these are drawn; `--split all` takes all of its faces")
    if split == "all" and of_fit:
        raise InputError("Expected other faces than those of the fit because of `--split all`: name them, `--data`.")
    if split != "all" and not store.counts.get(split):
        raise InputError(
            f"Expected faces in the {split} split of `{store.source}`, but it has none. It has "
            f"{', '.join(f'{name} {count:,}' for name, count in store.counts.items())}: say which, `--split`."
        )
    faces = _whole(store) if split == "all" else store.split(split)
    tested = split == "test" or (split == "all" and "test" in store.counts)
    labelled = _relabelled(faces, known, store.source, console)
    return Judged(faces=labelled, own=own, of_fit=of_fit, tested=tested)


def _is_own(spec: DataSpec, source: str, classes: Wanted | None) -> bool:
    """Whether a source is that of the fit; what lies in it, or around it, is refused."""
    place = place_in_own(spec, source)
    if place == "." and classes:
        raise InputError(
            "Expected `--classes` beside other data only: the faces of the fit have the committee's classes."
        )
    if place not in (None, "."):
        how = "holds" if place.startswith("..") else "lies in"
        raise InputError(
            f"Expected `--data` to be other faces than those of the fit, but `{source}` {how} `{spec.source}`, which "
            f"the committee was fitted on, and would be divided anew. Leave `--data` out: `--split test` is its test "
            f"split."
        )
    return place == "."


def _is_of_fit(folder: Path, store: FaceStore) -> bool:
    """Whether the faces are those of the fit, or the validation faces have their names and labels.

    Votes count in the digest of a fit, and training faces that were left out do not.
    """
    if not {"train", "validation"} <= set(store.counts):
        return False
    train, validation = store.split("train"), store.split("validation")
    if are_faces_of_fit(folder, FitData(train=train, validation=validation)):
        return True
    try:
        bank = stored_posteriors(folder, read_committee(folder).members[:1])
    except InputError:
        return False  # a pack has none
    known = dict(zip(bank.ids.tolist(), (bank.classes[k] for k in bank.labels), strict=True))
    return known == dict(zip(validation.ids.tolist(), (store.classes[k] for k in validation.labels), strict=True))


def _is_drawn(store: FaceStore, split: str) -> bool:
    """Whether no folder of a source in class folders names the split."""
    if store.reader != "class_folder":
        return False
    return not any(class_of(str(name))[1] == split for own in store.counts for name in store.names(own))


def _whole(store: FaceStore) -> Faces:
    """The faces of all splits."""
    parts = [store.split(name) for name in store.counts]
    return Faces.of(
        split="all", classes=store.classes, mapped=store.mapped,
        ids=np.concatenate([part.ids for part in parts]),
        images=np.concatenate([part.images for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
    )  # fmt: skip


def _elsewhere(own: DataSpec, source: str, classes: Mapping[str, str | None] | None) -> DataSpec:
    """Other faces, read and aligned alike; votes and class names are of the fit's own source."""
    given = {**DataSpec.redirected(own.model_dump(exclude_none=True), source), "classes": classes}
    return DataSpec.model_validate({key: value for key, value in given.items() if key not in ("votes", "dedupe")})


def _relabelled(faces: Faces, classes: tuple[str, ...], source: str, console: Console) -> Faces:
    """The faces with labels that count the committee's classes, by name; those of other classes are refused."""
    labels = ClassMap.by_name(faces.classes, classes).labels(faces.labels)
    strange = sorted({faces.classes[label] for label in faces.labels[labels < 0]})
    if strange:
        raise InputError(
            f"Expected faces of the committee's classes {', '.join(classes)} in {source}, but "
            f"{int((labels < 0).sum()):,} of its {_named(faces)}faces are of {', '.join(strange)}. Say what becomes of "
            f"them: `--classes {strange[0]}=` leaves them out, `--classes {strange[0]}={classes[-1]}` makes them one "
            f"of its classes."
        )
    absent = [name for k, name in enumerate(classes) if k not in labels]
    if absent:
        console.note(f"no {_named(faces)}face of {source} is of {', '.join(absent)}: macro F1 is that of the others")
    return replace(faces, labels=labels, classes=classes)


def _named(faces: Faces) -> str:
    return "" if faces.split == "all" else f"{faces.split} "
