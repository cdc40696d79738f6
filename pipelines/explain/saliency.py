"""Maps of all members and of their committee over the same faces, on the faces' own pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ensemble.committee import Committee
from pipelines.explain.attribution import Answers, grad_cam, occlude, occlusion_window
from pipelines.explain.map_layer import MapLayer, map_layers
from pipelines.explain.subject import ClassScores, Subject, network_input, on_face_grid
from pipelines.member import Member

__all__ = ["CamMaps", "OcclusionMaps", "gradcam_maps", "occlusion_maps"]

Maps = npt.NDArray[np.float64]

_CELLS = 4
"""Least side of a map for Grad-CAM: smaller ones point nowhere."""


@dataclass(frozen=True, kw_only=True)
class CamMaps:
    """One member's Grad-CAM.

    Attributes:
        maps: (N, H, W) on the face's pixels, before the ReLU; NaN where the network does not look.
        layer: The layer that was taken, in words.
    """

    maps: Maps
    layer: str


def gradcam_maps(subject: Subject, faces: npt.NDArray[np.uint8], target: npt.NDArray[np.int64]) -> CamMaps | str:
    """Grad-CAM of a member at its last map of at least 4×4 cells that the score depends on, the mean of its copies.

    Returns:
        The maps; or, where the network has no such map, the reason in words.
    """
    results, layer = [], None
    for copy in subject.copies:
        layer, maps = _gradcam(copy, faces, target)
        if layer is None:
            return f"the backbone `{subject.backbone}` has no convolutional map"
        results.append(maps)
    return CamMaps(maps=np.mean(results, axis=0), layer=str(layer))


def _gradcam(
    member: Member, faces: npt.NDArray[np.uint8], target: npt.NDArray[np.int64]
) -> tuple[MapLayer | None, Maps]:
    x, classes = network_input(member, faces), torch.from_numpy(target)
    scores = ClassScores(member.network, member.class_map)
    layer, maps = None, torch.zeros(len(x), 1, 1)
    layers = map_layers(member.network, x)
    large = [one for one in layers if min(one.shape[1:]) >= _CELLS]
    rest = [one for one in layers if one not in large and min(one.shape[1:]) > 1]
    for layer in (*reversed(large), *reversed(rest)):
        maps = grad_cam(scores, layer, x, classes)
        if bool(maps.abs().sum() > 0):  # patch tokens behind a transformer's last mixing have no say
            break
    return layer, on_face_grid(maps, member.input_layer, faces.shape[1])


class _Recorder:
    """Asks a member, and keeps what it says in order."""

    def __init__(self, answers: Answers, advance: Callable[[int], None]) -> None:
        self.answers, self.advance, self.kept = answers, advance, list[Maps]()

    def __call__(self, faces: npt.NDArray[np.uint8]) -> Maps:
        probs = self.answers(faces)
        self.kept.append(probs)
        self.advance(len(faces))
        return probs


@dataclass(frozen=True, kw_only=True)
class OcclusionMaps:
    """Occlusion maps.

    Attributes:
        members: (N, H, W) probability lost, by member.
        committee: The same of the committee; None if a member without a network keeps silent.
        window: Side of the grey square in pixels.
        stride: Its step.
    """

    members: Mapping[str, Maps]
    committee: Maps | None
    window: int
    stride: int


def occlusion_maps(
    subjects: Sequence[Subject],
    faces: npt.NDArray[np.uint8],
    target: npt.NDArray[np.int64],
    *,
    committee: Committee | None,
    outside: Mapping[str, npt.NDArray[np.float64]],
    advance: Callable[[int], None] = lambda rows: None,
) -> OcclusionMaps:
    """Occlusion of every member, and of the committee without asking any member twice.

    All members see the same hidden faces in the same order, so the committee's map comes from their kept answers, by
    its own rules. Members without a network say what they say of the whole face.

    Args:
        subjects: The members.
        faces: (N, H, W[, 3]) uint8.
        target: (N,) class of each face.
        committee: Its fitted rules; None for no committee's map.
        outside: (N, K) probabilities of members without a network.
        advance: Told the number of faces asked for.
    """
    window, stride = occlusion_window(faces.shape[1])
    maps, kept = {}, {}
    for subject in subjects:
        recorder = _Recorder(subject.member.probabilities, advance)
        maps[subject.name] = occlude(recorder, faces, target, window=window, stride=stride)
        kept[subject.name] = recorder.kept
    if committee is None or not set(committee.members) <= {*kept, *outside}:
        return OcclusionMaps(members=maps, committee=None, window=window, stride=stride)
    blocks = iter(range(len(next(iter(kept.values())))))

    def fused(hidden: npt.NDArray[np.uint8]) -> Maps:
        block, times = next(blocks), len(hidden) // len(faces)
        posteriors = {name: rows[block] for name, rows in kept.items()}
        posteriors |= {name: np.tile(probs, (times, 1)) for name, probs in outside.items()}
        return committee(posteriors)

    own = occlude(fused, faces, target, window=window, stride=stride)
    return OcclusionMaps(members=maps, committee=own, window=window, stride=stride)
