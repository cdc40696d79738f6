"""What `data: {classes: …}` has done to a data set: told in a line, and refused where a class has no training face."""

from __future__ import annotations

from backbones.errors import InputError
from ensemble.class_meaning import Wanted
from ensemble.expression import class_named
from pipelines.face_store import FaceStore

__all__ = ["map_note", "require_training_faces"]


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
