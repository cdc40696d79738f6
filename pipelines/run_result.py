"""What a member's and a committee's run show in the end: the same numbers, figures and tables under the same names.

Reads finished folders alone, so a run can be completed at any later time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ensemble.bank import load_posteriors
from ensemble.calibration import reliability
from ensemble.faces import Faces
from ensemble.metric import class_scores, confusion_matrix
from ensemble.outside_spec import OUTSIDE
from ensemble.perturbation import fuse_views
from ensemble.predictions import Predictions
from ensemble.weights_spec import RANDOM, WeightsSpec
from pipelines.bundle import (
    HISTORY,
    PAGE,
    POSTERIORS,
    REPORT,
    RESOLVED,
    WEIGHTS,
    read_committee,
    read_json,
    sealed_files,
)
from pipelines.figure import confusion_figure, learning_figure, reliability_figure
from pipelines.leaderboard import scores
from pipelines.prediction_file import prediction_frame
from pipelines.run_content import RunContent
from pipelines.run_description import committee_description, member_description
from pipelines.spec_file import read_spec_file
from pipelines.stored_posteriors import stored_held_out, stored_posteriors

__all__ = ["bundle_files", "committee_content", "member_content"]

Probs = npt.NDArray[np.float64]
_HEADLINES = ("accuracy", "macro_f1", "nll", "calibration_error")


def member_content(name: str, folder: Path, faces: Faces) -> RunContent:
    """All that a member's run shows.

    Args:
        name: The member's.
        folder: Its finished folder.
        faces: The validation faces.
    """
    spec = read_spec_file(folder)
    probs = fuse_views(load_posteriors(folder / POSTERIORS).splits["validation"].probs)
    facts = {f"fit/{key}": spec.get(key) for key in ("parameters", "seconds", "best_epoch")}
    facts |= {f"out_of_fold/{key}": spec.get(f"out_of_fold_{key}") for key in ("accuracy", "nll")}
    metrics = headline_metrics(probs, faces) | {key: float(v) for key, v in facts.items() if v is not None}
    histories = _histories(folder, name)
    figures = _figures(probs, faces, histories, title=name)
    # The weights lie in the committee's model; a second copy would double what a store has to hold.
    own = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != WEIGHTS]
    return RunContent(
        metrics=metrics,
        figures=figures,
        tables=_tables(probs, faces),
        files=[(file, str(Path("member") / file.parent.relative_to(folder))) for file in own],
        description=member_description(spec, metrics, faces=len(faces), figures=list(figures)),
    )


def committee_content(folder: Path, faces: Faces, *, seed: int, runs: Mapping[str, str]) -> RunContent:
    """All that a committee's run shows, beside the model. Its answers are those of rules not fitted on the face.

    Args:
        folder: Its finished folder.
        faces: The validation faces.
        seed: Of the folds that the rules are held out by.
        runs: The members' run ids.
    """
    committee, report = read_committee(folder), read_json(folder / REPORT)
    probs = stored_held_out(folder, committee, stored_posteriors(folder, committee.members), seed=seed)
    own, members = report["rules"]["committee"], report["members"]
    metrics = headline_metrics(probs, faces) | {
        "validation/nested_accuracy": own["nested_accuracy"],
        "validation/fitted_accuracy": own["fitted_accuracy"],
        "validation/gain_over_best_member": own["nested_accuracy"] - max(m["accuracy"] for m in members),
        **{f"fit/{key}": float(sum(m[key] or 0 for m in members)) for key in ("parameters", "seconds")},
    }
    specs = {name: read_spec_file(folder / "members" / name) for name in committee.members}
    histories: dict[str, Any] = {}
    for name in specs:
        histories |= _histories(folder / "members" / name, name)
    figures = _figures(probs, faces, histories, title=folder.name)
    tables = {
        "tables/members.json": _member_table(members, specs, runs),
        "tables/leaderboard.json": _leaderboard(members, report["rules"]),
        **_tables(probs, faces),
    }
    shown = [file for file in (folder / "report.md", folder / PAGE, folder / RESOLVED) if file.is_file()]
    return RunContent(
        metrics=metrics,
        figures=figures,
        tables=tables,
        files=[(file, "report") for file in shown],
        tags=_licences(specs),
        description=committee_description(report, metrics, runs=runs, figures=list(figures)),
    )


def headline_metrics(probs: Probs, faces: Faces) -> dict[str, float]:
    """The few numbers that members and committees are compared by, the first the most."""
    found = scores(probs, faces.labels)
    return {f"validation/{key}": found[key] for key in _HEADLINES}


def bundle_files(folder: Path) -> list[tuple[Path, str]]:
    """The files of a finished committee, each with its folder in the bundle."""
    return [(file, str(file.parent.relative_to(folder))) for file in sealed_files(folder)]


def _figures(probs: Probs, faces: Faces, histories: Mapping[str, Any], *, title: str) -> dict[str, Any]:
    panels = {"validation faces": reliability(probs, faces.labels)}
    figures = {
        "confusion_matrix.png": confusion_figure(confusion_matrix(probs, faces.labels), faces.classes, title=title),
        "reliability.png": reliability_figure(panels, title=title),
    }
    return figures | ({"learning_curves.png": learning_figure(histories, title=title)} if histories else {})


def _histories(folder: Path, name: str) -> dict[str, Any]:
    """The epochs of a member; none of one without a network."""
    if not (folder / HISTORY).is_file():
        return {}
    return {name: json.loads((folder / HISTORY).read_text(encoding="utf-8"))}


def _tables(probs: Probs, faces: Faces) -> dict[str, pd.DataFrame]:
    found = class_scores(probs, faces.labels)
    classes = pd.DataFrame({
        "class": list(faces.classes), "precision": found.precision, "recall": found.recall, "f1": found.f1,
        "faces": found.support,
    })  # fmt: skip
    predictions = Predictions(ids=faces.ids, probs=probs, classes=faces.classes, labels=faces.labels)
    frame = prediction_frame(predictions)
    return {"tables/per_class.json": classes.round(4), "tables/predictions.json": frame.dropna(axis=1, how="all")}


def _member_table(
    members: Sequence[Mapping[str, Any]], specs: Mapping[str, Mapping[str, Any]], runs: Mapping[str, str]
) -> pd.DataFrame:
    rows = []
    for member in sorted(members, key=lambda one: -one["accuracy"]):
        spec = specs[member["name"]]["spec"]
        weights = spec.get("weights") or {}
        rows.append({
            "name": member["name"], "groups": ", ".join(spec.get("groups", ())),
            "backbone": spec.get("backbone", {}).get("kind", OUTSIDE),
            "weights": WeightsSpec.model_validate(weights).label if weights else RANDOM,
            "licence": weights.get("licence"), **{key: member[key] for key in member if key != "name"},
            "run": runs.get(member["name"]),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _leaderboard(members: Sequence[Mapping[str, Any]], rules: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Members, rules and the committee by falling accuracy on faces they were not fitted on."""
    rows: list[dict[str, Any]] = [
        {"name": m["name"], "what": "member", "accuracy": m["accuracy"], "nll": m["nll"]} for m in members
    ]
    for name, rule in rules.items():
        what = "committee" if name == "committee" else "rule"
        best = rule["against_best_member"]
        rows.append({
            "name": name, "what": what, "accuracy": rule["nested_accuracy"], "nll": rule["nll"],
            "fitted_accuracy": rule["fitted_accuracy"], "gain_over_best_member": best["gain"],
            "p_value": best["p_value"],
        })  # fmt: skip
    rows.sort(key=lambda row: -float(row["accuracy"]))
    return pd.DataFrame(rows).round(6)


def _licences(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The licences of the pretrained weights in a committee, as a tag."""
    named = {(spec["spec"].get("weights") or {}).get("licence") for spec in specs.values()}
    return {"weights.licence": ", ".join(sorted(filter(None, named)))} if any(named) else {}
