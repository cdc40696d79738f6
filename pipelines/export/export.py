"""`ensemble export`: a committee, or some of its members, as ONNX files that need nothing of this package."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from backbones.errors import InputError
from pipelines.atomic import replacing, write_json
from pipelines.bundle import REPORT, read_json
from pipelines.committee_folder import find_committee
from pipelines.console import Console
from pipelines.export.contract import describe
from pipelines.export.exportable import Exportable, single_members, whole_committee
from pipelines.export.faces import compared_faces
from pipelines.export.parity import TOLERANCE, Parity, Speed, compare, measure
from pipelines.export.program import GraphError, make_program, with_facts
from pipelines.export.session import Session
from pipelines.home_path import expanded
from pipelines.predictor import Predictor
from pipelines.workspace import Workspace

__all__ = ["Exported", "export_committee"]

SUFFIX = ".onnx"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A file on its way to disk, or there.

    Attributes:
        path: The file; its facts lie beside it as JSON.
        content: Its bytes.
        facts: What it says of itself.
        parity: How it compares with the product.
        speed: How fast both are.
    """

    path: Path
    content: bytes
    facts: dict[str, Any]
    parity: Parity
    speed: Speed

    def lines(self) -> list[str]:
        """What the user is told."""
        worst, ratio = max(self.parity.largest.values()), self.speed.torch / self.speed.onnxruntime
        return [
            f"{self.path}: {len(self.content) / 1e6:.1f} MB, opset {self.facts['opset']}, outputs "
            f"{', '.join(self.facts['outputs'])}",
            f"  parity: largest difference {worst:.2g} (at most {TOLERANCE:g} passes), same label for "
            f"{self.parity.same_label:.1%}, on {self.parity.source}",
            f"  milliseconds per face, {self.speed.threads} thread(s): torch {self.speed.torch:.2f}, onnxruntime "
            f"{self.speed.onnxruntime:.2f} ({ratio:.2f} times as fast)",
        ]


def export_committee(
    committee: str | Path | None = None,
    *,
    out: str | Path | None = None,
    members: Sequence[str] = (),
    data: str | None = None,
    quiet: bool = False,
) -> list[Exported]:
    """Write a committee as one ONNX file, or some of its members as a file each.

    Every file is compared with the product's own answers before any is written.

    Args:
        committee: Folder, name or MLflow run; default the newest finished one.
        out: The file, or a folder for `NAME.onnx`; default the working directory.
        members: Members to export by themselves; none for the whole committee.
        data: Faces to compare on; default validation faces of the fit, if they are at hand.
        quiet: Print only the results.

    Returns:
        The files, written.

    Raises:
        InputError: Something cannot be expressed in ONNX, or a file's answers are others than the product's.
    """
    console, workspace, folder = Console(quiet=quiet), Workspace(), find_committee(committee)
    predictor = Predictor.load(folder, device="cpu")
    name = str(read_json(folder / REPORT).get("name", folder.name))
    wanted = single_members(predictor, members) if members else [whole_committee(predictor, name)]
    paths = _places(None if out is None else expanded(out), [one.name for one in wanted])
    faces, source = compared_faces(predictor, data, console=console, workspace=workspace)
    ready = []
    with console.bar("exporting", len(wanted)) as bar:
        for one, path in zip(wanted, paths, strict=True):
            ready.append(_made(one, path, predictor, faces, source))
            bar.advance()
    for done in ready:
        _write(done)
        console.result("\n".join(done.lines()))
    return ready


def _made(one: Exportable, path: Path, predictor: Predictor, faces: npt.NDArray[np.uint8], source: str) -> Exported:
    threads = torch.get_num_threads()
    try:
        program = make_program(
            one.graph, channels=predictor.face_channels, size=predictor.face_size, outputs=list(one.outputs)
        )
        session = Session(program.SerializeToString(), threads=threads)
    except GraphError as error:
        raise InputError(_refusal(one, predictor, str(error))) from error
    parity = compare(session, one.answers, faces, source=source)
    if not parity.holds:
        found = ", ".join(f"{name} {value:.3g}" for name, value in parity.largest.items())
        raise InputError(
            f"Expected `{one.name}` in ONNX to differ from the committee by at most {TOLERANCE:g}, but its outputs "
            f"differ by up to: {found} ({source}). Nothing was written."
            + ("" if len(one.parts) == 1 else f" Find the member: `--members {','.join(one.parts)}`.")
        )
    speed = measure(session, one.answers, faces, threads=threads)
    facts = describe(one, predictor, parity)
    return Exported(path=path, content=with_facts(program, facts), facts=facts, parity=parity, speed=speed)


def _places(out: Path | None, names: Sequence[str]) -> list[Path]:
    """Where the files go."""
    folder = Path() if out is None else out
    if folder.suffix.lower() == SUFFIX and not folder.is_dir():
        if len(names) > 1:
            raise InputError(f"Expected `--out` to be a folder for {len(names)} files, but got `{out}`. Name a folder.")
        return [folder]
    if folder.is_file():
        raise InputError(f"Expected `--out` to be a folder, or a file that ends in {SUFFIX}, but got the file `{out}`.")
    return [folder / f"{name}{SUFFIX}" for name in names]


def _refusal(one: Exportable, predictor: Predictor, reason: str) -> str:
    """Which members cannot be expressed, and what to do; each is tried by itself."""
    wrong = {}
    for name, part in one.parts.items():
        try:
            program = make_program(part, channels=predictor.face_channels, size=predictor.face_size, outputs=["probs"])
            Session(program.SerializeToString(), threads=1)
        except GraphError as error:
            wrong[name] = str(error)
    rest = ",".join(name for name in one.parts if name not in wrong)
    told = "; ".join(
        f"{name} ({predictor.members[name].spec.backbone.kind}: {why})" for name, why in wrong.items()
    ) or reason  # fmt: skip
    remedy = f", or export others by themselves: `--members {rest}`" if rest else ""
    return (
        f"Expected members that torch can write as ONNX, but it cannot write: {told}. Fit a committee without "
        f"them{remedy}."
    )


def _write(done: Exported) -> None:
    with replacing(done.path) as temporary:
        temporary.write_bytes(done.content)
    write_json(
        done.path.with_suffix(".json"),
        {
            **done.facts,
            "file": {
                "name": done.path.name, "bytes": len(done.content), "sha256": hashlib.sha256(done.content).hexdigest(),
            },
        },
    )  # fmt: skip
