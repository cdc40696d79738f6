"""Faces brought to a template by five landmarks: pure functions of pixels and coordinates.

Who finds the landmarks is the detectors' business. Coordinates count pixels from the centre of the first one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from backbones.errors import InputError
from ensemble.align_spec import AlignSpec

__all__ = ["TEMPLATES", "Template", "align_face", "aligned_size", "similarity", "template_points"]

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Template:
    """Where the landmarks of a face belong.

    Attributes:
        size: Side in pixels of the square face that the points are given for.
        points: Left eye, right eye, nose, left and right mouth corner, as (x, y), as seen in the image.
    """

    size: int
    points: tuple[tuple[float, float], ...]


_ARCFACE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))

TEMPLATES: Mapping[str, Template] = {
    # The 112×112 points in general use, those that mobile_facenet was trained with.
    "arcface": Template(size=112, points=_ARCFACE),
    # Wu et al., 2015, A Light CNN for Deep Face Representation with Noisy Labels: eyes level, their midpoint 48 px
    # below the upper border of 144 and midway between the sides, 48 px between it and the midpoint of the mouth (at
    # the centre crop of 128, the eyes are at 40). The widths, which they leave open, are those of `arcface` at the
    # scale 48 / 40.7 that its own distance asks for, made symmetric.
    "lightcnn": Template(size=144, points=((51.2, 48.0), (92.8, 48.0), (72.0, 71.8), (54.8, 96.0), (89.2, 96.0))),
    # facenet's weights were trained on MTCNN boxes with a margin of 32 of 160 px. In the units of `arcface`, such a box
    # is about 102 px high around (56, 65), so with its margin 128 px wide: more of the head, and centred lower.
    "facenet": Template(size=160, points=tuple(((x + 8) * 1.25, (y - 1) * 1.25) for x, y in _ARCFACE)),
}


def aligned_size(align: AlignSpec) -> int:
    """Side of the aligned faces in pixels: the one asked for, or the template's own."""
    return align.size or TEMPLATES[align.template].size


def template_points(template: str, size: int) -> Points:
    """(5, 2) landmarks of a template on a face of `size` pixels.

    Example:
        >>> template_points("lightcnn", 72)[0]
        array([25.6, 24. ])
    """
    native = TEMPLATES[template]
    return np.array(native.points) * (size / native.size)


def similarity(source: Points, target: Points) -> Points:
    """The rotation, scale and shift that brings points closest to others in the least-squares sense.

    Umeyama, 1991, Least-squares estimation of transformation parameters between two point patterns. A mirror image is
    never the answer.

    Args:
        source: (N, 2) points.
        target: (N, 2) points.

    Returns:
        (2, 3) matrix that maps (x, y, 1).

    Raises:
        InputError: All source points are the same.

    Example:
        >>> square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        >>> similarity(square, 2 * square + [3.0, 4.0]).round(6) + 0.0
        array([[2., 0., 3.],
               [0., 2., 4.]])
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    centred, wanted = source - source_mean, target - target_mean
    variance = float(np.square(centred).sum())
    if variance == 0:
        raise InputError(f"Expected landmarks at different places, but got {source.tolist()}.")
    left, spread, right = np.linalg.svd(wanted.T @ centred)
    turn = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])  # -1 undoes a reflection
    rotation = (left * turn) @ right  # (2, 2)
    scale = float((spread * turn).sum()) / variance
    return np.column_stack([scale * rotation, target_mean - scale * rotation @ source_mean])


def align_face(image: npt.NDArray[np.uint8], landmarks: Points, *, template: str, size: int) -> npt.NDArray[np.uint8]:
    """Turn, scale and shift an image so that a face's landmarks come to lie on the template's.

    Args:
        image: (H, W) grey or (H, W, 3) uint8.
        landmarks: (5, 2) pixel coordinates of the face.
        template: A name of `TEMPLATES`.
        size: Side of the result in pixels.

    Returns:
        (size, size) or (size, size, 3) uint8; where the face reaches beyond the image, border pixels are repeated.
    """
    target = template_points(template, size)
    matrix = similarity(landmarks, target)
    scale = float(np.sqrt(np.linalg.det(matrix[:, :2])))
    if scale < 1:  # averaged first: the warp alone would leave out pixels
        height, width = image.shape[:2]
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        matrix = similarity((landmarks + 0.5) * np.array(small) / (width, height) - 0.5, target)
    warped = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, dtype=np.uint8)
