"""The page's charts and lists: summary, confidence, learning, mistakes, views, weights, making. Plain values out."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from ensemble.calibration import reliability
from ensemble.fitted_node import FittedNode
from ensemble.outside_spec import OUTSIDE
from ensemble.rules import FusionRule
from pipelines.evaluation import confidence
from pipelines.page.chart import bar, coverage_chart, learning_chart, reliability_chart, views_chart
from pipelines.page.evidence import Evidence
from pipelines.page.gallery import Mistake
from pipelines.page.tables import oracle
from pipelines.page.wording import as_percent, p_words, signed

__all__ = [
    "confidence_part",
    "learning_part",
    "making_part",
    "mistakes_part",
    "summary_part",
    "views_part",
    "weights_part",
]

Context = dict[str, Any]

_EQUAL = ("mean", "geometric_mean")


def summary_part(evidence: Evidence) -> Context:
    """The headline."""
    own, rows = evidence.own, evidence.rows
    low, high = own["nested_interval"]
    best = max(rows.values(), key=lambda row: row["accuracy"])
    test = own["against_best_member"]
    return {
        "accuracy": as_percent(own["nested_accuracy"]),
        "interval": f"{100 * low:.1f} to {100 * high:.1f} %",
        "fitted": as_percent(own["fitted_accuracy"]),
        "gain": signed(100 * test["gain"], 1),
        "best": best["name"], "best_accuracy": as_percent(best["accuracy"]),
        "p": p_words(test["p_value"]), "only_first": test["only_first"], "only_second": test["only_second"],
        "nll": f"{own['nll']:.3f}", "error": f"{own['calibration_error']:.3f}",
        "oracle": as_percent(oracle(evidence)),
        "members": len(rows), "rule": own["rule"], "faces": f"{len(evidence.answers.labels):,}",
        "classes": evidence.committee.classes, "looks": evidence.looks,
    }  # fmt: skip


def confidence_part(evidence: Evidence) -> Context:
    """Reliability before and after the temperature, and coverage."""
    answers, own = evidence.answers, confidence(evidence.answers)
    before = [vars(row) for row in reliability(answers.committee, answers.labels)]
    changed = answers.temperature not in (None, 1.0)
    return {
        "fused": reliability_chart(before, label="reliability of the committee, as fused"),
        "error": f"{evidence.own['calibration_error']:.3f}",
        "temperature": f"{answers.temperature:.3f}" if changed else None,
        "scaled": reliability_chart(own["reliability_calibrated"], label="reliability at the committee's temperature")
        if changed
        else None,
        "scaled_error": f"{own['calibrated']['calibration_error']:.3f}",
        "coverage": coverage_chart(own["coverage_curve"], own["coverage"]),
        "aurc": f"{own['aurc']:.4f}", "least_aurc": f"{own['least_aurc']:.4f}",
        "risk": f"{1 - evidence.own['nested_accuracy']:.4f}",
    }  # fmt: skip


def learning_part(evidence: Evidence) -> Context:
    """A chart per member that was trained; the names of the others with the reason."""
    known = {name: records for name, records in evidence.histories.items() if records}
    scores = [record["validation_accuracy"] for records in known.values() for record in records]
    span = (min(scores), max(scores)) if scores else (0.0, 1.0)
    charts, others = [], []
    for name, spec in evidence.specs.items():
        if name not in known:
            others.append({"name": name, "why": _why_no_history(spec.get("kind"))})
            continue
        best, copies = spec.get("best_epoch"), len(spec.get("copies", ()))
        facts = f"mean of {copies} copies" if copies else f"epoch {best} of {len(known[name])} kept"
        label = f"learning curves of {name}"
        charts.append({
            "name": name, "facts": facts,
            "svg": learning_chart(known[name], best=best, accuracies=span, label=label),
        })  # fmt: skip
    return {"charts": charts, "others": others}


def _why_no_history(kind: Any) -> str:
    return "another tool's probabilities, not trained here" if kind == OUTSIDE else "its history is not in the folder"


def mistakes_part(
    evidence: Evidence, mistakes: Sequence[Mistake], *, images: Sequence[str] | None, reason: str
) -> Context:
    """The gallery.

    Args:
        evidence: The committee.
        mistakes: What it gets wrong.
        images: A `data:` address for each, if the faces are here.
        reason: Why they are not.
    """
    count = len(evidence.rows)
    cards = [
        {
            "image": None if images is None else images[place], "true": m.true, "predicted": m.predicted,
            "confidence": as_percent(m.confidence, 0), "face": m.face, "agree": m.agree, "right": m.right,
        }
        for place, m in enumerate(mistakes)
    ]  # fmt: skip
    votes = evidence.answers.committee.argmax(axis=1)
    wrong = int((votes != evidence.answers.labels).sum())
    return {"cards": cards, "reason": reason, "members": count, "wrong": f"{wrong:,}"}


def views_part(evidence: Evidence) -> Context:
    """Accuracy over the number of views, if it was evaluated; what members are worth likewise."""
    curve = evidence.evaluation.get("views_curve") or []
    whole = (evidence.evaluation.get("added") or [None])[-1]  # by the same folds and views as the committees without
    worth = [
        {
            "name": step["member"], "value": step["nll"] - whole["nll"], "nll": signed(step["nll"] - whole["nll"], 4),
            "accuracy": signed(100 * (step["accuracy"] - whole["accuracy"]), 2),
        }
        for step in (evidence.evaluation.get("left_out") or () if whole else ())
    ]  # fmt: skip
    return {
        "chart": views_chart(curve) if curve else None,
        "rows": [
            (row["views"], as_percent(row["accuracy"], 2), f"{row['nll']:.4f}", f"{row['milliseconds']:.2f}")
            for row in curve
        ],
        "fitted": evidence.resolved.get("views", 1),
        "worth": sorted(worth, key=lambda row: -row["value"]),
    }


def weights_part(evidence: Evidence) -> Context:
    """The tree as rows, parents first: what every node fuses, by which rule, and how much each child counts."""
    return {"rows": list(_tree(evidence.committee.root, None, 0, "")), "temperature": evidence.committee.temperature}


def _tree(fitted: FittedNode, weight: float | None, depth: int, meaning: str) -> list[Context]:
    chosen = getattr(fitted.rule, "choice_", None)
    rule = fitted.rule.rule_ if chosen is not None else fitted.rule  # type: ignore[attr-defined]
    name = fitted.node.rule if chosen is None else f"{fitted.node.rule}, which chose {chosen}"
    shares, words = _shares(rule, len(fitted.over))
    rows = [_row(fitted.node.name, weight, depth, meaning) | {"rule": name, "note": words}]
    for child, share in zip(fitted.over, shares, strict=True):
        if isinstance(child, FittedNode):
            rows += _tree(child, share, depth + 1, words)
        else:
            rows.append(_row(child, share, depth + 1, words) | {"rule": None, "note": ""})
    return rows


def _row(name: str, weight: float | None, depth: int, meaning: str) -> Context:
    return {
        "name": name, "depth": min(depth, 6),
        "weight": None if weight is None else as_percent(weight),
        "bar": None if weight is None else bar(weight, f"{name}: {as_percent(weight)}, {meaning}"),
    }  # fmt: skip


def _shares(rule: FusionRule, count: int) -> tuple[Sequence[float | None], str]:
    """What part each child has in a node's answer, and what that number is."""
    if hasattr(rule, "weights_"):
        return np.asarray(rule.weights_, np.float64).tolist(), "weight in the mean"
    if hasattr(rule, "coefficients_"):
        size = np.abs(np.asarray(rule.coefficients_, np.float64)).reshape(count, -1).sum(axis=1)
        return (size / max(float(size.sum()), 1e-12)).tolist(), "share of the size of all coefficients"
    if rule.name in _EQUAL:
        return [1.0 / count] * count, "equal weights"
    return [None] * count, "no weights"


def making_part(evidence: Evidence) -> Context:
    """How the committee came to be, as pairs of a word and a value."""
    report, data = evidence.report, evidence.report.get("data", {})
    environment = dict(report.get("environment") or {})
    torch = sorted({str(spec["torch"]) for spec in evidence.specs.values() if spec.get("torch")})
    versions = {"ensemble": _version(), **({"torch": ", ".join(torch)} if torch else {})}
    versions |= {key: environment[key] for key in ("python", "torch", "numpy", "opencv") if key in environment}
    facts = {
        "data": data.get("source", ""),
        "data digest": data.get("digest", ""),
        "rules": report.get("basis", ""),
        "views of a face at the fit": evidence.resolved.get("views", 1),
        "seed": evidence.resolved.get("seed", 0),
        "device": report.get("device", ""),
        "processor": environment.get("processor", ""),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
    }
    return {
        "facts": [(key, value) for key, value in facts.items() if value != ""],
        "notes": report.get("notes") or [],
        "folder": evidence.folder.name,
    }


def _version() -> str:
    try:
        return version("ensemble")
    except PackageNotFoundError:
        return "not installed"
