"""Test-time views of a face: which small distortions it is looked at through, and how their answers are fused.

Plans the views as affine matrices and fuses their probabilities; whoever holds the images warps them. A view depends
on the seed, the image's id and the view's number alone, so batch size, order and worker count never change an answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.rules import RULES, Probs, check_probs

__all__ = ["FUSION_MODES", "FusionMode", "PerturbationPlan", "check_views", "fuse_views"]

FusionMode = Literal["mean_probability", "mean_logit", "hard_vote"]

FUSION_MODES: dict[FusionMode, str] = {
    "mean_probability": "mean",
    "mean_logit": "geometric_mean",
    "hard_vote": "majority_vote",
}
"""How views are fused, and the fusion rule that does it."""

MOST_VIEWS = 10_000
"""Beyond it the views of a single block of faces take gigabytes."""

# SplitMix64 (Steele, Lea & Flood, 2014): a bijective mix of a counter, hence the same numbers in any order.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
# Numbers set aside per view: a further kind of distortion will not change the views there are.
_DRAWS = 16


@dataclass(frozen=True, kw_only=True)
class PerturbationPlan:
    """How far the views of a face may differ from it.

    View 0 is the face itself, view 1 its exact mirror image (the best known pair). Every further view is rotated,
    shifted, zoomed and sheared at random about the centre, and the odd ones are mirrored too.

    Attributes:
        rotation: Largest rotation either way, in degrees.
        shift: Largest shift along each axis, as a share of the side: 0.06 of 48 pixels is 3 pixels.
        zoom: Largest zoom in or out: 0.08 scales by 1/1.08 to 1.08.
        shear: Largest horizontal shear, in pixels per pixel of height.
        flip: Mirror the odd views. Without it view 1 is drawn at random like the others.
        seed: Seed of all draws.
    """

    rotation: float = 10.0
    shift: float = 0.06
    zoom: float = 0.08
    shear: float = 0.05
    flip: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {"rotation": 180.0, "shift": 1.0, "zoom": 1.0, "shear": 1.0}
        for name in (field.name for field in fields(self) if field.name in limits):
            value = getattr(self, name)
            if not 0.0 <= value <= limits[name]:
                raise InputError(f"Expected `{name}` to be from 0 to {limits[name]:g}, but got {value}.")

    def matrices(self, ids: Sequence[str] | npt.NDArray[np.str_], views: int, size: int) -> npt.NDArray[np.float64]:
        """Forward affine matrices, from pixel coordinates of the face to those of the view.

        Pixel centres lie at whole coordinates, x before y, as `cv2.warpAffine(face, matrix, (size, size))` takes them
        without further flags. A sampler that asks where a pixel comes from needs the inverse.

        Args:
            ids: N image ids.
            views: Number of views, the face itself included; 1 means no perturbation.
            size: Side of the square faces in pixels.

        Returns:
            (N, views, 2, 3) matrices. The first views of a longer plan are the views of a shorter one.

        Raises:
            InputError: Fewer than 1 view.

        Example:
            >>> PerturbationPlan().matrices(["a"], views=2, size=48)[0, 1].tolist()
            [[-1.0, 0.0, 47.0], [0.0, 1.0, 0.0]]
        """
        check_views(views)
        numbers = np.arange(views)
        draws = _draws(ids, numbers, self.seed)  # (N, V, _DRAWS) in [-1, 1)
        draws[:, numbers <= (1 if self.flip else 0)] = 0.0  # the face itself and its mirror image are exact
        linear = self._linear(draws)  # (N, V, 2, 2)
        centre = (size - 1) / 2.0
        mirrored = (numbers % 2 == 1) & self.flip
        linear[:, mirrored, 0, :] *= -1.0
        middle = np.full(2, centre)
        offset = middle - linear @ middle + self.shift * size * draws[..., 4:6]  # (N, V, 2)
        return np.concatenate([linear, offset[..., None]], axis=-1) + 0.0  # no negative zeros

    def _linear(self, draws: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Rotation · shear · zoom, (N, V, 2, 2)."""
        angle = np.deg2rad(self.rotation) * draws[..., 0]
        scale = (1.0 + self.zoom) ** draws[..., 1]
        shear = self.shear * draws[..., 2]
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        rows = [[cos, shear * cos - sin], [sin, shear * sin + cos]]
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def check_views(count: int, *, name: str = "tta") -> None:
    """Refuse a number of views that is none, or that no memory would hold.

    Raises:
        InputError: It is below 1 or above `MOST_VIEWS`.
    """
    if count < 1:
        raise InputError(f"Expected `{name}` to be at least 1, but got {count}. 1 means the face alone.")
    if count > MOST_VIEWS:
        raise InputError(f"Expected `{name}` to be at most {MOST_VIEWS:,}, but got {count}. Ten are plenty.")


def fuse_views(probs: npt.ArrayLike, mode: FusionMode = "mean_probability") -> Probs:
    """Fuse the probabilities of V views of each face.

    Args:
        probs: (V, N, K) probabilities.
        mode: `mean_probability`, `mean_logit` (their normalised geometric mean) or `hard_vote`.

    Returns:
        (N, K) probabilities; those of a single view are returned as they are, whatever the mode.

    Raises:
        InputError: The mode is none of these, or the probabilities are none.

    Example:
        >>> fuse_views([[[0.9, 0.1]], [[0.5, 0.5]]])
        array([[0.7, 0.3]])
    """
    if mode not in FUSION_MODES:
        raise InputError(f"Expected a mode of {', '.join(FUSION_MODES)}, but got {mode!r}.")
    checked = check_probs(probs)
    return checked[0].copy() if len(checked) == 1 else RULES.build(FUSION_MODES[mode])(checked)


def _draws(
    ids: Sequence[str] | npt.NDArray[np.str_], numbers: npt.NDArray[np.int64], seed: int
) -> npt.NDArray[np.float64]:
    """(N, V, _DRAWS) uniform numbers in [-1, 1) that depend on seed, id and view number alone."""
    digests = (hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest() for name in ids)
    keys = np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)  # (N,)
    counters = (numbers[:, None] * _DRAWS + np.arange(1, _DRAWS + 1)).astype(np.uint64)  # (V, _DRAWS)
    x = keys[:, None, None] + counters * _GAMMA  # wraps around at 2^64, as it should
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    x ^= x >> np.uint64(31)
    return np.asarray((x >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0)
