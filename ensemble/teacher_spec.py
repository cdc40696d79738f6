"""The specification of a teacher: a finished committee, from whose answers a member learns beside its own targets."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["OptionalTeacher", "TeacherSpec"]


class TeacherSpec(BaseModel):
    """Whose answers a member learns from (Hinton et al., 2015, Distilling the Knowledge in a Neural Network).

    Attributes:
        committee: The committee: its folder, its name, or its MLflow run. `teacher: NAME` is short for it.
        share: Share of its answers in what the member is to say of a face; the rest is what `targets` says.
        views: Views of each face that it votes over.
        sha256: Digest of its rules and weights, filled in when the fit is planned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    committee: str
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    views: Annotated[int, Field(ge=1)] = 1
    sha256: str | None = None


def _expanded(value: Any) -> Any:
    return {"committee": value} if isinstance(value, str) else value


OptionalTeacher = Annotated[TeacherSpec | None, BeforeValidator(_expanded)]
"""The teacher of a member; a bare name stands for the committee of that name."""
