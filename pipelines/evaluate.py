"""`ensemble evaluate`: a full report of a committee on labelled faces, and the record of every look at the test split.

The validation split needs no network: it is read from the posterior bank, and the committee's own line is cross-fitted
where its rules were fitted on these faces.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.ablation import added_one_by_one, left_out_one_by_one
from ensemble.calibration import cross_calibrated
from ensemble.class_meaning import Wanted
from ensemble.committee import Committee
from ensemble.estimate import nested_probs
from ensemble.metric import accuracy, nll
from ensemble.perturbation import check_views
from pipelines.bundle import COMMITTEE, REPORT, read_committee, read_json, read_resolved
from pipelines.committee_folder import find_committee
from pipelines.console import Console
from pipelines.evaluation import Answers, ViewsRow, evaluation, evaluation_tables, evaluation_words
from pipelines.evaluation_files import write_evaluation
from pipelines.fingerprint import digest_file
from pipelines.judged_faces import Judged, open_judged
from pipelines.looks import record_look
from pipelines.stored_answers import stored_answers
from pipelines.stored_posteriors import stored_posteriors
from pipelines.workspace import Workspace

__all__ = ["evaluate_committee"]

_CURVE = (1, 2, 5, 10, 20)


def evaluate_committee(
    committee: str | Path | None = None,
    *,
    split: str = "validation",
    data: str | None = None,
    classes: Wanted | None = None,
    tta: int | None = None,
    ablation: bool = False,
    device: str | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Evaluate a committee, print the report and store it beside the committee.

    Args:
        committee: Folder, name, MLflow run or model; default the newest finished one.
        split: `train`, `validation` or `test`, or `all` of other data; a look at test faces is recorded before anything
            is shown.
        data: Labelled faces other than those the committee was fitted on; they may lack some of its classes.
        classes: What becomes of classes of `data`; labels are compared by the names that result.
        tta: Views that each member votes over; default those of the fit. Another number runs the networks.
        ablation: Also leave members out, and add them, one by one; on the validation split.
        device: Torch device.
        quiet: Print only the report.

    Returns:
        The report.

    Raises:
        InputError: There is no such committee or split, or faces are of a class that the committee does not know.
    """
    console, workspace = Console(quiet=quiet), Workspace()
    folder = find_committee(committee)
    if ablation and split != "validation":
        raise InputError(f"Expected `--ablation` on the validation split only, but got `--split {split}`.")
    if classes and data is None:
        raise InputError("Expected `--classes` beside `--data` only: the committee's own faces have its classes.")
    content = read_resolved(folder)
    views = int(content["views"]) if tta is None else tta
    check_views(views, name="--tta")
    judged: Judged | None = None
    if split == "validation" and data is None and views == int(content["views"]):
        answers = stored_answers(folder, seed=int(content["seed"]))
    else:
        answers, judged = _from_networks(folder, content, split, data, classes, views, device, console, workspace)
    steps = _ablation(folder, answers, seed=int(content["seed"])) if ablation else {}
    own_faces = split == "validation" and (judged is None or judged.of_fit)
    basis = {"basis": read_json(folder / REPORT).get("basis")} if own_faces else {}
    report = {
        "committee_folder": folder.name, "committee_sha256": digest_file(folder / COMMITTEE), "split": split,
        "views": views, **evaluation(answers), **basis, **steps,
    }  # fmt: skip
    if judged is not None and judged.tested:
        record_look(folder, committee, report, workspace, console, data=None if judged.own else data)
    place = folder / "evaluation" / (split if data is None else f"{Path(data).stem}-{split}")
    write_evaluation(place, report)
    for title, header, rows in evaluation_tables(report):
        console.table(title, header, rows, strong=len(rows) - 1 if title == "Scores" else None)
    console.result("\n".join(evaluation_words(report)))
    console.note(f"report: {place}")
    return report


def _from_networks(
    folder: Path,
    content: Mapping[str, Any],
    split: str,
    source: str | None,
    classes: Wanted | None,
    views: int,
    device: str | None,
    console: Console,
    workspace: Workspace,
) -> tuple[Answers, Judged]:
    """What the members' networks say of a split, and of which faces it is."""
    from ensemble.perturbation import PerturbationPlan, fuse_views
    from pipelines.predictor import Predictor
    from pipelines.views import view_probabilities

    predictor = Predictor.load(folder, device=device)
    predictor.check_complete()
    judged = open_judged(folder, split, source, classes, predictor.classes, console, workspace)
    faces, of_fit = judged.faces, judged.of_fit
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
    fitted_on = of_fit and split == "validation" and "out-of-fold" not in read_json(folder / REPORT).get("basis", "")

    def fused(count: int) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
        """Members and committee over the first views; cross-fitted on the faces that the rules were fitted on."""
        members = {name: fuse_views(p[:count]) for name, p in probs.items()}
        if fitted_on:
            node = predictor.committee.root.node
            return members, nested_probs(node, members, faces.labels, seed=int(content["seed"]))
        return members, predictor.committee(members)

    curve, labels = [], faces.labels
    for count in sorted({n for n in _CURVE if n < views} | {views}):
        members, committee = fused(count)
        curve.append(
            ViewsRow(
                views=count, accuracy=accuracy(committee, labels), nll=nll(committee, labels),
                milliseconds=cost * count,
            )
        )  # fmt: skip
    answers = Answers(
        committee=committee,
        calibrated=_calibrated(predictor.committee, committee, labels if fitted_on else None, int(content["seed"])),
        temperature=predictor.committee.temperature, members=members, labels=labels, classes=predictor.classes,
        curve=tuple(curve),
    )  # fmt: skip
    return answers, judged


def _calibrated(
    committee: Committee, probs: npt.NDArray[np.float64], fitted_on: npt.NDArray[np.int64] | None, seed: int
) -> npt.NDArray[np.float64]:
    """At the stored temperature, or cross-fitted on the faces with these labels if it was fitted on them."""
    if fitted_on is None or committee.temperature in (None, 1.0):
        return committee.calibrated(probs)
    return cross_calibrated(probs, fitted_on, seed=seed)


def _ablation(folder: Path, answers: Answers, *, seed: int) -> dict[str, Any]:
    node = read_committee(folder).root.node
    unseen = stored_posteriors(folder, node.members).out_of_fold
    left_out = left_out_one_by_one(node, answers.members, answers.labels, folds=5, seed=seed, fit_on=unseen)
    added = added_one_by_one(node, answers.members, answers.labels, folds=5, seed=seed, fit_on=unseen)
    return {"left_out": [asdict(step) for step in left_out], "added": [asdict(step) for step in added]}
