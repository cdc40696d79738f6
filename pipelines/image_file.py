"""Image files become uint8 arrays: 8 bits, upright, grey where colour says nothing.

Pillow reads the header, so that no file is decoded that is no image or claims to be enormous. OpenCV decodes, because
it is fast; Pillow has the last word on what OpenCV refuses: an image counts as damaged only if both say so.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from pipelines.image_header import FORMATS, check_header, damaged

__all__ = ["IMAGE_SUFFIXES", "decode_image", "resize_face", "to_face", "upright_photo", "with_channels"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".pgm", ".ppm")
"""File name endings taken for images, in lower case."""

_GREY_MODES = ("1", "L", "LA")
_PILLOW_S = (b"II*\0", b"MM\0*", b"P2", b"P3", b"P5", b"P6")
"""TIFF and Netpbm: OpenCV mixes a TIFF's transparency into its colours, and takes all Netpbm for 8 or 16 bits."""


def decode_image(data: bytes, *, name: str) -> npt.NDArray[np.uint8]:
    """Decode an image file.

    Args:
        data: Its content.
        name: Its name, for messages.

    Returns:
        (height, width) if it is grey or its three channels are equal, else (height, width, 3) RGB. 16-bit images
        keep their upper 8 bits, fractions of 0 to 1 are spread over 0 to 255, EXIF rotations are applied, transparency
        is dropped, and of several frames the first counts.

    Raises:
        InputError: It is no image, claims too many pixels, or neither OpenCV nor Pillow can decode it.
    """
    check_header(data, name=name)
    image = None if data.startswith(_PILLOW_S) else _decode_opencv(data)
    if image is None:
        image = _decode_pillow(data, name)
    if image.ndim == 3 and _is_grey(image):
        image = np.ascontiguousarray(image[..., 0])
    return image


def upright_photo(data: bytes, *, name: str) -> Image.Image:
    """An image file as people see it: in RGB, upright, what is transparent on white.

    Args:
        data: Its content.
        name: Its name, for messages.

    Raises:
        InputError: It cannot be decoded.
    """
    photo = Image.fromarray(decode_image(data, name=name)).convert("RGB")
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.has_transparency_data:
                alpha = ImageOps.exif_transpose(opened).convert("RGBA").getchannel("A")
                if alpha.size == photo.size:
                    return Image.composite(photo, Image.new("RGB", photo.size, "white"), alpha)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass  # OpenCV could read it; what Pillow cannot has no transparency that it knows
    return photo


def resize_face(image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Bring a face to `size` by `size` pixels: by area means when shrinking, linearly when growing."""
    if image.shape[:2] == (size, size):
        return image
    shrinking = image.shape[0] * image.shape[1] > size * size
    method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=method), dtype=np.uint8)


def with_channels(image: npt.NDArray[np.uint8], channels: int) -> npt.NDArray[np.uint8]:
    """Repeat a grey image as RGB if `channels` is 3, reduce an RGB image to its luma if it is 1."""
    if channels == 1 and image.ndim == 3:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    return np.repeat(image[..., None], 3, axis=2) if channels == 3 and image.ndim == 2 else image


def to_face(image: npt.NDArray[np.uint8], size: int, channels: int) -> npt.NDArray[np.uint8]:
    """(H, W) or (H, W, 3) uint8 to (size, size) or (size, size, 3): the way training faces were made."""
    return resize_face(with_channels(image, channels), size)


def _decode_opencv(data: bytes) -> npt.NDArray[np.uint8] | None:
    # OpenCV logs a truncated image and may hand out its half; Pillow is left to judge files without a proper end.
    if not data or not _has_end(data):
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_ANYCOLOR)
    except cv2.error:
        return None
    if image is None:
        return None
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return np.asarray(image, dtype=np.uint8)


def _has_end(data: bytes) -> bool:
    if data.startswith(b"\x89PNG"):
        return b"IEND" in data[-64:]
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in data[-64:]
    return True


def _decode_pillow(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whatever is odd about it: either there are pixels, or there are not
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                return _pixels(ImageOps.exif_transpose(opened), netpbm=opened.format == "PPM")
    except Exception as error:  # a flipped byte makes Pillow raise about anything
        raise damaged(name, error) from error


def _pixels(image: Image.Image, *, netpbm: bool = False) -> npt.NDArray[np.uint8]:
    if image.mode.startswith("I;16") or (netpbm and image.mode == "I"):  # Pillow spreads Netpbm's grey over 16 bits
        return np.asarray(np.asarray(image) >> 8, dtype=np.uint8)
    if image.mode in ("I", "F"):
        return _grey_levels(np.asarray(image))
    return np.asarray(image.convert("L" if image.mode in _GREY_MODES else "RGB"), dtype=np.uint8)


def _grey_levels(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """0 to 255 of 32-bit pixels, whose range no header tells: fractions up to 1, 8 bits, or whole numbers of 16."""
    whole, high = values.dtype.kind == "i", values.max()
    if not (values.min() >= 0 and high <= (65535 if whole else 255)):  # NaN is not either
        raise ValueError(f"pixels from {values.min():g} to {high:g}")
    levels = (values >> 8 if high > 255 else values) if whole else np.rint(values * 255 if high <= 1 else values)
    return np.asarray(levels, dtype=np.uint8)


def _is_grey(image: npt.NDArray[np.uint8]) -> bool:
    first = image[..., 0]
    return np.array_equal(first, image[..., 1]) and np.array_equal(first, image[..., 2])
