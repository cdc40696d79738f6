"""Perturbed views of faces, and a member's probabilities over them.

The plan of views is numpy's business (`ensemble.perturbation`); here the pixels are moved. All members of a committee
see the same views of a face.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ensemble.perturbation import PerturbationPlan
from pipelines.folded_member import FoldedMember
from pipelines.member import Member

__all__ = ["perturbed", "view_probabilities"]

_BLOCK = 256


def perturbed(
    faces: npt.NDArray[np.uint8], ids: Sequence[str], *, plan: PerturbationPlan, views: int
) -> npt.NDArray[np.uint8]:
    """All views of some faces.

    Args:
        faces: (N, H, W) or (N, H, W, 3) uint8.
        ids: N names; a face's views depend on its name and the plan's seed alone.
        plan: How faces are perturbed.
        views: Views per face; the first is the face itself.

    Returns:
        (N, views, H, W[, 3]) uint8.
    """
    result = np.empty((len(faces), views, *faces.shape[1:]), np.uint8)
    result[:, 0] = faces
    if views == 1:
        return result
    size = faces.shape[1]
    matrices = plan.matrices(ids, views, size)  # (N, views, 2, 3)
    for row, face in enumerate(faces):
        for view in range(1, views):
            result[row, view] = cv2.warpAffine(
                face, matrices[row, view], (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
    return result


def view_probabilities(
    member: Member | FoldedMember,
    faces: npt.NDArray[np.uint8],
    ids: Sequence[str],
    *,
    plan: PerturbationPlan,
    views: int,
    advance: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.float64]:
    """A member's probabilities of every view of every face: (V, N, K)."""
    blocks = []
    for start, stop in _blocks(len(faces)):
        block = perturbed(np.ascontiguousarray(faces[start:stop]), ids[start:stop], plan=plan, views=views)
        flat = block.reshape(-1, *block.shape[2:])  # (N·V, H, W[, 3])
        probs = member.probabilities(flat).reshape(stop - start, views, -1)
        blocks.append(probs.transpose(1, 0, 2))
        if advance:
            advance(stop, len(faces))
    return np.concatenate(blocks, axis=1)


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, _BLOCK):
        yield start, min(start + _BLOCK, count)
