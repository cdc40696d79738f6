"""A network is a backbone and a head; here they meet.

Owns where the head attaches, the order in which weights are loaded, inherited and dropped, and that frozen stages rest
during training. Knows the registries, but nothing of data, losses or training.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from backbones.contract import Backbone, Head, InputShape, Tap
from backbones.freeze import rest_batch_norm, rest_frozen
from backbones.registry import BACKBONES, HEADS
from backbones.weights import LoadReport, load_weights

__all__ = ["Network", "build_network"]


class Network(nn.Module):
    """A backbone, and the head on its map or on its feature vector.

    Attaching is final: the head takes over what it can inherit, then the layers it replaces are dropped. So the
    backbone must have its weights by then.

    Args:
        backbone: With its weights.
        head: Built for the length of what it attaches to.

    Attributes:
        keeps_statistics: Whether the backbone's batch normalisation rests in training, in stages that learn as well.
    """

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.keeps_statistics = False
        head.inherit(backbone)
        if head.attach == "conv":
            backbone.discard_features()

    def features(self, x: Tensor) -> Tensor:
        """(B, channels, size, size) to what the head sees: the flattened map or the feature vector (B, features)."""
        if self.head.attach == "conv":
            return self.backbone.forward_map(x).flatten(1)  # (B, C, H, W) -> (B, C·H·W)
        features: Tensor = self.backbone(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, size, size) to logits (B, classes)."""
        logits: Tensor = self.head(self.features(x))
        return logits

    def train(self, mode: bool = True) -> Self:
        """Switch to training or eval mode; frozen stages, and statistics that are kept, stay in eval mode."""
        super().train(mode)
        if mode:
            rest_frozen(self.backbone)
            if self.keeps_statistics:
                rest_batch_norm(self.backbone)
        return self


def build_network(
    *,
    backbone: tuple[str, Mapping[str, Any]],
    head: tuple[str, Mapping[str, Any]],
    shape: InputShape,
    classes: int,
    weights: Path | None = None,
    minimum: float = 0.9,
    pretrained: bool = True,
) -> tuple[Network, LoadReport | None]:
    """Build a network from registry names and parameters, with its pretrained weights.

    Args:
        backbone: Registry name and YAML parameters.
        head: Registry name and YAML parameters.
        shape: Input of the network.
        classes: Number of classes.
        weights: File that fills the backbone.
        minimum: Least share of the backbone's parameters that the file must fill.
        pretrained: False where a saved state is loaded next: then no weights are read, neither from `weights` nor from
            a local cache, and the network has the same parameters nevertheless.

    Returns:
        The network, and what became of the weights file if one was read.

    Raises:
        InputError: A name is unknown, a parameter does not suit the input, or the weights do not fit.

    Example:
        >>> network, report = build_network(
        ...     backbone=("scratch_cnn", {"blocks": [{"filters": 8}], "pooling": "average"}),
        ...     head=("linear", {}),
        ...     shape=InputShape(channels=1, size=16),
        ...     classes=7,
        ... )
        >>> network.head.logits.weight.shape, report
        (torch.Size([7, 8]), None)
    """
    name, parameters = backbone
    if not pretrained and "pretrained" in BACKBONES.describe(name).parameters:
        parameters = {**parameters, "pretrained": False}
    body: Backbone = BACKBONES.build(name, shape, **parameters)
    kind, options = head
    attach: Tap = options.get("attach", HEADS.get(kind).attach)
    report = load_weights(body, weights, minimum, used=_used(body, attach)) if weights and pretrained else None
    length = math.prod(body.map_shape) if attach == "conv" else body.num_features
    return Network(body, HEADS.build(kind, length, classes, **options)), report


def _used(backbone: Backbone, attach: Tap) -> frozenset[str] | None:
    """Names of the parameters that are left once the head is attached; None for all."""
    if attach != "conv":
        return None
    rest = copy.deepcopy(backbone)
    rest.discard_features()
    return frozenset(name for name, _ in rest.named_parameters())
