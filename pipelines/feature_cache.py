"""Features of a frozen backbone: computed once per face and view, kept as a memory-mapped file.

The computation is resumable, and what is damaged is computed anew. Of members that need the same features at the same
time one computes them, and the others wait for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from backbones.network import Network
from ensemble.canonical import digest_of
from ensemble.faces import Faces
from pipelines.block_file import BlockFile, open_or_make
from pipelines.forward import forward_all
from pipelines.member import Member

__all__ = ["cached_features"]

_BLOCK = 512
_VERSION = 2


class _Features(nn.Module):
    """The part of the network below the head."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network.features(x)


def cached_features(
    member: Member,
    faces: Faces,
    *,
    mirrored: bool,
    cache: Path,
    advance: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """Features of all faces, from the cache if they are there.

    Args:
        member: A member whose whole backbone is frozen.
        faces: The faces of one split.
        mirrored: Whether to add the mirror image of every face as a second view.
        cache: Folder of the cache.
        advance: Told (rows done, rows in all).

    Returns:
        (V, N, F) float32, memory-mapped; V is 1, or 2 with mirror images.
    """
    views = 2 if mirrored else 1
    path = cache / "features" / f"{_key(member, faces, views)}.npy"
    features = open_or_make(path, lambda: _compute(member, faces, views, path, advance), guard=path.with_suffix(""))
    return features.reshape(views, len(faces), -1)


def _compute(member: Member, faces: Faces, views: int, path: Path, advance: Callable[[int, int], None] | None) -> None:
    features = _Features(member.network)
    width = forward_all(features, faces.images[:1], device=member.device, prepare=member.input_layer).shape[1]
    store = BlockFile(path, shape=(views * len(faces), width), dtype=np.float32, block=_BLOCK)
    for start, stop in store.missing():
        rows = np.arange(start, stop)
        block = np.stack([_view(faces.images[r % len(faces)], mirrored=bool(r >= len(faces))) for r in rows])
        store.write(start, forward_all(features, block, device=member.device, prepare=member.input_layer))
        if advance:
            advance(stop, views * len(faces))
    store.finish()


def _view(face: npt.NDArray[np.uint8], *, mirrored: bool) -> npt.NDArray[np.uint8]:
    return face[:, ::-1] if mirrored else face


def _digest_state(backbone: nn.Module) -> str:
    """Digest of all its tensors: members whose frozen backbones are the same share features, whatever their seeds."""
    digest = hashlib.blake2b(digest_size=32)
    for name, tensor in backbone.state_dict().items():
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _key(member: Member, faces: Faces, views: int) -> str:
    spec = member.spec
    head_kind = {"attach": member.network.head.attach}
    return digest_of({
        "version": _VERSION,
        "backbone": spec.backbone.model_dump(mode="json"),
        "state": _digest_state(member.network.backbone),
        "input": spec.input.model_dump(mode="json"),
        "input_state": member.input_layer.state(),
        "head": head_kind,
        "faces": [faces.digest, faces.order_digest, faces.split],
        "views": views,
        "device": member.device.type,
    })  # fmt: skip
