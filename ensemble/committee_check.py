"""Checks a committee as written in YAML and tells every mistake at once, with its place and the nearest valid name.

Knows rule names and their parameters from the registry, and member names from the caller; nothing of probabilities.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from backbones.errors import InputError, Problem, nearest
from ensemble.binding import bind, check_component, problems_of
from ensemble.committee_node import DEFAULT_RULE, NodeSpec
from ensemble.rules import RULES

__all__ = ["MAX_DEPTH", "Groups", "check_committee", "members_by_group", "written_nodes"]

MAX_DEPTH = 6
"""Levels of a tree, temperatures of one child not counted: those that are asked for are not written either."""

Groups = Mapping[str, Sequence[str]]

_CONTENTS = ("members", "over", "groups")
"""Keys that say what a node fuses."""

_WITHIN = ("rule", "calibrate")
"""Keys beside the rule's parameters under `within`; the rest of a node is decided by the groups."""


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
    nodes = list(written_nodes(tree, where))
    problems = [problem for place, node, depth in nodes for problem in _check_node(node, members, place, depth)]
    return problems + _check_names(nodes, members, where)


def written_nodes(
    tree: Any, where: str, depth: int = 0, above: frozenset[int] = frozenset()
) -> Iterator[tuple[str, Any, int]]:
    """Place, content and level of every node down to one level too deep, parents first.

    Args:
        tree: The node.
        where: Its place.
        depth: Level of its parent.
        above: Identities of the nodes above it: in a circle everything counts.
    """
    depth += id(tree) in above or not _is_scaling(tree)
    yield where, tree, depth
    over = tree.get("over") if isinstance(tree, Mapping) else None
    if isinstance(over, list) and depth <= MAX_DEPTH:
        for row, child in enumerate(over):
            if not isinstance(child, str):
                yield from written_nodes(child, f"{where}.over[{row}]", depth, above | {id(tree)})


def _is_scaling(node: Any) -> bool:
    """Whether a node is a temperature of one child, such as `calibrate` becomes when the tree is resolved."""
    if not isinstance(node, Mapping) or node.get("rule") != "temperature":
        return False
    over = node.get("over")
    return isinstance(over, list) and len(over) == 1


def members_by_group(members: Groups) -> dict[str, list[str]]:
    """Members of every group, in order."""
    groups: dict[str, list[str]] = {}
    for member, names in members.items():
        for group in names:
            groups.setdefault(group, []).append(member)
    return groups


def _check_node(node: Any, members: Groups, where: str, depth: int) -> list[Problem]:
    if depth > MAX_DEPTH:
        return [Problem.at(where, f"Expected a committee of at most {MAX_DEPTH} levels, but got a node below them.")]
    if not isinstance(node, Mapping):
        return [Problem.at(where, f"Expected `{where.rpartition('.')[2]}` to be a mapping, but got {node!r}.")]
    known = {str(key): value for key, value in node.items()}
    problems = _check_shape(known, where) + _check_rule(known, where)
    given = [key for key in _CONTENTS if known.get(key) is not None]
    if len(given) > 1:
        problems.append(Problem.at(where, _one_of(given)))
    problems += _check_groups(known, members, where, depth)
    groups = members_by_group(members)
    problems += _check_entries(known.get("members"), members, f"{where}.members", nearest_of=groups)
    return problems + _check_entries(known.get("over"), members, f"{where}.over", nearest_of={})


def _one_of(given: Sequence[str]) -> str:
    if given == ["members", "over"]:
        return "Expected either `members` or `over`, but got both."
    got = " and ".join(f"`{key}`" for key in given)
    return f"Expected one of `members`, `over` and `groups`, but got {got}."


def _check_shape(node: Mapping[str, Any], where: str) -> list[Problem]:
    try:
        NodeSpec.model_validate(node)
    except ValidationError as error:
        return problems_of(error, node, where)
    return []


def _check_rule(node: Mapping[str, Any], where: str) -> list[Problem]:
    """What is wrong with a node's rule and its parameters."""
    rule = node.get("rule", DEFAULT_RULE)
    if not isinstance(rule, str):
        return []  # told by the shape
    parameters = {key: value for key, value in node.items() if key not in NodeSpec.model_fields}
    problems = check_component(rule, parameters, RULES, where, key="rule")
    if not problems:
        try:  # Rules are cheap to build, and some parameters are valid only together.
            RULES.build(rule, **bind(rule, parameters, RULES, where, key="rule"))
        except InputError as error:
            problems.append(Problem.at(where, str(error)))
    return problems


def _check_groups(node: Mapping[str, Any], members: Groups, where: str, depth: int) -> list[Problem]:
    """What is wrong with groups that are asked for, beside their own values."""
    problems = []
    criterion, count = node.get("groups"), node.get("count")
    if count is not None and criterion != "disagreement":
        message = "Expected `count` only beside `groups: disagreement`, the other groups have a number of their own."
        problems.append(Problem.at(f"{where}.count", message))
    elif isinstance(count, int) and count > len(members):
        message = f"Expected `count` to be at most {len(members)}, the number of members, but got {count}."
        problems.append(Problem.at(f"{where}.count", message))
    if criterion is None:
        if "within" in node:
            message = "Expected `within` only beside `groups`. Write the rule of a node into the node itself."
            problems.append(Problem.at(f"{where}.within", message))
        return problems
    if depth == MAX_DEPTH:
        message = f"Expected a committee of at most {MAX_DEPTH} levels, but got groups below them."
        problems.append(Problem.at(where, message))
    return problems + _check_within(node.get("within"), f"{where}.within")


def _check_within(within: Any, where: str) -> list[Problem]:
    """What is wrong with the rule inside of groups."""
    if isinstance(within, str):
        parent, _, key = where.rpartition(".")
        return check_component(within, {}, RULES, parent, key=key)
    if not isinstance(within, Mapping):
        return []  # absent, or told by the node's shape
    known = {str(key): value for key, value in within.items()}
    foreign = [key for key in known if key in NodeSpec.model_fields and key not in _WITHIN]
    message = "Expected a rule, `calibrate` and parameters of the rule, but got `{}`: the groups decide that."
    problems = [Problem.at(f"{where}.{key}", message.format(key)) for key in foreign]
    own = {key: value for key, value in known.items() if key not in foreign}
    return problems + _check_shape(own, where) + _check_rule(own, where)


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
    if entry in members_by_group(members):
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
    for group, names in members_by_group(members).items():
        if group in members and list(names) != [group]:
            message = f"Expected different names for members and groups, but {group!r} is both."
            problems.append(Problem.at(where, message))
    return problems
