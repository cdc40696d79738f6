"""Groups members by what they are or by what they say: the backbone's family, the input, how often they disagree.

Owns which member falls into which group, and why. Knows specs and predicted classes; no labels, rules or files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ensemble.comparison import disagreement
from ensemble.spec import ComponentSpec, InputSpec, MemberSpec

__all__ = ["Evidence", "Grouping", "by_disagreement", "by_trait", "family_of", "input_of", "traits_of"]

Votes = Mapping[str, npt.NDArray[np.int64]]

# The letters before a digit, a version or a separator; ports and deprecated names of timm say so in front.
_FAMILY = re.compile(r"(?:(?:tf|legacy)_)?([a-z]+?)(?=v?\d|[^a-z]|$)")

_DIGITS = 12
"""Silhouettes that agree to so many digits are a tie, whatever the order in which they were added up."""


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Which member belongs to which group.

    Attributes:
        criterion: `family`, `input` or `disagreement`.
        groups: Members of every group; each member is in one.
        reasons: What decided, as JSON would hold it.
    """

    criterion: str
    groups: Mapping[str, tuple[str, ...]]
    reasons: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """What a stored committee says of its groups."""
        groups = {label: list(members) for label, members in self.groups.items()}
        return {"criterion": self.criterion, **self.reasons, "groups": groups}


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of the members when their groups are asked for.

    Attributes:
        traits: The trait of every member by criterion, from `traits_of`.
        votes: (N,) predicted class indices by member, once there are any.
    """

    traits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    votes: Votes | None = None

    def group(self, criterion: str, members: Sequence[str], count: int | None) -> Grouping | None:
        """The members' groups; None as long as not enough is known.

        Args:
            criterion: `family`, `input` or `disagreement`.
            members: Their names; groups keep this order.
            count: Number of groups, for `disagreement`; None lets the silhouette decide.
        """
        if criterion in self.traits:
            return by_trait(criterion, {name: self.traits[criterion][name] for name in members})
        if criterion == "disagreement" and self.votes is not None:
            return by_disagreement({name: self.votes[name] for name in members}, count)
        return None


def traits_of(specs: Mapping[str, MemberSpec | None]) -> dict[str, dict[str, str]]:
    """The traits `family` and `input` of every member.

    Args:
        specs: What each member was trained from; None for a member known by its probabilities alone, which is a group
            of its own, since nothing says what it has in common with others.
    """
    alone = {name: f"outside:{name}" for name, spec in specs.items() if spec is None}
    known = {name: spec for name, spec in specs.items() if spec is not None}
    family = {name: family_of(spec.backbone) for name, spec in known.items()}
    shown = {name: input_of(spec.input) for name, spec in known.items()}
    return {
        "family": {name: alone.get(name) or family[name] for name in specs},
        "input": {name: alone.get(name) or shown[name] for name in specs},
    }


def family_of(backbone: ComponentSpec) -> str:
    """The backbone's kind; of a timm model the letters its name begins with, without a version.

    Example:
        >>> [family_of(ComponentSpec(kind="timm", model=m)) for m in ("resnet10t", "tf_mobilenetv3_small_100.in1k")]
        ['resnet', 'mobilenet']
        >>> family_of(ComponentSpec(kind="light_cnn", dropout=0.2))
        'light_cnn'
    """
    model = str(backbone.parameters.get("model", "")).lower().rpartition("/")[2]
    found = _FAMILY.match(model) if backbone.kind == "timm" else None
    return found[1] if found else backbone.kind


def input_of(spec: InputSpec) -> str:
    """Channels, size and normaliser, as written: `face` stands for the faces' own size, whatever it is.

    Example:
        >>> input_of(InputSpec(size=48)), input_of(InputSpec(normalize=ComponentSpec(kind="intensity", window=9)))
        ('1x48-mean_std', '1xface-intensity(window=9)')
    """
    given = ", ".join(f"{key}={value}" for key, value in sorted(spec.normalize.parameters.items()))
    return f"{spec.channels}x{spec.size or 'face'}-{spec.normalize.kind}{f'({given})' if given else ''}"


def by_trait(criterion: str, traits: Mapping[str, str]) -> Grouping:
    """Members of one trait make a group.

    Args:
        criterion: What the traits are.
        traits: The trait of every member.

    Example:
        >>> by_trait("family", {"a": "resnet", "b": "vit", "c": "resnet"}).groups
        {'resnet': ('a', 'c'), 'vit': ('b',)}
    """
    labels = dict.fromkeys(traits.values())
    groups = {label: tuple(name for name, trait in traits.items() if trait == label) for label in labels}
    return Grouping(criterion=criterion, groups=groups)


def by_disagreement(votes: Votes, count: int | None = None) -> Grouping:
    """Members that vote alike make a group.

    Average-linkage agglomerative clustering of the share of faces on which two members predict different classes. No
    label is looked at: the groups are the same whatever the faces' true classes, so that nothing of them leaks into
    the tree, and accuracies cross-fitted on the same faces stay honest.

    The number of groups is that of the largest mean silhouette (Rousseeuw, 1987, Silhouettes: a graphical aid to the
    interpretation and validation of cluster analysis) among 2 … M - 1, the smaller one of equals; if none is above 0,
    or with fewer than three members, all make one group. Neither the groups nor their numbers depend on the order of
    the members: equal distances are settled by name, and group 1 is that of the first name in the alphabet.

    Args:
        votes: (N,) predicted class indices by member.
        count: Number of groups instead, at most one per member.

    Example:
        >>> votes = {"a": [0, 1, 2, 3], "b": [0, 1, 2, 0], "c": [3, 3, 3, 3], "d": [3, 3, 3, 0]}
        >>> by_disagreement({name: np.array(own) for name, own in votes.items()}).groups
        {'1': ('a', 'b'), '2': ('c', 'd')}
    """
    names = sorted(votes)
    distances = disagreement(np.stack([votes[name] for name in names]))  # (M, M)
    reasons: dict[str, Any] = {"faces": len(votes[names[0]])}
    if count is None:
        silhouettes = {k: _silhouette(distances, _clusters(distances, k)) for k in range(2, len(names))}
        best = max(silhouettes, key=lambda k: silhouettes[k], default=1)  # the first, hence the smallest, of equals
        chosen = best if silhouettes.get(best, 0.0) > 0 else 1
        reasons["silhouettes"] = {str(k): value for k, value in silhouettes.items()}
    else:
        chosen = min(count, len(names))
        reasons["count"] = count
    cluster = dict(zip(names, _clusters(distances, chosen), strict=True))
    number = {label: str(row) for row, label in enumerate(dict.fromkeys(cluster.values()), start=1)}
    grouping = by_trait("disagreement", {name: number[cluster[name]] for name in votes})
    return Grouping(criterion="disagreement", groups=grouping.groups, reasons=reasons)


def _clusters(distances: npt.NDArray[np.float64], count: int) -> list[int]:
    """Cluster of every member, of so many clusters."""
    if count == 1:
        return [0] * len(distances)
    from sklearn.cluster import AgglomerativeClustering

    found = AgglomerativeClustering(n_clusters=count, metric="precomputed", linkage="average").fit(distances)
    return [int(label) for label in found.labels_]


def _silhouette(distances: npt.NDArray[np.float64], clusters: Sequence[int]) -> float:
    from sklearn.metrics import silhouette_score

    return round(float(silhouette_score(distances, clusters, metric="precomputed")), _DIGITS)
