from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from backbones.contract import Normalization
from backbones.errors import InputError
from ensemble.spec import InputSpec
from pipelines.input_layer import InputLayer
from pipelines.normalizer.equalize import equalize_histogram
from pipelines.normalizer.intensity import normalize_intensity
from pipelines.normalizers import NORMALIZERS

CONVENTION = Normalization(mean=(120.0, 110.0, 100.0), std=(60.0, 50.0, 40.0))
STATES: tuple[tuple[Any, Any, str], ...] = (
    ([1.0, 2.0, 3.0], [1.0], "Expected `mean` to be of shape (1,), but got (3,)"),
    ([1.0], [0.0], "Expected `std` to be from 1e-06 to 255"),
    ([1.0], [1e-320], "Expected `std` to be from"),
    ([1.0], [-1.0], "Expected `std` to be from"),
    ([float("nan")], [1.0], "Expected `mean` to be from 0 to 255"),
    ([1e300], [1.0], "Expected `mean` to be from"),
    ([[[1.0]]], [1.0], "Expected `mean` to be of shape (1,), but got (1, 1, 1)"),
    (["1"], [1.0], "Expected `mean` to hold numbers"),
    ([1.0], [[1.0], 2.0], "Expected `std` to hold numbers"),
    (3, [1.0], "Expected `mean` to be of shape"),
    (None, [1.0], "Expected `mean` to hold numbers"),
)


def grey(count: int = 6, size: int = 24) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size), dtype=np.uint8)


def test_mean_std_gives_zero_mean_and_unit_variance() -> None:
    layer = InputLayer(InputSpec(), face_size=24, convention=None)
    layer.fit(grey())
    x = layer(torch.from_numpy(grey()))
    assert x.shape == (6, 1, 24, 24)
    assert x.mean().abs() < 1e-5
    assert abs(x.std(correction=0) - 1) < 1e-5


def test_mean_std_per_pixel_takes_the_mean_face_off() -> None:
    images = np.random.default_rng(1).integers(0, 256, (300, 8, 8), dtype=np.uint8)
    layer = InputLayer(
        InputSpec.model_validate({"normalize": {"kind": "mean_std", "per": "pixel"}}), face_size=8, convention=None
    )
    layer.fit(images)
    x = layer(torch.from_numpy(images)).numpy()[:, 0]
    expected = (images - images.mean(axis=0)) / images.std(axis=0)
    np.testing.assert_allclose(x, expected, atol=1e-4)
    copy = InputLayer(
        InputSpec.model_validate({"normalize": {"kind": "mean_std", "per": "pixel"}}), face_size=8, convention=None
    )
    copy.load_state(layer.state())
    np.testing.assert_array_equal(copy(torch.from_numpy(images)).numpy()[:, 0], x)


def test_intensity_equals_a_direct_evaluation_of_the_formula() -> None:
    image = grey(1, 12)[0].astype(np.float64)
    offsets = np.arange(7) - 3
    kernel = np.exp(-0.5 * (offsets / 1.4) ** 2)
    window = np.outer(kernel, kernel) / kernel.sum() ** 2
    padded = np.pad(image, 3, mode="reflect")
    expected = np.empty_like(image)
    for row, column in np.ndindex(image.shape):
        patch = padded[row : row + 7, column : column + 7]
        mean = (window * patch).sum()
        deviation = np.sqrt(max((window * patch**2).sum() - mean**2, 0))
        expected[row, column] = (image[row, column] - mean) / max(deviation, 4.0)
    found = normalize_intensity(torch.from_numpy(image)[None, None].float())[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_intensity_does_not_see_brightness_and_contrast() -> None:
    x = torch.from_numpy(grey()).float()[:, None]
    np.testing.assert_allclose(normalize_intensity(x * 0.5 + 40), normalize_intensity(x), atol=2e-3)
    assert normalize_intensity(torch.full((1, 1, 9, 9), 200.0)).abs().max() < 1e-3


def test_a_window_without_a_middle_is_refused() -> None:
    with pytest.raises(InputError, match="Expected `window` to be odd, but got 8"):
        NORMALIZERS.build("intensity", None, window=8)


def test_equalisation_equals_opencv() -> None:
    images = grey()
    images[1] //= 4
    found = equalize_histogram(torch.from_numpy(images).float()[:, None])[:, 0].numpy()
    for image, equalised in zip(images, found, strict=True):
        assert np.abs(cv2.equalizeHist(image).astype(int) - equalised).max() <= 1
    flat = torch.full((1, 1, 8, 8), 77.0)
    assert torch.equal(equalize_histogram(flat), flat)


def test_backbone_convention() -> None:
    layer = InputLayer(InputSpec(channels=3, normalize="backbone"), face_size=24, convention=CONVENTION)
    x = layer(torch.full((1, 24, 24), 120, dtype=torch.uint8))
    np.testing.assert_allclose(x[0, :, 0, 0], [0.0, 0.2, 0.5], atol=1e-6)
    with pytest.raises(InputError, match="normalize: mean_std"):
        InputLayer(InputSpec(normalize="backbone"), face_size=24, convention=None)


@pytest.mark.parametrize("name", NORMALIZERS.names())
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("size", [16, 24, 40])
def test_contract(name: str, channels: int, colour: bool, size: int) -> None:
    spec = InputSpec(size=size, channels=channels, normalize=name)  # type: ignore[arg-type]
    images = np.repeat(grey()[..., None], 3, axis=3) if colour else grey()
    layer = InputLayer(spec, face_size=24, convention=CONVENTION)
    layer.fit(images)
    x = layer(torch.from_numpy(images))
    assert x.shape == (6, channels, size, size)
    assert x.dtype == torch.float32
    assert torch.isfinite(x).all()
    other = InputLayer(spec, face_size=24, convention=CONVENTION)
    other.load_state(layer.state())
    assert torch.equal(other(torch.from_numpy(images)), x)
    assert torch.allclose(layer(torch.from_numpy(images[2:3])), x[2:3], atol=1e-6), "a face depends on others"


def test_grey_as_rgb_and_back_is_the_same_face() -> None:
    layer = InputLayer(InputSpec(), face_size=24, convention=None)
    layer.fit(grey())
    colour = np.repeat(grey()[..., None], 3, axis=3)
    assert torch.allclose(layer(torch.from_numpy(colour)), layer(torch.from_numpy(grey())), atol=1e-5)


@pytest.mark.parametrize(("mean", "std", "message"), STATES)
def test_an_input_state_is_that_of_such_faces(mean: Any, std: Any, message: str) -> None:
    layer = InputLayer(InputSpec(), face_size=8, convention=None)
    with pytest.raises(InputError) as refusal:
        layer.load_state({"mean": mean, "std": std})
    assert message in str(refusal.value)


def test_the_state_of_a_mean_face_is_of_its_size() -> None:
    spec = InputSpec.model_validate({"channels": 3, "normalize": {"kind": "mean_std", "per": "pixel"}})
    state = {key: np.ones((3, 8, 8)).tolist() for key in ("mean", "std")}
    InputLayer(spec, face_size=8, convention=None).load_state(state)
    with pytest.raises(InputError, match=r"of shape \(3, 9, 9\), but got \(3, 8, 8\)"):
        InputLayer(spec, face_size=9, convention=None).load_state(state)
