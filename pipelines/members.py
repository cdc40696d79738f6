"""`ensemble members list|check` and `ensemble data describe`: what there is, and whether it fits together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbones.declaration import read_declaration
from backbones.errors import InputError
from backbones.registry import BACKBONES, HEADS, LOSSES, Registry
from backbones.signature import REQUIRED
from ensemble.class_meaning import Wanted
from ensemble.data_spec import DataSpec
from ensemble.faces import Faces
from ensemble.rules import RULES
from ensemble.spec import MemberSpec
from pipelines.augmentation import PRESETS
from pipelines.console import Console
from pipelines.detectors import DETECTORS
from pipelines.normalizers import NORMALIZERS
from pipelines.readers import READERS
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from pipelines.member import Member

__all__ = ["check", "describe_data", "listing"]

_REGISTRIES: tuple[tuple[str, Registry[Any]], ...] = (
    ("backbones (members[].backbone)", BACKBONES),
    ("heads (members[].head)", HEADS),
    ("losses (members[].loss)", LOSSES),
    ("normalisers (members[].input.normalize)", NORMALIZERS),
    ("fusion rules (committee.rule)", RULES),
    ("readers (data.reader)", READERS),
    ("detectors (predict --detect)", DETECTORS),
)


_LEAST_FACES = 14
_BY_HEART = 0.98


def listing() -> str:
    """Every registered component with its summary and parameters, as text. Imports none of them."""
    parts = []
    for title, registry in _REGISTRIES:
        parts.append(title)
        for name in registry.names():
            component = registry.describe(name)
            parts.append(f"  {name:16}  {component.summary}")
            for key, parameter in component.parameters.items():
                default = "required" if parameter.default is REQUIRED else f"default {parameter.default!r}"
                parts.append(f"  {'':16}    {key}: {parameter.text} ({default})")
            parts += [f"  {'':16}    {line}" for line in _declared(name)] if registry is BACKBONES else []
        parts.append("")
    parts.append("augmentation presets (members[].augment)")
    parts += [
        f"  {name:16}  {', '.join(str(step['kind']) for step in steps) or '-'}" for name, steps in PRESETS.items()
    ]
    return "\n".join(parts)


def _declared(backbone: str) -> list[str]:
    """The stages and the input of a backbone."""
    declared = read_declaration(backbone)
    return [f"stages, from the input: {declared.stages}", f"input: {declared.input}"]


def check(files: Sequence[Path], *, weights: Sequence[Path] = (), overfit: int = 0, data: str | None = None) -> None:
    """Build every member of the files and print parameters, output shape and initial loss.

    Args:
        files: One or several members.yaml.
        weights: Folders searched first for weights files; members whose optional weights are absent get random ones.
        overfit: Let every member learn this many training faces by heart; 0 leaves it out.
        data: Where those faces come from; default the synthetic ones.

    Raises:
        InputError: A file is wrong, a member cannot be built, or one cannot learn the faces by heart.
    """
    from pipelines.member_notes import member_notes
    from pipelines.outside_plan import outside_row
    from pipelines.plan import make_plan
    from pipelines.survey import by_note

    console = Console()
    plans = [make_plan(file, data=data or "synthetic", weights_folders=weights, keep_absent=True) for file in files]
    for file, plan in zip(files, plans, strict=True):
        for note in plan.notes:
            console.note(f"{file}: {note}")
    faces = _some_faces(plans[0].data, overfit, console)
    rows, failed, notes = [], [], []
    work = [(file, plan, spec) for file, plan in zip(files, plans, strict=True) for spec in plan.members]
    with console.bar("checking members", len(work)) as bar:
        for file, plan, spec in work:
            member = _built(spec, plan.weights.get(spec.name), faces)
            notes += [(f"{file}: {spec.name}", note) for note in member_notes(member, plan.data.align)]
            cells = _cells(member, faces, by_heart=bool(overfit))
            rows.append((file.name, spec.name, *cells))
            failed += [f"`{spec.name}` of {file}: {cells[-1]}"] if overfit and float(cells[-1]) < _BY_HEART else []
            bar.advance(1)
    for file, plan in zip(files, plans, strict=True):
        rows += [(file.name, *outside_row(spec, plan.places[spec.name], bool(overfit))) for spec in plan.outside]
    header = ["file", "member", "backbone", "parameters", "trained", "output", "initial loss"]
    header += [f"{len(faces)} faces"] if overfit else []
    classes = len(faces.classes)
    title = f"{len(rows)} members; a loss near ln {classes} = {math.log(classes):.3f} is right at the start"
    console.table(title, header, rows)
    for line in by_note(notes):
        console.note(line)
    if failed:
        raise InputError(
            f"Expected every member to learn {len(faces)} faces by heart, at least {_BY_HEART:.0%} of them, but got\n  "
            + "\n  ".join(failed)
            + "\nSomething stands in its way: its input, its weights, or how it is put together."
        )


def _some_faces(spec: DataSpec, count: int, console: Console) -> Faces:
    """A few training faces, spread over the classes; not aligned, which takes minutes and changes no answer here."""
    from pipelines.data_opening import open_data
    from pipelines.overfit import few_faces

    spec = spec.model_copy(update={"align": None})
    if spec.source == "synthetic":
        spec = spec.model_copy(update={"count": max(210, 5 * count)})
    return few_faces(open_data(spec, Workspace(), console).split("train"), count or _LEAST_FACES)


def _built(spec: MemberSpec, weights: Path | None, faces: Faces) -> Member:
    from pipelines.device import choose_device
    from pipelines.member import Member

    member = Member.build(
        spec, classes=faces.classes, face_size=faces.size, face_channels=faces.channels, device=choose_device("cpu"),
        weights=weights,
    )  # fmt: skip
    member.input_layer.fit(faces.images)
    return member


def _cells(member: Member, faces: Faces, *, by_heart: bool) -> tuple[str, ...]:
    import numpy as np

    from ensemble.metric import nll
    from pipelines.overfit import overfit

    spec = member.spec
    probs = member.probabilities(np.asarray(faces.images))
    trained = sum(p.numel() for p in member.network.parameters() if p.requires_grad)
    loss = f"{nll(probs, faces.labels):.3f}"
    backbone = spec.backbone.kind if spec.folds is None else f"{spec.backbone.kind}, {spec.folds} folds"
    cells = (backbone, f"{member.parameters:,}", f"{trained:,}", str(tuple(probs.shape[1:])), loss)
    return (*cells, f"{overfit(member, faces, target=_BY_HEART):.3f}") if by_heart else cells


def describe_data(source: str, *, classes: Wanted | None = None, reader: str | None = None) -> None:
    """Print faces per split and class, size and digest of a data source.

    Args:
        source: A path, or `synthetic`.
        classes: What becomes of its classes.
        reader: Name of its reader; None lets the layout decide.

    Raises:
        InputError: It is missing, damaged or of no known layout, or lacks a class that is named.
    """
    from pipelines.class_coverage import coverage_notes
    from pipelines.data_opening import open_data

    if source != "synthetic" and not Path(source).exists():
        raise InputError(f"Expected a file, a folder or `synthetic`, but there is no {source!r}.")
    console = Console()
    spec = DataSpec(source=source, classes={**classes} if classes else None, reader=reader)
    store = open_data(spec, Workspace(), console)
    for note in [] if classes else coverage_notes(store):
        console.note(note)
    rows = [
        (split, f"{store.counts[split]:,}", *(f"{n:,}" for n in store.class_counts[split])) for split in store.counts
    ]
    colour = "grey" if store.channels == 1 else "RGB"
    title = f"{source}: {store.size}×{store.size} {colour}, read as {store.reader}, digest {store.digest}"
    console.table(title, ("split", "faces", *store.classes), rows)
