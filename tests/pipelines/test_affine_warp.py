"""Bytes and floats are moved the same way."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipelines.affine_warp import BORDERS, placed, warp, warp_pixels


def _faces(channels: int) -> npt.NDArray[np.uint8]:
    """(6, 20, 24, C): smooth, so that a 32nd of a pixel is a small difference."""
    rows, columns = np.mgrid[:20, :24] / 20.0
    waves = [np.sin(3 * rows + i) + np.cos(2 * columns * (1 + i % 3)) for i in range(6 * channels)]
    layers = (60 * np.stack(waves).reshape(6, channels, 20, 24) + 120).round().astype(np.uint8)
    return np.ascontiguousarray(layers.transpose(0, 2, 3, 1))


def _bytes(faces: npt.NDArray[np.uint8], back: npt.NDArray, offset: npt.NDArray, border: int) -> torch.Tensor:
    maps = placed(back, offset, height=faces.shape[1], width=faces.shape[2])
    moved = warp_pixels(faces if faces.shape[3] == 3 else faces[..., 0], maps, border=border).reshape(faces.shape)
    return torch.from_numpy(moved).permute(0, 3, 1, 2).float()


def _floats(faces: npt.NDArray[np.uint8], back: npt.NDArray, offset: npt.NDArray, border: int) -> torch.Tensor:
    return warp(torch.from_numpy(faces).permute(0, 3, 1, 2).float(), back, offset, border=border)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("border", BORDERS)
def test_a_face_at_a_time_and_all_floats_agree(border: int, channels: int) -> None:
    rng, faces = np.random.default_rng(border), _faces(channels)
    back = np.eye(2) + rng.uniform(-0.3, 0.3, (6, 2, 2))
    offset = rng.uniform(-5, 5, (6, 2))
    one, other = _bytes(faces, back, offset, border), _floats(faces, back, offset, border)
    assert one.shape == other.shape == (6, channels, 20, 24)
    assert (one - torch.from_numpy(faces).permute(0, 3, 1, 2)).abs().mean() > 1.0
    # Where a constant border begins, a 32nd of a pixel is a 32nd of the step.
    assert torch.quantile((one - other).abs(), 0.99) < (12.0 if border == 0 else 2.0)
    assert (one - other).abs().mean() < 0.6


@pytest.mark.parametrize("move", [_bytes, _floats])
def test_what_stays_is_left_as_it_is(move) -> None:
    faces = _faces(1)
    stayed = move(faces, np.tile(np.eye(2), (6, 1, 1)), np.zeros((6, 2)), 1)
    assert torch.equal(stayed.round(), torch.from_numpy(faces).permute(0, 3, 1, 2).float())


@pytest.mark.parametrize("move", [_bytes, _floats])
def test_the_offset_says_where_a_pixel_is_found(move) -> None:
    faces = np.zeros((1, 5, 7, 1), np.uint8)
    faces[0, 2, 4] = 9  # one to the right of the middle (3, 2)
    moved = move(faces, np.eye(2)[None], np.array([[1.0, 0.0]]), 1).round()
    assert moved[0, 0, 2, 3] == 9
    assert moved.sum() == 9
