"""Training-time augmentation: the one module that knows albumentations.

Presets are named lists of transforms; a YAML list is the same in the open. Transforms act on the uint8 face at its own
size, before anything a member does to its input. Chains of the common transforms run on whole batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backbones.errors import InputError, Problem, nearest, reason_of
from ensemble.spec import ComponentSpec
from pipelines.environment import prepare_environment

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.batched_augmentation import BatchedChain

__all__ = ["PRESETS", "Augmentation", "batched_chain", "check_augment"]

_FLIP = {"kind": "HorizontalFlip", "p": 0.5}
_SHIFT = {"kind": "Affine", "translate_px": [-4, 4], "border_mode": 1, "p": 1.0}
_AFFINE = {
    "kind": "Affine",
    "rotate": [-15, 15],
    "scale": [0.8, 1.2],
    "translate_px": [-3, 3],
    "keep_ratio": True,
    "border_mode": 1,
    "p": 1.0,
}
_LIGHT = {"kind": "RandomBrightnessContrast", "brightness_limit": 0.2, "contrast_limit": 0.2, "p": 0.8}
_ERASE = {
    "kind": "CoarseDropout",
    "num_holes_range": [1, 1],
    "hole_height_range": [0.16, 0.38],
    "hole_width_range": [0.16, 0.38],
    "fill": "random_uniform",
    "p": 0.4,
}
# Zhai et al., 2017, enlarged their data set by adding random values to each of the three channels.
_CHANNEL_NOISE = {"kind": "GaussNoise", "std_range": [0.02, 0.08], "per_channel": True, "p": 0.8}

PRESETS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "none": (),
    "flip": (_FLIP,),
    "shift_flip": (_FLIP, _SHIFT),
    "affine": (_FLIP, _AFFINE),
    "strong": (_FLIP, _AFFINE, _LIGHT, _ERASE),
    "channel_noise": (_FLIP, _CHANNEL_NOISE),
}
"""Border pixels are repeated outwards; shifts are pixels of the face."""


def check_augment(augment: str | Sequence[ComponentSpec], where: str) -> list[Problem]:
    """Problems of an `augment:` value that can be told without loading the library."""
    if isinstance(augment, str) and augment not in PRESETS:
        message = f"Expected the name of a preset or a list of transforms, but got {augment!r}. "
        return [Problem.at(where, message + nearest(augment, PRESETS))]
    return []


def batched_chain(augment: str | Sequence[ComponentSpec]) -> BatchedChain | None:
    """The transforms as a chain for whole batches; None if there are none, or albumentations has to apply them.

    Raises:
        InputError: The preset does not exist.
    """
    from pipelines.batched_augmentation import BatchedChain  # torch's, which checking a preset's name does without

    steps = _steps(augment)
    return BatchedChain.of(steps) if steps else None


class Augmentation:
    """A seeded chain of transforms.

    Args:
        augment: Name of a preset, or the transforms: albumentations class names and keyword parameters.

    Raises:
        InputError: The preset or a transform does not exist, or the library refuses its parameters.

    Attributes:
        batched: The chain, where all its transforms are such that can be applied to whole batches.
    """

    def __init__(self, augment: str | Sequence[ComponentSpec]) -> None:
        steps = _steps(augment)
        self.batched = batched_chain(augment)
        self._chain = _compose(steps) if steps and self.batched is None else None

    def seed(self, seed: int) -> None:
        """Start the random sequence anew: the same seed and the same faces give the same pixels."""
        if self.batched is not None:
            self.batched.seed(seed)
        if self._chain is not None:
            self._chain.set_random_seed(seed % 2**32)

    def __call__(self, faces: Tensor) -> Tensor:
        """(B, H, W) or (B, H, W, 3) uint8 to the same shape, on the same device."""
        if self.batched is not None:
            return self.batched(faces)
        if self._chain is None:
            return faces
        import torch

        layers = faces.cpu().numpy()
        layers = layers[..., np.newaxis] if faces.ndim == 3 else layers  # (B, H, W, C)
        changed = np.stack([self._chain(image=face)["image"] for face in layers])
        return torch.from_numpy(changed.reshape(faces.shape)).to(faces.device)

    def check(self, faces: Tensor) -> None:
        """Try the transforms on some faces (B, H, W[, 3]).

        Raises:
            InputError: They fail, or make something else of them than uint8 pixels of the same size.
        """
        shape = tuple(faces.shape[1:])
        try:
            changed = self(faces)
        except Exception as error:  # noqa: BLE001 - whatever a transform of the library raises
            message = f"Expected transforms of faces of shape {shape}, but got: {reason_of(error)}"
            raise InputError(Problem.at("augment", message)) from None
        if changed.dtype != faces.dtype or changed.shape != faces.shape:
            message = (
                f"Expected transforms that keep pixels of 0 to 255 and the shape {shape}, but got {changed.dtype} of "
                f"shape {tuple(changed.shape[1:])}. Normalising and resizing are what `input` is for."
            )
            raise InputError(Problem.at("augment", message))


def _steps(augment: str | Sequence[ComponentSpec]) -> list[ComponentSpec]:
    problems = check_augment(augment, "augment")
    if problems:
        raise InputError(problems[0])
    return [ComponentSpec(**step) for step in PRESETS[augment]] if isinstance(augment, str) else list(augment)


def _compose(steps: Sequence[ComponentSpec]) -> Any:
    prepare_environment()  # the library's import would ask a server for newer versions
    import albumentations

    transforms = []
    for index, step in enumerate(steps):
        where = f"augment[{index}]"
        cls = getattr(albumentations, step.kind, None)
        if not (isinstance(cls, type) and issubclass(cls, albumentations.BasicTransform)):
            known = [n for n in dir(albumentations) if n[:1].isupper()]
            message = f"Expected the name of an albumentations transform, but got {step.kind!r}. "
            raise InputError(Problem.at(f"{where}.kind", message + nearest(step.kind, known)))
        try:
            transforms.append(cls(**step.parameters))
        except (TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                Problem.at(where, f"Expected valid parameters of {step.kind}, but got: {reason}")
            ) from None
    return albumentations.Compose(transforms)
