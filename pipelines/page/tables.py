"""The page's tables: leaderboard, confusion matrices, classes, disagreement, cost. Evidence in, plain values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ensemble.comparison import disagreement, oracle_accuracy, q_statistic
from ensemble.metric import ClassScores, class_scores, confusion_matrix
from pipelines.page.chart import bar, whisker
from pipelines.page.drawing_board import Svg
from pipelines.page.evidence import Evidence
from pipelines.page.wording import as_count, as_percent, as_time, level

__all__ = ["classes_part", "confusion_part", "cost_part", "disagreement_part", "leaderboard_part", "oracle"]

Context = dict[str, Any]
Cell = dict[str, Any]

_LISTED = 7
"""Mix-ups named beside the committee's matrix."""


def leaderboard_part(evidence: Evidence) -> Context:
    """The committee, its members and every rule, each with its interval on one scale."""
    members = [
        {
            "kind": "member", "name": row["name"], "accuracy": row["accuracy"], "fitted": None,
            "interval": (row["accuracy_low"], row["accuracy_high"]),
            **{key: row[key] for key in ("nll", "calibration_error", "parameters", "epochs", "seconds")},
        }
        for row in sorted(evidence.report["members"], key=lambda row: -row["accuracy"])
    ]  # fmt: skip
    totals = {key: sum(row[key] or 0 for row in members) for key in ("parameters", "seconds")}
    rules = [
        {
            "kind": "committee" if name == "committee" else "rule",
            "name": evidence.name if name == "committee" else name, "accuracy": row["nested_accuracy"],
            "fitted": row["fitted_accuracy"], "interval": tuple(row["nested_interval"]), "nll": row["nll"],
            "calibration_error": row["calibration_error"], "parameters": None, "epochs": None, "seconds": None,
            **(totals if name == "committee" else {}),
        }
        for name, row in evidence.report["rules"].items()
    ]  # fmt: skip
    rules.sort(key=lambda row: (row["kind"] != "committee", -row["accuracy"]))
    rows = [rules[0], *members, *rules[1:]]
    span = (min(row["interval"][0] for row in rows), max(row["interval"][1] for row in rows))
    return {
        "basis": evidence.report.get("basis", ""),
        "rows": [{"kind": row["kind"], "name": row["name"], "cells": list(_score_cells(row, span))} for row in rows],
        "members": len(members),
    }


def _score_cells(row: Mapping[str, Any], span: tuple[float, float]) -> Iterable[Cell]:
    low, high = row["interval"]
    yield _cell(as_percent(row["accuracy"], 2), row["accuracy"], strong=True)
    yield _cell(f"{100 * low:.1f} to {100 * high:.1f} %", low, svg=whisker(low, row["accuracy"], high, span))
    fitted = row["fitted"]
    yield _cell("" if fitted is None else as_percent(fitted, 2), fitted)
    for key in ("nll", "calibration_error"):
        yield _cell(f"{row[key]:.4f}", row[key])
    for key in ("parameters", "epochs"):
        yield _cell(as_count(row[key]), row[key])
    yield _cell(as_time(row["seconds"]), row["seconds"])


def _cell(text: str, value: float | None, *, svg: Svg | None = None, strong: bool = False) -> Cell:
    """A cell: what it says, what it is sorted by, and a drawing in its place."""
    return {"text": text, "value": "" if value is None else value, "svg": svg, "strong": strong}


def confusion_part(evidence: Evidence) -> Context:
    """The confusion matrix of the committee, and those of its members."""
    labels, classes, answers = evidence.answers.labels, evidence.committee.classes, evidence.answers
    own = confusion_matrix(answers.committee, labels)
    return {
        "classes": classes,
        "committee": _matrix(evidence.name, own, classes),
        "mixups": _mixups(own, classes),
        "members": [_matrix(name, confusion_matrix(probs, labels), classes) for name, probs in answers.members.items()],
    }


def _mixups(counts: npt.NDArray[np.int64], classes: Sequence[str]) -> list[Context]:
    """The errors that happen to most faces."""
    errors = counts - np.diag(np.diag(counts))
    places = [divmod(int(place), len(classes)) for place in np.argsort(-errors, axis=None, kind="stable")[:_LISTED]]
    return [
        {
            "true": classes[true], "predicted": classes[predicted], "count": f"{errors[true, predicted]:,}",
            "share": as_percent(errors[true, predicted] / counts[true].sum(), 0),
        }
        for true, predicted in places
        if errors[true, predicted]
    ]  # fmt: skip


def _matrix(name: str, counts: npt.NDArray[np.int64], classes: Sequence[str]) -> Context:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = []
    for true, count_row, share_row in zip(classes, counts.tolist(), shares.tolist(), strict=True):
        total = sum(count_row)
        cells = [
            {
                "text": f"{100 * share:.0f}" if count else "", "level": level(share),
                "title": f"{true} taken for {predicted}: {count:,} of {total:,} faces, {as_percent(share)}",
            }
            for predicted, count, share in zip(classes, count_row, share_row, strict=True)
        ]  # fmt: skip
        rows.append({"name": true, "total": total, "cells": cells})
    return {"name": name, "rows": rows, "accuracy": as_percent(float(np.trace(counts) / max(counts.sum(), 1)))}


def classes_part(evidence: Evidence) -> Context:
    """Precision, recall and F1 of every class: in full for the committee, F1 for the members as well."""
    answers, classes = evidence.answers, evidence.committee.classes
    scores = class_scores(answers.committee, answers.labels)
    rows = []
    for k, name in enumerate(classes):
        values = {key: float(getattr(scores, key)[k]) for key in ("precision", "recall", "f1")}
        cells = [{"text": f"{value:.3f}", "level": level(value), "value": value} for value in values.values()]
        rows.append({"name": name, "cells": cells, "support": int(scores.support[k])})
    members = {name: class_scores(probs, answers.labels) for name, probs in answers.members.items()}
    heat = [_f1_row(name, own, classes) for name, own in members.items()]
    return {"rows": rows, "classes": classes, "heat": [_f1_row(evidence.name, scores, classes), *heat]}


def _f1_row(name: str, scores: ClassScores, classes: Sequence[str]) -> Context:
    cells = [
        {
            "text": f"{scores.f1[k]:.2f}", "level": level(float(scores.f1[k])),
            "title": f"{name}, {label}: precision {scores.precision[k]:.3f}, recall {scores.recall[k]:.3f}, "
                     f"F1 {scores.f1[k]:.3f}",
        }
        for k, label in enumerate(classes)
    ]  # fmt: skip
    return {"name": name, "cells": cells, "macro": f"{scores.f1[scores.support > 0].mean():.2f}"}


def _votes(evidence: Evidence) -> npt.NDArray[np.int64]:
    return np.stack([probs.argmax(axis=1) for probs in evidence.answers.members.values()])


def oracle(evidence: Evidence) -> float:
    """Share of the faces that at least one member gets right."""
    return oracle_accuracy(_votes(evidence), evidence.answers.labels)


def disagreement_part(evidence: Evidence) -> Context:
    """How often every two members vote differently, the shade scaled to the pair that does most."""
    names, votes = list(evidence.answers.members), _votes(evidence)
    shares, q = disagreement(votes), q_statistic(votes, evidence.answers.labels)
    apart = sorted(
        ((float(shares[i, j]), f"{names[i]}, {names[j]}") for i in range(len(names)) for j in range(i)), reverse=True
    )
    most, least = (apart[0][0], apart[-1][0]) if apart else (1.0, 0.0)
    rows = []
    for i, name in enumerate(names):
        cells = [
            {
                "text": "" if i == j else f"{100 * shares[i, j]:.0f}",
                "level": 0 if i == j else level(float(shares[i, j]), 0.7 * least, most),
                "title": "" if i == j else f"{name} and {other} differ on {as_percent(float(shares[i, j]))} of the "
                                           f"faces; Q = {q[i, j]:.2f}",
            }
            for j, other in enumerate(names)
        ]  # fmt: skip
        rows.append({"name": name, "cells": cells})
    pairs = [{"names": pair, "share": as_percent(share)} for share, pair in apart]
    return {"names": names, "rows": rows, "pairs": pairs}


def cost_part(evidence: Evidence) -> Context:
    """Parameters and training time of every member as bars, and the time of a prediction where it was measured."""
    members = evidence.report["members"]
    most = {key: max((row[key] or 0 for row in members), default=0) or 1 for key in ("parameters", "seconds")}
    rows = []
    for row in sorted(members, key=lambda row: -(row["seconds"] or 0)):
        parameters, seconds = row["parameters"], row["seconds"]
        rows.append({
            "name": row["name"],
            "parameters": as_count(parameters) or "not known", "seconds": as_time(seconds) or "not known",
            "parameter_bar": bar((parameters or 0) / most["parameters"], f"{as_count(parameters)} parameters"),
            "second_bar": bar((seconds or 0) / most["seconds"], f"{as_time(seconds)} of training"),
        })  # fmt: skip
    curve = evidence.evaluation.get("views_curve") or []
    return {
        "rows": rows,
        "parameters": as_count(sum(row["parameters"] or 0 for row in members)),
        "seconds": as_time(sum(row["seconds"] or 0 for row in members)),
        "milliseconds": f"{curve[0]['milliseconds'] / curve[0]['views']:.2f}" if curve else None,
        "device": evidence.report.get("device", ""),
    }
