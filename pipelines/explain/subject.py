"""A member as something to explain: its networks, what they see of a face, and their scores of the committee's classes.

Knows the way from a face's pixels to the network's input and back, and nothing of methods or sheets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ensemble.class_map import ClassMap
from pipelines.folded_member import FoldedMember
from pipelines.image_file import to_face
from pipelines.input_layer import InputLayer
from pipelines.member import Member

__all__ = ["ClassScores", "Subject", "network_input", "on_face_grid"]


class ClassScores(nn.Module):
    """A member's network, answering for the committee's classes.

    Args:
        network: (B, channels, size, size) to logits (B, K).
        class_map: From the classes of the logits to the K' wanted; None if they are the same. Logits of classes that
            become the same one are joined by log-sum-exp, so softmax gives what `ClassMap.probabilities` gives.
    """

    def __init__(self, network: nn.Module, class_map: ClassMap | None = None) -> None:
        super().__init__()
        self.network, self.class_map = network, class_map

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, size, size) to scores before the softmax (B, K')."""
        logits: Tensor = self.network(x)
        if self.class_map is None:
            return logits
        index = torch.tensor(self.class_map.index, device=logits.device)
        columns = [logits[:, index == row].logsumexp(dim=1) for row in range(len(self.class_map.target))]
        return torch.stack(columns, dim=1)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A named member with networks.

    Attributes:
        name: The member's.
        member: Its network, or its copies if it was trained in folds.
    """

    name: str
    member: Member | FoldedMember

    @property
    def copies(self) -> tuple[Member, ...]:
        """Its networks: one, or one per fold. Pictures of a single network are of the first."""
        return self.member.copies if isinstance(self.member, FoldedMember) else (self.member,)

    @property
    def first(self) -> Member:
        """The first of its networks."""
        return self.copies[0]

    @property
    def backbone(self) -> str:
        """Registry name of its backbone."""
        return str(self.first.spec.backbone.kind)


def network_input(member: Member, faces: npt.NDArray[np.uint8]) -> Tensor:
    """(N, H, W[, 3]) uint8 faces of the committee to what the member's network sees (N, channels, size, size)."""
    member.network.eval()
    own = np.stack([to_face(face, member.face_size, member.face_channels) for face in faces])
    with torch.no_grad():
        x: Tensor = member.input_layer(torch.from_numpy(own).to(member.device))
    return x.contiguous(memory_format=torch.channels_last)


def on_face_grid(maps: Tensor, layer: InputLayer, face_size: int) -> npt.NDArray[np.float64]:
    """Bring maps over a network's input to the pixels of the face.

    Args:
        maps: (N, h, w), each cell covering its share of the input.
        layer: The input layer: it may have enlarged the face and cut out its centre.
        face_size: Side of the face in pixels.

    Returns:
        (N, face_size, face_size); NaN where the network sees nothing of the face.
    """
    seen, whole = layer.size, layer.resampled
    x = F.interpolate(maps[:, None].double(), size=(seen, seen), mode="bilinear", align_corners=False)
    margin = (whole - seen) // 2
    rest = whole - seen - margin
    pad = (margin, rest, margin, rest)
    shares = F.pad(torch.ones_like(x[:1]), pad)
    values, shares = (_resized(t, face_size) for t in (F.pad(x, pad), shares))
    result = torch.where(shares > 0.5, values / shares.clamp_min(1e-6), torch.nan)
    return np.asarray(result[:, 0].cpu().numpy())


def _resized(x: Tensor, side: int) -> Tensor:
    if x.shape[-1] == side:
        return x
    shrinks = x.shape[-1] > side
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False, antialias=shrinks)
