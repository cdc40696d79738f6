"""What has to stand in a committee's own `committee.yaml` and `report.json`, whoever wrote them.

A manifest tells that files are as they were sealed, not that they make sense: users edit them, and a committee may come
from anywhere. Only what is read later is described, so that other keys may stand beside it. Knows no folders.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Len, MinLen
from pydantic import BaseModel, ConfigDict

from backbones.errors import InputError
from ensemble.data_spec import DataSpec
from ensemble.spec_check import check_spec

__all__ = ["EvaluationContent", "ReportContent", "ReportFacts", "ResolvedContent", "check_content"]

_SHOWN = 8


class _Content(BaseModel):
    """Base of all contents: numbers are finite and no text is one; unknown fields are left alone."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Named(_Content):
    name: Annotated[str, MinLen(1)]
    groups: list[str] = []


class ResolvedContent(_Content):
    """A resolved `committee.yaml`. What is wrong in the tree itself is `committee_check`'s business.

    Attributes:
        name: Of the committee.
        data: Where its faces come from.
        views: Perturbation views of each face at the fit.
        seed: Of the folds and the perturbations.
        members: The members' specs, of which only the names count here.
        committee: The tree of rules.
    """

    name: Annotated[str, MinLen(1)]
    data: DataSpec
    views: Annotated[int, Ge(1)]
    seed: Annotated[int, Ge(0)]
    members: Annotated[list[_Named], MinLen(1)]
    committee: dict[str, Any]


class _Source(_Content):
    source: str
    digest: str


class ReportFacts(_Content):
    """What a `report.json` says beside its numbers; `fuse` takes it over into the new one.

    Attributes:
        name: Of the committee.
        data: Its faces' source and digest.
        device: What it was trained on.
        environment: The machine and the versions.
        notes: What the user should know.
        basis: What its rules are fitted on, in words.
    """

    name: str = ""
    data: _Source | None = None
    device: str = ""
    environment: dict[str, Any] | None = None
    notes: list[str] | None = None
    basis: str = ""


class _MemberRow(_Content):
    name: str
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    nll: float
    calibration_error: float
    parameters: float | None
    epochs: int | None
    seconds: float | None


class _Comparison(_Content):
    gain: float
    p_value: float
    only_first: int
    only_second: int


class _RuleRow(_Content):
    rule: str
    fitted_accuracy: float
    nested_accuracy: float
    nested_interval: Annotated[list[float], Len(2, 2)]
    nll: float
    calibration_error: float
    against_best_member: _Comparison


class ReportContent(ReportFacts):
    """A whole `report.json`.

    Attributes:
        members: A row for every member.
        rules: A row for every rule, and the committee's own.
    """

    members: list[_MemberRow]
    rules: dict[str, _RuleRow]


class _ViewsRow(_Content):
    views: Annotated[int, Ge(1)]
    accuracy: float
    nll: float
    milliseconds: float


class _Step(_Content):
    member: str
    accuracy: float
    nll: float


class EvaluationContent(_Content):
    """What a page shows of the `report.json` that `ensemble evaluate` writes.

    Attributes:
        views_curve: What a number of views gives, and takes.
        added: Committees of members added one by one.
        left_out: Committees with a member left out each.
    """

    views_curve: list[_ViewsRow] = []
    added: list[_Step] = []
    left_out: list[_Step] = []


def check_content(model: type[BaseModel], content: Any, path: Path, *, remedy: str) -> None:
    """Refuse a file whose content makes no sense.

    Args:
        model: What it has to hold.
        content: What it holds.
        path: The file.
        remedy: A sentence on what to do.

    Raises:
        InputError: Its problems, one a line, each with its place.
    """
    _, problems = check_spec(model, content, "")
    if not problems:
        return
    lines = "".join(f"\n  {path.name}: {problem}" for problem in problems[:_SHOWN])
    more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    raise InputError(f"Expected `{path}` to be that of a finished committee, but it is not:{lines}{more}\n{remedy}")
