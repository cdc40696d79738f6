"""The committee as written in YAML: checked with every mistake at once, then resolved to explicit members.

Knows rule names and their parameters from the registry, and member names from the caller; nothing of probabilities.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import MinLen
from pydantic import BaseModel, ConfigDict, ValidationError

from backbones.errors import InputError, Problem, nearest
from ensemble.binding import bind, check_component, problems_of
from ensemble.rules import RULES

__all__ = ["DEFAULT_RULE", "MAX_DEPTH", "CommitteeNode", "NodeSpec", "check_committee", "resolve_committee"]

DEFAULT_RULE = "log_likelihood"
MAX_DEPTH = 6
"""Levels of a tree: each one multiplies the fits below it by the number of folds, and a YAML alias may be a circle."""

Groups = Mapping[str, Sequence[str]]


class NodeSpec(BaseModel):
    """One node of the tree as written; every other key is a parameter of the rule.

    Attributes:
        rule: Name of the fusion rule.
        name: Name of the node; by default that of its groups.
        members: Names of members and groups whose members the rule fuses. Groups may overlap.
        over: Instead of `members`: child nodes and names of members.
        calibrate: Where to put temperatures: `members` scales everything the node fuses before it does, `fused` the
            result.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    rule: str = DEFAULT_RULE
    name: Annotated[str, MinLen(1)] | None = None
    members: Annotated[list[str], MinLen(1)] = []
    over: Annotated[list[Any], MinLen(1)] = []
    calibrate: list[Literal["members", "fused"]] = []


@dataclass(frozen=True, kw_only=True)
class CommitteeNode:
    """A node with everything decided.

    Attributes:
        name: Unique in the tree, and no member's name.
        rule: Name of the fusion rule.
        parameters: All its parameters, defaults filled in.
        over: What it fuses, in order: child nodes, and members by name.
    """

    name: str
    rule: str
    parameters: Mapping[str, Any]
    over: tuple[CommitteeNode | str, ...]

    @property
    def children(self) -> tuple[str, ...]:
        """Names of what it fuses, in order."""
        return tuple(child if isinstance(child, str) else child.name for child in self.over)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of all members below it, each once, in order of appearance."""
        names = (n for child in self.over for n in ((child,) if isinstance(child, str) else child.members))
        return tuple(dict.fromkeys(names))

    def tree(self) -> dict[str, Any]:
        """The node as YAML would say it, with every member and every parameter named."""
        over = [child if isinstance(child, str) else child.tree() for child in self.over]
        return {"name": self.name, "rule": self.rule, **self.parameters, "over": over}

    def walk(self) -> Iterator[CommitteeNode]:
        """This node and all nodes below it, parents first."""
        yield self
        for child in self.over:
            if isinstance(child, CommitteeNode):
                yield from child.walk()


def check_committee(tree: Any, members: Groups, where: str = "committee") -> list[Problem]:
    """All that is wrong with a committee.

    Args:
        tree: The mapping under `committee:`.
        members: Name of every member, with the groups it belongs to.
        where: Place of the tree, for messages.

    Returns:
        One problem per mistake, from the root to the leaves; empty if there is none.
    """
    if not members:
        return [Problem.at(where, "Expected at least 1 member for the committee to fuse, but got none.")]
    nodes = list(_nodes(tree, where, depth=1))
    problems = [problem for place, node, depth in nodes for problem in _check_node(node, members, place, depth)]
    return problems + _check_names(nodes, members, where)


def resolve_committee(tree: Any, members: Groups, where: str = "committee") -> CommitteeNode:
    """The committee with explicit member lists, all parameters, and a name for every node.

    Args:
        tree: The mapping under `committee:`.
        members: Name of every member, with the groups it belongs to.
        where: Place of the tree, for messages.

    Raises:
        InputError: All problems at once, one a line.

    Example:
        >>> node = resolve_committee({"rule": "mean"}, {"a": ["scratch"], "b": []})
        >>> node.name, node.members
        ('all', ('a', 'b'))
    """
    problems = check_committee(tree, members, where)
    if problems:
        raise InputError("\n".join(problems))
    given = {node["name"] for _, node, _ in _nodes(tree, where, depth=1) if node.get("name")}
    return _resolve(tree, members, taken=given | set(members), where=where)


def _nodes(tree: Any, where: str, depth: int) -> Iterator[tuple[str, Any, int]]:
    """Place, node and level of every node down to one level too deep, parents first."""
    yield where, tree, depth
    over = tree.get("over") if isinstance(tree, Mapping) else None
    if isinstance(over, list) and depth <= MAX_DEPTH:
        for row, child in enumerate(over):
            if not isinstance(child, str):
                yield from _nodes(child, f"{where}.over[{row}]", depth + 1)


def _check_node(node: Any, members: Groups, where: str, depth: int) -> list[Problem]:
    if depth > MAX_DEPTH:
        return [Problem.at(where, f"Expected a committee of at most {MAX_DEPTH} levels, but got a node below them.")]
    if not isinstance(node, Mapping):
        return [Problem.at(where, f"Expected `{where.rpartition('.')[2]}` to be a mapping, but got {node!r}.")]
    known = {str(key): value for key, value in node.items()}
    rule = known.get("rule", DEFAULT_RULE)
    parameters = {key: value for key, value in known.items() if key not in NodeSpec.model_fields}
    problems = _check_shape(known, where)
    if isinstance(rule, str):
        problems += _check_rule(rule, parameters, where)
    if "members" in known and "over" in known:
        problems.append(Problem.at(where, "Expected either `members` or `over`, but got both."))
    problems += _check_entries(known.get("members"), members, f"{where}.members", nearest_of=_groups(members))
    return problems + _check_entries(known.get("over"), members, f"{where}.over", nearest_of={})


def _check_rule(rule: str, parameters: Mapping[str, Any], where: str) -> list[Problem]:
    problems = check_component(rule, parameters, RULES, where, key="rule")
    if not problems:
        try:  # Rules are cheap to build, and some parameters are valid only together.
            RULES.build(rule, **bind(rule, parameters, RULES, where, key="rule"))
        except InputError as error:
            problems.append(Problem.at(where, str(error)))
    return problems


def _check_shape(node: Mapping[str, Any], where: str) -> list[Problem]:
    try:
        NodeSpec.model_validate(node)
    except ValidationError as error:
        return problems_of(error, node, where)
    return []


def _check_entries(entries: Any, members: Groups, where: str, *, nearest_of: Groups) -> list[Problem]:
    """Names that are none, or are given twice; `nearest_of` holds the groups that may stand beside members."""
    if not isinstance(entries, list):
        return []
    problems = []
    names = [entry for entry in entries if isinstance(entry, str)]
    for row, entry in enumerate(entries):
        if isinstance(entry, str) and entry not in members and entry not in nearest_of:
            problems.append(Problem.at(f"{where}[{row}]", _unknown(entry, members, nearest_of)))
    for name, count in Counter(names).items():
        if count > 1:
            problems.append(Problem.at(where, f"Expected each name once, but got {name!r} {count} times."))
    return problems


def _unknown(entry: str, members: Groups, groups: Groups) -> str:
    if entry in _groups(members):
        return (
            f"Expected a member or a node in `over`, but got the group {entry!r}. "
            f"Write `members: [{entry}]`, or a node `{{rule: mean, members: [{entry}]}}`."
        )
    kinds = "a member or a group" if groups else "a member"
    return f"Expected {kinds}, but got {entry!r}. {nearest(entry, {*members, *groups})}"


def _check_names(nodes: Sequence[tuple[str, Any, int]], members: Groups, where: str) -> list[Problem]:
    """Names that more than one node, a node and a member, or a member and a group share."""
    problems = []
    first: dict[str, str] = dict.fromkeys(members, "a member")
    for place, node, _ in nodes:
        name = node.get("name") if isinstance(node, Mapping) else None
        if isinstance(name, str) and name in first:
            message = f"Expected a name of its own for the node, but {name!r} is the name of {first[name]}."
            problems.append(Problem.at(f"{place}.name", message))
        elif isinstance(name, str):
            first[name] = f"the node `{place}`"
    for group, names in _groups(members).items():
        if group in members and list(names) != [group]:
            message = f"Expected different names for members and groups, but {group!r} is both."
            problems.append(Problem.at(where, message))
    return problems


def _groups(members: Groups) -> dict[str, list[str]]:
    """Members of every group, in order."""
    groups: dict[str, list[str]] = {}
    for member, names in members.items():
        for group in names:
            groups.setdefault(group, []).append(member)
    return groups


def _resolve(tree: Mapping[str, Any], members: Groups, *, taken: set[str], where: str) -> CommitteeNode:
    spec = NodeSpec.model_validate(dict(tree))
    over: tuple[CommitteeNode | str, ...] = tuple(members)
    if spec.over:
        over = tuple(
            child if isinstance(child, str) else _resolve(child, members, taken=taken, where=f"{where}.over[{row}]")
            for row, child in enumerate(spec.over)
        )
    elif spec.members:
        groups = _groups(members)
        chosen = {name for entry in spec.members for name in ([entry] if entry in members else groups[entry])}
        over = tuple(name for name in members if name in chosen)
    parameters = bind(spec.rule, spec.model_extra or {}, RULES, where, key="rule")
    name = spec.name or _free_name(spec, over, taken)
    if "members" in spec.calibrate:
        over = tuple(_calibrated(child, f"{_name_of(child)}@{name}", taken) for child in over)
    if "fused" not in spec.calibrate:
        return CommitteeNode(name=name, rule=spec.rule, parameters=parameters, over=over)
    raw = CommitteeNode(name=_free(f"{name}@raw", taken), rule=spec.rule, parameters=parameters, over=over)
    return CommitteeNode(name=name, rule="temperature", parameters={}, over=(raw,))


def _calibrated(child: CommitteeNode | str, name: str, taken: set[str]) -> CommitteeNode:
    return CommitteeNode(name=_free(name, taken), rule="temperature", parameters={}, over=(child,))


def _name_of(child: CommitteeNode | str) -> str:
    return child if isinstance(child, str) else child.name


def _free_name(spec: NodeSpec, over: tuple[CommitteeNode | str, ...], taken: set[str]) -> str:
    """A name that says what the node fuses: its groups, its children, or "all"; numbered if that is taken."""
    return _free("+".join(spec.members or ([_name_of(c) for c in over] if spec.over else ["all"])), taken)


def _free(base: str, taken: set[str]) -> str:
    """The name itself, or with a number if it is taken."""
    numbered = (base if n == 1 else f"{base}#{n}" for n in range(1, len(taken) + 2))
    name = next(candidate for candidate in numbered if candidate not in taken)
    taken.add(name)
    return name
