"""`ensemble evaluate`: a full report of a committee on labelled faces, and the record of every look at the test split.

The validation split needs no network: it is read from the posterior bank, and the committee's own line is cross-fitted,
since its rules were fitted on these faces.
"""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.ablation import added_one_by_one, left_out_one_by_one
from ensemble.estimate import nested_probs
from ensemble.metric import accuracy, nll
from ensemble.spec import DataSpec
from pipelines.atomic import replacing, write_text
from pipelines.bundle import COMMITTEE, read_committee
from pipelines.console import Console
from pipelines.evaluation import Answers, ViewsRow, evaluation, evaluation_markdown, evaluation_tables, evaluation_words
from pipelines.figure import confusion_figure, reliability_figure
from pipelines.fingerprint import digest_file
from pipelines.fuse import stored_posteriors
from pipelines.workspace import Workspace
from pipelines.yaml_file import read_yaml

__all__ = ["evaluate_committee"]

LOOKS = "looks.jsonl"
_CURVE = (1, 2, 5, 10, 20)


def evaluate_committee(
    committee: str | Path | None = None,
    *,
    split: str = "validation",
    data: str | None = None,
    tta: int | None = None,
    ablation: bool = False,
    device: str | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Evaluate a committee, print the report and store it beside the committee.

    Args:
        committee: Folder or name; default the newest finished one.
        split: `train`, `validation` or `test`; a look at the test split is recorded before anything is shown.
        data: Labelled faces other than those the committee was fitted on.
        tta: Views that each member votes over; default those of the fit. Another number runs the networks.
        ablation: Also leave members out, and add them, one by one; on the validation split.
        device: Torch device.
        quiet: Print only the report.

    Returns:
        The report.

    Raises:
        InputError: There is no such committee or split, or the data has other classes.
    """
    console, workspace = Console(quiet=quiet), Workspace()
    folder = workspace.find(committee)
    content = read_yaml(folder / "committee.yaml")
    views = int(content["views"]) if tta is None else tta
    if views < 1:
        raise InputError(f"Expected `--tta` to be at least 1, but got {views}.")
    if split == "validation" and data is None and views == int(content["views"]):
        answers = _from_bank(folder, seed=int(content["seed"]))
    else:
        answers = _from_networks(folder, content, split, data, views, device, console, workspace)
    steps = _ablation(folder, answers, seed=int(content["seed"])) if ablation and split == "validation" else {}
    report = {"committee_folder": folder.name, "split": split, "views": views, **evaluation(answers), **steps}
    if split == "test":
        _record_look(folder, report, workspace, console)
    place = folder / "evaluation" / (split if data is None else f"{Path(data).stem}-{split}")
    _write(place, report)
    for title, header, rows in evaluation_tables(report):
        console.table(title, header, rows, strong=len(rows) - 1 if title == "Scores" else None)
    console.result("\n".join(evaluation_words(report)))
    console.note(f"report: {place}")
    return report


def _from_bank(folder: Path, *, seed: int) -> Answers:
    committee = read_committee(folder)
    bank = stored_posteriors(folder, committee.members)
    nested = nested_probs(committee.root.node, bank.posteriors, bank.labels, seed=seed)
    return Answers(committee=nested, members=bank.posteriors, labels=bank.labels, classes=committee.classes)


def _from_networks(
    folder: Path,
    content: Mapping[str, Any],
    split: str,
    data: str | None,
    views: int,
    device: str | None,
    console: Console,
    workspace: Workspace,
) -> Answers:
    from ensemble.perturbation import PerturbationPlan, fuse_views
    from pipelines.committee_fit import open_data
    from pipelines.predictor import Predictor
    from pipelines.views import view_probabilities

    predictor = Predictor.load(folder, device=device)
    predictor.check_complete()
    spec = DataSpec.model_validate(content["data"])
    store = open_data(spec if data is None else spec.model_copy(update={"source": data}), workspace, console)
    if not store.counts.get(split):
        raise InputError(f"Expected faces in the {split} split of `{store.source}`, but it has none.")
    if store.classes != predictor.classes:
        raise InputError(f"Expected the classes {list(predictor.classes)}, but the data has {list(store.classes)}.")
    faces = store.split(split)
    if (faces.size, faces.channels) != (predictor.face_size, predictor.face_channels):
        raise InputError(
            f"Expected faces of {predictor.face_size} px and {predictor.face_channels} channel(s), as the committee "
            f"was fitted on, but got {faces.size} px and {faces.channels}."
        )
    probs: dict[str, npt.NDArray[np.float64]] = {}
    plan, ids, started = PerturbationPlan(seed=int(content["seed"])), [str(i) for i in faces.ids], time.perf_counter()
    for name, member in predictor.members.items():
        with console.bar(name, len(faces)) as bar:
            probs[name] = view_probabilities(member, faces.images, ids, plan=plan, views=views, advance=bar.set)
    cost = 1000 * (time.perf_counter() - started) / (len(faces) * views)
    own_faces = split == "validation" and data is None

    def fused(count: int) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
        """Members and committee over the first views; cross-fitted on the faces that the rules were fitted on."""
        members = {name: fuse_views(p[:count]) for name, p in probs.items()}
        if own_faces:
            node = predictor.committee.root.node
            return members, nested_probs(node, members, faces.labels, seed=int(content["seed"]))
        return members, predictor.committee(members)

    curve = []
    for count in sorted({n for n in _CURVE if n < views} | {views}):
        members, committee = fused(count)
        curve.append(
            ViewsRow(
                views=count, accuracy=accuracy(committee, faces.labels), nll=nll(committee, faces.labels),
                milliseconds=cost * count,
            )
        )  # fmt: skip
    return Answers(
        committee=committee, members=members, labels=faces.labels, classes=predictor.classes, curve=tuple(curve)
    )


def _ablation(folder: Path, answers: Answers, *, seed: int) -> dict[str, Any]:
    node = read_committee(folder).root.node
    left_out = left_out_one_by_one(node, answers.members, answers.labels, folds=5, seed=seed)
    added = added_one_by_one(node, answers.members, answers.labels, folds=5, seed=seed)
    return {"left_out": [asdict(step) for step in left_out], "added": [asdict(step) for step in added]}


def _record_look(folder: Path, report: Mapping[str, Any], workspace: Workspace, console: Console) -> None:
    """Write down who looked at the test split, when and with which committee, here and on the MLflow run."""
    from pipelines.tracking import record_look

    path = folder / "evaluation" / LOOKS
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    look = {
        "number": len(before.splitlines()) + 1,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": getpass.getuser(),
        "committee": digest_file(folder / COMMITTEE),
        "faces": report["faces"],
        "views": report["views"],
        "accuracy": report["committee"]["accuracy"],
    }
    path.parent.mkdir(exist_ok=True)
    write_text(path, before + json.dumps(look) + "\n")
    record_look(workspace, folder, look, note=console.note)
    console.note(f"look {look['number']} at the test split, recorded in {path}")


def _write(folder: Path, report: Mapping[str, Any]) -> None:
    from ensemble.calibration import ReliabilityBin

    folder.mkdir(parents=True, exist_ok=True)
    title = f"{report['committee_folder']}, {report['split']}"
    figures = {
        "confusion_matrix.png": confusion_figure(
            np.asarray(report["confusion_matrix"]), report["classes"], title=title
        ),
        "reliability.png": reliability_figure([ReliabilityBin(**row) for row in report["reliability"]], title=title),
    }
    for name, figure in figures.items():
        with replacing(folder / name) as temporary:
            figure.savefig(temporary, format="png", dpi=120)
    write_text(folder / "report.md", evaluation_markdown(report, title=title))
    write_text(folder / "report.json", json.dumps(_without_nan(report), indent=2) + "\n")


def _without_nan(value: Any) -> Any:
    """The content with null where there is no number, since JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and value != value else value
