"""From the members in a `members.yaml` to their specs, checked by name and parameter without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backbones.errors import Problem
from backbones.registry import BACKBONES, HEADS, LOSSES, Registry
from ensemble.binding import check_component
from ensemble.spec import ComponentSpec, MemberSpec
from ensemble.spec_check import check_spec, merged
from pipelines.augmentation import check_augment
from pipelines.normalizers import NORMALIZERS
from pipelines.outside_plan import is_outside

__all__ = ["check_member", "planned_members"]


def planned_members(content: Mapping[str, Any], problems: list[Problem]) -> list[MemberSpec]:
    """The specs of all members that are trained, as far as they are right.

    Args:
        content: Of the whole YAML.
        problems: Gets everything that is wrong.
    """
    entries = content.get("members")
    if not isinstance(entries, list) or not entries:
        problems.append(Problem.at("members", "Expected a list of at least one member."))
        return []
    defaults = _defaults(content.get("defaults") or {}, problems)
    members: list[MemberSpec] = []
    for index, entry in enumerate(entries):
        where = f"members[{index}]"
        if not isinstance(entry, Mapping):
            problems.append(Problem.at(where, f"Expected a mapping, but got {entry!r}."))
            continue
        if is_outside(entry):
            continue
        spec, found = check_member(merged(defaults, entry), where)
        problems += found
        if spec is None:
            problems += _check_raw_components(entry, where)
        elif spec.name in {m.name for m in members}:
            problems.append(Problem.at(f"{where}.name", f"Expected a unique name, but {spec.name!r} stands twice."))
        else:
            members.append(spec)
    return members


def check_member(entry: dict[str, Any], where: str) -> tuple[MemberSpec | None, list[Problem]]:
    """Build a member's spec from its YAML content, defaults merged in, and check it and its components.

    Returns:
        The spec, None if a field is wrong, and all problems.
    """
    spec, found = check_spec(MemberSpec, _expanded(entry), where)
    return spec, found or _check_components(spec, where)


def _defaults(defaults: Any, problems: list[Problem]) -> dict[str, Any]:
    """The defaults that are right; what is wrong in them is told once, not for every member."""
    if not isinstance(defaults, Mapping):
        problems.append(Problem.at("defaults", f"Expected a mapping, but got {defaults!r}."))
        return {}
    right = {}
    for key, value in defaults.items():
        sample = {"name": "x", "backbone": {"kind": "x"}, **_expanded({str(key): value})}
        _, found = check_spec(MemberSpec, sample, "defaults")
        problems += found
        if not found:
            right[str(key)] = value
    return right


def _expanded(entry: dict[str, Any]) -> dict[str, Any]:
    """Short forms: `freeze: none | backbone`, `unfreeze: probe`, and `none` or null for what is switched off."""
    for field, name in (("freeze", "until"), ("unfreeze", "kind")):
        value = entry.get(field)
        if isinstance(value, str):
            entry[field] = None if value == "none" else {name: value}
    for field in ("mix", "grow", "teacher"):
        if entry.get(field) == "none":
            entry[field] = None
    if entry.get("augment", "none") is None:
        entry["augment"] = "none"
    return entry


_COMPONENTS: tuple[tuple[str, Registry[Any]], ...] = (("backbone", BACKBONES), ("head", HEADS), ("loss", LOSSES))


def _check_components(spec: MemberSpec | None, where: str) -> list[Problem]:
    if spec is None:
        return []
    problems: list[Problem] = []
    for field, registry in _COMPONENTS:
        component: ComponentSpec = getattr(spec, field)
        problems += check_component(component.kind, component.parameters, registry, f"{where}.{field}")
    normalize = spec.input.normalize
    problems += check_component(normalize.kind, normalize.parameters, NORMALIZERS, f"{where}.input.normalize")
    problems += check_augment(spec.augment, f"{where}.augment")
    if spec.frozen_backbone and spec.augment not in ("none", "flip"):
        message = (
            f"Expected none or flip, since a frozen backbone's features are computed once, but got {spec.augment!r}."
        )
        problems.append(Problem.at(f"{where}.augment", message))
    for field, what in (("mix", "single"), ("grow", "whole")):
        if spec.frozen_backbone and getattr(spec, field) is not None:
            message = f"Expected none beside `freeze: backbone`, whose features are computed once, of {what} faces."
            problems.append(Problem.at(f"{where}.{field}", message))
    if spec.teacher is not None and spec.folds is not None:
        message = (
            "Expected none beside `folds`, whose copies judge faces that none of them has learned from: the teacher "
            "may have. Remove one of the two."
        )
        problems.append(Problem.at(f"{where}.teacher", message))
    return problems + _check_unfreeze(spec, f"{where}.unfreeze")


def _check_unfreeze(spec: MemberSpec, where: str) -> list[Problem]:
    """Something has to be unfrozen, and while there are epochs left."""
    if spec.unfreeze is None:
        return []
    if spec.frozen_backbone:
        message = "Expected none beside `freeze: backbone`, which keeps every stage for good. Remove one of the two."
        return [Problem.at(where, message)]
    alone, field = spec.unfreeze.head_epochs, "epochs" if spec.unfreeze.kind == "probe" else "every"
    if alone < spec.epochs:
        return []
    message = f"Expected less than the {spec.epochs} of `epochs`, or nothing is ever unfrozen, but got {alone}."
    return [Problem.at(f"{where}.{field}", message)]


def _check_raw_components(entry: Mapping[str, Any], where: str) -> list[Problem]:
    """A member with a wrong field still has its components checked, so that all mistakes show at once."""
    problems: list[Problem] = []
    for field, registry in _COMPONENTS:
        value = entry.get(field)
        component = {"kind": value} if isinstance(value, str) else value
        if isinstance(component, Mapping) and isinstance(component.get("kind"), str):
            parameters = {str(k): v for k, v in component.items() if k != "kind"}
            problems += check_component(component["kind"], parameters, registry, f"{where}.{field}")
    return problems
