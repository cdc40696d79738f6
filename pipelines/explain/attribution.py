"""Grad-CAM and occlusion: the one module that knows Captum.

Both give signed maps: positive where the face speaks for the class, negative where it speaks against it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipelines.explain.map_layer import MapLayer

__all__ = ["grad_cam", "occlude", "occlusion_window"]

_ROWS = 16

Answers = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float64]]


class _Tap(nn.Identity):
    """Lets a map through as a tensor of its own, so that nothing behind it can overwrite what Captum keeps."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class's name
        return input.clone()


def grad_cam(scores: nn.Module, layer: MapLayer, x: Tensor, target: Tensor) -> Tensor:
    """Grad-CAM before its ReLU: a layer's channels, weighted by the mean gradient of a class's score.

    Selvaraju et al., 2017, Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization. Frozen
    parameters do not matter: gradients flow from the score to the map.

    Args:
        scores: (B, channels, size, size) to scores (B, K), in evaluation mode.
        layer: A map inside it.
        x: (N, channels, size, size).
        target: (N,) class of each row.

    Returns:
        (N, height, width) of the map, float32.
    """
    from captum.attr import LayerGradCam

    tap = _Tap()

    def through(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        return layer.from_map(tap(layer.to_map(output)), output)

    hook = layer.module.register_forward_hook(through)
    try:
        method, maps = LayerGradCam(scores, tap), []
        for start in range(0, len(x), _ROWS):
            rows = slice(start, start + _ROWS)
            part = x[rows].detach().clone().requires_grad_()  # so that the map of a frozen network has a gradient
            maps.append(method.attribute(part, target=target[rows].to(x.device)).detach()[:, 0])
    finally:
        hook.remove()
    return torch.cat(maps).float()


def occlusion_window(face_size: int) -> tuple[int, int]:
    """Side and stride of the grey square, in the face's pixels: a fifth and a twelfth of the face.

    Example:
        >>> occlusion_window(48), occlusion_window(112), occlusion_window(8)
        ((10, 4), (22, 9), (3, 1))
    """
    window = min(face_size, max(3, round(face_size / 5)))
    return window, max(1, round(face_size / 12))


def occlude(
    answers: Answers,
    faces: npt.NDArray[np.uint8],
    target: npt.NDArray[np.int64],
    *,
    window: int,
    stride: int,
    rows: int = 128,
) -> npt.NDArray[np.float64]:
    """How much less probable a class becomes when a grey square hides a part of the face.

    Zeiler & Fergus, 2014, Visualizing and Understanding Convolutional Networks. A pixel's value is the mean over the
    squares that cover it. The square has the face's own mean colour, rounded, so hidden faces are faces like any other,
    and take the member's whole way from pixels to probabilities.

    Args:
        answers: (B, H, W[, 3]) uint8 faces to probabilities (B, K).
        faces: (N, H, W) or (N, H, W, 3).
        target: (N,) class of each face.
        window: Side of the square in pixels.
        stride: Pixels from one place of the square to the next.
        rows: Faces asked for at a time, about.

    Returns:
        (N, H, W) probability lost.
    """
    from captum.attr import Occlusion

    colours = faces.mean(axis=(1, 2), keepdims=True).round()  # (N, 1, 1[, 3])
    depth = faces.shape[3:]

    def forward(x: Tensor) -> Tensor:
        return torch.from_numpy(answers(x.numpy().astype(np.uint8)))

    maps = Occlusion(forward).attribute(
        torch.from_numpy(faces.astype(np.float64)),
        sliding_window_shapes=(window, window, *depth),
        strides=(stride, stride, *depth),
        baselines=torch.from_numpy(np.broadcast_to(colours, faces.shape).copy()),
        target=torch.from_numpy(target),
        perturbations_per_eval=max(1, rows // len(faces)),
    )
    result = maps.numpy()
    return np.asarray(result.mean(axis=3) if depth else result)
