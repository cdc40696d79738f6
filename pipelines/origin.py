"""What each member of a committee was trained from, whoever trained it. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from backbones.errors import InputError
from ensemble.outside_spec import OutsideSpec
from ensemble.spec import MemberSpec
from pipelines.bundle import SPEC, read_json
from pipelines.outside_plan import AnyOutsideSpec

__all__ = ["planned_origins", "stored_origins"]


def planned_origins(
    members: Iterable[MemberSpec], outside: Iterable[AnyOutsideSpec], places: Mapping[str, Path]
) -> dict[str, MemberSpec | None]:
    """The spec of every planned member; of a borrowed one its lender's, of one known by its probabilities None.

    Args:
        members: Those to be trained.
        outside: Those that are not.
        places: For borrowed ones, their folder in the committee that lends them.
    """
    own: dict[str, MemberSpec | None] = {spec.name: spec for spec in members}
    return own | {spec.name: None if isinstance(spec, OutsideSpec) else _read(places[spec.name]) for spec in outside}


def stored_origins(folder: Path, members: Sequence[str]) -> dict[str, MemberSpec | None]:
    """The same of the members in a committee's folder.

    Raises:
        InputError: One is absent or damaged.
    """
    return {name: _read(folder / "members" / name) for name in members}


def _read(folder: Path) -> MemberSpec | None:
    content = read_json(folder / SPEC).get("spec", {})
    if "backbone" not in content:
        return None
    try:
        return MemberSpec.model_validate(content)
    except ValidationError as error:
        wrong = f"{error.error_count()} unknown or wrong settings"
        raise InputError(f"Expected `{folder}` to be a member of this version, but got {wrong}.") from None
