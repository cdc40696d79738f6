"""Faces of a batch are moved the same way on every device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.affine_warp import BORDERS, by_batch, by_face, warp


def _faces(channels: int) -> torch.Tensor:
    """(6, C, 20, 24): smooth, so that a 32nd of a pixel is a small difference."""
    rows, columns = np.mgrid[:20, :24] / 20.0
    waves = [np.sin(3 * rows + i) + np.cos(2 * columns * (1 + i % 3)) for i in range(6 * channels)]
    return torch.from_numpy(60 * np.stack(waves).reshape(6, channels, 20, 24) + 120).float()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("border", BORDERS)
def test_a_face_at_a_time_and_all_at_once_agree(border: int, channels: int) -> None:
    rng, x = np.random.default_rng(border), _faces(channels)
    back = np.eye(2) + rng.uniform(-0.3, 0.3, (6, 2, 2))
    offset = rng.uniform(-5, 5, (6, 2))
    one, other = by_face(x, back, offset, border), by_batch(x, back, offset, border)
    assert one.shape == other.shape == x.shape
    assert (one - x).abs().mean() > 1.0
    # Where a constant border begins, a 32nd of a pixel is a 32nd of the step.
    assert torch.quantile((one - other).abs(), 0.99) < (12.0 if border == 0 else 2.0)
    assert (one - other).abs().mean() < 0.5


def test_what_stays_is_left_to_the_last_bit() -> None:
    x = _faces(1)
    assert torch.equal(warp(x, np.tile(np.eye(2), (6, 1, 1)), np.zeros((6, 2)), border=1), x)


def test_the_offset_says_where_a_pixel_is_found() -> None:
    x = torch.zeros(1, 1, 5, 7)
    x[0, 0, 2, 4] = 1.0  # one to the right of the middle (3, 2)
    moved = warp(x, np.eye(2)[None], np.array([[1.0, 0.0]]), border=1)
    assert moved[0, 0, 2, 3] == 1.0
    assert moved.sum() == 1.0
