"""Opens the faces that a data spec names, and tells what was found."""

from __future__ import annotations

from pathlib import Path

from ensemble.data_spec import DataSpec
from pipelines.bundle import read_resolved
from pipelines.class_coverage import coverage_notes, map_note, require_training_faces
from pipelines.console import Console
from pipelines.face_loading import load_faces
from pipelines.face_store import FaceStore
from pipelines.fit_data import FitData, require_faces_of_fit
from pipelines.skip_report import SKIPPED
from pipelines.workspace import Workspace

__all__ = ["open_data", "open_faces_of_fit"]


def open_data(
    spec: DataSpec,
    workspace: Workspace,
    console: Console,
    *,
    device: str | None = None,
    fit: bool = False,
    judged: bool = False,
) -> FaceStore:
    """Decode the faces of a data spec, or open them from the cache, with a progress bar.

    Args:
        spec: Where they come from, and whether they are aligned.
        workspace: Holds the cache.
        console: Told how many faces there are, and how many images had none to align.
        device: Where faces to align are looked for.
        fit: Whether members are trained on them: then every class that `classes` leaves needs training faces.
        judged: Whether a committee is only judged on them, in which case any splits may be there.

    Raises:
        InputError: The data cannot be read, or is unfit.
    """
    with console.bar("reading faces" if spec.align is None else "finding and aligning faces", 1) as bar:
        store = load_faces(
            spec.source,
            reader=spec.reader,
            options=spec.options,
            votes=None if spec.votes is None else Path(spec.votes),
            align=spec.align,
            classes=spec.classes,
            on_bad=spec.on_bad,
            cache=workspace.cache,
            device=device,
            judged=judged,
            progress=bar.set,
        )
    counts = ", ".join(f"{name} {count:,}" for name, count in store.counts.items())
    console.note(f"{spec.source}: {counts} faces of {len(store.classes)} classes, digest {store.digest[:12]}")
    if spec.align is not None and store.excluded is not None:
        lost = ", ".join(f"{store.excluded[s]:,} of {store.excluded[s] + n:,} {s}" for s, n in store.counts.items())
        console.note(f"aligned to {spec.align.template} at {store.size} px; left out, no face found: {lost} images")
    if store.skipped:
        console.note(f"{store.skipped:,} left out, which cannot be read: {store.folder / SKIPPED}")
    if spec.classes:
        console.note(map_note(store, spec.classes))
    if spec.classes and fit:
        require_training_faces(store, spec.classes)
    elif fit:
        for note in coverage_notes(store):
            console.note(note)
    if spec.dedupe:
        from pipelines.dedupe import without_twins

        store = without_twins(store, console)
    return store


def open_faces_of_fit(
    folder: Path, workspace: Workspace, console: Console, *, source: str | None = None, device: str | None = None
) -> FaceStore:
    """Open the faces that a committee was fitted on.

    Args:
        folder: The committee's.
        workspace: Holds the cache.
        console: Told how many faces there are.
        source: Where they lie now; default where they lay when it was fitted.
        device: Where faces to align are looked for.

    Raises:
        InputError: They cannot be read, or are others now.
    """
    content = read_resolved(folder)["data"]
    spec = DataSpec.model_validate(content if source is None else {**content, "source": source})
    store = open_data(spec, workspace, console, device=device)
    faces = FitData(train=store.split("train"), validation=store.split("validation"))
    require_faces_of_fit(folder, faces, spec.source)
    return store
