"""From a `members.yaml` to a plan: everything that can be checked before torch is loaded or data is read.

All mistakes are reported at once, each with its place and the nearest valid name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backbones.errors import InputError, Problem, nearest
from backbones.registry import BACKBONES, HEADS, LOSSES, Registry
from ensemble.binding import check_component
from ensemble.committee_spec import CommitteeNode, check_committee, resolve_committee
from ensemble.expression import EXPRESSIONS
from ensemble.spec import ComponentSpec, DataSpec, MemberSpec
from ensemble.spec_check import check_spec, merged
from ensemble.tune_spec import TuneSpec
from pipelines.augmentation import check_augment
from pipelines.normalizers import NORMALIZERS
from pipelines.outside_plan import AnyOutsideSpec, is_outside, outside_members
from pipelines.readers import READERS
from pipelines.search_place import check_tune
from pipelines.weights_path import usual_folders, with_weights
from pipelines.yaml_file import read_yaml

__all__ = ["Plan", "check_member", "make_plan"]

_KEYS = ("name", "data", "defaults", "members", "committee", "views", "seed", "tune")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A checked `members.yaml`.

    Attributes:
        name: Of the committee.
        data: Where the faces come from.
        members: Specs with all defaults filled in, weights' digests included.
        weights: Weights file of each transferred member.
        committee: The tree of rules, with explicit member names.
        views: Perturbation views whose fused vote the committee is fitted on.
        seed: Of the folds and the perturbations.
        notes: What the user should know, e.g. members left out.
        tune: The search for a member's hyper-parameters, if the file has one.
        outside: Members that are not trained, paths and digests filled in.
        places: Posterior file, or folder in the committee that lends it, of each of these.
    """

    name: str
    data: DataSpec
    members: tuple[MemberSpec, ...]
    weights: Mapping[str, Path]
    committee: CommitteeNode
    views: int
    seed: int
    notes: tuple[str, ...]
    tune: TuneSpec | None = None
    outside: tuple[AnyOutsideSpec, ...]
    places: Mapping[str, Path]

    def tree(self) -> dict[str, Any]:
        """The committee as YAML would say it, with every member named."""
        return self.committee.tree()


def make_plan(
    path: Path,
    *,
    data: str | None = None,
    weights_folders: Sequence[Path] = (),
    keep_absent: bool = False,
    tune: Mapping[str, Any] | None = None,
) -> Plan:
    """Read and check a `members.yaml`.

    Args:
        path: The file.
        data: Overrides its data source.
        weights_folders: Searched first for weights files.
        keep_absent: Keep members whose optional weights are absent, with random ones; `fit` leaves them out.
        tune: Overrides fields of its `tune:`; given, even empty, the file must have one.

    Raises:
        InputError: All problems of the file, one a line.
    """
    content = read_yaml(path)
    drawn = {_mapping(content.get("data", "synthetic")).get("source"), data} <= {"synthetic", None}
    if data is not None:
        content["data"] = {**_mapping(content.get("data")), "source": data}
    if isinstance(content.get("tune"), Mapping):
        content["tune"] = {**content["tune"], **(tune or {})}
    problems: list[Problem] = [
        Problem.at(str(key), f"Expected no field of that name. {nearest(str(key), _KEYS)}")
        for key in content
        if key not in _KEYS
    ]
    problems += _check_scalars(content)
    source = _data(content, problems)
    members = _members(content, problems)
    folders = [*weights_folders, path.parent, *usual_folders(source, path.parent)]
    kept, weights, notes = with_weights(members, folders, problems, keep_absent=keep_absent)
    groups = _groups(content)
    outside, places = outside_members(
        content.get("members"), _mapping(content.get("defaults")), folder=path.parent,
        classes=EXPRESSIONS if drawn else None, problems=problems,
    )  # fmt: skip
    strangers = {m.name for m in outside}
    known = {**dict.fromkeys(name for name in groups if name not in strangers), **{m.name: m for m in members}}
    search, found = check_tune(content.get("tune"), known, check_member, required=tune is not None)
    problems += found
    tree = content.get("committee") or {"rule": "log_likelihood"}
    if groups:
        problems += check_committee(tree, groups)
    if problems:
        _refuse(path, problems)
    left = {m.name: m.groups for m in (*kept, *outside)}
    tree = _pruned(tree, groups, set(groups) - set(left))
    node = resolve_committee(tree, {name: left[name] for name in groups if name in left})
    return Plan(
        name=str(content.get("name") or path.stem), data=_required(source), members=tuple(kept), weights=weights,
        committee=node, views=int(content.get("views", 1)), seed=int(content.get("seed", 0)), notes=tuple(notes),
        tune=search, outside=tuple(outside), places=places,
    )  # fmt: skip


def _refuse(path: Path, problems: list[Problem]) -> None:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = "\n".join(f"  {path.name}: {problem}" for problem in problems)
    raise InputError(f"{path}: {count}, nothing was read or trained.\n{lines}")


def _required(source: DataSpec | None) -> DataSpec:
    assert source is not None  # its absence is a problem that has been refused
    return source


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"source": value}
    return dict(value) if isinstance(value, Mapping) else {}


def _check_scalars(content: Mapping[str, Any]) -> Iterator[Problem]:
    name = content.get("name", "x")
    if not (isinstance(name, str) and _NAME.match(name)):
        yield Problem.at("name", f"Expected letters, digits, '_', '.' or '-', at most 64, but got {name!r}.")
    for key, least in (("views", 1), ("seed", 0)):
        value = content.get(key, least)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            yield Problem.at(key, f"Expected a whole number of at least {least}, but got {value!r}.")


def _data(content: Mapping[str, Any], problems: list[Problem]) -> DataSpec | None:
    given = content.get("data", "synthetic")
    spec, found = check_spec(DataSpec, _mapping(given) if isinstance(given, str) else given, "data")
    problems += found
    if spec is None:
        return None
    if spec.source != "synthetic" and not Path(spec.source).exists():
        message = f"Expected a file, a folder or `synthetic`, but there is no {spec.source!r}."
        problems.append(Problem.at("data.source", message))
    if spec.votes is not None and not Path(spec.votes).is_file():
        problems.append(Problem.at("data.votes", f"Expected a votes file, but there is no {spec.votes!r}."))
    reader = "synthetic" if spec.source == "synthetic" else spec.reader
    if reader is not None:
        problems += check_component(reader, spec.options, READERS, "data")
    return spec


def _members(content: Mapping[str, Any], problems: list[Problem]) -> list[MemberSpec]:
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


def _groups(content: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Members' names and groups as written, so that the committee is checked even where members are wrong."""
    entries = content.get("members")
    defaults = _mapping(content.get("defaults"))
    groups = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
            own = entry.get("groups", defaults.get("groups", ()))
            groups[entry["name"]] = tuple(g for g in own if isinstance(g, str)) if isinstance(own, list) else ()
    return groups


def _expanded(entry: dict[str, Any]) -> dict[str, Any]:
    """Short forms: `freeze: none | backbone`, and `none` or null for what is switched off."""
    freeze = entry.get("freeze")
    if isinstance(freeze, str):
        entry["freeze"] = None if freeze == "none" else {"until": freeze}
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
    return problems


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


def _pruned(tree: Mapping[str, Any], groups: Mapping[str, Sequence[str]], dropped: set[str]) -> dict[str, Any]:
    """The committee's tree without the members left out, and without nodes that have none left."""
    left = {group for name, own in groups.items() if name not in dropped for group in (name, *own)}
    node = dict(tree)
    if "members" in node:
        node["members"] = [m for m in node["members"] if m in left]
    if "over" in node:
        children = [_pruned(c, groups, dropped) if isinstance(c, Mapping) else c for c in node["over"]]
        node["over"] = [c for c in children if (c in left if isinstance(c, str) else c.get("over") or c.get("members"))]
    return node
