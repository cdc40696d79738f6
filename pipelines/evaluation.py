"""What an evaluation says of a committee: scores, intervals, comparisons, classes, confidence; as JSON and Markdown.

Works on probabilities alone; where they come from is `pipelines.evaluate`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensemble.calibration import coverage, least_area, reliability, risk_curve
from ensemble.comparison import bootstrap_interval, disagreement, mcnemar, oracle_accuracy, q_statistic
from ensemble.metric import accuracy, brier, class_scores, confusion_matrix, expected_calibration_error, nll
from pipelines.leaderboard import markdown

__all__ = [
    "Answers",
    "ViewsRow",
    "confidence",
    "evaluation",
    "evaluation_markdown",
    "evaluation_tables",
    "evaluation_words",
]

Probs = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, header, rows."""

_POINTS = 100


@dataclass(frozen=True, kw_only=True)
class ViewsRow:
    """What a number of perturbed views gives, and takes.

    Attributes:
        views: Views of each face.
        accuracy: Accuracy of the committee.
        nll: Its negative log-likelihood.
        milliseconds: Time per face of all members together.
    """

    views: int
    accuracy: float
    nll: float
    milliseconds: float


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What members and committee say of the same labelled faces.

    Attributes:
        committee: (N, K) probabilities, of faces that the committee was not fitted on.
        calibrated: (N, K) the same at a temperature that was not fitted on the face either.
        temperature: The committee's; None if it has none.
        members: (N, K) probabilities by member.
        labels: (N,) true class indices.
        classes: K class names.
        curve: Accuracy and cost by number of views, where the networks were run.
    """

    committee: Probs
    calibrated: Probs
    temperature: float | None
    members: Mapping[str, Probs]
    labels: Labels
    classes: tuple[str, ...]
    curve: tuple[ViewsRow, ...] = ()


def evaluation(answers: Answers) -> dict[str, Any]:
    """Everything there is to say, as JSON."""
    labels, committee = answers.labels, answers.committee
    best = max(answers.members, key=lambda name: (accuracy(answers.members[name], labels), name))
    mean = np.mean(list(answers.members.values()), axis=0)
    votes = np.stack([probs.argmax(axis=1) for probs in answers.members.values()])
    return {
        "faces": len(labels),
        "classes": list(answers.classes),
        "committee": _scores(committee, labels),
        "members": {name: _scores(probs, labels) for name, probs in answers.members.items()},
        "best_member": best,
        "against_best_member": asdict(mcnemar(committee, answers.members[best], labels)),
        "against_mean": asdict(mcnemar(committee, mean, labels)),
        "class_scores": _class_rows(committee, answers),
        "confusion_matrix": confusion_matrix(committee, labels).tolist(),
        "reliability": [asdict(row) for row in reliability(committee, labels)],
        **confidence(answers),
        "oracle_accuracy": oracle_accuracy(votes, labels),
        "disagreement": disagreement(votes).tolist(),
        "q_statistic": q_statistic(votes, labels).tolist(),
        "views_curve": [asdict(row) for row in answers.curve],
    }


def evaluation_tables(content: Mapping[str, Any]) -> list[Table]:
    """The evaluation as tables: scores, classes, confusion matrix, confidence, and what else was looked into."""
    members = sorted(content["members"].items(), key=lambda item: -item[1]["accuracy"])
    scores = [_row(name, row) for name, row in (*members, ("COMMITTEE", content["committee"]))]
    header = ("name", "accuracy", "95 %", "macro F1", "nll", "brier", "calibration error")
    classes = content["classes"]
    confusion = [(name, *map(str, row)) for name, row in zip(classes, content["confusion_matrix"], strict=True)]
    return [
        ("Scores", header, scores),
        ("Classes", ("class", "precision", "recall", "f1", "faces"), _class_cells(content["class_scores"])),
        ("Confusion matrix", ("true \\ predicted", *classes), confusion),
        ("Confidence", ("least confidence", "coverage", "accuracy"), _coverage_cells(content["coverage"])),
        *_optional_tables(content),
    ]


def _optional_tables(content: Mapping[str, Any]) -> list[Table]:
    tables: list[Table] = []
    rows: list[tuple[str, ...]]
    if content["views_curve"]:
        rows = [
            (str(row["views"]), f"{row['accuracy']:.4f}", f"{row['nll']:.4f}", f"{row['milliseconds']:.2f}")
            for row in content["views_curve"]
        ]
        tables.append(("Views", ("views", "accuracy", "nll", "ms per face"), rows))
    for key, title in (("left_out", "The committee without a member"), ("added", "Members added, the best first")):
        rows = [
            (step["member"], str(len(step["members"])), f"{step['accuracy']:.4f}", f"{step['nll']:.4f}")
            for step in content.get(key, ())
        ]
        tables += [(title, ("member", "members", "nested", "nll"), rows)] if rows else []
    return tables


def evaluation_words(content: Mapping[str, Any]) -> list[str]:
    """The comparisons, and the worth of confidence, in sentences."""
    lines = []
    for key, name in (("against_best_member", content["best_member"]), ("against_mean", "the mean of all members")):
        test = content[key]
        lines.append(
            f"Against {name}: {100 * test['gain']:+.2f} points; {test['only_first']} faces only the committee gets "
            f"right, {test['only_second']} only the other; McNemar's exact p = {test['p_value']:.2g}."
        )
    return [
        *lines,
        f"At least one member is right on {content['oracle_accuracy']:.1%} of the faces.",
        _temperature_words(content),
        *([f"Its rules are {content['basis']}."] if content.get("basis") else []),
        f"Area under the risk-coverage curve {content['aurc']:.4f}: {1 - content['committee']['accuracy']:.4f} if "
        f"confidence told nothing, {content['least_aurc']:.4f} if it told every error.",
    ]


def evaluation_markdown(content: Mapping[str, Any], *, title: str) -> str:
    """The evaluation as a page."""
    parts = [f"# {title}\n", *(f"{line}\n" for line in evaluation_words(content))]
    for name, header, rows in evaluation_tables(content):
        parts += [f"## {name}\n", markdown(rows, header)]
    return "\n".join(parts)


def confidence(answers: Answers) -> dict[str, Any]:
    """What the committee's calibrated confidence is worth; the curve has a point for every hundredth of the faces."""
    probs, labels, faces = answers.calibrated, answers.labels, len(answers.labels)
    risks = risk_curve(probs, labels)
    answered = np.unique(np.ceil(np.arange(1, _POINTS + 1) * faces / _POINTS).astype(np.int64))
    scores = {"nll": nll, "brier": brier, "calibration_error": expected_calibration_error}
    return {
        "temperature": answers.temperature,
        "calibrated": {key: score(probs, labels) for key, score in scores.items()},
        "reliability_calibrated": [asdict(row) for row in reliability(probs, labels)],
        "coverage": [asdict(row) for row in coverage(probs, labels)],
        "coverage_curve": [{"coverage": float(n / faces), "accuracy": float(1 - risks[n - 1])} for n in answered],
        "aurc": float(risks.mean()),
        "least_aurc": least_area(round(faces * (1 - accuracy(probs, labels))), faces),
    }


def _temperature_words(content: Mapping[str, Any]) -> str:
    if content["temperature"] is None:
        return "The committee has no temperature, so confidence is as it is; `ensemble fuse` fits one."
    before, after = content["committee"], content["calibrated"]
    changes = (
        f"{name} {before[key]:.4f} becomes {after[key]:.4f}"
        for name, key in (("calibration error", "calibration_error"), ("NLL", "nll"))
    )
    return f"At its temperature, {content['temperature']:.3f}: {', '.join(changes)}."


def _scores(probs: Probs, labels: Labels) -> dict[str, float]:
    low, high = bootstrap_interval((probs.argmax(axis=1) == labels).astype(np.float64))
    classes = class_scores(probs, labels)
    return {
        "accuracy": accuracy(probs, labels), "accuracy_low": low, "accuracy_high": high,
        "macro_f1": float(classes.f1[classes.support > 0].mean()),  # of the classes that the faces have
        "nll": nll(probs, labels), "brier": brier(probs, labels),
        "calibration_error": expected_calibration_error(probs, labels),
    }  # fmt: skip


def _class_rows(probs: Probs, answers: Answers) -> list[dict[str, Any]]:
    scores = class_scores(probs, answers.labels)
    return [
        {
            "class": name, "precision": float(scores.precision[k]), "recall": float(scores.recall[k]),
            "f1": float(scores.f1[k]), "support": int(scores.support[k]),
        }
        for k, name in enumerate(answers.classes)
    ]  # fmt: skip


def _row(name: str, scores: Mapping[str, float]) -> tuple[str, ...]:
    return (
        name, f"{scores['accuracy']:.4f}", f"{scores['accuracy_low']:.3f}-{scores['accuracy_high']:.3f}",
        *(f"{scores[key]:.4f}" for key in ("macro_f1", "nll", "brier", "calibration_error")),
    )  # fmt: skip


def _class_cells(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    scores = ("precision", "recall", "f1")
    return [(row["class"], *(f"{row[key]:.3f}" for key in scores), f"{row['support']:,}") for row in rows]


def _coverage_cells(rows: Sequence[Mapping[str, float]]) -> list[tuple[str, ...]]:
    return [
        (f"{row['threshold']:g}", f"{row['coverage']:.3f}", f"{row['accuracy']:.3f}" if row["coverage"] else "")
        for row in rows
    ]
