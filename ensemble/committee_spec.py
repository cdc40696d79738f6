"""Resolves the committee as written in YAML: explicit members, all parameters, and a name for every node.

What is wrong with it is `committee_check`'s business. Knows nothing of probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backbones.errors import InputError
from ensemble.binding import bind
from ensemble.committee_check import MAX_DEPTH, Groups, check_committee, members_by_group, written_nodes
from ensemble.committee_node import DEFAULT_RULE, CommitteeNode, NodeSpec
from ensemble.grouping import Evidence, Grouping
from ensemble.rules import RULES

__all__ = [
    "DEFAULT_RULE",
    "MAX_DEPTH",
    "CommitteeNode",
    "NodeSpec",
    "asks_for_groups",
    "check_committee",
    "group_notes",
    "resolve_committee",
    "settle_groups",
]

_ASKED = ("groups", "within", "count", "calibrate")
"""What a node keeps as written until its groups are known."""


def resolve_committee(
    tree: Any, members: Groups, where: str = "committee", *, evidence: Evidence | None = None
) -> CommitteeNode:
    """The committee with explicit member lists, all parameters, and a name for every node.

    Args:
        tree: The mapping under `committee:`.
        members: Name of every member, with the groups it belongs to.
        where: Place of the tree, for messages.
        evidence: What `groups: …` can go by; groups that it does not tell stay pending.

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
    given = {node["name"] for _, node, _ in written_nodes(tree, where) if node.get("name")}
    return _Resolution(members, evidence or Evidence(), taken=given | set(members)).node(tree, where)


def settle_groups(node: CommitteeNode, evidence: Evidence) -> CommitteeNode:
    """A resolved tree with its pending groups known.

    Args:
        node: The tree.
        evidence: What the groups go by.
    """
    return resolve_committee(node.tree(), dict.fromkeys(node.members, ()), evidence=evidence)


def asks_for_groups(tree: Any) -> bool:
    """Whether a tree as written has a node with `groups`."""
    return any(isinstance(node, Mapping) and node.get("groups") for _, node, _ in written_nodes(tree, ""))


def group_notes(node: CommitteeNode) -> list[str]:
    """What the user should know of the groups that were asked for: where they make no tree."""
    notes = []
    for inner in node.walk():
        facts = inner.grouped_by or {}
        sizes = [len(names) for names in facts.get("groups", {}).values()]
        if len(sizes) == 1 or set(sizes) == {1}:
            reason = "all members are in one group" if len(sizes) == 1 else "every member is a group of its own"
            notes.append(f"committee: by {facts['criterion']} {reason}, so `{inner.rule}` fuses them flat")
    return notes


class _Resolution:
    """What the nodes of one tree share while they are resolved."""

    def __init__(self, members: Groups, evidence: Evidence, *, taken: set[str]) -> None:
        self.members, self.evidence, self.taken = members, evidence, taken

    def node(self, tree: Mapping[str, Any], where: str) -> CommitteeNode:
        spec = NodeSpec.model_validate(dict(tree))
        grouping = self._grouping(spec)
        parameters = bind(spec.rule, spec.model_extra or {}, RULES, where, key="rule")
        if spec.groups is not None and grouping is None:
            asked = {key: tree[key] for key in _ASKED if key in tree}
            name = spec.name or self.free(spec.groups)
            everyone = tuple(self.members)
            return CommitteeNode(name=name, rule=spec.rule, parameters=parameters, over=everyone, pending=asked)
        over = self._over(spec, where) if grouping is None else self._groups(grouping, spec, where)
        name = spec.name or self._free_name(spec, over)
        facts = grouping.facts() if grouping is not None else spec.grouped_by
        return self._calibrated(spec, CommitteeNode(
            name=name, rule=spec.rule, parameters=parameters, over=over, grouped_by=facts
        ))  # fmt: skip

    def _grouping(self, spec: NodeSpec) -> Grouping | None:
        if spec.groups is None:
            return None
        return self.evidence.group(spec.groups, tuple(self.members), spec.count)

    def _over(self, spec: NodeSpec, where: str) -> tuple[CommitteeNode | str, ...]:
        if spec.over:
            children = enumerate(spec.over)
            return tuple(c if isinstance(c, str) else self.node(c, f"{where}.over[{row}]") for row, c in children)
        if not spec.members:
            return tuple(self.members)
        groups = members_by_group(self.members)
        chosen = {name for entry in spec.members for name in ([entry] if entry in self.members else groups[entry])}
        return tuple(name for name in self.members if name in chosen)

    def _groups(self, grouping: Grouping, spec: NodeSpec, where: str) -> tuple[CommitteeNode | str, ...]:
        """A node for every group, the member itself where it is alone, and all members where they are one group."""
        if len(grouping.groups) == 1:
            return tuple(self.members)
        within = {"rule": spec.within} if isinstance(spec.within, str) else spec.within
        over: list[CommitteeNode | str] = []
        for label, names in grouping.groups.items():
            if len(names) == 1:
                over.append(names[0])
            else:
                name = self.free(f"{grouping.criterion}:{label}")
                over.append(self.node({**within, "name": name, "members": list(names)}, f"{where}.within"))
        return tuple(over)

    def _calibrated(self, spec: NodeSpec, node: CommitteeNode) -> CommitteeNode:
        """The node with the temperatures before and behind it that are asked for."""
        over = node.over
        if "members" in spec.calibrate:
            over = tuple(self._temperature(f"{_name_of(child)}@{node.name}", child) for child in over)
        name = self.free(f"{node.name}@raw") if "fused" in spec.calibrate else node.name
        inner = CommitteeNode(
            name=name, rule=node.rule, parameters=node.parameters, over=over, grouped_by=node.grouped_by
        )
        if "fused" not in spec.calibrate:
            return inner
        return CommitteeNode(name=node.name, rule="temperature", parameters={}, over=(inner,))

    def _temperature(self, name: str, child: CommitteeNode | str) -> CommitteeNode:
        return CommitteeNode(name=self.free(name), rule="temperature", parameters={}, over=(child,))

    def _free_name(self, spec: NodeSpec, over: tuple[CommitteeNode | str, ...]) -> str:
        """A name that says what the node fuses: its groups, its children, or "all"; numbered if that is taken."""
        names = [spec.groups] if spec.groups else spec.members or [_name_of(child) for child in over if spec.over]
        return self.free("+".join(names or ["all"]))

    def free(self, base: str) -> str:
        """The name itself, or with a number if it is taken; it is taken from now on."""
        numbered = (base if n == 1 else f"{base}#{n}" for n in range(1, len(self.taken) + 2))
        name = next(candidate for candidate in numbered if candidate not in self.taken)
        self.taken.add(name)
        return name


def _name_of(child: CommitteeNode | str) -> str:
    return child if isinstance(child, str) else child.name
