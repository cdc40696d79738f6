"""A member, or a committee, as one torch module from uint8 faces to probabilities: what is exported.

Networks and input layers are the product's own; what torch's exporter cannot follow is replaced by its equal here.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from backbones.layer.fractional_pool import FractionalMaxPool2d
from ensemble.class_map import ClassMap
from ensemble.committee import Committee
from ensemble.fitted_node import FittedNode
from ensemble.metric import FLOOR
from pipelines.export.rule_graph import at_temperature, rule_graph
from pipelines.folded_member import FoldedMember
from pipelines.member import Member

__all__ = ["CommitteeGraph", "MemberGraph"]


class MemberGraph(nn.Module):
    """A member's probabilities: (N, C, S, S) uint8 to (N, K) float32, the mean over its copies if it has several.

    Args:
        member: The member, which stays as it is.
    """

    def __init__(self, member: Member | FoldedMember) -> None:
        super().__init__()
        copies = member.copies if isinstance(member, FoldedMember) else (member,)
        self.copies = nn.ModuleList(_NetworkGraph(own) for own in copies)

    def forward(self, faces: Tensor) -> Tensor:
        """(N, C, S, S) uint8 to (N, K)."""
        probs = [own(faces) for own in self.copies]
        return probs[0] if len(probs) == 1 else torch.stack(probs).mean(dim=0)


class CommitteeGraph(nn.Module):
    """What a committee and its members say of faces.

    Args:
        members: One per name.
        names: The members' names.
        committee: The fitted rules.

    Raises:
        InputError: A rule has no formula in tensors.
    """

    def __init__(self, members: Sequence[nn.Module], names: Sequence[str], committee: Committee) -> None:
        super().__init__()
        self.root = _NodeGraph(committee.root, names)
        self.members = nn.ModuleList(members)
        self.temperature = committee.temperature

    def forward(self, faces: Tensor) -> tuple[Tensor, ...]:
        """(N, C, S, S) uint8 to (N, K) probabilities, the same calibrated if there is a temperature, and (N, M, K)."""
        own = torch.stack([member(faces) for member in self.members])  # (M, N, K)
        probs = self.root(own)
        calibrated = () if self.temperature is None else (at_temperature(probs, self.temperature),)
        return probs, *calibrated, own.transpose(0, 1)


class _NetworkGraph(nn.Module):
    def __init__(self, member: Member) -> None:
        super().__init__()
        self.input_layer = copy.deepcopy(member.input_layer)
        self.network = copy.deepcopy(member.network).eval().to(memory_format=torch.contiguous_format)
        self.joined = None if member.class_map is None else _ClassMapGraph(member.class_map)
        size = (member.spec.input.channels, self.input_layer.size, self.input_layer.size)
        _fix_pools(self.network, torch.zeros(1, *size))

    def forward(self, faces: Tensor) -> Tensor:
        # (N, 1, S, S) -> (N, S, S), (N, 3, S, S) -> (N, S, S, 3)
        shown = faces[:, 0] if faces.shape[1] == 1 else faces.permute(0, 2, 3, 1)
        probs: Tensor = self.network(self.input_layer(shown)).softmax(dim=1)
        return probs if self.joined is None else self.joined(probs)


class _ClassMapGraph(nn.Module):
    """(N, K) probabilities of the classes of a network to (N, K') of those wanted, as `ClassMap.probabilities`."""

    joins: Tensor

    def __init__(self, class_map: ClassMap) -> None:
        super().__init__()
        joins = torch.zeros(len(class_map.source), len(class_map.target))
        for column, row in enumerate(class_map.index):
            if row >= 0:
                joins[column, row] = 1.0
        self.register_buffer("joins", joins)

    def forward(self, probs: Tensor) -> Tensor:
        sums = probs @ self.joins
        kept = sums.sum(dim=1, keepdim=True)
        return torch.where(kept < FLOOR, 1.0 / sums.shape[1], sums / kept.clamp_min(FLOOR))


class _NodeGraph(nn.Module):
    """A node of the tree: a rule over members, by their places in `names`, and over nodes below it."""

    def __init__(self, fitted: FittedNode, names: Sequence[str]) -> None:
        super().__init__()
        self.rule = rule_graph(fitted.rule)
        self.nodes = nn.ModuleList(_NodeGraph(child, names) for child in fitted.over if isinstance(child, FittedNode))
        self.places = [list(names).index(child) if isinstance(child, str) else None for child in fitted.over]

    def forward(self, own: Tensor) -> Tensor:
        below = iter(self.nodes)
        voters = [next(below)(own) if place is None else own[place] for place in self.places]
        fused: Tensor = self.rule(torch.stack(voters))
        return fused


def _fix_pools(network: nn.Module, x: Tensor) -> None:
    """Put pools with fixed regions in place of those that draw them, which they do by the size of what they see."""
    sizes: dict[str, tuple[int, int]] = {}

    def watch(name: str, pool: nn.Module) -> None:
        pool.register_forward_pre_hook(lambda _, given: sizes.update({name: tuple(given[0].shape[2:])}))

    pools = {name: one for name, one in network.named_modules() if isinstance(one, FractionalMaxPool2d)}
    if not pools:
        return
    for name, pool in pools.items():
        watch(name, pool)
    with torch.no_grad():
        network(x)
    for name, pool in pools.items():
        network.set_submodule(name, pool.fixed(*sizes[name]))
