"""Augmentation on whole batches against albumentations: the same pixels for the same draw, the same distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from backbones.errors import InputError
from ensemble.spec import ComponentSpec
from pipelines.augmentation import PRESETS, Augmentation, _compose
from pipelines.batched_augmentation import TRANSFORMS, BatchedChain, in_bytes, in_floats
from pipelines.batched_pixels import CoarseDropout
from pipelines.batched_transform import Shape


def smooth(count: int, *, size: int = 48, seed: int = 1) -> npt.NDArray[np.uint8]:
    """(N, size, size) faces-like images: bilinear kernels differ on noise, not on them."""
    coarse = torch.from_numpy(np.random.default_rng(seed).uniform(30, 220, (count, 1, 7, 7)))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")[:, 0].clamp(0, 255).byte().numpy()


def chain(kind: str, **parameters: Any) -> BatchedChain:
    found = BatchedChain.of([ComponentSpec(kind=kind, **parameters)])
    assert found is not None
    return found


def reference(kind: str, faces: npt.NDArray[np.uint8], **parameters: Any) -> npt.NDArray[np.uint8]:
    """What albumentations makes of each face."""
    library = _compose([ComponentSpec(kind=kind, **parameters)])
    library.set_random_seed(3)
    layers = faces if faces.ndim == 4 else faces[..., None]
    return np.stack([library(image=face)["image"] for face in layers]).reshape(faces.shape)


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("shape", [(16, 48, 48), (16, 48, 48, 3)])
def test_presets_keep_shape_and_type_and_repeat(preset: str, shape: tuple[int, ...]) -> None:
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))
    before, augmentation = images.clone(), Augmentation(preset)
    augmentation.seed(5)
    first = augmentation(images)
    assert not torch.equal(first, augmentation(images)) or preset == "none"
    augmentation.seed(5)
    assert first.shape == shape
    assert first.dtype == torch.uint8
    assert torch.equal(first, augmentation(images))
    assert (preset == "none") == torch.equal(first, images)
    assert torch.equal(images, before)
    assert (augmentation.batched is None) == (preset == "none")


LIGHT: dict[str, Any] = {"brightness_limit": [-0.2, -0.2], "contrast_limit": [0.4, 0.4]}
BOX: dict[str, Any] = {"hole_height_range": [48, 48], "hole_width_range": [48, 48], "num_holes_range": [1, 1]}
BOXES: dict[str, Any] = {"hole_height_range": [0.1, 0.4], "hole_width_range": [0.2, 0.3], "num_holes_range": [1, 3]}
SETTLED: list[tuple[str, dict[str, Any]]] = [
    ("HorizontalFlip", {}),
    ("Affine", {"rotate": [11, 11], "border_mode": 1}),
    ("Affine", {"rotate": [-20, -20], "scale": [1.3, 1.3], "translate_px": [3, 3], "border_mode": 1}),
    ("Affine", {"scale": [0.7, 0.7], "translate_px": [-4, -4], "border_mode": 2}),
    ("Affine", {"scale": [0.7, 0.7], "rotate": [5, 5], "border_mode": 4}),
    ("Affine", {"translate_px": [6, 6]}),
    ("RandomBrightnessContrast", {"brightness_limit": [0.15, 0.15], "contrast_limit": [-0.3, -0.3]}),
    ("RandomBrightnessContrast", {**LIGHT, "brightness_by_max": False}),
    ("CoarseDropout", {**BOX, "fill": 9}),
]  # fmt: skip


@pytest.mark.parametrize("way", [in_bytes, in_floats])
@pytest.mark.parametrize(("kind", "parameters"), SETTLED)
@pytest.mark.parametrize("colour", [False, True])
def test_where_nothing_is_left_to_chance_pixels_are_those_of_albumentations(
    kind: str, parameters: dict[str, Any], colour: bool, way: Any
) -> None:
    faces = smooth(8) if not colour else np.stack([smooth(8, seed=s) for s in range(3)], axis=-1)
    steps = chain(kind, p=1.0, **parameters).drawn(torch.from_numpy(faces))
    ours = way(torch.from_numpy(faces), steps).numpy()
    theirs = reference(kind, faces, p=1.0, **parameters)
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    assert np.abs(theirs.astype(int) - faces.astype(int)).mean() > 1.0  # it does something
    assert difference.max() <= 3  # OpenCV places pixels to 1/32
    assert difference.mean() < 0.6  # the library cuts fractions of a grey level off where we round


DRAWN: list[tuple[str, dict[str, Any]]] = [
    ("HorizontalFlip", {"p": 0.3}),
    ("Affine", {"rotate": [-15, 15], "scale": [0.8, 1.2], "translate_px": [-3, 3], "border_mode": 1, "p": 0.7}),
    ("Affine", {"scale": [0.6, 1.0], "keep_ratio": True, "p": 1.0}),
    ("RandomBrightnessContrast", {"brightness_limit": 0.2, "contrast_limit": [-0.1, 0.4], "p": 0.8}),
    ("CoarseDropout", {**BOXES, "p": 0.6}),
    ("CoarseDropout", {"hole_height_range": [3, 9], "hole_width_range": [4, 20], "fill": "random_uniform", "p": 1.0}),
    ("GaussNoise", {"std_range": [0.02, 0.08], "p": 0.8}),
    ("GaussNoise", {"std_range": [0.05, 0.1], "per_channel": False, "p": 1.0}),
]  # fmt: skip


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize(("kind", "parameters"), DRAWN)
def test_to_bytes_and_to_floats_the_same_is_done(kind: str, parameters: dict[str, Any], colour: bool) -> None:
    faces = smooth(40) if not colour else np.stack([smooth(40, seed=s) for s in range(3)], axis=-1)
    steps = chain(kind, **parameters).drawn(torch.from_numpy(faces))
    one, other = (way(torch.from_numpy(faces), steps).numpy().astype(int) for way in (in_bytes, in_floats))
    assert np.abs(one - other).max() <= (8 if "keep_ratio" in parameters else 3)  # a border of zeros begins there
    assert np.abs(one - other).mean() < 0.2
    assert np.abs(one - faces).mean() > 0.5


@pytest.mark.parametrize("way", [in_bytes, in_floats])
@pytest.mark.parametrize("channels", [1, 3])
def test_boxes_are_painted_and_nothing_else(channels: int, way: Any) -> None:
    faces = torch.from_numpy(smooth(9, size=24) if channels == 1 else np.stack([smooth(9, size=24)] * 3, axis=-1))
    sides = {"num_holes_range": [2, 2], "hole_height_range": [5, 5], "hole_width_range": [7, 7], "fill": 255}
    chosen, draw = np.arange(9) % 2 == 0, np.random.default_rng(4)
    painted = way(faces, [CoarseDropout(sides).drawn(Shape(9, 24, 24, channels), chosen, draw)])
    changed = (painted != faces).reshape(9, 24, 24, -1).any(dim=-1)
    assert (painted.reshape(9, 24, 24, -1)[changed] == 255).all()
    assert not changed[1::2].any()
    assert set(changed[::2].sum(dim=(1, 2)).tolist()) <= set(range(35, 71))  # two boxes, which may overlap


@pytest.mark.parametrize("way", [in_bytes, in_floats])
@pytest.mark.parametrize(("kind", "parameters"), DRAWN)
def test_draws_have_the_distribution_of_albumentations(kind: str, parameters: dict[str, Any], way: Any) -> None:
    count = 1500
    one = np.stack([smooth(1, size=24, seed=s)[0] for s in range(3)], axis=-1)
    faces = np.broadcast_to(one, (count, *one.shape)).copy()
    batched = chain(kind, **parameters)
    batched.seed(1)
    ours = way(torch.from_numpy(faces), batched.drawn(torch.from_numpy(faces))).numpy().astype(float)
    theirs = reference(kind, faces, **parameters).astype(float)
    # Means over the draws of each pixel, in units of how much such a mean varies.
    spread = np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / count) + 0.15
    assert np.abs((ours.mean(axis=0) - theirs.mean(axis=0)) / spread).max() < 5.0
    # How far single faces go from the original, as a distribution: Kolmogorov and Smirnov's distance.
    moved = [np.sort(np.abs(x - faces).mean(axis=(1, 2, 3))) for x in (ours, theirs)]
    grid = np.quantile(np.concatenate(moved), np.linspace(0.02, 0.98, 49)) + 1e-6
    shares = [np.searchsorted(m, grid, side="right") / count for m in moved]
    assert np.abs(shares[0] - shares[1]).max() < 0.075  # 1.95 · sqrt(2 / count) = 0.071 at one in a thousand
    channels = [np.corrcoef((x - x.mean(axis=0)).reshape(-1, 3).T)[0, 1] for x in (ours, theirs)]
    assert abs(channels[0] - channels[1]) < 0.1  # what is drawn once for all channels, and what for each


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("Affine", {"shear": [1, 5]}),
        ("Affine", {"rotate": 10}),
        ("Affine", {"border_mode": 3}),
        ("CoarseDropout", {"fill": "random"}),
        ("GridDistortion", {}),
    ],
)
def test_what_is_not_known_here_goes_to_albumentations_with_the_whole_chain(kind: str, parameters: Any) -> None:
    steps = [ComponentSpec(kind="HorizontalFlip"), ComponentSpec(kind=kind, **parameters)]
    augmentation = Augmentation(steps)
    assert augmentation.batched is None
    images = torch.from_numpy(smooth(4))
    augmentation.seed(2)
    first = augmentation(images)
    augmentation.seed(2)
    assert torch.equal(first, augmentation(images))
    assert first.shape == images.shape


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("Affine", {"rotate": "much"}),
        ("CoarseDropout", {"num_holes_range": [2, 1]}),
        ("GaussNoise", {"std_range": [0.1, 4.0]}),
        ("HorizontalFlip", {"p": 2.0}),
    ],
)
def test_wrong_parameters_are_refused_in_the_library_s_words(kind: str, parameters: Any) -> None:
    with pytest.raises(InputError, match=r"augment\[0\]: Expected valid parameters of "):
        Augmentation([ComponentSpec(kind=kind, **parameters)])


def test_defaults_are_those_of_the_library() -> None:
    import inspect

    import albumentations

    for name, transform in TRANSFORMS.items():
        signature = inspect.signature(getattr(albumentations, name)).parameters
        for key, value in transform.defaults.items():
            default = signature[key].default
            plain = list(default) if isinstance(default, tuple) else default
            if (name, key) in (("Affine", "rotate"), ("Affine", "translate_px")):
                assert not plain  # none at all
            else:
                assert plain == value, (name, key)
        assert signature["p"].default == 0.5


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"kind": "Normalize", "p": 1.0}], "keep pixels of 0 to 255 and the shape .48, 48., but got torch.float32"),
        ([{"kind": "RandomCrop", "height": 20, "width": 20, "p": 1.0}], "Expected transforms of faces of shape"),
        ([{"kind": "CoarseDropout", "hole_height_range": [60, 80], "p": 0.1}], "Expected transforms of faces of shape"),
    ],
)
def test_transforms_that_faces_do_not_survive_are_refused(steps: list[dict[str, Any]], message: str) -> None:
    augmentation = Augmentation([ComponentSpec(**step) for step in steps])
    with pytest.raises(InputError, match=rf"augment: .*{message}"):
        augmentation.check(torch.from_numpy(smooth(4)))


def test_a_border_that_is_no_number_is_the_library_s_to_refuse() -> None:
    assert BatchedChain.of([ComponentSpec(kind="Affine", border_mode=[0])]) is None
