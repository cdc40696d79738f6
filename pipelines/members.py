"""`ensemble members list|check` and `ensemble data describe`: what there is, and whether it fits together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backbones.errors import InputError
from backbones.registry import BACKBONES, HEADS, LOSSES, Registry
from backbones.signature import REQUIRED
from ensemble.rules import RULES
from ensemble.spec import DataSpec
from pipelines.augmentation import PRESETS
from pipelines.console import Console
from pipelines.normalizers import NORMALIZERS
from pipelines.readers import READERS
from pipelines.workspace import Workspace

__all__ = ["check", "describe_data", "listing"]

_REGISTRIES: tuple[tuple[str, Registry[Any]], ...] = (
    ("backbones (members[].backbone)", BACKBONES),
    ("heads (members[].head)", HEADS),
    ("losses (members[].loss)", LOSSES),
    ("normalisers (members[].input.normalize)", NORMALIZERS),
    ("fusion rules (committee.rule)", RULES),
    ("readers (data.reader)", READERS),
)


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
        parts.append("")
    parts.append("augmentation presets (members[].augment)")
    parts += [
        f"  {name:16}  {', '.join(str(step['kind']) for step in steps) or '-'}" for name, steps in PRESETS.items()
    ]
    return "\n".join(parts)


def check(files: Sequence[Path], *, weights: Sequence[Path] = ()) -> None:
    """Build every member of the files and print parameters, output shape and initial loss.

    Args:
        files: One or several members.yaml.
        weights: Folders searched first for weights files.

    Raises:
        InputError: A file is wrong, or a member cannot be built.
    """
    from pipelines.plan import make_plan

    console, size = Console(), 48
    plans = [make_plan(file, data="synthetic", weights_folders=weights) for file in files]
    rows, notes = [], []
    for file, plan in zip(files, plans, strict=True):
        notes += [f"{file}: {note}" for note in plan.notes]
        rows += [(file.name, spec.name, *_built(spec, plan, size)) for spec in plan.members]
    for note in notes:
        console.note(note)
    header = ("file", "member", "backbone", "parameters", "trained", "output", "initial loss")
    console.table(f"{len(rows)} members; a loss near ln 7 = {math.log(7):.3f} is right at the start", header, rows)


def _built(spec: Any, plan: Any, size: int) -> tuple[str, ...]:
    import torch

    from ensemble.expression import EXPRESSIONS
    from pipelines.device import choose_device
    from pipelines.member import Member

    device = choose_device("cpu")
    member = Member.build(spec, classes=EXPRESSIONS, face_size=size, device=device, weights=plan.weights.get(spec.name))
    faces = torch.randint(0, 256, (14, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    member.input_layer.fit(faces.numpy())
    probs = member.probabilities(faces.numpy())
    loss = float(-torch.log(torch.from_numpy(probs)).mean())
    trained = sum(p.numel() for p in member.network.parameters() if p.requires_grad)
    return spec.backbone.kind, f"{member.parameters:,}", f"{trained:,}", str(tuple(probs.shape[1:])), f"{loss:.3f}"


def describe_data(source: str) -> None:
    """Print faces per split and class, size and digest of a data source.

    Raises:
        InputError: It is missing, damaged or of no known layout.
    """
    from pipelines.committee_fit import open_data

    if source != "synthetic" and not Path(source).exists():
        raise InputError(f"Expected a file, a folder or `synthetic`, but there is no {source!r}.")
    console = Console()
    store = open_data(DataSpec(source=source), Workspace(), console)
    rows = [
        (split, f"{store.counts[split]:,}", *(f"{n:,}" for n in store.class_counts[split])) for split in store.counts
    ]
    colour = "grey" if store.channels == 1 else "RGB"
    title = f"{source}: {store.size}×{store.size} {colour}, read as {store.reader}, digest {store.digest}"
    console.table(title, ("split", "faces", *store.classes), rows)
