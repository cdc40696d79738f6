"""HOG against scikit-image's."""

from __future__ import annotations

import pytest
import torch
from skimage.feature import hog
from torch import Tensor

from backbones.layer.hog import Hog


def _reference(faces: Tensor, *, orientations: int, cell: int, block: int) -> Tensor:
    features = [
        hog(
            face.numpy(),
            orientations,
            (cell, cell),
            (block, block),
            "L2-Hys",
            transform_sqrt=False,
            feature_vector=True,
        )
        for face in faces[:, 0]
    ]
    return torch.stack([torch.as_tensor(f) for f in features])


def _faces(kind: str, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(size)
    if kind == "pixels":  # whole numbers: many gradients lie exactly between two bins
        return torch.randint(0, 9, (4, 1, size, size), generator=generator).float()
    return torch.randn(4, 1, size, size, generator=generator)


@pytest.mark.parametrize("kind", ["pixels", "normalized"])
@pytest.mark.parametrize(
    ("orientations", "cell", "block", "size"),
    [(9, 8, 2, 48), (8, 8, 2, 48), (9, 8, 3, 50), (8, 6, 2, 42), (12, 5, 1, 23), (6, 1, 2, 7)],
)
def test_features_are_scikit_images(kind: str, orientations: int, cell: int, block: int, size: int) -> None:
    faces = _faces(kind, size)
    module = Hog(orientations=orientations, cell=cell, block=block)
    features = module(faces)
    assert features.shape == (4, module.length(size))
    expected = _reference(faces, orientations=orientations, cell=cell, block=block)
    torch.testing.assert_close(features.double(), expected.double(), atol=1e-4, rtol=0)


def test_a_flat_face_has_no_features() -> None:
    assert torch.equal(Hog()(torch.full((1, 1, 48, 48), 7.0)), torch.zeros(1, 900))


def test_contrast_and_brightness_do_not_matter() -> None:
    faces = torch.rand(2, 1, 48, 48, dtype=torch.float64)
    torch.testing.assert_close(Hog()((255 * faces - 127) / 64), Hog()(faces), atol=1e-4, rtol=0)


def test_channels_are_averaged() -> None:
    faces = torch.rand(2, 3, 32, 32)
    assert torch.equal(Hog()(faces), Hog()(faces.mean(1, keepdim=True)))


def test_no_parameters_and_no_gradient() -> None:
    module = Hog()
    assert not module.state_dict()
    assert not module(torch.rand(1, 1, 16, 16, requires_grad=True)).requires_grad


def test_length_is_zero_where_no_block_fits() -> None:
    assert (Hog().length(15), Hog().length(16), Hog().length(48)) == (0, 36, 900)
