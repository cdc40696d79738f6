"""What each member is worth to a committee: leaving members out, adding them, and the best committee of fewer.

Judges by the held-out NLL and accuracy of the same tree with fewer members. Knows no files and no networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backbones.errors import InputError
from ensemble.committee_spec import CommitteeNode
from ensemble.estimate import OutOfFold, nested_probs
from ensemble.fitted_node import Posteriors
from ensemble.metric import accuracy, nll
from ensemble.rules import Labels

__all__ = ["Step", "added_one_by_one", "left_out_one_by_one", "pruned", "without"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A committee of some members.

    Attributes:
        member: Who was left out or added to come here.
        members: Who is in it.
        accuracy: Held-out accuracy.
        nll: Held-out negative log-likelihood.
    """

    member: str
    members: tuple[str, ...]
    accuracy: float
    nll: float


def without(node: CommitteeNode, member: str) -> CommitteeNode | None:
    """The tree without a member; nodes that fuse nothing any more go too. None if nothing is left."""
    over: list[CommitteeNode | str] = []
    for child in node.over:
        if isinstance(child, CommitteeNode):
            smaller = without(child, member)
            over += [smaller] if smaller is not None else []
        elif child != member:
            over.append(child)
    return replace(node, over=tuple(over), grouped_by=_grouped_by(node, member)) if over else None


def _grouped_by(node: CommitteeNode, member: str) -> Mapping[str, Any] | None:
    """What the node's groups came from, without the member."""
    if node.grouped_by is None or "groups" not in node.grouped_by:
        return node.grouped_by
    groups = {name: [m for m in own if m != member] for name, own in node.grouped_by["groups"].items()}
    return {**node.grouped_by, "groups": {name: own for name, own in groups.items() if own}}


def left_out_one_by_one(
    node: CommitteeNode,
    posteriors: Posteriors,
    labels: Labels,
    *,
    folds: int = 10,
    seed: int = 0,
    fit_on: OutOfFold | None = None,
) -> list[Step]:
    """The committee without each of its members in turn, in the tree's order; empty for a single member.

    Args:
        node: The resolved tree.
        posteriors: (N, K) probabilities by member.
        labels: (N,) true class indices.
        folds: Folds of the nested estimate.
        seed: Seed of the folds.
        fit_on: Training faces to fit on; None cross-fits on the faces themselves.
    """
    steps = []
    for member in node.members:
        smaller = without(node, member)
        if smaller is not None:
            steps.append(_step(smaller, member, posteriors, labels, folds, seed, fit_on))
    return steps


def added_one_by_one(
    node: CommitteeNode,
    posteriors: Posteriors,
    labels: Labels,
    *,
    folds: int = 10,
    seed: int = 0,
    fit_on: OutOfFold | None = None,
) -> list[Step]:
    """The committee of the best member alone, of the best two, and so on, in the order of their own NLL."""
    order = sorted(node.members, key=lambda name: (nll(posteriors[name], labels), name))
    steps = []
    for count in range(1, len(order) + 1):
        smaller = _only(node, order[:count])
        steps.append(_step(smaller, order[count - 1], posteriors, labels, folds, seed, fit_on))
    return steps


def pruned(
    node: CommitteeNode,
    posteriors: Posteriors,
    labels: Labels,
    *,
    count: int | None = None,
    budget: float | None = None,
    costs: Mapping[str, float] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> tuple[CommitteeNode, list[Step]]:
    """Leave members out, one after the other, until the committee is as small or as cheap as wanted.

    Backward elimination: each time the member goes whose absence costs the least held-out NLL; under a budget, the
    least per unit of cost saved, but none without which no other would fit. Once within bounds, members go on leaving
    as long as the NLL falls without them.

    Args:
        node: The resolved tree.
        posteriors: (N, K) probabilities by member.
        labels: (N,) true class indices.
        count: Most members that may stay.
        budget: Most that the members together may cost.
        costs: Cost of every member, e.g. milliseconds a face; needed with a budget.
        folds: Folds of the nested estimates.
        seed: Seed of the folds.

    Returns:
        The smaller tree, and the steps that led to it.

    Raises:
        InputError: No member would be left.
    """
    price = dict.fromkeys(node.members, 1.0) if costs is None else {name: costs[name] for name in node.members}
    if (count is not None and count < 1) or (budget is not None and not min(price.values()) <= budget):
        cheapest = min(price, key=lambda name: price[name])
        raise InputError(
            f"Expected room for at least one member, but got {count if budget is None else f'{budget:g}'}. "
            f"The cheapest, `{cheapest}`, costs {price[cheapest]:.3g}."
        )
    current = nll(nested_probs(node, posteriors, labels, folds=folds, seed=seed), labels)
    steps: list[Step] = []
    while len(node.members) > 1:
        fits = _within(node.members, count, budget, price)
        choices = [
            step for step in left_out_one_by_one(node, posteriors, labels, folds=folds, seed=seed)
            if budget is None or min(price[name] for name in step.members) <= budget
        ]  # fmt: skip
        # Under a budget a dear member may go for a little more NLL than a cheap one.
        best = min(choices, key=lambda s: ((s.nll - current) / (price[s.member] if not fits else 1.0), s.member))
        if fits and best.nll >= current:
            break
        smaller = without(node, best.member)
        assert smaller is not None
        node, current = smaller, best.nll
        steps.append(best)
    return node, steps


def _within(members: Sequence[str], count: int | None, budget: float | None, price: Mapping[str, float]) -> bool:
    total = float(np.sum([price[name] for name in members]))
    return (count is None or len(members) <= count) and (budget is None or total <= budget)


def _only(node: CommitteeNode, members: Sequence[str]) -> CommitteeNode:
    for member in node.members:
        if member not in members:
            smaller = without(node, member)
            assert smaller is not None
            node = smaller
    return node


def _step(
    node: CommitteeNode, member: str, posteriors: Posteriors, labels: Labels, folds: int, seed: int,
    fit_on: OutOfFold | None,
) -> Step:  # fmt: skip
    probs = nested_probs(node, posteriors, labels, folds=folds, seed=seed, fit_on=fit_on)
    return Step(member=member, members=node.members, accuracy=accuracy(probs, labels), nll=nll(probs, labels))
