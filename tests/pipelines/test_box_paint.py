"""Boxes painted over faces: by the face as by the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.box_paint import by_batch, by_face


@pytest.mark.parametrize("channels", [1, 3])
def test_both_ways_paint_the_same_boxes_and_nothing_else(channels: int) -> None:
    draw = np.random.default_rng(0)
    faces = torch.from_numpy(draw.random((6, channels, 9, 12), dtype=np.float32))
    rows = np.array([4, 0, 3])
    boxes = np.array([[0, 9, 0, 12], [2, 5, 7, 12], [3, 3, 4, 8]])  # the whole face, a corner, nothing
    colours = draw.uniform(1.0, 2.0, (3, channels)).astype(np.float32)
    by_hand, by_torch = faces.clone(), faces.clone()
    by_face(by_hand, rows, boxes, colours)
    by_batch(by_torch, rows, boxes, colours)
    assert torch.equal(by_hand, by_torch)
    assert torch.equal(by_hand[4], torch.from_numpy(colours[0])[:, None, None].expand(channels, 9, 12))
    assert torch.equal(by_hand[0, :, 2:5, 7:12], torch.from_numpy(colours[1])[:, None, None].expand(channels, 3, 5))
    changed = (by_hand != faces).any(dim=1).flatten(1).sum(dim=1)
    assert changed.tolist() == [15, 0, 0, 0, 108, 0]
