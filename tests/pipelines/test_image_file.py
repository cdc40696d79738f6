"""Decoding, against Pillow as the reference."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from backbones.errors import InputError
from pipelines.image_file import decode_image, resize_face, with_channels
from pipelines.image_header import header_size


@pytest.fixture
def colour() -> np.ndarray:
    """(40, 30, 3) smooth colours."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, 3, 3), dtype=np.uint8)
    return cv2.resize(coarse, (30, 40))


def save(image: Image.Image, fmt: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_colour_is_rgb(fmt, colour):
    np.testing.assert_array_equal(decode_image(save(Image.fromarray(colour), fmt), name="x"), colour)


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_is_two_dimensional(fmt, mode, colour):
    grey = colour[..., 0]
    np.testing.assert_array_equal(decode_image(save(Image.fromarray(grey).convert(mode), fmt), name="x"), grey)


@pytest.mark.parametrize("most", [1, 127, 255, 1023, 65535])
def test_netpbm_is_spread_from_its_own_maximum(most, colour):
    levels = np.rint(colour / 255 * most).astype(int)
    shown = levels / most * 255
    for pixels, plain, binary in ((levels[..., 0], "P2", "P5"), (levels, "P3", "P6")):
        size = f"# a comment\n{pixels.shape[1]} {pixels.shape[0]}\n{most}\n"
        files = (
            f"{plain}\n{size}{' '.join(map(str, pixels.ravel()))}\n".encode(),
            f"{binary}\n{size}".encode() + pixels.astype("u1" if most < 256 else ">u2").tobytes(),
        )
        for data in files:
            decoded = decode_image(data, name="x")
            np.testing.assert_allclose(decoded, shown[..., 0] if decoded.ndim == 2 else shown, atol=1)


@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_16_bits_keep_the_upper_8(fmt):
    deep = np.arange(0, 65536, 8, dtype=np.uint16).reshape(64, 128)
    np.testing.assert_array_equal(decode_image(save(Image.fromarray(deep), fmt), name="x"), deep >> 8)


@pytest.mark.parametrize(
    ("scale", "kind"), [(1 / 255, np.float32), (1, np.float32), (1, np.int32), (256, np.int32)]
)  # fmt: skip
def test_32_bits_of_any_range_are_the_same_picture(scale, kind):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    data = save(Image.fromarray((grey * np.float64(scale)).astype(kind)), "TIFF")
    np.testing.assert_array_equal(decode_image(data, name="x"), grey)


@pytest.mark.parametrize("value", [-1.0, 256.0, np.nan])
def test_32_bits_of_no_known_range_are_refused(value):
    data = save(Image.fromarray(np.array([[0.5, value]], np.float32)), "TIFF")
    with pytest.raises(InputError, match="pixels from"):
        decode_image(data, name="x")


@pytest.mark.parametrize(
    ("mode", "fmt"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("P", "PNG"), ("P", "GIF"), ("1", "PNG"), ("YCbCr", "JPEG")]
)
def test_other_modes_match_pillow(mode, fmt, colour):
    data = save(Image.fromarray(colour).convert(mode), fmt)
    decoded = decode_image(data, name="x")
    reference = np.asarray(Image.open(io.BytesIO(data)).convert("L" if decoded.ndim == 2 else "RGB"))
    assert np.abs(decoded.astype(int) - reference.astype(int)).max() <= 4


def test_transparency_is_dropped(colour):
    data = save(Image.fromarray(np.dstack([colour, colour[..., 0]])), "PNG")
    np.testing.assert_array_equal(decode_image(data, name="x"), colour)


@pytest.mark.parametrize("fmt", ["PNG", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(fmt, orientation, colour):
    upright = Image.fromarray(colour)
    exif = Image.Exif()
    exif[274] = orientation
    data = save(upright, fmt, exif=exif)
    from PIL import ImageOps

    reference = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    decoded = decode_image(data, name="x")
    assert decoded.shape == reference.shape
    assert np.abs(decoded.astype(int) - reference.astype(int)).max() <= 4


@pytest.mark.parametrize("fmt", ["PNG", "JPEG"])
@pytest.mark.parametrize("damage", ["empty", "half", "text"])
def test_damaged_images_are_named(fmt, damage, colour):
    data = save(Image.fromarray(colour), fmt)
    data = {"empty": b"", "half": data[: len(data) // 2], "text": b"no image at all"}[damage]
    with pytest.raises(
        InputError, match=r"^Expected faces/7\.png to be a readable image, but got: .*Remove or replace"
    ):
        decode_image(data, name="faces/7.png")


def test_header_size(colour):
    assert header_size(save(Image.fromarray(colour), "PNG"), name="x") == (30, 40)
    with pytest.raises(InputError, match="readable image"):
        header_size(b"text", name="x")


def test_resizing_shrinks_by_area_and_grows_linearly():
    board = np.kron(np.array([[0, 200], [200, 0]], dtype=np.uint8), np.ones((2, 2), dtype=np.uint8))  # (4, 4)
    np.testing.assert_array_equal(resize_face(board, 2), [[0, 200], [200, 0]])
    np.testing.assert_array_equal(resize_face(board, 1), [[100]])
    assert resize_face(board, 4) is board
    assert resize_face(board, 8)[0].tolist() == cv2.resize(board, (8, 8), interpolation=cv2.INTER_LINEAR)[0].tolist()


def test_grey_repeats_as_rgb():
    grey = np.arange(4, dtype=np.uint8).reshape(2, 2)
    assert with_channels(grey, 1) is grey
    np.testing.assert_array_equal(with_channels(grey, 3), np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize("fmt", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_counts(fmt, colour):
    first, second = (Image.fromarray(np.ascontiguousarray(pixels)) for pixels in (colour, colour[::-1]))
    options = {"lossless": True} if fmt == "WEBP" else {}
    data = save(first, fmt, save_all=True, append_images=[second, first], **options)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.n_frames == 3
        reference = np.asarray(opened.convert("RGB"))
    np.testing.assert_array_equal(decode_image(data, name="x"), reference)


@pytest.mark.parametrize("fmt", ["WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_in_every_format(fmt, orientation, colour):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[274] = orientation
    data = save(Image.fromarray(colour), fmt, exif=exif, **({"lossless": True} if fmt == "WEBP" else {}))
    reference = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    np.testing.assert_array_equal(decode_image(data, name="x"), reference)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bits_of_colour_keep_the_upper_8(suffix, colour):
    deep = colour.astype(np.uint16) * 256 + 77
    data = cv2.imencode(suffix, deep[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode_image(data, name="x"), colour)


def test_transparency_is_dropped_from_tiff_too(colour):
    data = save(Image.fromarray(np.dstack([colour, colour[..., 0]])), "TIFF")
    np.testing.assert_array_equal(decode_image(data, name="x"), colour)


def test_16_bits_of_grey_with_transparency_are_read(colour):
    data = cv2.imencode(".png", np.dstack([colour.astype(np.uint16) * 256, np.full((40, 30), 65535, np.uint16)]))[1]
    np.testing.assert_array_equal(decode_image(data.tobytes(), name="x"), colour[..., ::-1])


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
def test_headers_say_the_size_as_pillow_does(fmt, colour):
    data = save(Image.fromarray(colour), fmt)
    assert header_size(data, name="x") == Image.open(io.BytesIO(data)).size == (30, 40)


def test_formats_that_start_other_programs_are_no_images():
    with pytest.raises(InputError, match="no known image format"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", name="x.png")
