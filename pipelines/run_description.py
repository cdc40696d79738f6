"""The Markdown that MLflow shows on top of a run: what it is, its headline numbers, and its pictures in small.

MLflow's page takes pictures from addresses only, and no widths, so that the thumbnails are files of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ensemble.outside_spec import OUTSIDE

__all__ = ["committee_description", "member_description", "planned_description"]

_LONGEST = 30
"""Members with pictures in a committee's table; a tag has 8,000 characters."""

_TITLES = {
    "confusion_matrix.png": "confusion matrix",
    "reliability.png": "reliability",
    "learning_curves.png": "learning curves",
}


def planned_description(what: str) -> str:
    """Of a run that has no results yet."""
    return f"{what} Results appear here when it has ended."


def member_description(
    spec: Mapping[str, Any], metrics: Mapping[str, float], *, faces: int, figures: Sequence[str]
) -> str:
    """Of a member.

    Args:
        spec: Its `spec.json`.
        metrics: Its headline numbers.
        faces: Number of validation faces.
        figures: Names of its figures.
    """
    own = spec["spec"]
    if spec.get("kind") == OUTSIDE:
        what = f"**Member `{own['name']}`**: probabilities of another tool."
    else:
        weights = own.get("weights")
        start = "from pretrained weights" if weights else "from scratch"
        licence = f" (licence: {weights['licence']})" if weights and weights.get("licence") else ""
        what = (
            f"**Member `{own['name']}`**: `{own['backbone']['kind']}` with head `{own['head']['kind']}` and loss "
            f"`{own['loss']['kind']}`, trained {start}{licence}; {spec['parameters']:,} parameters, best of "
            f"{spec['epochs']} epochs: {spec['best_epoch']}."
        )
    return "\n\n".join([what, _numbers(metrics, f"on {faces:,} validation faces"), _strip("{run}", figures)])


def committee_description(
    report: Mapping[str, Any], metrics: Mapping[str, float], *, runs: Mapping[str, str], figures: Sequence[str]
) -> str:
    """Of a committee.

    Args:
        report: Its `report.json`.
        metrics: Its headline numbers.
        runs: Run ids of its members.
        figures: Names of its figures.
    """
    own, members = report["rules"]["committee"], sorted(report["members"], key=lambda m: -m["accuracy"])
    best, faces = members[0], report["validation_faces"]
    low, high = own["nested_interval"]
    what = (
        f"**Committee `{report['name']}`** of {len(members)} members, rule `{own['rule']}`, fitted on "
        f"`{report['data']['source']}`. Its rules are {report['basis']}."
    )
    test = own["against_best_member"]
    words = (
        f"Accuracy {own['nested_accuracy']:.4f} (95 % {low:.3f}-{high:.3f}) on faces its rules were not fitted on, "
        f"{100 * test['gain']:+.2f} points against its best member `{best['name']}` ({best['accuracy']:.4f}); "
        f"McNemar's exact p = {test['p_value']:.2g}."
    )
    numbers = _numbers(metrics, f"on {faces:,} validation faces")
    table = _member_table(members[:_LONGEST], runs)
    more = f"\n\n{len(members) - _LONGEST} more members: `tables/members.json`." if len(members) > _LONGEST else ""
    return "\n\n".join([what, words, numbers, _strip("{run}", figures), table + more])


def _numbers(metrics: Mapping[str, float], where: str) -> str:
    names = {"accuracy": "accuracy", "macro_f1": "macro F1", "nll": "NLL", "calibration_error": "calibration error"}
    shown = {title: metrics[f"validation/{key}"] for key, title in names.items() if f"validation/{key}" in metrics}
    head = "| " + " | ".join(shown) + " |\n" + "|---" * len(shown) + "|\n"
    return f"{head}| " + " | ".join(f"{value:.4f}" for value in shown.values()) + f" |\n\n({where})"


def _strip(run: str, figures: Sequence[str]) -> str:
    """A table of one row: every figure in small, which opens the figure."""
    titles = [_TITLES.get(name, name) for name in figures]
    pictures = [_picture(run, name) for name in figures]
    return "| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|\n| " + " | ".join(pictures) + " |"


def _member_table(members: Sequence[Mapping[str, Any]], runs: Mapping[str, str]) -> str:
    lines = ["| member | accuracy | NLL | confusion matrix |", "|---|---|---|---|"]
    for member in members:
        run = runs.get(member["name"])
        picture = _picture(run, "confusion_matrix.png") if run else ""
        lines.append(f"| `{member['name']}` | {member['accuracy']:.4f} | {member['nll']:.4f} | {picture} |")
    return "\n".join(lines)


def _picture(run: str, name: str) -> str:
    return f"[![{_TITLES.get(name, name)}]({_address(run, f'thumbnails/{name}')})]({_address(run, f'figures/{name}')})"


def _address(run: str, path: str) -> str:
    """Of an artifact, seen from MLflow's page; relative, since nobody knows under which name the page is opened."""
    return f"get-artifact?path={quote(path, safe='')}&run_uuid={run}"
