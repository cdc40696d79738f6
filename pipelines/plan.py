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
from ensemble.binding import check_component
from ensemble.class_map import ClassMap
from ensemble.committee_spec import CommitteeNode, check_committee, group_notes, resolve_committee
from ensemble.data_spec import DataSpec
from ensemble.expression import EXPRESSIONS
from ensemble.grouping import Evidence, traits_of
from ensemble.spec import MemberSpec
from ensemble.spec_check import check_spec
from ensemble.tune_spec import TuneSpec
from pipelines.member_plan import check_member, planned_members
from pipelines.origin import planned_origins
from pipelines.outside_plan import AnyOutsideSpec, outside_members
from pipelines.readers import READERS
from pipelines.search_place import check_tune
from pipelines.teacher_plan import with_teachers
from pipelines.weights_path import search_folders
from pipelines.weights_plan import with_weights
from pipelines.yaml_file import read_yaml

__all__ = ["Plan", "make_plan"]

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
        committee: The tree of rules, with explicit member names; groups that only a fit can tell are pending.
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
    drawn = all(s in ("synthetic", None) for s in (_mapping(content.get("data", "synthetic")).get("source"), data))
    if data is not None:
        content["data"] = DataSpec.redirected(_mapping(content.get("data", "synthetic")), data)
    if isinstance(content.get("tune"), Mapping):
        content["tune"] = {**content["tune"], **(tune or {})}
    problems: list[Problem] = [
        Problem.at(str(key), f"Expected no field of that name. {nearest(str(key), _KEYS)}")
        for key in content
        if key not in _KEYS
    ]
    problems += _check_scalars(content)
    source = _data(content, problems, beside=path.parent, place="data.source" if data is None else "--data")
    members = planned_members(content, problems)
    groups = _groups(content)
    outside, places = outside_members(
        content.get("members"), _mapping(content.get("defaults")), folder=path.parent,
        classes=_painted(source, problems) if drawn else None, problems=problems,
    )  # fmt: skip
    strangers = {m.name for m in outside}
    known = {**dict.fromkeys(name for name in groups if name not in strangers), **{m.name: m for m in members}}
    search, found = check_tune(content.get("tune"), known, check_member, required=tune is not None)
    problems += found
    tree = content.get("committee") or {"rule": "log_likelihood"}
    if groups:
        problems += check_committee(tree, groups)
    folders = search_folders(weights_folders, beside=path.parent, source=source)
    members = with_teachers(members, problems, folder=path.parent)
    kept, weights, notes = with_weights(members, folders, problems, folder=path.parent, keep_absent=keep_absent)
    if problems:
        _refuse(path, problems)
    left = {m.name: m.groups for m in (*kept, *outside)}
    tree = _pruned(tree, groups, set(groups) - set(left))
    evidence = Evidence(traits=traits_of(planned_origins(kept, outside, places)))
    node = resolve_committee(tree, {name: left[name] for name in groups if name in left}, evidence=evidence)
    return Plan(
        name=str(content.get("name") or path.stem), data=_required(source), members=tuple(kept), weights=weights,
        committee=node, views=int(content.get("views", 1)), seed=int(content.get("seed", 0)),
        notes=(*notes, *group_notes(node)), tune=search, outside=tuple(outside), places=places,
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


def _data(content: Mapping[str, Any], problems: list[Problem], *, beside: Path, place: str) -> DataSpec | None:
    given = content.get("data", "synthetic")
    spec, found = check_spec(DataSpec, _mapping(given) if isinstance(given, str) else given, "data")
    problems += found
    if spec is None:
        return None
    if spec.source != "synthetic" and not Path(spec.source).exists():
        message = f"Expected a file, a folder or `synthetic`, but there is no {spec.source!r}."
        problems.append(Problem.at(place, message))
    if spec.votes is not None:
        folders = dict.fromkeys((Path(), beside, Path(spec.source).parent))
        votes = next((folder / spec.votes for folder in folders if (folder / spec.votes).is_file()), None)
        spec = spec.model_copy(update={"votes": str(votes or spec.votes)})
        if votes is None:
            searched = ", ".join(f"`{folder}`" for folder in folders)
            message = f"Expected a votes file, but there is no {spec.votes!r} in any of {searched}."
            problems.append(Problem.at("data.votes", message))
    reader = "synthetic" if spec.source == "synthetic" else spec.reader
    if reader is not None:
        problems += check_component(reader, spec.options, READERS, "data")
    return spec


def _painted(spec: DataSpec | None, problems: list[Problem]) -> tuple[str, ...]:
    """The classes of the synthetic faces, mapped if the data says so."""
    try:
        return ClassMap.of(EXPRESSIONS, (spec and spec.classes) or {}, where="synthetic").target
    except InputError as error:
        problems.append(Problem.at("data.classes", str(error)))
        return EXPRESSIONS


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


def _pruned(tree: Mapping[str, Any], groups: Mapping[str, Sequence[str]], dropped: set[str]) -> dict[str, Any]:
    """The committee's tree without the members left out, and without nodes that have none left."""
    left = {group for name, own in groups.items() if name not in dropped for group in (name, *own)}
    node = dict(tree)
    if "members" in node:
        node["members"] = [m for m in node["members"] if m in left]
    if "over" in node:
        children = [_pruned(c, groups, dropped) if isinstance(c, Mapping) else c for c in node["over"]]
        node["over"] = [c for c in children if (c in left if isinstance(c, str) else _fuses_something(c))]
    if isinstance(node.get("count"), int):
        node["count"] = min(node["count"], len(groups) - len(dropped))
        if node["count"] < 2:
            del node["count"]  # nothing is left to divide
    return node


def _fuses_something(node: Mapping[str, Any]) -> bool:
    """Whether a node has anything left to fuse; one that names nothing fuses all members."""
    return bool(node.get("over") or node.get("members") or not {"over", "members"} & set(node))
