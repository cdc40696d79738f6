"""Which classes a data set has faces of: what is odd is told in a line, and refused where a class map leaves it so."""

from __future__ import annotations

from difflib import get_close_matches

from backbones.errors import InputError
from ensemble.class_meaning import Wanted
from ensemble.expression import EXPRESSIONS, class_named
from pipelines.face_store import FaceStore
from pipelines.image_tree import class_of

__all__ = ["coverage_notes", "map_note", "require_training_faces"]


def map_note(store: FaceStore, classes: Wanted) -> str:
    """What became of the classes, and how many faces were left out.

    Args:
        store: The data, read with them.
        classes: As the user wrote them.
    """
    named = ", ".join(f"{name} {'left out' if target is None else f'→ {target}'}" for name, target in classes.items())
    counts = {split: count for split, count in (store.unwanted or {}).items() if count}
    shares = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    lost = f"{sum(counts.values()):,} faces left out ({shares})" if counts else "no face left out"
    return f"classes of {store.source} mapped: {named}; {lost}"


def coverage_notes(store: FaceStore) -> list[str]:
    """Lines on classes without faces, of which a committee learns nothing, or nothing is seen; and on numbers as names.

    Args:
        store: The data, read without a map.
    """
    counts = {split: dict(zip(store.classes, own, strict=True)) for split, own in store.class_counts.items()}
    train, validation, source = counts["train"], counts["validation"], store.source
    empty = [name for name in store.classes if not any(own[name] for own in counts.values())]
    unjudged = [name for name in store.classes if train[name] and not validation[name]]
    notes = _on_numbers(store)
    if empty:
        remedy = ", ".join(f"{name}: null" for name in empty)
        notes.append(f"no face of {source} is of {', '.join(empty)}: `classes: {{{remedy}}}` leaves such classes out")
    for name in store.classes:
        if not train[name] and name not in empty:
            near = get_close_matches(name, unjudged, n=1)
            same = f"; is {near[0]} the same? `classes: {{{near[0]}: {name}}}`" if near else ""
            notes.append(f"no training face of {source} is of {name}, of which there are others{same}")
    if unjudged:
        notes.append(f"no validation face of {source} is of {', '.join(unjudged)}: how well they are told is not seen")
    return notes


def _on_numbers(store: FaceStore) -> list[str]:
    """Folders that are numbers mean FER2013's classes; other data sets have orders of their own."""
    if store.reader != "class_folder":
        return []
    folders = {class_of(str(name))[0] for name in store.names("train")}
    if not all(folder.isdecimal() for folder in folders):
        return []
    order = ", ".join(f"{number} {name}" for number, name in enumerate(EXPRESSIONS))
    return [f"folders of {store.source} are numbers, read in FER2013's order: {order}. `classes` maps another order"]


def require_training_faces(store: FaceStore, classes: Wanted) -> None:
    """Refuse classes that a map leaves, but that no training face has.

    Args:
        store: The data, read with the map.
        classes: As the user wrote them.

    Raises:
        InputError: There are such classes.
    """
    counts = zip(store.classes, store.class_counts["train"], strict=True)
    empty = [name for name, count in counts if not count]
    if empty:
        keys = [[key for key, target in classes.items() if target and class_named(target, [name])] for name in empty]
        becoming = [key for name, own in zip(empty, keys, strict=True) for key in own or [name]]
        remedy = ", ".join(f"{key}: null" for key in becoming)
        raise InputError(
            f"Expected training faces of every class that `classes` leaves of {store.source}, but there are none of "
            f"{', '.join(empty)}. Leave out what becomes of them: `classes: {{{remedy}}}`."
        )
