"""The table of members, rules and the committee: numbers first, then as rows for the console and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ensemble.committee_spec import CommitteeNode, resolve_committee
from ensemble.estimate import Estimate, OutOfFold, estimate
from ensemble.metric import accuracy, accuracy_interval, class_scores, expected_calibration_error, nll
from ensemble.rules import RULES

__all__ = ["HEADER", "markdown", "member_row", "rows_of", "rule_estimates", "scores"]

HEADER = ("name", "accuracy", "nested", "gap", "95 %", "nll", "parameters", "epochs", "seconds")
"""Accuracy is that on the validation split, of rules that on the faces they were fitted on; nested is held out, the gap
is by how much the fit flatters them."""

_NOT_FLAT = ("auto", "temperature")
"""No rows of their own: `auto` is one of the others, and `temperature` fuses nothing."""

Probs = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def scores(probs: Probs, labels: Labels) -> dict[str, float]:
    """Headline numbers of (N, K) probabilities, under the names that members and committee share."""
    low, high = accuracy_interval(probs, labels)
    return {
        "accuracy": accuracy(probs, labels),
        "accuracy_low": low,
        "accuracy_high": high,
        "nll": nll(probs, labels),
        "calibration_error": expected_calibration_error(probs, labels),
        "macro_f1": class_scores(probs, labels).macro_f1,
    }


def member_row(spec: Mapping[str, Any], probs: Probs, labels: Labels) -> dict[str, Any]:
    """One member's line, from its `spec.json` and its validation probabilities."""
    return {
        "name": spec["spec"]["name"],
        **scores(probs, labels),
        "parameters": spec.get("parameters"),
        "epochs": spec.get("epochs"),
        "seconds": spec.get("seconds"),
    }


def rule_estimates(
    node: CommitteeNode,
    posteriors: Mapping[str, Probs],
    labels: Labels,
    *,
    seed: int,
    every_rule: bool = True,
    fit_on: OutOfFold | None = None,
    held_out: Probs | None = None,
) -> dict[str, Estimate]:
    """Fitted and nested accuracy of the declared tree (`committee`), and of every rule over all members, flat.

    `held_out` is the tree's own nested answers (N, K), if they are known already.
    """
    table = {"committee": estimate(node, posteriors, labels, seed=seed, fit_on=fit_on, held_out=held_out)}
    flat: dict[str, tuple[str, ...]] = dict.fromkeys(node.members, ())
    for rule in RULES.names() if every_rule else ():
        if rule in _NOT_FLAT:
            continue
        alone = resolve_committee({"rule": rule}, flat)
        table[rule] = estimate(alone, posteriors, labels, seed=seed, fit_on=fit_on)
    return table


def rows_of(members: Sequence[Mapping[str, Any]], estimates: Mapping[str, Estimate]) -> list[tuple[str, ...]]:
    """Rows under `HEADER`: members by falling accuracy, then the rules, then the committee."""
    rows: list[tuple[str, ...]] = [
        (
            m["name"], f"{m['accuracy']:.4f}", "", "", f"{m['accuracy_low']:.3f}-{m['accuracy_high']:.3f}",
            f"{m['nll']:.4f}", *_effort(m),
        )
        for m in sorted(members, key=lambda m: -m["accuracy"])
    ]  # fmt: skip
    parameters, seconds = (sum(m[key] or 0 for m in members) for key in ("parameters", "seconds"))
    for name, e in sorted(estimates.items(), key=lambda item: item[0] == "committee"):
        label = "COMMITTEE" if name == "committee" else f"rule: {name}"
        low, high = e.nested_interval
        total = (f"{parameters:,}", "", f"{seconds:.0f}") if name == "committee" else ("", "", "")
        accuracies = (f"{e.fitted_accuracy:.4f}", f"{e.nested_accuracy:.4f}", f"{e.optimism:+.4f}")
        rows.append((label, *accuracies, f"{low:.3f}-{high:.3f}", f"{e.nll:.4f}", *total))
    return rows


def _effort(member: Mapping[str, Any]) -> tuple[str, ...]:
    """Parameters, epochs and seconds, empty where they are not known, as of an outside member."""
    cells = (("parameters", ",.0f"), ("epochs", "d"), ("seconds", ".0f"))
    return tuple("" if member[key] is None else format(member[key], form) for key, form in cells)


def markdown(rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> str:
    """The rows as a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join(["---"] + ["--:"] * (len(header) - 1)) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
