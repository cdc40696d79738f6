"""`ensemble explain`: from the user's words to a folder of sheets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipelines.bundle import REPORT, read_json
from pipelines.committee_folder import find_committee
from pipelines.console import Console
from pipelines.explain.case import Case, Sheet, make_case
from pipelines.explain.faces import Choice, ShownFaces, chosen_faces, given_faces
from pipelines.explain.index import SheetFolder, check_folder
from pipelines.explain.map_sheet import MapSheets
from pipelines.explain.network_sheet import activation_sheet, ascent_sheet, dream_sheet, filter_sheet
from pipelines.explain.subject import Subject
from pipelines.home_path import expanded
from pipelines.predictor import Predictor
from pipelines.workspace import Workspace

__all__ = ["explain_faces"]

_OF_NETWORKS: Mapping[str, Callable[[Case, Subject], Iterator[Sheet]]] = {
    "filters": filter_sheet, "activations": activation_sheet, "ascent": ascent_sheet, "dream": dream_sheet,
}  # fmt: skip


def explain_faces(
    inputs: Sequence[str] = (),
    *,
    committee: str | Path | None = None,
    members: Sequence[str] = (),
    methods: Sequence[str],
    faces: int = 7,
    choice: Choice | None = None,
    expression: str | None = None,
    out: Path | None = None,
    device: str | None = None,
    track: bool = True,
    seed: int = 0,
    quiet: bool = False,
) -> Path:
    """Draw what a committee, or some of its members, look at.

    Args:
        inputs: Images, folders, zips or one labelled data set; none for validation faces of the fit.
        committee: Folder, name or MLflow run; default the newest finished one.
        members: Names of the members to explain; none for all.
        methods: As `read_methods` gives them.
        faces: How many faces at most.
        choice: Which validation faces; default `mistakes`.
        expression: Class to explain; default each face's predicted one.
        out: Folder of the sheets; default `explain` in the committee's folder.
        device: Torch device.
        track: Log the sheets to the MLflow runs of committee and members.
        seed: Of choices and synthesis.
        quiet: Print only the result.

    Returns:
        The folder.

    Raises:
        InputError: A name is unknown, nothing can be explained, or there are no faces.
    """
    console, workspace, folder = Console(quiet=quiet), Workspace(), find_committee(committee)
    target = _default_place(folder) if out is None else expanded(out)
    check_folder(target)
    predictor = Predictor.load(folder, device=device)
    everyone = {name: Subject(name=name, member=member) for name, member in predictor.members.items()}
    subjects = tuple(everyone[name] for name in (dict.fromkeys(members) or everyone))
    speaker = subjects[0].name if len(members) == 1 else None
    if inputs:
        shown = given_faces(inputs, predictor, count=faces, console=console)
    else:
        shown = chosen_faces(
            predictor, speaker, choice=choice or "mistakes", count=faces, seed=seed, console=console,
            workspace=workspace,
        )  # fmt: skip
    name = str(read_json(folder / REPORT).get("name", folder.name))
    case = make_case(
        name=name, committee=predictor.committee, subjects=subjects, everyone=everyone, speaker=speaker, shown=shown,
        expression=expression, seed=seed,
    )  # fmt: skip
    _tell_silent(predictor, shown, console)
    place = SheetFolder(target, case.describe())
    _make(case, methods, place, console)
    if track:
        from pipelines.explain.tracking import log_sheets

        place.files.setdefault(None, []).extend(place.index_files)
        log_sheets(workspace, folder, place.files, note=console.note)
    return place.folder


def _default_place(folder: Path) -> Path:
    """`explain` beside the committee's files, where no manifest counts it; nothing is added to a run's own bundle."""
    return Path("explain") if folder.name == "bundle" else folder / "explain"


def _tell_silent(predictor: Predictor, shown: ShownFaces, console: Console) -> None:
    silent = [name for name in predictor.outside if name not in shown.outside]
    if predictor.outside:
        console.note(f"members without a network have no maps: {', '.join(predictor.outside)}")
    if silent:
        console.note("what the committee says of these faces is not known: the mean of its networks is explained")


def _make(case: Case, methods: Sequence[str], place: SheetFolder, console: Console) -> None:
    place.write()
    with console.bars() as add:
        whole = add("explaining", len(methods) * len(case.subjects))
        hidden = add("hiding parts of faces", _hidden(case)) if {"occlusion", "agreement"} & set(methods) else None
        maps = MapSheets(case, advance=hidden.advance if hidden else lambda rows: None)
        for method in methods:
            whole.label(method)
            for sheet in _sheets(method, case, maps):
                place.add(sheet)
                if sheet.figure is None:
                    console.note(f"no {method}{f' of {sheet.member}' if sheet.member else ''}: {sheet.facts['reason']}")
                whole.advance(1 if method in _OF_NETWORKS else 0)
            whole.advance(0 if method in _OF_NETWORKS else len(case.subjects))


def _sheets(method: str, case: Case, maps: MapSheets) -> Iterator[Sheet]:
    if method in _OF_NETWORKS:
        for subject in case.subjects:
            yield from _OF_NETWORKS[method](case, subject)
        return
    made: Mapping[str, Callable[[], Iterator[Sheet]]] = {
        "gradcam": maps.gradcam, "occlusion": maps.occlusion, "agreement": maps.agreement,
    }  # fmt: skip
    yield from made[method]()


def _hidden(case: Case) -> int:
    """Faces that occlusion asks every member for, about."""
    from pipelines.explain.attribution import occlusion_window

    size = int(case.shown.images.shape[1])
    window, stride = occlusion_window(size)
    places = 1 + math.ceil((size - window) / stride)
    return len(case.subjects) * len(case.target) * (places * places + 1)
