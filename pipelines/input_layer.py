"""The path from a face's pixels to a network's input, as one torch module.

It runs on the network's device, on whole batches: channels, then normalisation at the face's own size (a 7×7 window
means 7 of the face's pixels), then resampling to the network's size, or to a larger one of which it sees a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.contract import Normalization
from backbones.layer.window import central_window, random_window
from ensemble.spec import InputSpec
from pipelines.normalizers import NORMALIZERS

__all__ = ["InputLayer"]

_LUMA = (0.299, 0.587, 0.114)
_BLOCK = 1024


class InputLayer(nn.Module):
    """uint8 faces to float network input.

    Args:
        spec: What the network sees.
        face_size: Side of the faces in pixels.
        convention: The backbone's own normalisation, if any.
    """

    def __init__(self, spec: InputSpec, *, face_size: int, convention: Normalization | None) -> None:
        super().__init__()
        self.channels, self.face_size = spec.channels, face_size
        self.size = spec.size or face_size
        self.resampled = spec.crop or self.size
        self.interpolation = spec.interpolation
        self.normalizer = NORMALIZERS.build(spec.normalize.kind, convention, **spec.normalize.parameters)

    def fit(self, images: npt.NDArray[np.uint8]) -> None:
        """Let the normaliser learn from the training faces (N, H, W) or (N, H, W, 3)."""
        self.normalizer.fit(self._blocks(images))

    def _blocks(self, images: npt.NDArray[np.uint8]) -> Iterator[Tensor]:
        for start in range(0, len(images), _BLOCK):
            yield self._to_channels(torch.from_numpy(np.array(images[start : start + _BLOCK])))

    def state(self) -> dict[str, Any]:
        """What the normaliser learned, as JSON."""
        return self.normalizer.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` gave.

        Raises:
            InputError: It is of other faces than those of this layer.
        """
        self.normalizer.load_state(state, (self.channels, self.face_size, self.face_size))

    def forward(self, faces: Tensor) -> Tensor:
        """(B, H, W) or (B, H, W, 3) uint8 to (B, channels, size, size) float32; of a larger face the central window."""
        return central_window(self._whole(faces), self.size)

    def random_window(self, faces: Tensor) -> Tensor:
        """The same as `forward`, but a window drawn for every face: torch's generator of the device decides which."""
        return random_window(self._whole(faces), self.size)

    def _whole(self, faces: Tensor) -> Tensor:
        """Normalised faces (B, channels, side, side), before any window is cut."""
        x, side = self.normalizer(self._to_channels(faces)), self.resampled
        if x.shape[-1] == side and x.shape[-2] == side:
            return x
        if self.interpolation == "nearest":
            return F.interpolate(x, size=(side, side), mode="nearest-exact")
        shrinks = x.shape[-1] > side
        return F.interpolate(x, size=(side, side), mode=self.interpolation, align_corners=False, antialias=shrinks)

    def _to_channels(self, faces: Tensor) -> Tensor:
        """(B, H, W) or (B, H, W, 3) uint8 to (B, channels, H, W) float, in memory of its own."""
        if faces.ndim == 3:
            grey = faces.to(torch.float32, copy=True).unsqueeze(1)
            return grey.expand(-1, self.channels, -1, -1)
        colour = faces.to(torch.float32, copy=True).permute(0, 3, 1, 2)
        if self.channels == 3:
            return colour
        luma = torch.tensor(_LUMA, device=faces.device).view(1, 3, 1, 1)
        return (colour * luma).sum(dim=1, keepdim=True)
